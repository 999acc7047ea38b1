"""The output audio buffer, for transports with audio beside the events (WebRTC, SIP): plays audio and reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from realtime.audio import duration_ms
from realtime.simulator.conversation.jobs import Script
from realtime.simulator.conversation.session_context import SessionContext

CLEARING = 0.05
"""Seconds from clearing a buffer to silence; the rest of the response's events come first, as recorded."""
HEX = "0123456789abcdef"


@dataclass(slots=True)
class _Played:
    """Audio in progress."""

    response_id: str
    item_id: str
    began: float
    ms: float = 0.0


class OutputAudioBuffer:
    """The output audio buffer of one session."""

    def __init__(self, context: SessionContext, clock: Callable[[], float]) -> None:
        """``clock`` is monotonic, in seconds."""
        self.context = context
        self.clock = clock
        self._now: _Played | None = None

    def play(self, response_id: str, item_id: str, pcm: bytes) -> None:
        """Play an answer's audio, PCM16 24 kHz, after the audio already in the buffer."""
        if self._now is None or self._now.response_id != response_id:
            self._now = _Played(response_id, item_id, self.clock())
            self._send("started", response_id)
        elif self._now.item_id != item_id:  # the response speaks in another item, when the one before has been played
            self._now.item_id, self._now.began, self._now.ms = item_id, self._now.began + self._now.ms / 1000, 0.0
        self._now.ms += duration_ms(pcm)

    def ended(self, response_id: str) -> None:
        """Report the end of a response's audio once it has been played."""
        if self._now is not None and self._now.response_id == response_id:
            self.context.schedule(self._drain(self._now))

    def clear(self) -> None:
        """Stop playing, for ``output_audio_buffer.clear`` or the user's speech. The item keeps the part that was played."""
        if self._now is not None:
            played, self._now = self._now, None
            played_ms = min(played.ms, (self.clock() - played.began) * 1000)
            self.context.schedule(self._cleared(played, max(0, int(played_ms))))

    def _drain(self, played: _Played) -> Script:
        yield max(CLEARING, played.began + played.ms / 1000 - self.clock())
        if self._now is played:
            self._now = None
            self._send("stopped", played.response_id)

    def _cleared(self, played: _Played, played_ms: int) -> Script:
        yield CLEARING
        self._send("cleared", played.response_id)
        stored = self.context.items.get(played.item_id)
        if stored is not None and played_ms <= stored.audio_ms:
            self.context.items.truncate(played.item_id, 0, played_ms)
            self.context.emit(
                "conversation.item.truncated", item_id=played.item_id, content_index=0, audio_end_ms=played_ms
            )

    def _send(self, what: str, response_id: str) -> None:
        event_id = "event_" + "".join(self.context.ids.chance.choices(HEX, k=16))
        self.context.emit(f"output_audio_buffer.{what}", event_id=event_id, response_id=response_id)
