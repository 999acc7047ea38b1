"""Token counts as the API makes them (guide "Managing costs", protocol 6)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from realtime.simulator.validation import images

USER_AUDIO_MS = 100
"""Milliseconds of a user's speech per token."""
ASSISTANT_AUDIO_MS = 50
"""Milliseconds of the assistant's speech per token."""
CACHE_STEP = 64
"""Cached tokens come in multiples of this."""
COUNTED = 64 * 1024
"""Characters of a text that are split into tokens."""

_TOKEN = re.compile(r" ?[A-Za-z']{1,7}|\s?\d{1,3}|\s+|[^\sA-Za-z\d]")


def text_tokens(text: str) -> list[str]:
    """A text in pieces of about the size the API streams: words with their leading space, marks on their own."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """Return the number of tokens in a text; beyond the first 64k characters, an estimate in proportion."""
    read = text[:COUNTED]
    return round(len(text_tokens(read)) * len(text) / max(1, len(read)))


def item_tokens(item: dict[str, Any], audio_ms: float) -> dict[str, int]:
    """Return the tokens for reading an item: ``{"text": …, "audio": …, "image": …}``."""
    tokens = {"text": 3, "audio": 0, "image": 0}  # three stand for who speaks and where it ends
    for field in ("name", "arguments", "output"):
        tokens["text"] += count(str(item.get(field) or ""))
    for part in item.get("content") or []:
        kind = part.get("type")
        if kind == "input_image":
            tokens["image"] += images.tokens(part)
        elif kind in ("input_audio", "output_audio"):
            tokens["audio"] += math.floor(audio_ms / (USER_AUDIO_MS if kind == "input_audio" else ASSISTANT_AUDIO_MS))
            tokens["text"] += count(str(part.get("transcript") or "")) if kind == "output_audio" else 0
        else:
            tokens["text"] += count(str(part.get("text") or ""))
    return tokens


def response_usage(
    context: Iterable[dict[str, int]], instructions: int, output: Iterable[dict[str, int]], cached: int, thought: int = 0
) -> dict[str, Any]:
    """The ``usage`` object. ``cached`` is how many input tokens were read before; it is rounded down to the grid.

    Tokens of ``thought`` are a part of the output's text; without any the key is absent.
    """
    read = _sum(context)
    read["text"] += instructions
    made = _sum(output)
    made["text"] += thought
    reasoning = {"reasoning_tokens": thought} if thought else {}
    total_in, total_out = sum(read.values()), made["text"] + made["audio"]
    cached = min(cached, total_in) // CACHE_STEP * CACHE_STEP
    cached_text = min(cached, read["text"])
    cached_audio = min(cached - cached_text, read["audio"])
    return {
        "total_tokens": total_in + total_out,
        "input_tokens": total_in,
        "output_tokens": total_out,
        "input_token_details": {
            "text_tokens": read["text"],
            "audio_tokens": read["audio"],
            "image_tokens": read["image"],
            "cached_tokens": cached,
            "cached_tokens_details": {
                "text_tokens": cached_text,
                "audio_tokens": cached_audio,
                "image_tokens": cached - cached_text - cached_audio,
            },
        },
        "output_token_details": {"text_tokens": made["text"], "audio_tokens": made["audio"], **reasoning},
    }


def transcription_usage(model: str, audio_ms: float, transcript: str) -> dict[str, Any]:
    """Return the usage of a transcription: seconds or tokens, depending on the model's billing."""
    if model.startswith("gpt-4o"):
        read, made = math.floor(audio_ms / USER_AUDIO_MS), count(transcript) + 1
        details = {"text_tokens": 0, "audio_tokens": read}
        return {
            "type": "tokens", "total_tokens": read + made, "input_tokens": read, "input_token_details": details,
            "output_tokens": made,
        }  # fmt: skip
    return {"type": "duration", "seconds": math.ceil(audio_ms / 1000)}


def _sum(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total = {"text": 0, "audio": 0, "image": 0}
    for part in parts:
        for kind, tokens in part.items():
            total[kind] += tokens
    return total
