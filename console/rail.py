"""What one viewer's list of sessions shows, and the HTML that brings it up to date: only what has changed, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string

from console import housekeeping, retention
from console.models import Session, SessionQuerySet
from realtime import lines
from realtime.endings import STOPPED

RAIL_LIMIT = 60
"""Sessions in the rail that are over; the library has all."""
LIVE_LIMIT = 200
"""Live ones in the rail."""
MOST_MOVES = 40
"""Rows that come, go or move at once; when there are more the list is drawn anew."""


@dataclass(frozen=True, slots=True)
class RailSession:
    """One session in the list (``_session.html``)."""

    id: str
    """Of its element."""
    session: Session
    title: str
    """Its name; empty when nobody gave it one: then the page shows when it began."""
    started: str
    glyph: str
    failed: bool
    duration: str
    current: bool = False
    """Whether it is the one on the page."""
    values: tuple[Any, ...] = ()
    """The session's columns it was made of."""

    template = "console/_session.html"

    @property
    def what(self) -> str:
        """Whose it is, and what it talks to."""
        session = self.session
        return " · ".join(part for part in (session.client or session.provider or session.source, session.model) if part)

    @property
    def stopped(self) -> bool:
        """Whether its end is that of a console that was killed; for whoever has the whole session."""
        session = self.session
        return session.close_by == "console" and session.close_code is None and session.close_reason.startswith(STOPPED)

    @property
    def key(self) -> tuple[Any, ...]:
        """What its element shows, but for ``counts``."""
        return self.title, self.glyph, self.what, self.current, self.session.pinned

    @property
    def counts(self) -> tuple[Any, ...]:
        """What changes all the time."""
        return self.session.events, self.session.errors, "" if self.session.is_live else self.duration


@dataclass(frozen=True, slots=True)
class RailGroup:
    """A heading in the list (``_session_group.html``)."""

    id: str
    title: str
    count: int | None = None

    template = "console/_session_group.html"
    counts = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """What its element shows."""
        return self.title, self.count


RailRow = RailSession | RailGroup


COLUMNS = tuple(column.attname for column in Session._meta.concrete_fields)
"""Of a session, its id first."""


def rail_session(session: Session, current: str = "", values: tuple[Any, ...] = ()) -> RailSession:
    """A session as the rail and the library show it; ``values``: its columns."""
    return RailSession(
        id=f"session-{session.pk}",
        session=session,
        title=session.label,
        started=session.started_at.isoformat(),
        glyph="●" if session.is_live else "!" if failed(session) else "○",
        failed=failed(session),
        duration=lines.seconds(session.duration_us / 1e6),
        current=session.pk == current,
        values=values,
    )


def listed(current: str = "", known: dict[str, RailSession] | None = None) -> list[RailRow]:
    """The rail's rows: what is live, then what was. ``known``: rows as they were listed last, by session; those that are
    still the same are taken from there, all of them are put there."""
    known = {} if known is None else known
    before = dict(known)
    known.clear()

    def rows(sessions: SessionQuerySet, limit: int) -> list[RailSession]:
        found = []
        for values in sessions.newest_first().values_list(*COLUMNS)[:limit]:
            row = before.get(values[0])
            if row is None or row.values != values:
                row = rail_session(Session.from_db("default", COLUMNS, values), current, values)
            known[values[0]] = row
            found.append(row)
        return found

    live, over = rows(Session.objects.live(), LIVE_LIMIT), rows(Session.objects.over(), RAIL_LIMIT)
    if not live:
        return list(over)
    earlier = [RailGroup("session-group-over", "Earlier")] if over else []
    return [RailGroup("session-group-live", "Live", len(live)), *live, *earlier, *over]


def told() -> list[str]:
    """What the lists say of sessions that were removed by a rule, and of one that cannot be kept."""
    return [*filter(None, [housekeeping.exceeded]), *retention.recent()]


def failed(session: Session) -> bool:
    """Whether a session ended otherwise than it should."""
    if session.is_live:
        return False
    by_us = session.close_by == "console" and session.close_code in lines.NORMAL_CLOSES
    return not by_us and (session.close_code not in lines.NORMAL_CLOSES or session.close_code is None)


def drawn(rows: Sequence[RailRow], oob: bool = False) -> str:
    """The rail's list."""
    return render_to_string("console/_session_list.html", {"rail": rows, "oob": oob})


def _row(row: RailRow, oob: str = "") -> str:
    """One row of the rail; ``oob``: to take the place of the one on the page."""
    return render_to_string(row.template, {"one": row, "oob": oob})


def _counts(row: RailRow) -> str:
    """What changes all the time in a row of the rail: a menu that stands open there stays open."""
    return render_to_string("console/_session_counts.html", {"one": row, "oob": True})


def _put(rows: Sequence[RailRow], after: str) -> str:
    """New rows of the rail, behind the element of this id; at the top without one."""
    return render_to_string("console/_session_inserted.html", {"rail": rows, "after": after})


def _removed(id_: str) -> str:
    """A row of the rail that is gone."""
    return render_to_string("console/_session_removed.html", {"id": id_})


class Rail:
    """One viewer's list. Call ``news`` from a reader thread whenever a session may have changed."""

    def __init__(self, current: str = "") -> None:
        """``current``: the session on the viewer's page."""
        self.current = current
        self.shown: dict[str, RailRow] | None = None
        """Rows as the page has them, by the id of their element; None before the first look."""
        self._known: dict[str, RailSession] = {}
        self._told: list[str] | None = None

    def news(self) -> str:
        """A message that brings the list up to date, and what is said below it; empty when both are."""
        sentences, before = told(), self._told
        self._told = sentences
        notice = "" if sentences == before else render_to_string("console/_retention.html", {"told": sentences, "oob": True})
        return self._list() + notice

    def _list(self) -> str:
        rows = listed(self.current, self._known)
        before, self.shown = self.shown, {row.id: row for row in rows}
        if not rows or not before:
            return "" if before == self.shown else drawn(rows, oob=True)
        moved = {id_ for id_, row in self.shown.items() if id_ not in before or _place(before[id_]) != _place(row)}
        gone = [id_ for id_ in before if id_ not in self.shown or id_ in moved]
        stays = [id_ for id_ in self.shown if id_ not in moved]
        if len(moved) + len(gone) > MOST_MOVES or stays != [id_ for id_ in before if id_ in set(stays)]:
            return drawn(rows, oob=True)
        return "".join([*map(_removed, gone), *_inserted(rows, moved), *_changed(rows, moved, before)])


def _place(row: RailRow) -> bool:
    """Which part of the list a row stands in: within one, sessions keep their order."""
    return isinstance(row, RailSession) and row.session.is_live


def _inserted(rows: list[RailRow], new: set[str]) -> list[str]:
    """Rows the page does not have there yet, run by run."""
    parts: list[str] = []
    run: list[RailRow] = []
    after = ""
    for row in rows:
        if row.id in new:
            run.append(row)
            continue
        if run:
            parts.append(_put(run, after))
            run = []
        after = row.id
    return [*parts, _put(run, after)] if run else parts


def _changed(rows: list[RailRow], new: set[str], before: dict[str, RailRow]) -> list[str]:
    """Rows the page has, where they are no longer the same."""
    parts = []
    for row in rows:
        if row.id in new or row is before[row.id]:
            continue
        if row.key != before[row.id].key:
            parts.append(_row(row, oob="true"))
        elif row.counts != before[row.id].counts:
            parts.append(_counts(row))
    return parts
