"""Threads beside the loop: they work in small pieces, and the loop has its turn in between."""

from __future__ import annotations

import pytest

from console import threads
from console.threads import Unhurried, breathe


class Day:
    """A clock that goes on only when somebody works or sleeps."""

    def __init__(self) -> None:
        self.now = 1.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Day:
    """The clock that this thread goes by."""
    day = Day()
    monkeypatch.setattr(threads, "perf_counter", lambda: day.now)
    monkeypatch.setattr(threads, "sleep", day.sleep)
    monkeypatch.setattr(threads._breathed, "at", 0.0, raising=False)
    return day


def test_who_has_worked_breathes(day: Day) -> None:
    """After a turn's work a thread sleeps for a moment; who asks again at once does not sleep twice."""
    breathe()
    breathe()
    assert day.slept == [threads.BREATH]
    day.now += threads.TURN / 2
    breathe()
    assert len(day.slept) == 1
    day.now += threads.TURN
    breathe()
    assert len(day.slept) == 2


def test_a_list_is_read_without_hurry(day: Day) -> None:
    """Its items are those of any list; whoever takes long over each breathes before the next."""
    read = []
    for item in Unhurried("abc"):
        read.append(item)
        day.now += 2 * threads.TURN
    assert read == list("abc") == Unhurried("abc")
    assert len(day.slept) == 3
