"""Prices: the worked checks of the fact sheet, what cannot be priced, and that no usage breaks the sum."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.prices import PRICES, cost, is_priced, price_of
from tests.realtime.frames import values


def usage(
    text: int = 0, audio: int = 0, image: int = 0, *, text_out: int = 0, audio_out: int = 0, cached: tuple[int, int, int] = (0, 0, 0)
) -> dict[str, Any]:
    """A response's usage as the API tells it; ``cached`` is its split into text, audio and image."""
    names = ("text_tokens", "audio_tokens", "image_tokens")
    return {
        "total_tokens": text + audio + image + text_out + audio_out,
        "input_tokens": text + audio + image,
        "output_tokens": text_out + audio_out,
        "input_token_details": {
            **dict(zip(names, (text, audio, image), strict=True)),
            "cached_tokens": sum(cached),
            "cached_tokens_details": dict(zip(names, cached, strict=True)),
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }


def test_a_minute_of_speech() -> None:
    """A minute of the user's is 600 tokens and US$ 0.0192, a minute of the model's 1,200 and US$ 0.0768."""
    assert cost("gpt-realtime", usage(audio=600)) == pytest.approx(0.0192)
    assert cost("gpt-realtime", usage(audio_out=1200)) == pytest.approx(0.0768)


def test_a_response_as_it_is_billed() -> None:
    """The usage of the fact sheet's example: 14 text and 27 audio tokens in, 28 and 136 out."""
    told = usage(text=14, audio=27, text_out=28, audio_out=136)
    assert cost("gpt-realtime", told) == pytest.approx((14 * 4 + 27 * 32 + 28 * 16 + 136 * 64) / 1e6)
    assert cost("gpt-realtime-2", told) == pytest.approx((14 * 4 + 27 * 32 + 28 * 24 + 136 * 64) / 1e6)
    assert cost("gpt-realtime-2.1-mini", told) == pytest.approx((14 * 0.6 + 27 * 10 + 28 * 2.4 + 136 * 20) / 1e6)


def test_what_was_read_before_is_cheaper() -> None:
    """Cached tokens are a part of the input, and the split says of what: 64 of audio save more than 64 of text."""
    of_audio = cost("gpt-realtime", usage(text=100, audio=100, image=10, cached=(0, 64, 0)))
    of_text = cost("gpt-realtime", usage(text=100, audio=100, image=10, cached=(64, 0, 0)))
    assert of_audio == pytest.approx((100 * 4 + 36 * 32 + 64 * 0.4 + 10 * 5) / 1e6)
    assert of_text == pytest.approx((36 * 4 + 64 * 0.4 + 100 * 32 + 10 * 5) / 1e6)


def test_cached_without_a_split() -> None:
    """Without the split they count where caching saves least: text, then images, then audio."""
    told = usage(text=50, audio=100, image=10)
    told["input_token_details"] |= {"cached_tokens": 64}
    del told["input_token_details"]["cached_tokens_details"]
    assert cost("gpt-realtime", told) == pytest.approx((50 * 0.4 + 10 * 0.5 + 4 * 0.4 + 96 * 32) / 1e6)


def test_thinking_is_text() -> None:
    """Reasoning tokens are among the text's already, so they are not paid twice."""
    told = usage(text=10, text_out=33)
    told["output_token_details"]["reasoning_tokens"] = 17
    assert cost("gpt-realtime-2", told) == pytest.approx((10 * 4 + 33 * 24) / 1e6)


@pytest.mark.parametrize(("model", "priced"), [
    ("gpt-realtime", "gpt-realtime"),
    ("gpt-realtime-2025-08-28", "gpt-realtime"),
    ("GPT-Realtime-Sales", "gpt-realtime"),
    ("gpt-realtime-2-eastus", "gpt-realtime-2"),
    ("gpt-realtime-2.1", "gpt-realtime-2.1"),
    ("gpt-realtime-2.1-2026-05-01", "gpt-realtime-2.1"),
    ("gpt-realtime-2.1-mini-2026-05-01", "gpt-realtime-2.1-mini"),
    ("gpt-realtime-mini-2025-12-15", "gpt-realtime-mini"),
])  # fmt: skip
def test_a_name_that_begins_with_a_known_one(model: str, priced: str) -> None:
    """A snapshot costs what its model costs, and so does a deployment that bears its name in front."""
    assert price_of(model) is PRICES[priced]


@pytest.mark.parametrize("model", [
    "", "grok-voice", "my-gpt-realtime", "gpt-realtime2", "gpt-realtime-3", "gpt-realtime-2.2", "gpt-realtime-2-mini",
    "gpt-realtime-1.5-nano-2026-01-01", "gpt-realtime-mini-2", "gpt-realtime-whisper", "gpt-realtime-translate",
    "gpt-4o-realtime-preview",
])  # fmt: skip
def test_another_model(model: str) -> None:
    """A version, a size or a purpose nobody has listed is another model: tokens are shown, no money."""
    assert cost(model, usage(text=10)) is None


@pytest.mark.parametrize("told", [
    None, [], "205", {"input_tokens": 41, "output_tokens": 164},
    {"input_tokens": 41, "input_token_details": {"text_tokens": 1, "audio_tokens": 39}, "output_tokens": 0},
    {"type": "duration", "seconds": 3},
])  # fmt: skip
def test_a_usage_that_does_not_say_enough(told: Any) -> None:
    """Tokens of which nobody says what they are have no price; no usage at all neither."""
    assert cost("gpt-realtime", told) is None


def test_what_is_paid_by_the_minute() -> None:
    """A transcription's seconds, at the price of its model."""
    assert cost("gpt-realtime-whisper", {"type": "duration", "seconds": 3}) == pytest.approx(0.017 / 20)
    assert cost("gpt-realtime-whisper", {"type": "duration", "seconds": "3"}) is None
    assert cost("whisper-1", {"type": "duration", "seconds": 3}) is None


@pytest.mark.parametrize(("model", "told", "dollars"), [
    ("gpt-live-transcribe", {"type": "duration", "seconds": 60}, 0.017),
    ("gpt-transcribe", {"type": "duration", "seconds": 60}, 0.0045),
    ("gpt-4o-transcribe", {"type": "tokens", "input_tokens": 10**6, "output_tokens": 0}, 2.5),
    ("gpt-4o-transcribe", {"type": "tokens", "input_tokens": 0, "output_tokens": 10**6}, 10),
    ("gpt-4o-mini-transcribe-2025-12-15", {"type": "tokens", "input_tokens": 10**6, "output_tokens": 10**6}, 6.25),
    ("gpt-4o-transcribe-diarize", {"type": "tokens", "input_tokens": 1, "output_tokens": 1}, None),
    ("gpt-4o-transcribe", {"type": "tokens", "input_tokens": "1", "output_tokens": 1}, None),
    ("gpt-realtime", {"type": "tokens", "input_tokens": 1, "output_tokens": 1}, None),
])  # fmt: skip
def test_a_transcription(model: str, told: Any, dollars: float | None) -> None:
    """By the minute or by tokens, as its model is paid."""
    assert cost(model, told) == (None if dollars is None else pytest.approx(dollars))
    assert is_priced(model) == (model != "gpt-4o-transcribe-diarize")


def test_nothing_used_costs_nothing() -> None:
    """A response that failed before it read anything: nought, which is not the same as unknown."""
    assert cost("gpt-realtime", usage()) == 0


counts = st.integers(0, 10**7)


@given(st.sampled_from(sorted(PRICES)), st.tuples(counts, counts, counts), st.tuples(counts, counts), st.tuples(counts, counts, counts))
def test_caching_never_makes_it_dearer(
    model: str, came: tuple[int, int, int], left: tuple[int, int], cached: tuple[int, int, int]
) -> None:
    """Whatever is cached, the cost lies between nothing and the cost without a cache; the unsplit sum is never lower."""
    out = {"text_out": left[0], "audio_out": left[1]}
    cached = (min(came[0], cached[0]), min(came[1], cached[1]), min(came[2], cached[2]))
    told = usage(*came, **out, cached=cached)
    dear, cheap = cost(model, usage(*came, **out)), cost(model, told)
    del told["input_token_details"]["cached_tokens_details"]
    unsplit = cost(model, told)
    assert dear is not None and cheap is not None and unsplit is not None
    assert 0 <= cheap <= unsplit * (1 + 1e-12) <= dear * (1 + 1e-9)


@given(st.text() | st.sampled_from(sorted(PRICES)), values)
def test_no_usage_raises(model: str, told: Any) -> None:
    """Whatever an API says it used, the answer is a sum of money or None."""
    assert (dollars := cost(model, told)) is None or dollars >= 0
