"""OpenAI's Python SDK through the relay: its four turns; stored frames are those of the wire, on both sides."""

from tests.clients.test_openai import (
    connection,
    test_a_text_turn,
    test_a_tool_turn,
    test_an_audio_turn,
    test_an_interruption,
)

__all__ = [
    "connection",
    "test_a_text_turn",
    "test_a_tool_turn",
    "test_an_audio_turn",
    "test_an_interruption",
]
