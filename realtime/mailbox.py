"""Mailbox: a receive queue for one reader, filled by callbacks of the loop, that can be closed."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Messages in order, for one reader at a time. Unbounded: the caller of ``put_nowait`` limits it, by ``len``.

    ``asyncio.Queue`` cannot be closed before Python 3.13.
    """

    def __init__(self) -> None:
        """Create it inside a running loop."""
        self._loop = asyncio.get_running_loop()
        self._messages: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._messages)

    def put_nowait(self, message: T) -> None:
        """Add a message and wake the reader."""
        self._messages.append(message)
        self._wake()

    async def get(self) -> T:
        """Return the next message as soon as there is one; a cancelled call takes none. Raises EOFError after the last one."""
        while not self._messages:
            await self._arrival()
        return self._messages.popleft()

    def _arrival(self) -> asyncio.Future[None]:
        """Return the future that ends with the next ``put_nowait`` or ``close``; for a reader of an empty mailbox."""
        if self._closed:
            raise EOFError("This mailbox is closed.")
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("Somebody reads this mailbox already.")
        self._waiter = self._loop.create_future()
        return self._waiter

    def close(self) -> None:
        """Accept the end: messages that are there can still be taken."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
