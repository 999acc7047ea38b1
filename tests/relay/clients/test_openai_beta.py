"""The SDK's beta namespace at an API that speaks GA only: the relay is the bridge; both sides' frames are stored."""

from tests.clients.test_openai_beta import (
    connection,
    test_a_text_turn,
    test_a_tool_turn,
    test_an_answer_that_is_cancelled,
    test_an_audio_turn,
    test_an_interruption,
)

__all__ = [
    "connection",
    "test_a_text_turn",
    "test_a_tool_turn",
    "test_an_answer_that_is_cancelled",
    "test_an_audio_turn",
    "test_an_interruption",
]
