"""PCM16 and G.711: base64 in frames, durations, resampling, levels and WAV. 24 kHz mono throughout the API."""

from __future__ import annotations

import base64
import io
import re
import wave
from dataclasses import dataclass

import msgspec
import numpy as np

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


def samples(pcm: bytes) -> np.ndarray:
    """PCM16 little-endian bytes as an int16 array; an odd last byte is ignored."""
    return np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2")


def level(pcm: bytes) -> float:
    """Root mean square of PCM16, 0 to 1."""
    x = samples(pcm)
    return float(np.sqrt(np.mean(np.square(x / 32768.0)))) if x.size else 0.0


def resample(pcm: bytes, rate_from: int, rate_to: int) -> bytes:
    """PCM16 mono at another rate. A windowed-sinc low-pass comes first when the rate goes down, against aliasing.

    The ends are held, not faded: sound comes in chunks, and each seam would be heard.
    """
    x = samples(pcm).astype(np.float64)
    if rate_from == rate_to or not x.size:
        return x.astype("<i2").tobytes()
    if rate_to < rate_from:
        taps = np.arange(-24, 25)
        cutoff = rate_to / rate_from
        kernel = np.sinc(taps * cutoff) * np.hamming(taps.size)
        x = np.convolve(np.pad(x, taps.size // 2, mode="edge"), kernel / kernel.sum(), mode="valid")
    positions = np.arange(int(x.size * rate_to / rate_from)) * (rate_from / rate_to)
    return bytes(np.clip(np.rint(np.interp(positions, np.arange(x.size), x)), -32768, 32767).astype("<i2").tobytes())


def wav(pcm: bytes, rate: int = RATE, channels: int = 1) -> bytes:
    """A WAV file around PCM16."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return out.getvalue()


def from_g711(data: bytes, format_: str) -> bytes:
    """G.711 at 8 kHz as PCM16 at 8 kHz (ITU-T G.711, by table)."""
    table = _ULAW if format_ == "audio/pcmu" else _ALAW
    return table[np.frombuffer(data, dtype=np.uint8)].astype("<i2").tobytes()


def to_g711(pcm: bytes, format_: str) -> bytes:
    """PCM16 at 8 kHz as G.711: the code whose value lies nearest to each sample."""
    table = _ULAW if format_ == "audio/pcmu" else _ALAW
    order = np.argsort(table, kind="stable")
    values = table[order].astype(np.int32)
    x = samples(pcm).astype(np.int32)
    right = np.clip(np.searchsorted(values, x), 1, 255)
    nearer_left = x - values[right - 1] <= values[right] - x
    return order[np.where(nearer_left, right - 1, right)].astype(np.uint8).tobytes()


def to_pcm24(data: bytes, format_: str) -> bytes:
    """Sound in any of the API's formats as PCM16 at 24 kHz, for a loudspeaker or a WAV file."""
    return data if format_ not in ("audio/pcmu", "audio/pcma") else resample(from_g711(data, format_), 8_000, RATE)


def from_pcm24(pcm: bytes, format_: str) -> bytes:
    """PCM16 at 24 kHz as any of the API's formats."""
    return pcm if format_ not in ("audio/pcmu", "audio/pcma") else to_g711(resample(pcm, RATE, 8_000), format_)


def _ulaw_table() -> np.ndarray:
    """Values of the 256 µ-law codes (G.711 table 2a; the code travels inverted)."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude)


def _alaw_table() -> np.ndarray:
    """Values of the 256 A-law codes (G.711 table 1a; even bits travel inverted)."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code & 0x70) >> 4
    mantissa = (code & 0x0F) << 4
    magnitude = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude)


_ULAW = _ulaw_table()
_ALAW = _alaw_table()
