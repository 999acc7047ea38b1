"""Fault: the base class of all faults on a connection."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from realtime.simulator.shared import response_plan
from realtime.simulator.shared.frames import Frame
from realtime.simulator.shared.ids import ALPHABET
from realtime.simulator.shared.options import SimulatorOptions

Passed = Iterable[tuple[float, Frame]]
"""Frames, each with its time of arrival on the session's clock."""


class FaultError(ValueError):
    """Raised for an unknown fault or a wrong amount; ``str()`` lists the right ones."""


class Fault:
    """A fault that does nothing. Presets override the methods they need."""

    amount: float = 0.0
    """The usual amount."""
    unit = ""
    """Unit of the amount; empty for a fault without an amount."""
    least, most = 0.0, 1e9
    pongs = True
    """False if pings of the client stay unanswered."""
    status: int | None = None
    """HTTP status for refused handshakes, the first ``amount`` of them."""

    def __init__(self, name: str, amount: float, chance: random.Random) -> None:
        self.name = name
        self.amount = amount
        self.chance = chance
        self.notes: list[str] = []
        self._last = 0.0

    def options(self, options: SimulatorOptions) -> SimulatorOptions:
        """Return the session's options, changed by the fault."""
        return options

    def plan(self) -> response_plan.Plan | None:
        """Return a plan for the next response; None leaves the plan to the session."""
        return None

    def intercept(self, raw: str) -> list[dict[str, Any]] | None:
        """Return events to send in place of an answer to a client's frame; None lets the frame through."""
        return None

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Return the frames that leave for one frame. ``type_`` is the type of its event, empty for other frames; ``at`` is its
        time of arrival."""
        return [(at, frame)]

    def note(self, what: str) -> None:
        """Record a sentence about an effect of the fault."""
        self.notes.append(f"{self.name}: {what}")

    def hits(self) -> bool:
        """Draw by chance if the fault happens this time; ``amount`` is in percent."""
        return self.chance.random() * 100 < self.amount

    def in_order(self, at: float) -> float:
        """Return ``at``, or the time of an earlier frame if later."""
        self._last = max(self._last, at)
        return self._last

    def event_id(self) -> str:
        """An id for an event of the fault's own."""
        return f"event_{''.join(self.chance.choices(ALPHABET, k=21))}"
