"""Outgoing queue: carries frames from a session to its client and applies the faults; without I/O, deterministic for a seed."""

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
    """The outgoing frames of one connection: put frames in with ``send``, take them out with ``due`` at ``next_at``.

    ``intercept`` filters the client's frames. Without faults all frames pass at once.
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
        """False if pings of the client stay unanswered."""
        return all(fault.pongs for fault in self.faults)

    def options(self, options: SimulatorOptions) -> SimulatorOptions:
        """Return a session's options, changed by the faults."""
        for fault in self.faults:
            options = fault.options(options)
        return options

    def plan(self) -> response_plan.Plan | None:
        """Return a plan for the next response; None leaves the plan to the session."""
        return next((plan for fault in self.faults if (plan := fault.plan()) is not None), None)

    def intercept(self, raw: str) -> list[str] | None:
        """Return events to send in place of an answer to a client's frame; None lets the frame through to the session."""
        for fault in self.faults:
            if (instead := fault.intercept(raw)) is not None:
                return [json.dumps(event, separators=(",", ":")) for event in instead]
        return None

    def send(self, frame: Frame, now: float) -> None:
        """Add a frame, at this time on the session's clock."""
        passing = [(now, frame)]
        for fault in self.faults:
            passing = [out for at, inner in passing for out in fault.send(inner, _type(inner), at)]
        for at, inner in passing:
            heapq.heappush(self._waiting, (at, next(self._count), inner))

    def due(self, now: float) -> list[Frame]:
        """Remove and return the frames that have arrived, in order."""
        arrived: list[Frame] = []
        while self._waiting and self._waiting[0][0] <= now:
            arrived.append(heapq.heappop(self._waiting)[2])
        return arrived

    def next_at(self) -> float | None:
        """Return the arrival time of the next frame."""
        return self._waiting[0][0] if self._waiting else None

    def drain_notes(self) -> list[str]:
        """Return and forget the effects of the faults, one sentence each: ``lost_delta: response.output_text.delta is lost``."""
        notes: list[Any] = []
        for fault in self.faults:
            notes += fault.notes
            fault.notes = []
        return notes


def _type(frame: Frame) -> str:
    return parse(frame).type if isinstance(frame, str) else ""
