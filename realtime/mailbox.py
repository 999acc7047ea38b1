"""Mailbox: from callbacks of the loop to the one task that reads, which goes on at once and not in the loop's next turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Turn:
    """What the reader waits for: of a future only what tasks need of one, and who ends it runs the task itself."""

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_context", "_loop", "_wake")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wake: Callable[[Any], object] | None = None
        self._cancelled = False
        self._asyncio_future_blocking = False
        """By which a task knows what it can wait for, and that it was awaited (``asyncio.isfuture``)."""

    def __await__(self) -> Generator[Turn, None, None]:
        self._asyncio_future_blocking = True
        yield self

    @property
    def waits(self) -> bool:
        """Whether the task waits: it was neither ended nor cancelled."""
        return self._wake is not None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """As a future's."""
        return self._loop

    def add_done_callback(self, wake: Callable[[Any], object], *, context: Context) -> None:
        """The task waits."""
        self._wake, self._context = wake, context

    def cancel(self, msg: str | None = None) -> bool:
        """The task is to wait no longer. False when it goes on anyway."""
        if self._wake is None:
            return False
        self._cancelled = True
        wake, self._wake = self._wake, None
        self._loop.call_soon(wake, self, context=self._context)
        return True

    def result(self) -> None:
        """Raises CancelledError when that is what ended it."""
        if self._cancelled:
            raise asyncio.CancelledError

    def end(self) -> None:
        """The task goes on: here and now, or from the loop when it is another task that calls."""
        if self._wake is None:
            return
        wake, self._wake = self._wake, None
        if asyncio.current_task(self._loop) is None:
            self._context.run(wake, self)
        else:
            self._loop.call_soon(wake, self, context=self._context)


class Mailbox(Generic[T]):
    """Messages in their order, for one reader at a time. Has no limit: who puts must see to that, by ``len``.

    A frame that came would else wait until the loop has asked the system for more, and cost a second such call.
    """

    def __init__(self) -> None:
        """To be made where a loop runs."""
        self._loop = asyncio.get_running_loop()
        self._messages: deque[T] = deque()
        self._turn: Turn | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._messages)

    def put_nowait(self, message: T) -> None:
        """Put a message in; a reader that waits has dealt with it when this returns, as far as it can without waiting."""
        self._messages.append(message)
        self._go_on()

    async def get(self) -> T:
        """The next message, when there is one; cancelled, it has taken none. Raises EOFError when there will be none."""
        while not self._messages:
            await self._news()
        return self._messages.popleft()

    def _news(self) -> Turn:
        """What a reader of an empty mailbox is to await; one that is cancelled meanwhile leaves nothing behind."""
        if self._closed:
            raise EOFError("This mailbox is closed.")
        if self._turn is not None and self._turn.waits:
            raise RuntimeError("Somebody reads this mailbox already.")
        turn = self._turn = Turn(self._loop)
        return turn

    def close(self) -> None:
        """No more messages come; those that are there can still be taken."""
        self._closed = True
        self._go_on()

    def _go_on(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end()
