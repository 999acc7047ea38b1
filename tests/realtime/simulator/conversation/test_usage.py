"""Tokens: pieces of text, and what reading and making costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.simulator.conversation.usage import (
    CACHE_STEP,
    item_tokens,
    response_usage,
    text_tokens,
    transcription_usage,
)
from tests.realtime.simulator.order import usage_violations

COUNTS = st.fixed_dictionaries({kind: st.integers(0, 500) for kind in ("text", "audio", "image")})
MADE = st.fixed_dictionaries({kind: st.integers(0, 500) for kind in ("text", "audio")})


@given(st.text())
def test_pieces_are_the_text(text: str) -> None:
    """Whatever the text, its tokens put together are it, and none is longer than fifteen characters but for space."""
    tokens = text_tokens(text)
    assert "".join(tokens) == text
    assert all(len(token) <= 15 or token.isspace() for token in tokens)


@given(st.lists(COUNTS, max_size=5), st.integers(0, 300), st.lists(MADE, max_size=3), st.integers(0, 5000))
def test_the_sums_are_right(
    context: list[dict[str, int]], instructions: int, output: list[dict[str, int]], cached: int
) -> None:
    """Totals are the sums of their parts; what is cached is a part of what was read, of each kind, in steps."""
    usage = response_usage(context, instructions, output, cached)
    assert usage_violations(usage) == []
    total = instructions + sum(sum(part.values()) for part in context)
    assert usage["input_tokens"] == total
    assert usage["input_token_details"]["cached_tokens"] == min(cached, total) // CACHE_STEP * CACHE_STEP


@pytest.mark.parametrize(
    ("type_", "ms", "tokens"),
    [("input_audio", 2796, 27), ("input_audio", 2668, 26), ("input_audio", 99, 0), ("output_audio", 2150, 43), ("output_audio", 49, 0)],
)
def test_sound_is_counted_by_whole_tokens(type_: str, ms: float, tokens: int) -> None:
    """A user's token lasts 100 ms, the assistant's 50; what does not fill one is free."""
    assert item_tokens({"content": [{"type": type_}]}, ms)["audio"] == tokens


@pytest.mark.parametrize(("ms", "seconds"), [(0, 0), (1, 1), (1000, 1), (2796, 3)])
def test_seconds_are_rounded_up(ms: float, seconds: int) -> None:
    """A model that is billed by the second is billed whole ones."""
    assert transcription_usage("whisper-1", ms, "") == {"type": "duration", "seconds": seconds}


def test_tokens_of_a_transcript() -> None:
    """A model that is billed by the token is billed what it read and what it wrote."""
    assert transcription_usage("gpt-4o-transcribe", 2668, "One two three") == {
        "type": "tokens",
        "total_tokens": 30,
        "input_tokens": 26,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 26},
        "output_tokens": 4,
    }
