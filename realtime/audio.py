"""Sound as it travels: base64 in frames, taken out and put back, and durations. 24 kHz mono throughout the API."""

from __future__ import annotations

import re
from typing import NamedTuple

import pybase64

RATE = 24_000
"""Samples per second of ``audio/pcm`` (guide "Realtime conversations", audio formats): the only rate accepted."""
BYTES_PER_MS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}
"""24 kHz × 2 bytes, and 8 kHz × 1 byte."""
AUDIO_FIELDS = {
    "input_audio_buffer.append": "audio",
    "response.output_audio.delta": "delta",
    "response.audio.delta": "delta",
}
"""Events that carry sound on the hot path, and the field it is in (GA and beta names)."""

SPEECH = ("response.output_audio.delta", "response.audio.delta")
"""Those in which the model speaks."""

_NAMES = {name: f'"{name}"' for name in ("audio", "delta")}
_OPENING = {name: re.compile(rf'"{name}"\s*:\s*"') for name in ("audio", "delta")}


class Split(NamedTuple):
    """A frame taken apart: its text without the sound, the sound as bytes, and where it belongs."""

    text: str
    audio: bytes
    at: int
    """Index in ``text`` where the base64 stood; -1 when the frame was kept whole."""


def split(raw: str, type_: str) -> Split:
    """Take the sound out of a frame so that it can be stored as bytes; ``join`` gives the frame back exactly.

    The frame is kept whole when its base64 is not in the plain form our encoder would write (odd padding, escapes).
    """
    if (field := AUDIO_FIELDS.get(type_)) is not None:
        start = -1
        while (start := _opening(raw, field, start + 1)) >= 0:
            end = raw.find('"', start)
            if end >= 0 and (audio := _plain(raw[start:end])) is not None:
                return Split(raw[:start] + raw[end:], audio, start)
    return Split(raw, b"", -1)


def _opening(raw: str, field: str, after: int = 0) -> int:
    """Where the next string in a field of this name begins, -1 when there is none. Most stand where no pattern is needed."""
    name = _NAMES[field]
    if (at := raw.find(name, after)) < 0:
        return -1
    if raw.startswith(':"', at + len(name)):
        return at + len(name) + 2
    found = _OPENING[field].search(raw, at)
    return found.end() if found else -1


def _plain(text: str) -> bytes | None:
    """The bytes of base64 exactly as our encoder writes it; None for any other text.

    The decoder refuses what is not base64's, an escape of JSON's too; it lets pass what the unused bits of the last
    characters say.
    """
    try:
        audio = pybase64.b64decode(text, validate=True)
    except ValueError:
        return None
    if len(audio) % 3 and pybase64.b64encode_as_string(audio[-(len(audio) % 3) :]) != text[-4:]:
        return None
    return audio


def join(text: str, audio: bytes, at: int) -> str:
    """Put a frame together again, byte for byte."""
    if at < 0:
        return text
    return text[:at] + pybase64.b64encode_as_string(audio) + text[at:]


def encoded_length_ms(raw: str, field: str, format_: str) -> float:
    """Milliseconds of sound in a frame's ``audio`` or ``delta``, from its length alone: nothing is decoded."""
    if (start := _opening(raw, field)) < 0:
        return 0.0
    end = raw.find('"', start)
    if end < 0:
        return 0.0
    padding = raw.count("=", max(start, end - 2), end)
    return size_ms(max(0, (end - start) * 3 // 4 - padding), format_)


def duration_ms(audio: bytes, format_: str = "audio/pcm") -> float:
    """Milliseconds of sound in these bytes."""
    return size_ms(len(audio), format_)


def size_ms(size: int, format_: str = "audio/pcm") -> float:
    """Milliseconds of sound in so many bytes."""
    return size / BYTES_PER_MS.get(format_, 48)
