"""The mailbox: messages in their order, an end that wakes the reader, and nothing lost when a reader is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from realtime.mailbox import Mailbox
from tests.waiting import PATIENCE


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


async def test_a_waiting_reader_is_woken(mailbox: Mailbox[int]) -> None:
    """A reader that waits takes all messages there are in the loop's next turn."""
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
    mailbox.put_nowait(2)
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
