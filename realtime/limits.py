"""Limits: how long a relayed session may last, by its own rules, without a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.policy import End


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a relayed session may last; for ever by default."""

    idle: float | None = None
    """Seconds without a frame of either side."""
    total: float | None = None
    """Seconds in all."""

    def next_end(self, began: float, last_frame: float) -> tuple[float, End] | None:
        """When the session is to end if nothing more happens, on the clock of the arguments, and why."""
        ends = []
        if self.idle is not None:
            ends.append((last_frame + self.idle, End("idle_timeout", f"Nothing was said for {self.idle:g} s.")))
        if self.total is not None:
            sentence = f"Sessions last {self.total:g} s at most here."
            ends.append((began + self.total, End("session_time_limit", sentence)))
        return min(ends, key=lambda end: end[0], default=None)
