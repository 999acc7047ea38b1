"""Samples: how loud they are, at other rates and in other codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.pcm import from_g711, from_pcm24, level, resample, samples, to_g711, to_pcm24

FORMATS = ["audio/pcmu", "audio/pcma"]
sounds = st.binary(max_size=400)


def tone(hz: float, rate: int, seconds: float = 0.5, loudness: float = 0.5) -> bytes:
    """A sine as PCM16."""
    t = np.arange(int(rate * seconds)) / rate
    return np.rint(np.sin(2 * np.pi * hz * t) * loudness * 32767).astype("<i2").tobytes()


def pitch(pcm: bytes, rate: int) -> float:
    """The loudest frequency, in Hz."""
    x = samples(pcm) * np.hanning(len(pcm) // 2)
    return float(np.argmax(np.abs(np.fft.rfft(x, rate))))  # padded to a second: a bin is 1 Hz


# ── Samples ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(sounds)
def test_samples_are_pairs_of_bytes(pcm: bytes) -> None:
    """PCM16 is little-endian; half a sample at the end is left out."""
    expected = [int.from_bytes(pcm[i : i + 2], "little", signed=True) for i in range(0, len(pcm) - 1, 2)]
    assert samples(pcm).tolist() == expected


def test_levels() -> None:
    """Silence is 0, a full square wave 1, a sine its peak by the square root of two."""
    assert level(b"") == level(bytes(960)) == 0
    assert level(b"\x00\x80" * 480) == 1
    assert level(tone(440, 24_000)) == pytest.approx(0.5 / 2**0.5, abs=1e-3)


# ── Other rates ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("rate_from", "rate_to"), [(24_000, 8_000), (8_000, 24_000), (24_000, 16_000), (22_050, 24_000)])
def test_a_tone_keeps_its_pitch_length_and_loudness(rate_from: int, rate_to: int) -> None:
    """440 Hz stay 440 Hz, half a second half a second, and as loud as before."""
    pcm = tone(440, rate_from)
    other = resample(pcm, rate_from, rate_to)
    assert pitch(other, rate_to) == pytest.approx(440, abs=1)
    assert len(other) / 2 == pytest.approx(rate_to / 2, abs=1)
    assert level(other) == pytest.approx(level(pcm), rel=0.03)


def test_what_a_lower_rate_cannot_hold_is_filtered() -> None:
    """7 kHz would come back as 1 kHz at 8,000 samples a second: it is taken out before."""
    assert level(resample(tone(7000, 24_000), 24_000, 8_000)) < 0.02


def test_chunks_join_without_a_seam() -> None:
    """A steady level stays steady when sound is converted in chunks of 20 ms, as a microphone sends it."""
    chunk = np.full(480, 10_000, dtype="<i2").tobytes()
    joined = samples(b"".join(resample(chunk, 24_000, 8_000) for _ in range(3)))
    assert joined.size == 480
    assert np.ptp(joined) <= 1


@given(sounds, st.sampled_from([8_000, 16_000, 24_000]), st.sampled_from([8_000, 16_000, 24_000]))
def test_any_length_can_be_resampled(pcm: bytes, rate_from: int, rate_to: int) -> None:
    """Also a few samples, fewer than the filter is long, keep their length and never grow louder than they can be."""
    other = resample(pcm, rate_from, rate_to)
    assert len(other) // 2 == len(pcm) // 2 * rate_to // rate_from
    if rate_from == rate_to:
        assert other == pcm[: len(pcm) // 2 * 2]


@pytest.mark.parametrize("size", [2, 4, 12, 30])
def test_short_sounds_stay_where_they_are(size: int) -> None:
    """A level held for less than the filter's length is the same level afterwards, not a part of the filter's slope."""
    assert set(samples(resample(b"\x10\x27" * size, 24_000, 12_000)).tolist()) == {10_000}


# ── G.711 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("format_", FORMATS)
def test_every_code_comes_back(format_: str) -> None:
    """All 256 codes decode and encode to themselves, but µ-law's second zero."""
    codes = bytes(range(256))
    again = to_g711(from_g711(codes, format_), format_)
    different = [(a, b) for a, b in zip(codes, again, strict=True) if a != b]
    assert different in ([], [(0x7F, 0xFF)], [(0xFF, 0x7F)])


@pytest.mark.parametrize(
    ("format_", "codes", "values"),
    [
        ("audio/pcmu", b"\xff\x7f\x80\x00\xfe\xf0", [0, 0, 32124, -32124, 8, 120]),
        ("audio/pcma", b"\xd5\x55\xaa\x2a\xd4", [8, -8, 32256, -32256, 24]),
    ],
)
def test_codes_have_the_values_of_the_standard(format_: str, codes: bytes, values: list[int]) -> None:
    """Zero, the loudest and the next to zero are what ITU-T G.711 says, scaled to 16 bits."""
    assert samples(from_g711(codes, format_)).tolist() == values


@pytest.mark.parametrize("format_", FORMATS)
@given(numbers=st.lists(st.integers(-32768, 32767), min_size=1, max_size=60))
def test_g711_errs_by_half_a_step(format_: str, numbers: list[int]) -> None:
    """The error of a sample is at most half its step: a 32nd of its loudness, and a little near silence and at the top."""
    x = np.array(numbers, dtype="<i2")
    y = samples(from_g711(to_g711(x.tobytes(), format_), format_)).astype(int)
    assert y.size == x.size
    clipped = np.clip(x.astype(int), -32_256, 32_256)
    assert (np.abs(y - x) <= np.abs(clipped) / 32 + 9 + np.abs(x - clipped) + 132 * (np.abs(x) > 32_000)).all()


@pytest.mark.parametrize("format_", FORMATS)
def test_sound_crosses_a_telephone_line(format_: str) -> None:
    """24 kHz to G.711 and back keeps pitch, length and loudness."""
    pcm = tone(440, 24_000)
    line = from_pcm24(pcm, format_)
    back = to_pcm24(line, format_)
    assert len(line) == 4000
    assert len(back) == len(pcm)
    assert pitch(back, 24_000) == pytest.approx(440, abs=1)
    assert level(back) == pytest.approx(level(pcm), rel=0.03)


def test_pcm_needs_no_conversion() -> None:
    """The API's own format passes as it is."""
    pcm = tone(440, 24_000)
    assert from_pcm24(pcm, "audio/pcm") == to_pcm24(pcm, "audio/pcm") == pcm
