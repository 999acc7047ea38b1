"""Sound as it travels: base64 in frames, taken out and put back, and durations. 24 kHz mono throughout the API."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

import msgspec

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

_OPENING = {name: re.compile(rf'"{name}"\s*:\s*"') for name in ("audio", "delta")}
_decode_base64 = msgspec.json.Decoder(bytes).decode


@dataclass(frozen=True, slots=True)
class Split:
    """A frame taken apart: its text without the sound, the sound as bytes, and where it belongs."""

    text: str
    audio: bytes
    at: int
    """Index in ``text`` where the base64 stood; -1 when the frame was kept whole."""


def split(raw: str, type_: str) -> Split:
    """Take the sound out of a frame so that it can be stored as bytes; ``join`` gives the frame back exactly.

    The frame is kept whole when its base64 is not in the plain form our encoder would write (odd padding, escapes).
    """
    if type_ in AUDIO_FIELDS:
        for opening in _OPENING[AUDIO_FIELDS[type_]].finditer(raw):
            start = opening.end()
            end = raw.find('"', start)
            if end >= 0 and (audio := _plain(raw[start - 1 : end + 1])) is not None:
                return Split(raw[:start] + raw[end:], audio, start)
    return Split(raw, b"", -1)


def _plain(quoted: str) -> bytes | None:
    """The bytes of a JSON string that is base64 exactly as our encoder writes it; None for any other string.

    msgspec decodes three times as fast as the standard library, refuses characters that are not base64's, and knows
    escapes: those make the text too long. What it leaves open are the unused bits of the last four characters.
    """
    try:
        audio = _decode_base64(quoted)
    except msgspec.MsgspecError:
        return None
    size = len(audio)
    if len(quoted) - 2 != (size + 2) // 3 * 4:
        return None
    rest = size % 3 or min(size, 3)
    return audio if base64.b64encode(audio[size - rest :]).decode() == quoted[-1 - (rest + 2) // 3 * 4 : -1] else None


def join(text: str, audio: bytes, at: int) -> str:
    """Put a frame together again, byte for byte."""
    if at < 0:
        return text
    return text[:at] + base64.b64encode(audio).decode() + text[at:]


def encoded_length_ms(raw: str, field: str, format_: str) -> float:
    """Milliseconds of sound in a frame's ``audio`` or ``delta``, from its length alone: nothing is decoded."""
    if (opening := _OPENING[field].search(raw)) is None:
        return 0.0
    start = opening.end()
    end = raw.find('"', start)
    if end < 0:
        return 0.0
    padding = raw.count("=", max(start, end - 2), end)
    return max(0, (end - start) * 3 // 4 - padding) / BYTES_PER_MS.get(format_, 48)


def duration_ms(audio: bytes, format_: str = "audio/pcm") -> float:
    """Milliseconds of sound in these bytes."""
    return len(audio) / BYTES_PER_MS.get(format_, 48)
