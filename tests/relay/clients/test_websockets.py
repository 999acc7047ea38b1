"""A client written by hand, through the relay; stored frames are those of the wire."""

from tests.clients.test_websockets import (
    socket,
    test_a_text_turn,
    test_a_tool_turn,
    test_an_audio_turn,
    test_an_interruption,
)

__all__ = [
    "socket",
    "test_a_text_turn",
    "test_a_tool_turn",
    "test_an_audio_turn",
    "test_an_interruption",
]
