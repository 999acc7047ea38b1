"""A page's socket that is sent HTML: nudged, it looks, and sends what is new, never more often than can be seen."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from channels.generic.websocket import AsyncWebsocketConsumer

from console.live import in_reader
from console.models import Session
from console.news import news
from realtime.errors import InvalidFilter

log = logging.getLogger(__name__)

NOTHING = 4004
"""Close code when there is nothing to show; the page does not try again."""


class Viewer(AsyncWebsocketConsumer):
    """One browser that looks at something."""

    every = 1.0
    """Seconds between two pushes."""
    showing: asyncio.Task[None] | None = None

    def begin(self, topic: str) -> None:
        """Show from now on what ``look`` gives, whenever there is news of this."""
        self.showing = asyncio.create_task(self._show(topic), name=f"showing {topic}")

    def look(self) -> list[str]:
        """Messages that bring the page up to date, none when it is; called on a reader thread."""
        raise AssertionError("whoever shows something says what")

    def behind(self) -> bool:
        """Whether the last look left out something it knows of: then the next one does not wait for news."""
        return False

    def patience(self) -> float:
        """Seconds after which it looks without being nudged: a nudge that was lost costs no more than that."""
        return 1.0

    async def disconnect(self, code: int) -> None:
        """The page is gone; the recording goes on."""
        if self.showing is not None:
            self.showing.cancel()
            await asyncio.gather(self.showing, return_exceptions=True)

    async def _show(self, topic: str) -> None:
        """Send what is new until the page goes."""
        try:
            with news.of(topic) as told:
                while True:
                    await self._push(told)
        except (Session.DoesNotExist, InvalidFilter) as error:
            await self.close(NOTHING, str(error)[:120])
        except OSError:
            log.debug("a page that was shown %s is gone", topic)
        except Exception:
            log.exception("showing %s failed", topic)
            await self.close(1011, "The console failed to show this; reconnecting.")

    async def _push(self, told: asyncio.Event) -> None:
        """Look once and send what is new; returns when it is time to look again."""
        loop = asyncio.get_running_loop()
        nudged, began = told.is_set(), loop.time()
        told.clear()
        messages = await in_reader(self.look)
        for html in messages:
            await self.send(text_data=html)
        if nudged or messages:
            await asyncio.sleep(self.every - (loop.time() - began))
        if not self.behind():
            with contextlib.suppress(TimeoutError):  # then it looks all the same
                # Not wait_for: in Python 3.11 it can swallow the cancellation that ends this task.
                async with asyncio.timeout(self.patience()):
                    await told.wait()
