"""Scheduler: runs the scripts of a session side by side; each script waits for a time or for work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from realtime.simulator.conversation.jobs import AwaitPlan, Recognize, Script, Work, WorkFailed
from realtime.simulator.session.response import Response

LATEST = 0.5
"""Limit in seconds for making up a busy machine's delay."""


@dataclass(slots=True)
class ScheduledScript:
    """A running script: a response, a transcription, a delay."""

    script: Script
    due: float | None = None
    """Time of the next step; None during work."""
    waits_for: int | None = None
    """Key of the work in progress; two scripts may wait for the same work."""
    response: Response | None = None


class Scheduler:
    """The scripts of one session, and the work in progress."""

    def __init__(self, clock: Callable[[], float], over: Callable[[], bool]) -> None:
        """``clock`` is monotonic, in seconds; once ``over`` returns True, no script continues."""
        self.clock = clock
        self.over = over
        self._scripts: dict[int, ScheduledScript] = {}
        self._count = 0
        self._work: list[tuple[int, Work]] = []
        self._asked: dict[int, Work | AwaitPlan] = {}

    def begin(self, script: Script, response: Response | None = None) -> None:
        """Run a script beside the others; for a response's script, pass the response too."""
        self._count += 1
        self._scripts[self._count] = ScheduledScript(script, response=response)
        self._resume(self._count, None)

    def end(self, response: Response) -> None:
        """Stop a response's script."""
        for key, scheduled in list(self._scripts.items()):
            if scheduled.response is response:
                del self._scripts[key]
                if scheduled.waits_for is not None and isinstance(self._asked.get(scheduled.waits_for), AwaitPlan):
                    del self._asked[scheduled.waits_for]  # the response is gone: its plan is no longer awaited

    def responses(self) -> list[Response]:
        """Return the responses in progress, out-of-band responses too."""
        return [scheduled.response for scheduled in self._scripts.values() if scheduled.response is not None]

    def advance(self) -> None:
        """Run everything that is due."""
        while not self.over():
            now = self.clock()
            due = [(scheduled.due, key) for key, scheduled in self._scripts.items() if scheduled.due is not None and scheduled.due <= now]
            if not due:
                return
            self._resume(min(due)[1], None)

    def next_at(self) -> float | None:
        """Return the time of the next ``advance``."""
        return min((scheduled.due for scheduled in self._scripts.values() if scheduled.due is not None), default=None)

    def work_to_do(self) -> list[tuple[int, Work]]:
        """Return new work for threads, each piece once."""
        work, self._work = self._work, []
        return work

    def awaited_plans(self) -> list[int]:
        """Return the keys of awaited plans, oldest first."""
        waiting = [scheduled.waits_for for scheduled in self._scripts.values() if scheduled.waits_for is not None]
        return [key for key in waiting if isinstance(self._asked.get(key), AwaitPlan)]

    def work_done(self, key: int, result: Any) -> None:
        """Continue the scripts that wait for a piece of work. Ignored if no script waits any longer."""
        self._asked.pop(key, None)
        for number in [number for number, scheduled in self._scripts.items() if scheduled.waits_for == key]:
            if not self.over() and number in self._scripts:
                self._resume(number, result)

    def _resume(self, key: int, result: Any) -> None:
        scheduled = self._scripts[key]
        asked_at = scheduled.due if scheduled.due is not None else self.clock()
        try:
            wanted = scheduled.script.throw(result) if isinstance(result, WorkFailed) else scheduled.script.send(result)
        except StopIteration:
            del self._scripts[key]
            return
        if isinstance(wanted, (int, float)):
            # From when it was due, not from now: a busy machine must not slow the audio down.
            scheduled.due, scheduled.waits_for = max(asked_at, self.clock() - LATEST) + wanted, None
        else:
            scheduled.due, scheduled.waits_for = None, self._request(wanted)

    def _request(self, wanted: Work | AwaitPlan) -> int:
        """The key of a piece of work; what is said in an item is not worked out twice at a time."""
        for key, asked in self._asked.items():
            if (
                isinstance(wanted, Recognize)
                and isinstance(asked, Recognize)
                and (asked.item_id, asked.partial) == (wanted.item_id, wanted.partial)
            ):
                return key
        self._count += 1
        self._asked[self._count] = wanted
        if not isinstance(wanted, AwaitPlan):
            self._work.append((self._count, wanted))
        return self._count
