"""The idle timer (``idle_timeout_ms``): fires when the user stays silent after an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from realtime.simulator.conversation.jobs import Script
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.input.input_buffer import InputBuffer
from realtime.simulator.input.vad import FRAME_MS


@dataclass(frozen=True, slots=True)
class IdleTimeout:
    """The user was silent for ``idle_timeout_ms`` after the answer had been played."""

    item_id: str
    silence: bytes
    """PCM16 24 kHz, taken out of the input buffer."""


class IdleTimer:
    """One session's idle timer."""

    def __init__(self, context: SessionContext, buffer: InputBuffer, on_timeout: Callable[[IdleTimeout], None]) -> None:
        """``on_timeout`` is called after ``input_audio_buffer.timeout_triggered`` has been sent."""
        self.context = context
        self.buffer = buffer
        self.on_timeout = on_timeout
        self._stops = 0
        """Counts the calls of ``stop``."""

    def stop(self) -> None:
        """Stop waiting, because the user speaks or a response begins."""
        self._stops += 1
        self.buffer.release()

    def start(self, answer_ms: float) -> None:
        """Wait until the answer has been played, ``answer_ms`` long, and the timeout has passed."""
        self.context.schedule(self._wait(answer_ms))

    def _wait(self, answer_ms: float) -> Script:
        timeout = (self.context.config.detection or {}).get("idle_timeout_ms")
        if not timeout:
            return
        stops, buffer = self._stops, self.buffer
        yield answer_ms / 1000
        if stops != self._stops:
            return
        # The user's silence begins where the answer has been played (recorded: 13216 to 19232 at 6000 ms).
        start = buffer.keep()
        yield timeout / 1000
        if stops != self._stops or self.context.config.detection is None:
            return
        if buffer.item_id:  # the user began to speak before this answer was requested, and is still speaking
            buffer.release()
            return
        item_id, end = self.context.ids.make("item"), max(start, int(buffer.end_ms) // FRAME_MS * FRAME_MS)
        self.context.emit("input_audio_buffer.timeout_triggered", audio_start_ms=start, audio_end_ms=end, item_id=item_id)
        self.on_timeout(IdleTimeout(item_id, buffer.silence(start, end)))
