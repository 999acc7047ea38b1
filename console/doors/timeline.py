"""One viewer's timeline: nudged, it sends what is new; it owns no session."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from console.access import query
from console.lifecycle import timeline_group
from console.live import in_reader
from console.models import Session
from console.watch import Watch, place
from realtime.errors import InvalidFilter

log = logging.getLogger(__name__)

PUSH_EVERY = 0.1
"""Seconds between two pushes to one viewer: more often is not seen, only paid for."""
LOOK_EVERY = 1.0
"""Seconds after which a viewer looks by itself: a nudge that was lost costs a moment, nothing else."""
LOOK_SELDOM = 30.0
"""The same for a session that is over: only its name can still change."""
NO_SESSION = 4004
"""Close code when there is no such session; the page does not try again."""


class TimelineConsumer(AsyncWebsocketConsumer):
    """Show one session's timeline to one browser, from the row it has seen last."""

    async def connect(self) -> None:
        """Accept, and begin to show. The address says what the page has: ``?after=SEQ&q=FILTER``."""
        self.showing: asyncio.Task[None] | None = None
        self.session_id: str = self.scope["url_route"]["kwargs"]["session_id"]
        await self.accept()
        if not await in_reader(Session.objects.filter(pk=self.session_id).exists):
            await self.close(NO_SESSION, "There is no such session.")
            return
        self.watch = Watch(self.session_id, place(query(self.scope, "after"), 0), query(self.scope, "q"))
        self.news = asyncio.Event()
        self.news.set()
        await self.channel_layer.group_add(timeline_group(self.session_id), self.channel_name)
        self.showing = asyncio.create_task(self._show(), name=f"timeline of {self.session_id}")

    async def timeline_news(self, message: dict[str, Any]) -> None:
        """A nudge: there may be something new."""
        self.news.set()

    async def disconnect(self, code: int) -> None:
        """The page is gone; the recording goes on."""
        if self.showing is not None:
            await self.channel_layer.group_discard(timeline_group(self.session_id), self.channel_name)
            self.showing.cancel()
            await asyncio.gather(self.showing, return_exceptions=True)

    async def _show(self) -> None:
        """Send what is new, at most every PUSH_EVERY seconds, until the page goes."""
        try:
            while True:
                self.news.clear()
                while messages := await in_reader(self.watch.catch_up):
                    for html in messages:
                        await self.send(text_data=html)
                    await asyncio.sleep(PUSH_EVERY)
                with contextlib.suppress(TimeoutError):  # then it looks all the same
                    # Not wait_for: in Python 3.11 it can swallow the cancellation that ends this task.
                    async with asyncio.timeout(LOOK_EVERY if self.watch.live else LOOK_SELDOM):
                        await self.news.wait()
        except (Session.DoesNotExist, InvalidFilter) as error:
            await self.close(NO_SESSION, str(error)[:120])
        except OSError:
            log.debug("the page that showed %s is gone", self.session_id)
        except Exception:
            log.exception("showing %s failed", self.session_id)
            await self.close(1011, "The console failed to show this; reconnecting.")
