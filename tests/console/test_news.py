"""Tell whoever shows something that there is more of it, from any thread, and wake nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from console.news import News
from tests.waiting import PATIENCE


async def told(event: asyncio.Event) -> None:
    """Wait until there is news."""
    async with asyncio.timeout(PATIENCE):
        await event.wait()


async def test_told_from_another_thread() -> None:
    """Who waits for a topic is told of it, every one of them, and of no other."""
    news = News()
    with news.of("one") as first, news.of("one") as second, news.of("two") as other:
        teller = threading.Thread(target=news.tell, args=[["one", "nobody's"]])
        teller.start()
        await told(first)
        await told(second)
        teller.join()
        assert not other.is_set()


async def test_who_has_not_seen_the_last_news_is_not_woken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often there is news while a reader is busy, the loop is asked once to wake it."""
    news, asked = News(), list[Any]()
    monkeypatch.setattr(asyncio.get_running_loop(), "call_soon_threadsafe", asked.append)
    with news.of("one") as event:
        event.set()
        news.tell(["one"] * 3)
        assert asked == []
        event.clear()
        news.tell(["one"])
        assert asked == [event.set]


async def test_topics() -> None:
    """What somebody waits for is known until the last of them is gone, however that ends."""
    news = News()
    assert news.topics() == frozenset()
    with news.of("one"):
        with contextlib.suppress(ZeroDivisionError), news.of("one"), news.of("two"):
            assert news.topics() == {"one", "two"}
            raise ZeroDivisionError
        assert news.topics() == {"one"}
    assert news.topics() == frozenset()
    news.tell(["one"])


def test_a_reader_whose_loop_is_closed() -> None:
    """A loop that ended while somebody waited on it, as when a console stops, fails nobody's news."""
    news, reader = News(), contextlib.ExitStack()

    async def begin() -> None:
        reader.enter_context(news.of("one"))

    asyncio.run(begin())
    news.tell(["one"])
    reader.close()
    assert news.topics() == frozenset()
