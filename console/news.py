"""News: tells whoever shows something, on the event loop, that more of it is stored; nobody else is woken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator

RAIL = "rail"
"""The topic of those who list sessions; all other topics are ids of sessions, which are longer."""


class News:
    """Who waits for news of what. News says only that there is some: it may be told twice, or be lost with its reader."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[tuple[asyncio.AbstractEventLoop, asyncio.Event], ...]] = {}
        """Replaced, never changed: threads read it while the loop writes."""

    @contextlib.contextmanager
    def of(self, topic: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is news of this; whoever waits clears it. To be called on the loop."""
        reader = asyncio.get_running_loop(), asyncio.Event()
        self._waiting[topic] = (*self._waiting.get(topic, ()), reader)
        try:
            yield reader[1]
        finally:
            left = tuple(one for one in self._waiting[topic] if one is not reader)
            if left:
                self._waiting[topic] = left
            else:
                del self._waiting[topic]

    def topics(self) -> frozenset[str]:
        """What somebody waits for news of. Any thread may ask."""
        return frozenset(list(self._waiting))

    def tell(self, topics: Iterable[str]) -> None:
        """There is news of these. Any thread may tell; who has not yet seen the last news is not woken again."""
        for topic in topics:
            for loop, event in self._waiting.get(topic, ()):
                if not event.is_set():
                    with contextlib.suppress(RuntimeError):  # its loop is closed
                        loop.call_soon_threadsafe(event.set)


news = News()
"""This process's."""
