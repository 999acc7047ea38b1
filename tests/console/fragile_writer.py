"""A process that writes and fails over some entries: it is killed, hangs, or takes its time, as their type says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from console import parcels, writer_process
from console.parcels import Told

KILLS, HANGS, SLOW = "test.kills", "test.hangs", "test.slow"
SLOW_FOR = 1.0
"""Seconds."""
whole = parcels.parcels


def failing(inward: Any, before: Callable[[], None]) -> Iterator[tuple[list[Told], bool, float]]:
    """Parcels, as they come; what is to fail does so when it is read."""
    for told, last, at in whole(inward, before):
        for _, what in told:
            match getattr(what, "type", ""):
                case "test.kills":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "test.hangs":
                    time.sleep(600)
                case "test.slow":
                    time.sleep(SLOW_FOR)
        yield told, last, at


if __name__ == "__main__":
    parcels.parcels = failing
    writer_process.main()
