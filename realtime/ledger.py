"""Ledger: enters each relayed frame on the timeline, and what its way through here cost."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Protocol

from realtime.events import Event
from realtime.meter import Meter
from realtime.timeline import Entry, Leg, Origin, Timeline, Transit

SLOW_US = 20_000
"""Microseconds from which a frame's cost is told to the tap once more: its row may be written before it leaves."""
SLOW, TELL_SLOW_EVERY = 1.0, 10.0
"""Seconds one end must wait for the other before the timeline says so, and seconds between two such notes."""


class RelayTap(Protocol):
    """A tap that also wants to know how long a frame took, when that becomes known late."""

    def record(self, entry: Entry) -> None:
        """Take one entry. Must neither wait nor raise."""

    def forwarded(self, entry: Entry) -> None:
        """The entry's ``transit`` is complete now."""

    @property
    def behind(self) -> bool:
        """Whether it has been told more than it can deal with: those who can wait should."""

    async def room(self) -> None:
        """Wait until it has caught up by a good deal, or for a moment."""


class Ledger:
    """The books of one relayed session: ``enter`` a frame when it has come, ``left`` when it has gone."""

    def __init__(self, timeline: Timeline, tap: RelayTap) -> None:
        self.timeline = timeline
        self.tap = tap
        self.meter = Meter()
        self._told_slow = timeline.clock() - TELL_SLOW_EVERY

    @property
    def next_seq(self) -> int:
        """The place the next entry gets: what the rows of one changed frame share as their ``pair``."""
        return self.timeline.last_seq + 1

    def sent(self, event: Event, leg: Leg = "client", data: dict[str, Any] | None = None, pair: int | None = None) -> Entry:
        """Enter a frame of the client."""
        entry = self.timeline.event(event, "sent", "app", leg, data=data, pair=pair, transit=Transit())
        self.tap.record(entry)
        return entry

    def received(
        self,
        event: Event,
        leg: Leg = "upstream",
        origin: Origin = "api",
        data: dict[str, Any] | None = None,
        pair: int | None = None,
    ) -> Entry:
        """Enter a frame of the API, or with another origin one of ours for the client."""
        entry = self.timeline.event(event, "received", origin, leg, data=data, pair=pair, transit=Transit())
        self.tap.record(entry)
        return entry

    def left(self, entry: Entry, arrived: float) -> None:
        """A frame has been sent on; it had come at ``arrived``, in ``perf_counter`` seconds."""
        added = int((perf_counter() - arrived) * 1e6)
        assert entry.transit is not None
        entry.transit.added_us = added
        to_api = entry.direction == "sent"
        self.meter.forwarded("sent" if to_api else "received", added)
        if added > SLOW_US:
            self.tap.forwarded(entry)
            if not to_api:
                self.held_up("The client reads more slowly than the API sends", added / 1e6)

    def held_up(self, why: str, seconds: float) -> None:
        """One end had to wait for the other: worth a note, now and then."""
        now = self.timeline.clock()
        if seconds >= SLOW and now - self._told_slow >= TELL_SLOW_EVERY:
            self._told_slow = now
            sentence = f"{why}: the other side had to wait for {seconds:.1f} s."
            self.tap.record(self.timeline.note("slow", sentence, {"seconds": seconds}))
