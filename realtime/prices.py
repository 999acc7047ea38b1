"""Prices: US$ of a response or a transcription, by its model and its usage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AS_OF = "2026-11"
"""When the prices below were read, off the models' pages of OpenAI's documentation. They change."""


@dataclass(frozen=True, slots=True)
class Price:
    """US$ for a million tokens, by what they are of; ``cached`` is what was read before."""

    text: float
    text_cached: float
    text_out: float
    audio: float
    audio_cached: float
    audio_out: float
    image: float
    image_cached: float


_MINI = Price(0.60, 0.06, 2.40, 10.00, 0.30, 20.00, 0.80, 0.08)

PRICES = {
    "gpt-realtime-2.1": Price(4.00, 0.40, 24.00, 32.00, 0.40, 64.00, 5.00, 0.50),
    "gpt-realtime-2": Price(4.00, 0.40, 24.00, 32.00, 0.40, 64.00, 5.00, 0.50),
    "gpt-realtime-1.5": Price(4.00, 0.40, 16.00, 32.00, 0.40, 64.00, 5.00, 0.50),
    "gpt-realtime": Price(4.00, 0.40, 16.00, 32.00, 0.40, 64.00, 5.00, 0.50),
    "gpt-realtime-2.1-mini": _MINI,
    "gpt-realtime-mini": _MINI,  # only its 0.60 is confirmed; the rest is taken from the newer one
}
"""By model."""
BY_MINUTE = {
    "gpt-realtime-whisper": 0.017, "gpt-live-transcribe": 0.017, "gpt-transcribe": 0.0045, "gpt-realtime-translate": 0.034,
}  # fmt: skip
"""US$ for a minute of sound, of models that are not paid by tokens."""
TRANSCRIBING = {"gpt-4o-transcribe": (2.50, 10.00), "gpt-4o-mini-transcribe": (1.25, 5.00)}
"""US$ for a million tokens in and out, of models that transcribe and are paid by tokens."""

_OTHERS = re.compile(r"-(?:\d{1,2}(?:\.\d+)?|mini|nano|micro|pro|preview|whisper|translate|transcribe|diarize|tts)(?:-|$)")
"""What after a known name makes another model of it: a version, a size, a purpose. A date or a word of one's own does not."""
_MOST = 10**12
"""More tokens than this are a mistake, not a count."""


def cost(model: str, usage: Any) -> float | None:
    """US$ of a ``response.usage``, or of a transcription's ``usage``, of type ``duration`` or ``tokens``.

    None when it cannot be told: the model's price is not known, there is no usage, or the usage does not say of what
    its tokens are. Cached tokens are a part of the input; which part, ``cached_tokens_details`` says. Where it is
    missing they count as those on which caching saves least, so that the figure is rather too high than too low.
    """
    if not isinstance(usage, Mapping):
        return None
    if usage.get("type") == "duration":
        return _by_minute(model, usage.get("seconds"))
    if name := _known(model, TRANSCRIBING):
        into, out = TRANSCRIBING[name]
        if not all(type(usage.get(tokens)) is int for tokens in ("input_tokens", "output_tokens")):
            return None
        return (_count(usage, "input_tokens") * into + _count(usage, "output_tokens") * out) / 1_000_000
    price = price_of(model)
    came, left = usage.get("input_token_details"), usage.get("output_token_details")
    if price is None or not _adds_up(usage, "input_tokens", came) or not _adds_up(usage, "output_tokens", left):
        return None
    text, audio, image = _of_kinds(came)
    text_cached, audio_cached, image_cached = _cached(came, text, audio, image)
    text_out, audio_out, _ = _of_kinds(left)
    millionths = (
        (text - text_cached) * price.text + text_cached * price.text_cached + text_out * price.text_out
        + (audio - audio_cached) * price.audio + audio_cached * price.audio_cached + audio_out * price.audio_out
        + (image - image_cached) * price.image + image_cached * price.image_cached
    )  # fmt: skip
    return millionths / 1_000_000


def price_of(model: str) -> Price | None:
    """The price of a model, of a snapshot of it (``gpt-realtime-2025-08-28``), or of a deployment that begins with its
    name (``gpt-realtime-2-sales``), as people name theirs on Azure. None for what may be another model."""
    name = _known(model, PRICES)
    return PRICES[name] if name else None


def is_priced(model: str) -> bool:
    """Whether anything a model does has a known price."""
    return any(_known(model, prices) for prices in (PRICES, BY_MINUTE, TRANSCRIBING))


def _by_minute(model: str, seconds: Any) -> float | None:
    name = _known(model, BY_MINUTE)
    if not name or not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < _MOST:
        return None
    return BY_MINUTE[name] * seconds / 60


def _known(model: str, names: Mapping[str, Any]) -> str:
    """The longest of these names that the model's begins with; ``""`` when what follows makes it another one."""
    model = model.lower()
    for name in sorted(names, key=len, reverse=True):
        if model == name:
            return name
        if model.startswith(f"{name}-"):
            return "" if _OTHERS.match(model[len(name) :]) else name
    return ""


def _adds_up(usage: Mapping[str, Any], name: str, details: Any) -> bool:
    """Whether the details account for all the tokens there were."""
    return sum(_of_kinds(details)) >= _count(usage, name)


def _of_kinds(details: Any) -> tuple[int, int, int]:
    """How many tokens are text, audio and image. Reasoning tokens are text, and counted there (protocol 6.1)."""
    return _count(details, "text_tokens"), _count(details, "audio_tokens"), _count(details, "image_tokens")


def _cached(details: Any, text: int, audio: int, image: int) -> tuple[int, int, int]:
    split = details.get("cached_tokens_details") if isinstance(details, Mapping) else None
    if isinstance(split, Mapping):
        told = _of_kinds(split)
        return min(told[0], text), min(told[1], audio), min(told[2], image)
    rest = _count(details, "cached_tokens")
    of_text = min(rest, text)
    of_image = min(rest - of_text, image)
    return of_text, min(rest - of_text - of_image, audio), of_image


def _count(details: Any, name: str) -> int:
    value = details.get(name) if isinstance(details, Mapping) else None
    return value if type(value) is int and 0 <= value < _MOST else 0
