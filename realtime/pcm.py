"""What is computed on samples: PCM16's levels, other rates, and G.711. Apart from ``audio``, for numpy costs 12 MB."""

from __future__ import annotations

import numpy as np

from realtime.audio import RATE


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
