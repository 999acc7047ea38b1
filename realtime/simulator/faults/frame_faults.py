"""Faults of single events: lost, duplicated, reordered, oversized, truncated or unknown."""

from __future__ import annotations

import json

from realtime.simulator.faults.base import Fault, Passed
from realtime.simulator.shared.frames import Frame, Raw


class LostDelta(Fault):
    """Deltas get lost; their "done" events hold the whole."""

    amount, unit, most = 5.0, "percent of deltas", 100.0

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Lose a delta."""
        if type_.endswith(".delta") and self.hits():
            self.note(f"{type_} is lost")
            return []
        return [(at, frame)]


class LostDone(Fault):
    """``response.done`` never comes."""

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Lose the end of a response."""
        if type_ == "response.done":
            self.note("response.done is lost")
            return []
        return [(at, frame)]


class NoRateLimits(Fault):
    """``rate_limits.updated`` never comes, as with compatible servers."""

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Lose the rate limits."""
        return [] if type_ == "rate_limits.updated" else [(at, frame)]


class Duplicates(Fault):
    """Events come twice, with the same ``event_id``."""

    amount, unit, most = 5.0, "percent of events", 100.0

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Send the frame twice."""
        if type_ and self.hits():
            self.note(f"{type_} comes twice")
            return [(at, frame), (at, frame)]
        return [(at, frame)]


class Reorder(Fault):
    """Events arrive after the next one."""

    amount, unit, most = 5.0, "percent of events", 100.0
    _held: Frame | None = None

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Swap two frames. The end of a response is never held back, as no frame may follow."""
        held, self._held = self._held, None
        if held is not None:
            return [(at, frame), (at, held)]
        if type_.endswith((".delta", ".added")) and self.hits():
            self.note(f"{type_} comes behind the next event")
            self._held = frame
            return []
        return [(at, frame)]


class HugeFrame(Fault):
    """``response.created`` has a field larger than the 1 MiB allowed by many clients."""

    amount, unit, most = 2_000_000.0, "bytes", 30_000_000.0

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Swell."""
        if type_ == "response.created" and isinstance(frame, str):
            self.note(f"response.created swells by {self.amount:g} bytes")
            frame = f'{frame[:-1]},"padding":"{"x" * int(self.amount)}"}}'
        return [(at, frame)]


class TruncatedJson(Fault):
    """Deltas are cut off in the middle and are no longer JSON."""

    amount, unit, most = 5.0, "percent of deltas", 100.0

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Cut."""
        if type_.endswith(".delta") and isinstance(frame, str) and self.hits():
            self.note(f"{type_} is cut off")
            frame = Raw(frame[: self.chance.randrange(1, len(frame))])
        return [(at, frame)]


class UnknownEvent(Fault):
    """Events of an unknown type come in between."""

    amount, unit, most = 10.0, "percent of events", 100.0

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Insert an unknown event."""
        if type_ and self.hits():
            self.note(f"an unknown event comes before {type_}")
            event = {"type": "response.mood.changed", "event_id": self.event_id(), "mood": "curious", "since": None}
            return [(at, json.dumps(event, separators=(",", ":"))), (at, frame)]
        return [(at, frame)]
