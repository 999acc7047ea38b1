"""Line: the way from a session to its client, on which faults happen; without I/O, and the same for a seed."""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

from realtime.events import parse
from realtime.simulator.faults.presets import make
from realtime.simulator.shared import response_plan
from realtime.simulator.shared.frames import Frame
from realtime.simulator.shared.options import SimulatorOptions


class OutgoingQueue:
    """One connection's way: put frames in with ``send``, take them out with ``due`` when ``next_at`` has come.

    ``hear`` judges what the client sends. Without faults everything passes at once.
    """

    def __init__(self, faults: Sequence[str], seed: int = 0) -> None:
        """``faults`` as on the command line: ``jitter``, ``jitter:500``. Raises FaultError."""
        self.faults = [
            make(spec, random.Random(f"{seed} {number} {spec}"))  # noqa: S311  (chance of a simulator is no secret)
            for number, spec in enumerate(faults)
        ]
        self._waiting: list[tuple[float, int, Frame]] = []
        self._count = itertools.count()

    @property
    def pongs(self) -> bool:
        """Whether pings of the client are answered."""
        return all(fault.pongs for fault in self.faults)

    def options(self, options: SimulatorOptions) -> SimulatorOptions:
        """A session's options, as the faults have them."""
        for fault in self.faults:
            options = fault.options(options)
        return options

    def plan(self) -> response_plan.Plan | None:
        """What the next response says; None: whatever it likes."""
        return next((plan for fault in self.faults if (plan := fault.plan()) is not None), None)

    def intercept(self, raw: str) -> list[str] | None:
        """A frame of the client: None lets it through, else the session never hears of it, and this is sent instead."""
        for fault in self.faults:
            if (instead := fault.intercept(raw)) is not None:
                return [json.dumps(event, separators=(",", ":")) for event in instead]
        return None

    def send(self, frame: Frame, now: float) -> None:
        """Put one frame in, at this time on the session's clock."""
        passing = [(now, frame)]
        for fault in self.faults:
            passing = [out for at, inner in passing for out in fault.send(inner, _type(inner), at)]
        for at, inner in passing:
            heapq.heappush(self._waiting, (at, next(self._count), inner))

    def due(self, now: float) -> list[Frame]:
        """Take out what has arrived, in order."""
        arrived: list[Frame] = []
        while self._waiting and self._waiting[0][0] <= now:
            arrived.append(heapq.heappop(self._waiting)[2])
        return arrived

    def next_at(self) -> float | None:
        """When the next frame arrives."""
        return self._waiting[0][0] if self._waiting else None

    def drain_notes(self) -> list[str]:
        """What the faults have done since the last time, one sentence each: ``lost_delta: response.output_text.delta is lost``."""
        notes: list[Any] = []
        for fault in self.faults:
            notes += fault.notes
            fault.notes = []
        return notes


def _type(frame: Frame) -> str:
    return parse(frame).type if isinstance(frame, str) else ""
