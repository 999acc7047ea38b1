"""Entries to HTML: a dataclass for each template, and the functions that fill them; every payload is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.template.loader import render_to_string

from console.forms import SessionSettingsForm
from console.models import Entry, Preset, Session
from console.providers import providers
from realtime import filters, lines
from realtime.endings import ending
from realtime.items import Item
from realtime.settings import Difference
from realtime.upstream import Provider

RAIL_LIMIT = 60
"""Sessions in the rail; the library has all."""
SHOWN_ITEMS = 300
"""Items of a conversation on the page; the newest."""
LONGEST_TYPE = 39
"""Characters of a type in a row; of a longer one the end is shown, which tells more."""
GLYPHS = {"sent": "→", "received": "←", "console": "="}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the timeline (``_row.html``)."""

    seq: int
    t_us: int
    kind: str
    direction: str
    glyph: str
    type: str
    short_type: str
    family: str
    line: str
    size: str
    count: int
    level: str
    origin: str
    has_audio: bool
    masked: bool


def row(entry: Entry, line: str, member: bool = False) -> Row:
    """The row of a head, or of one member of a fold."""
    count = 1 if member else entry.fold_count
    size = entry.size if member else entry.fold_size
    return Row(
        seq=entry.seq,
        t_us=entry.t_us,
        kind=entry.kind,
        direction=entry.direction,
        glyph="!" if entry.level == "error" else GLYPHS.get(entry.direction, "="),
        type=entry.type,
        short_type=entry.type if len(entry.type) <= LONGEST_TYPE else f"…{entry.type[-LONGEST_TYPE + 1 :]}",
        family=lines.family(entry.type),
        line=line,
        size=lines.size(size) if size else "",
        count=count,
        level=entry.level,
        origin=entry.origin,
        has_audio=entry.audio_ms > 0,
        masked=bool(entry.data.get("masked")),
    )


def to_json(value: Any) -> str:
    """Indented, as the event and memory panes show it; a template escapes it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def rows(shown: Sequence[Row]) -> str:
    """Rows as they stand in the table."""
    return render_to_string("console/_rows.html", {"rows": shown})


def push_rows(shown: Sequence[Row]) -> str:
    """Rows for a page that is open. <event-timeline> puts each where it belongs: a known one is replaced, a new one
    appended (it takes the swap over, see timeline.js)."""
    return render_to_string("console/_push_rows.html", {"rows": shown, "fresh": False}) if shown else ""


def replace_timeline(shown: Sequence[Row]) -> str:
    """The newest rows for a page that has fallen far behind: they take the place of all it had."""
    return render_to_string("console/_push_rows.html", {"rows": shown, "fresh": True})


def member_rows(shown: Sequence[Row], earlier: int, later: int) -> str:
    """A page of what a fold gathers, to stand under its row; so many come before and after it."""
    view = {"rows": shown, "earlier": earlier, "later": later, "last_seq": shown[-1].seq if shown else 0}
    return render_to_string("console/_members.html", view)


@dataclass(frozen=True, slots=True)
class EventPane:
    """One row in full (``_event.html``)."""

    session_id: str
    row: Row
    meaning: str
    json: str
    raw_length: int
    has_audio: bool
    response_id: str
    item_id: str
    about: Row | None
    """For an error: the row of the event it answers."""
    facts: list[tuple[str, str]] = field(default_factory=list)


def event_pane(pane: EventPane) -> str:
    """The Event tab."""
    return render_to_string("console/_event.html", {"pane": pane})


def conversation(items: Sequence[Item]) -> str:
    """The whole list."""
    return render_to_string("console/_conversation.html", _items(items))


def conversation_item(item: Item) -> str:
    """One item that is on the page already."""
    return render_to_string("console/_item.html", {"item": item, "oob": "true"})


def conversation_append(item: Item) -> str:
    """One item that is new at the end."""
    return render_to_string("console/_item_appended.html", {"item": item})


def conversation_replaced(items: Sequence[Item]) -> str:
    """The whole list in place of what is on the page."""
    return render_to_string("console/_conversation.html", _items(items) | {"oob": "true"})


def _items(items: Sequence[Item]) -> dict[str, Any]:
    return {"items": items[-SHOWN_ITEMS:], "skipped": max(0, len(items) - SHOWN_ITEMS)}


def notice(entry: Entry, line: str) -> str:
    """A sentence the reader should not miss."""
    return render_to_string("console/_notice_pushed.html", {"sentence": line, "seq": entry.seq})


def problems(sentences: Sequence[str]) -> str:
    """What was wrong with a request."""
    return render_to_string("console/_problems.html", {"sentences": sentences})


@dataclass(frozen=True, slots=True)
class RailSession:
    """One session in the list (``_session_list.html``)."""

    session: Session
    title: str
    """Its name; empty when nobody gave it one: then the page shows when it began."""
    started: str
    glyph: str
    failed: bool
    duration: str


def rail_session(session: Session) -> RailSession:
    """A session as the rail and the library show it."""
    return RailSession(
        session=session,
        title=session.label,
        started=session.started_at.isoformat(),
        glyph="●" if session.is_live else "!" if failed(session) else "○",
        failed=failed(session),
        duration=lines.seconds(session.duration_us / 1e6),
    )


def failed(session: Session) -> bool:
    """Whether a session ended otherwise than it should."""
    if session.is_live:
        return False
    by_us = session.close_by == "console" and session.close_code in lines.NORMAL_CLOSES
    return not by_us and (session.close_code not in lines.NORMAL_CLOSES or session.close_code is None)


def session_list(sessions: Iterable[Session], current: str = "", oob: bool = False) -> str:
    """The rail's list."""
    shown = [rail_session(session) for session in sessions]
    return render_to_string("console/_session_list.html", {"sessions": shown, "current": current, "oob": oob})


def ended(session: Session) -> str:
    """Why a session is over, and what to do."""
    return ending(session.close_by, session.close_code, session.close_reason)


def panels(session: Session, expires_at: int | None, trouble: str) -> dict[str, str]:
    """Top bar, end banner, mode, trouble: each for an out-of-band swap, by name."""
    view = {"session": session, "failed": failed(session), "ended": ended(session), "expires_at": expires_at, "oob": True}
    return {
        "state": render_to_string("console/_state.html", view),
        "connect": _connect(session, view),
        "ended": render_to_string("console/_ended.html", view),
        "trouble": render_to_string("console/_trouble.html", {"trouble": trouble, "oob": True}),
    }


def _connect(session: Session, view: dict[str, Any]) -> str:
    """Disconnect while it runs, connect again when it is over."""
    if session.is_live:
        return render_to_string("console/_disconnect.html", view)
    offered = {"page": {"session": session, "providers": list(providers().values())}, "oob": True}
    return render_to_string("console/_connect.html", offered)


def mode(session: Session, in_force: Mapping[str, Any] | None) -> str:
    """The manual/VAD toggle as the session stands."""
    return render_to_string("console/_mode.html", {"session": session, "mode": mode_of(in_force), "oob": True})


def mode_of(in_force: Mapping[str, Any] | None) -> str:
    """``manual`` or ``vad``, by the session in force."""
    here: Any = in_force or {}
    for key in ("audio", "input", "turn_detection"):
        here = here.get(key) if isinstance(here, Mapping) else None
    return "vad" if isinstance(here, Mapping) and here.get("type") else "manual"


def in_force(differences: Sequence[Difference], told: bool, spoken: bool) -> str:
    """What was asked beside what is in force. The settings form is drawn again when this changes."""
    view = {"differences": differences, "told": told, "spoken": spoken, "oob": True}
    return render_to_string("console/_in_force.html", view)


def tools(session: Session, memory: Mapping[str, str], weather: Mapping[str, Any] | None, oob: bool = True) -> dict[str, str]:
    """Memory and weather, by name."""
    view = {"session": session, "memory": memory, "memory_json": to_json(memory), "oob": oob}
    return {
        "memory": render_to_string("console/_memory.html", view),
        "weather": render_to_string("console/_weather.html", {"weather": weather, "oob": oob}),
    }


@dataclass(frozen=True)
class ConsolePage:
    """The console's page (``page.html``, ``_console.html``)."""

    session: Session | None
    rows: list[Row]
    sessions: list[RailSession]
    providers: list[Provider]
    hint: str
    """Last characters of the key this browser has given; empty when it has not."""
    settings: SessionSettingsForm
    presets: list[Preset]
    items: list[Item] | None
    """None: fetched when somebody looks, or pushed while the session runs; folding a long one takes half a second."""
    memory: dict[str, str]
    weather: dict[str, Any] | None
    differences: list[Difference]
    mode: str
    expires_at: int | None
    trouble: str
    total: int
    """Rows there are, shown or not."""

    @property
    def last_seq(self) -> int:
        """What the rows shown go up to."""
        return self.session.last_seq if self.session else 0

    @property
    def state(self) -> str:
        """Where the session stands; idle when there is none."""
        return self.session.status if self.session else Session.IDLE

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than it should."""
        return bool(self.session and failed(self.session))

    @property
    def ended(self) -> str:
        """Why it is over."""
        return ended(self.session) if self.session else ""

    @property
    def memory_json(self) -> str:
        """The memory as JSON."""
        return to_json(self.memory)

    @property
    def filter_help(self) -> list[tuple[str, str]]:
        """The filter's words and what each lets through."""
        return [(words, meaning) for words, _, meaning in (line.partition(" — ") for line in filters.HELP)]

    @property
    def openai_ready(self) -> bool:
        """Whether the real API can be called without asking for a key."""
        return bool(self.hint) or any(p.name == "openai" and p.key for p in self.providers)
