"""The input audio buffer: appended audio, and the turns detected in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from realtime.audio import RATE, duration_ms
from realtime.simulator.input.vad import FRAME_MS, Listener, Started, Stopped
from realtime.simulator.validation.api_errors import Refusal

MINIMUM_MS = 100
"""The API commits no less."""
LIMIT_MS = 15 * 60_000
"""Milliseconds of uncommitted speech kept; bounds memory (43 MB)."""
SLACK_MS = 1000
"""Kept between turns beyond the prefix padding, while the start of speech is being judged."""
SEMANTIC_SILENCE_MS = {"low": 1600, "medium": 900, "auto": 900, "high": 400}
"""Silence that ends a turn by eagerness. The API judges the words; the simulator can only wait, less when more eager
and always less than the API's own limits of 8, 4 and 2 seconds."""
BYTES_PER_MS = RATE * 2 // 1000


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The user began to speak."""

    audio_start_ms: int
    item_id: str


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The user stopped speaking; the audio from start to end is ready to be committed."""

    audio_end_ms: int
    item_id: str
    pcm: bytes


class InputBuffer:
    """The input buffer of one session. Positions are milliseconds of received audio, not wall-clock time."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.item_id = ""
        """Id reserved for the turn in progress; empty between turns."""
        self._pcm = bytearray()
        self._from_ms = 0.0
        """Stream time of the first byte of ``_pcm``."""
        self._start_ms = 0
        self._prefix_ms = 300
        self._keep_from_ms: int | None = None
        """Stream time from which audio is kept for an idle timeout."""

    @property
    def end_ms(self) -> float:
        """Stream time received so far."""
        return self._from_ms + duration_ms(self._pcm)

    def listen(self, detection: dict[str, object] | None) -> None:
        """Follow the session's turn detection; None: turns are committed by hand."""
        if detection is None:
            if self.listener is not None:  # else a manual turn continues
                self.listener, self.item_id = None, ""
            return
        if self.listener is None:
            self.listener = Listener()
            # A listener counts on the 32 ms grid from where the stream stands now.
            self.listener.position_ms = int(self.end_ms) // FRAME_MS * FRAME_MS
        if detection["type"] == "semantic_vad":
            self._prefix_ms = 300
            self.listener.threshold = 0.5
            self.listener.silence_ms = SEMANTIC_SILENCE_MS[str(detection["eagerness"])]
        else:
            self._prefix_ms = int(str(detection["prefix_padding_ms"]))
            self.listener.threshold = float(str(detection["threshold"]))
            self.listener.silence_ms = max(FRAME_MS, int(str(detection["silence_duration_ms"])))

    def append(self, pcm: bytes, make_item_id: Callable[[], str]) -> list[SpeechStarted | SpeechStopped]:
        """Append PCM16 24 kHz and return the starts and ends of turns in order; every turn that begins gets an id.

        Raises Refusal when the buffer is full.
        """
        if duration_ms(self._pcm) + duration_ms(pcm) > LIMIT_MS:
            raise Refusal(None, f"The input audio buffer is full: it holds {LIMIT_MS // 60_000} minutes of uncommitted audio.")
        self._pcm += pcm
        if self.listener is None:
            return []
        found: list[SpeechStarted | SpeechStopped] = []
        for change in self.listener.feed(pcm):
            if isinstance(change, Started):
                self.item_id, self._start_ms = make_item_id(), max(0, change.at_ms - self._prefix_ms)
                found.append(SpeechStarted(self._start_ms, self.item_id))
            elif isinstance(change, Stopped):
                spoken = self._cut(self._start_ms, change.at_ms)
                found.append(SpeechStopped(change.at_ms, self.item_id, spoken))
                self.item_id = ""
        if not self.listener.speaking:
            spare = self.end_ms - self._prefix_ms - SLACK_MS
            self._drop_before(spare if self._keep_from_ms is None else min(spare, self._keep_from_ms))
        return found

    @property
    def spoken_ms(self) -> float:
        """Milliseconds of the turn in progress, 0 between turns. Without turn detection the whole buffer is the turn."""
        if self.listener is not None and not self.item_id:
            return 0.0
        return self.end_ms - (self._from_ms if self.listener is None else max(self._start_ms, self._from_ms))

    def spoken(self) -> bytes:
        """Return the audio of the turn in progress."""
        return bytes(self._pcm[-(round(self.spoken_ms * BYTES_PER_MS) // 2 * 2) :]) if self.spoken_ms else b""

    def reserve(self, make_item_id: Callable[[], str]) -> str:
        """Return the id of the turn in progress; make an id if there is none."""
        self.item_id = self.item_id or make_item_id()
        return self.item_id

    def commit(self) -> bytes:
        """Return all audio and empty the buffer. Raises Refusal for too little audio."""
        held = duration_ms(self._pcm)
        if held < MINIMUM_MS:
            raise Refusal(
                "input_audio_buffer_commit_empty",
                f"Error committing input audio buffer: buffer too small. Expected at least {MINIMUM_MS}ms of audio, "
                f"but buffer only has {held:.2f}ms of audio.",
            )
        pcm = bytes(self._pcm)
        self.clear()
        return pcm

    def keep(self) -> int:
        """Keep all audio from now on, silence included. Returns the stream time, on the grid."""
        self._keep_from_ms = int(self.end_ms) // FRAME_MS * FRAME_MS
        return self._keep_from_ms

    def release(self) -> None:
        """Silence need not be kept any longer."""
        self._keep_from_ms = None

    def silence(self, start_ms: int, end_ms: int) -> bytes:
        """Remove and return the audio between two stream times, for an idle timeout."""
        self.release()
        return self._cut(start_ms, end_ms)

    def clear(self) -> None:
        """Discard the audio."""
        self._from_ms = self.end_ms
        self._pcm.clear()
        self.item_id = ""
        if self.listener is not None:
            self.listener.forget()

    def _cut(self, start_ms: int, end_ms: int) -> bytes:
        self._drop_before(start_ms)
        count = round((end_ms - self._from_ms) * BYTES_PER_MS) // 2 * 2
        spoken = bytes(self._pcm[:count])
        self._drop_before(end_ms)
        return spoken

    def _drop_before(self, ms: float) -> None:
        count = min(len(self._pcm), round((ms - self._from_ms) * BYTES_PER_MS) // 2 * 2)
        if count > 0:
            del self._pcm[:count]
            self._from_ms += count / BYTES_PER_MS
