"""Entries to HTML: a dataclass for each template, and the functions that fill them; every payload is escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.template.loader import render_to_string

from console.columns import UNSTORABLE
from console.models import Entry, Session
from console.providers import providers
from console.rail import failed
from realtime import lines
from realtime.endings import ending
from realtime.items import Item
from realtime.settings import Difference

SHOWN_ITEMS = 300
"""Items of a conversation on the page; the newest."""
LONGEST_TYPE = 39
"""Characters of a type in a row; of a longer one the end is shown, which tells more."""
GLYPHS = {"sent": "→", "received": "←", "console": "="}


OWN = {"browser": "page", "composer": "composer", "tool": "tool", "console": "console"}
"""Origins of what the console itself puts into somebody else's session → the word for it."""
WITHHELD = {
    "console": "It answers what the console sent; the client does not get it.",
    "policy": "The policy of the client's relay key withholds it.",
    "translation": "The dialect the client speaks has no such event.",
}
"""Who kept a frame from the client → why."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a row says of itself before its line."""

    kind: str
    text: str
    title: str


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
    pair: int | None
    """Rows of one frame that was changed on its way have the same."""
    marks: list[Mark]


def marks(entry: Entry, relayed: bool) -> list[Mark]:
    """What became of a frame in the relay, and whose it is if not the client's or the API's."""
    found = []
    if entry.pair is not None:
        client = entry.leg == "client"
        side = "the client's" if client else "the API's"
        found.append(Mark("leg", "client" if client else "API", f"The frame as it was on {side} side of the relay"))
    if relayed and entry.kind == "ev" and entry.origin in OWN:
        found.append(Mark("origin", OWN[entry.origin], "Not the client's: the console put this into the session"))
    if by := entry.data.get("withheld"):
        found.append(Mark("withheld", f"withheld: {by}", WITHHELD.get(str(by), "The client does not get it.")))
    if refused := entry.data.get("refused"):
        found.append(Mark("refused", f"refused: {refused}", "The policy of the client's relay key does not let it pass."))
    if type(size := entry.data.get("binary")) is int and size >= 0:
        found.append(Mark("binary", f"binary {lines.size(size)}", "It travelled as a binary frame."))
    if why := entry.data.get(UNSTORABLE):
        found.append(Mark("unstorable", "raw text only", f"The console failed at this entry ({why}): what it means is not known here."))
    return found


def row(entry: Entry, line: str, member: bool = False, relayed: bool = False) -> Row:
    """The row of a head, or of one member of a fold; ``relayed``: of somebody else's session."""
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
        pair=entry.pair,
        marks=marks(entry, relayed),
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
class DiffLine:
    """One line of the two texts of a frame that was changed on its way."""

    sign: str
    """``-`` only in what came, ``+`` only in what left, ``…`` lines left out, a space for what both have."""
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a frame on its way through the relay."""

    rows: list[tuple[str, int, str]]
    """Who had it so, ``seq`` and type of each of its rows, in order."""
    lines: list[DiffLine]


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
    change: Change | None = None
    """Of a frame that was changed on its way."""


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


def ended(session: Session) -> str:
    """Why a session is over, and what to do."""
    return ending(session.close_by, session.close_code, session.close_reason)


def panels(session: Session, expires_at: int | None, trouble: str) -> dict[str, str]:
    """Top bar, end banner, mode, trouble: each for an out-of-band swap, by name."""
    view = {"session": session, "failed": failed(session), "ended": ended(session), "oob": True}
    return {
        "state": state(session, expires_at),
        "connect": _connect(session, view),
        "ended": render_to_string("console/_ended.html", view),
        "trouble": trouble_panel(trouble),
    }


def trouble_panel(trouble: str) -> str:
    """What is wrong with recording, if anything is."""
    return render_to_string("console/_trouble.html", {"trouble": trouble, "oob": True})


def state(session: Session, expires_at: int | None) -> str:
    """How a session stands, for how long, and how much has happened in it."""
    view = {"session": session, "failed": failed(session), "ended": ended(session), "expires_at": expires_at, "oob": True}
    return render_to_string("console/_state.html", view)


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


@dataclass(frozen=True, slots=True)
class Acting:
    """What a page does in a relayed session that runs here."""

    withholds: bool
    """Answers to what the page sends are kept from the client."""
    answers_calls: bool
    """Function calls are run and answered here."""


def relay_panels(session: Session, meter: str, acting: Acting | None) -> dict[str, str]:
    """Whose session it is, what the console costs it, and what the page does in it: each for an out-of-band swap."""
    view = {"session": session, "dialects": dialects_of(session), "meter": meter, "acting": acting, "oob": True}
    names = {"who": "_who", "meter": "_meter", "acting": "_acting", "answering": "_answering"}
    return {name: render_to_string(f"console/{template}.html", view) for name, template in names.items()}


def dialects_of(session: Session) -> str:
    """What the client speaks, and what the API does if that is something else."""
    provider = providers().get(session.provider)
    spoken = provider.dialect if provider is not None else session.dialect
    client, api = (NAMES.get(dialect, dialect) for dialect in (session.dialect, spoken))
    return client if client == api else f"{client} → {api}"


NAMES = {"ga": "GA", "beta": "beta"}
