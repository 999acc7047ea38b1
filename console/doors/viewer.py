"""A page's socket that is sent HTML: nudged, it looks, and sends what is new, never more often than can be seen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from console.live import in_reader
from console.models import Session
from realtime.errors import InvalidFilter

log = logging.getLogger(__name__)

NOTHING = 4004
"""Close code when there is nothing to show; the page does not try again."""


class Viewer(AsyncWebsocketConsumer):
    """One browser that looks at something."""

    group = ""
    """The channel group that is told of news."""
    every = 1.0
    """Seconds between two pushes."""
    showing: asyncio.Task[None] | None = None

    async def begin(self, group: str) -> None:
        """Show from now on what ``look`` gives, whenever this group is told of news."""
        self.group = group
        self.news = asyncio.Event()
        self.news.set()
        await self.channel_layer.group_add(group, self.channel_name)
        self.showing = asyncio.create_task(self._show(), name=f"showing {group}")

    def look(self) -> list[str]:
        """Messages that bring the page up to date, none when it is; called on a reader thread."""
        raise AssertionError("whoever shows something says what")

    def behind(self) -> bool:
        """Whether the last look left out something it knows of: then the next one does not wait for news."""
        return False

    def patience(self) -> float:
        """Seconds after which it looks without being nudged: a nudge that was lost costs no more than that."""
        return 1.0

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels does it, but for a nudge: that needs no database whose old connections must first be closed elsewhere."""
        if message["type"] == "viewer.news":
            self.news.set()
        else:
            await super().dispatch(message)

    async def disconnect(self, code: int) -> None:
        """The page is gone; the recording goes on."""
        if self.showing is not None:
            await self.channel_layer.group_discard(self.group, self.channel_name)
            self.showing.cancel()
            await asyncio.gather(self.showing, return_exceptions=True)

    async def _show(self) -> None:
        """Send what is new until the page goes."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                told = self.news.is_set()
                self.news.clear()
                began = loop.time()
                messages = await in_reader(self.look)
                for html in messages:
                    await self.send(text_data=html)
                if told or messages:
                    await asyncio.sleep(self.every - (loop.time() - began))
                if self.behind():
                    continue
                with contextlib.suppress(TimeoutError):  # then it looks all the same
                    # Not wait_for: in Python 3.11 it can swallow the cancellation that ends this task.
                    async with asyncio.timeout(self.patience()):
                        await self.news.wait()
        except (Session.DoesNotExist, InvalidFilter) as error:
            await self.close(NOTHING, str(error)[:120])
        except OSError:
            log.debug("a page that was %s is gone", self.group)
        except Exception:
            log.exception("showing %s failed", self.group)
            await self.close(1011, "The console failed to show this; reconnecting.")
