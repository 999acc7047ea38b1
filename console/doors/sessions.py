"""One viewer's list of sessions: it follows them all, a row at a time, whatever else the page shows."""

from __future__ import annotations

from console import fragments
from console.access import query
from console.doors.viewer import Viewer
from console.news import RAIL
from console.rail import Rail
from console.recorder import recorder

PUSH_EVERY = 2.0
"""Seconds between two pushes to one viewer."""
LOOK_EVERY = 20.0
"""Seconds after which it looks by itself: another tab may have renamed or deleted a session, which nudges nobody."""


class SessionsConsumer(Viewer):
    """Keep one browser's list of sessions up to date. The address may name the session on its page: ``?current=ID``."""

    every = PUSH_EVERY

    async def connect(self) -> None:
        """Accept, and begin to show."""
        self.rail = Rail(query(self.scope, "current"))
        self.trouble = recorder.trouble
        await self.accept()
        self.begin(RAIL)

    def look(self) -> list[str]:
        """What is new in the list, and whether recording is in trouble: the page may show no session that would say so."""
        news, before = self.rail.news(), self.trouble
        self.trouble = recorder.trouble
        told = fragments.trouble_panel(self.trouble) if self.trouble != before else ""
        return [html for html in (news, told) if html]

    def patience(self) -> float:
        """Nudges come whenever something is recorded."""
        return LOOK_EVERY
