"""The mailbox: messages in their order, a reader that goes on at once, and nothing lost when it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest

from realtime.mailbox import Mailbox
from tests.waiting import PATIENCE

where: ContextVar[str] = ContextVar("where", default="nowhere")


class Reader:
    """A task that reads a mailbox until its end."""

    def __init__(self, mailbox: Mailbox[int]) -> None:
        self.got: list[int] = []
        self.task = asyncio.create_task(self._read(mailbox))

    async def _read(self, mailbox: Mailbox[int]) -> None:
        while True:
            try:
                self.got.append(await mailbox.get())
            except EOFError:
                return


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox[int]]:
    """One without messages."""
    yield Mailbox()


async def from_the_loop(mailbox: Mailbox[int], *messages: int, seen: list[int] | None = None) -> list[int]:
    """Put messages in as a callback of the loop does; returns what ``seen`` held right after each."""
    held: list[int] = []

    def put() -> None:
        for message in messages:
            mailbox.put_nowait(message)
            held.append(len(seen or []))

    asyncio.get_running_loop().call_soon(put)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return held


async def test_a_waiting_reader_goes_on_at_once(mailbox: Mailbox[int]) -> None:
    """When putting a message in returns, the reader that waited for it has dealt with it."""
    reader = Reader(mailbox)
    await asyncio.sleep(0)
    assert await from_the_loop(mailbox, 1, 2, 3, seen=reader.got) == [1, 2, 3]
    mailbox.close()
    await reader.task


async def test_another_task_puts(mailbox: Mailbox[int]) -> None:
    """Two tasks never run within each other: put in by a task, a message is read in the loop's next turn."""
    reader = Reader(mailbox)
    await asyncio.sleep(0)
    mailbox.put_nowait(1)
    mailbox.put_nowait(2)
    assert reader.got == []
    await asyncio.sleep(0)
    assert reader.got == [1, 2]
    mailbox.close()
    await reader.task


async def test_what_came_before_anybody_read(mailbox: Mailbox[int]) -> None:
    """Messages wait, are counted, and are read in their order, also those that came before the end."""
    mailbox.put_nowait(1)
    await from_the_loop(mailbox, 2)
    mailbox.close()
    assert len(mailbox) == 2
    assert [await mailbox.get(), await mailbox.get()] == [1, 2]
    with pytest.raises(EOFError):
        await mailbox.get()


async def test_the_end_wakes(mailbox: Mailbox[int]) -> None:
    """A reader that waits learns that there will be no more."""
    reader = Reader(mailbox)
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(mailbox.close)
    async with asyncio.timeout(PATIENCE):
        await reader.task


async def test_a_cancelled_reader_takes_nothing(mailbox: Mailbox[int]) -> None:
    """Cancelled while it waits, a reader ends as such; the message goes to who reads after it."""
    first = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    first.cancel()
    asyncio.get_running_loop().call_soon(mailbox.put_nowait, 1)
    async with asyncio.timeout(PATIENCE):
        assert await mailbox.get() == 1
    assert first.cancelled()


async def test_a_reader_cancelled_when_it_was_about_to_go_on(mailbox: Mailbox[int]) -> None:
    """The message that had come for it is still there."""
    first = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    mailbox.put_nowait(1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await mailbox.get() == 1


async def test_a_limit_of_time(mailbox: Mailbox[int]) -> None:
    """``asyncio.timeout`` ends the waiting, and reading goes on afterwards."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await mailbox.get()
    mailbox.put_nowait(1)
    assert await mailbox.get() == 1


async def test_two_readers_at_once(mailbox: Mailbox[int]) -> None:
    """There is one reader at a time; a second is a mistake of ours, and is told so."""
    reader = Reader(mailbox)
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already"):
        await mailbox.get()
    mailbox.close()
    await reader.task


async def test_the_reader_keeps_its_own_context(mailbox: Mailbox[int]) -> None:
    """Run by whoever puts, it still sees its own context variables."""

    async def read() -> str:
        where.set("reader")
        await mailbox.get()
        return where.get()

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    where.set("writer")
    await from_the_loop(mailbox, 1)
    assert await reader == "reader"


async def test_a_reader_that_fails(mailbox: Mailbox[int]) -> None:
    """What a reader raises is its task's; whoever puts is not concerned."""

    async def read() -> None:
        await mailbox.get()
        raise ValueError("a reader's own")

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    assert await from_the_loop(mailbox, 1) == [0]
    with pytest.raises(ValueError, match="own"):
        await reader
