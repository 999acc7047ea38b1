"""Fault: one thing that goes wrong, as the line to a client sees it; the presets are made of it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from realtime.simulator.shared import response_plan
from realtime.simulator.shared.frames import Frame
from realtime.simulator.shared.ids import ALPHABET
from realtime.simulator.shared.options import SimulatorOptions

Passed = Iterable[tuple[float, Frame]]
"""Frames with the times, on the session's clock, at which they arrive."""


class FaultError(ValueError):
    """Raised when there is no fault of that name, or its amount is none; ``str()`` says what there is."""


class Fault:
    """One thing that goes wrong. Each preset overrides what it needs; nothing here does any harm."""

    amount: float = 0.0
    """The usual amount."""
    unit = ""
    """What the amount counts; empty: the fault has none."""
    least, most = 0.0, 1e9
    pongs = True
    """Whether pings of the client are answered."""
    status: int | None = None
    """HTTP status with which handshakes are refused, the first ``amount`` of them."""

    def __init__(self, name: str, amount: float, chance: random.Random) -> None:
        self.name = name
        self.amount = amount
        self.chance = chance
        self.notes: list[str] = []
        self._last = 0.0

    def options(self, options: SimulatorOptions) -> SimulatorOptions:
        """The session's options as the fault has them."""
        return options

    def plan(self) -> response_plan.Plan | None:
        """What the next response says; None: whatever it likes."""
        return None

    def intercept(self, raw: str) -> list[dict[str, Any]] | None:
        """A frame of the client: None lets it through, else these events are sent instead of an answer."""
        return None

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """A frame for the client, the type of its event (empty: it is none), and when it would arrive."""
        return [(at, frame)]

    def note(self, what: str) -> None:
        """Say what has been done."""
        self.notes.append(f"{self.name}: {what}")

    def hits(self) -> bool:
        """Whether it happens this time, ``amount`` being percent."""
        return self.chance.random() * 100 < self.amount

    def in_order(self, at: float) -> float:
        """A time that is not before that of an earlier frame."""
        self._last = max(self._last, at)
        return self._last

    def event_id(self) -> str:
        """An id for an event of the fault's own."""
        return f"event_{''.join(self.chance.choices(ALPHABET, k=21))}"
