"""The openai-agents package through the relay; stored frames are those of the wire."""

from tests.clients.test_openai_agents import (
    session,
    test_a_text_turn,
    test_a_tool_turn,
    test_an_audio_turn,
    test_an_interruption,
)

__all__ = [
    "session",
    "test_a_text_turn",
    "test_a_tool_turn",
    "test_an_audio_turn",
    "test_an_interruption",
]
