"""Threads that work beside the event loop: how they let it go first."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from time import perf_counter, sleep
from typing import TypeVar

SWITCH_AFTER = 0.0001
"""Seconds a thread may go on with Python code while another one wants to; Python's own 5 ms would be heard as jitter."""
NICE = 5
"""How much more modest such a thread is than the loop, in the system's own measure (0 to 19)."""
TURN = 0.0005
"""Seconds such a thread works before it breathes."""
BREATH = 0.0001
"""Seconds in which it does not."""

_breathed = threading.local()
T = TypeVar("T")


def take_turns() -> None:
    """Let this process's threads change places fifty times as often as Python does by itself."""
    sys.setswitchinterval(SWITCH_AFTER)


def give_way() -> None:
    """Let the loop go first from now on; for the thread that calls this.

    Only Linux ranks the threads of one process by themselves. There a frame that comes while the recorder writes would
    else wait for the end of its time slice, 3 to 4 ms, if both share a core.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def breathe() -> None:
    """Let the loop have its turn, unless this thread has just done so: for work that takes a millisecond or more.

    A frame that comes wakes the loop; but where both share a core Linux lets the thread that runs finish a slice of some
    milliseconds first, however modest it is. One that sleeps for a moment now and then is not in the way.
    """
    if perf_counter() - getattr(_breathed, "at", 0.0) > TURN:
        sleep(BREATH)
        _breathed.at = perf_counter()


class Unhurried(list[T]):
    """A list whose reader, such as a template that makes HTML of each item, breathes in between."""

    def __iter__(self) -> Iterator[T]:
        for item in super().__iter__():
            breathe()
            yield item
