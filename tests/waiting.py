"""Waiting in tests: for something that must happen, with a generous bound, and with words for what was waited for."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE = 60.0
"""Seconds that a thing may take which takes none on a quiet machine: the bound of every wait, long enough with busy loops beside it."""

T = TypeVar("T")


def eventually(
    condition: Callable[[], T],
    what: str,
    within: float = PATIENCE,
    every: float = 0.01,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Return the first true value of ``condition``, asked every ``every`` seconds.

    ``sleep``: waits so many seconds, where something else must go on meanwhile (a browser's page).
    Raises AssertionError, which names ``what`` was waited for and the last value, after ``within`` seconds.
    """
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {within:g} s, but {value!r}"
        sleep(every)
    return value


async def soon(condition: Callable[[], T | Awaitable[T]], what: str, within: float = PATIENCE, every: float = 0.01) -> T:
    """Return the first true value of ``condition``, which may be a coroutine function; the loop runs meanwhile.

    Raises AssertionError, which names ``what`` was waited for and the last value, after ``within`` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {within:g} s, but {value!r}"
        await asyncio.sleep(every)
