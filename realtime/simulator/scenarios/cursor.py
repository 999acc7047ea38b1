"""Step cursor: a session's position in its scenario."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence

from realtime.simulator.scenarios.steps import Call, Expect, Fail, Placed, Say, Step, Until, describe, numbered, walk

FORESIGHT = 200
"""Steps searched for an answer before a response is left to the model."""


class StepCursor:
    """Stands before the next step of a scenario."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.passed = 0
        """Number of steps passed so far, repeats included."""
        self._all = steps
        self._steps = walk(steps)
        self._ahead: deque[Placed] = deque()
        self._reached: set[str] = set()

    @property
    def next(self) -> Step | None:
        """The next step; None at the end."""
        return self.peek(0)

    @property
    def described(self) -> str:
        """The next step and its number (3.2: the second within the third). There must be a next step."""
        return _described(*self._ahead[0])

    def peek(self, count: int) -> Step | None:
        """Return the step ``count`` places after the next."""
        self._ahead.extend(itertools.islice(self._steps, max(0, count + 1 - len(self._ahead))))
        return self._ahead[count][1] if count < len(self._ahead) else None

    def step(self) -> None:
        """Move past the next step."""
        self._reached.add(self._ahead.popleft()[0])
        self.passed += 1

    def will_answer(self) -> bool:
        """Return True if an answer comes before the next step that waits for an event."""
        for count in range(FORESIGHT):
            step = self.peek(count)
            if step is None or isinstance(step, Expect | Until):
                return False
            if isinstance(step, Say | Call | Fail):
                return True
        return False

    def unreached(self) -> list[str]:
        """Return the steps not reached, with their numbers; a step still waiting is the first of them."""
        return [_described(number, step) for number, step in numbered(self._all) if number not in self._reached]


def _described(number: str, step: Step) -> str:
    return f"step {number}: {describe(step)}"
