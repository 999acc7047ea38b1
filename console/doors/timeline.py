"""One viewer's timeline: nudged, it sends what is new; it owns no session."""

from __future__ import annotations

from console.access import query
from console.doors.viewer import NOTHING, Viewer
from console.live import in_reader
from console.models import Session
from console.watch import Watch, place

PUSH_EVERY = 0.1
"""Seconds between two pushes to one viewer: more often is not seen, only paid for."""
LOOK_EVERY = 1.0
"""Seconds after which a viewer looks by itself: a nudge that was lost costs a moment, nothing else."""
LOOK_SELDOM = 30.0
"""The same for a session that is over: only its name can still change."""


class TimelineConsumer(Viewer):
    """Show one session's timeline to one browser, from the row it has seen last."""

    every = PUSH_EVERY

    async def connect(self) -> None:
        """Accept, and begin to show. The address says what the page has: ``?after=SEQ&q=FILTER``."""
        session_id: str = self.scope["url_route"]["kwargs"]["session_id"]
        await self.accept()
        if not await in_reader(Session.objects.filter(pk=session_id).exists):
            await self.close(NOTHING, "There is no such session.")
            return
        self.watch = Watch(session_id, place(query(self.scope, "after"), 0), query(self.scope, "q"))
        self.begin(session_id)

    def look(self) -> list[str]:
        """What is new on the timeline and around it."""
        return self.watch.catch_up()

    def behind(self) -> bool:
        """There are only so many rows in one push."""
        return self.watch.behind

    def patience(self) -> float:
        """A session that is over has little news; what was held back while it streamed is due soon."""
        return self.watch.patience(LOOK_EVERY if self.watch.live else LOOK_SELDOM)
