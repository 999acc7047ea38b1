"""What one viewer has seen of a session, and the HTML that brings the page up to date: store first, show second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from console import fragments, live
from console.growing import Growing, Growth, bare, entries_after, raws_of, text_of
from console.models import Entry, Session
from console.moments import READ_AT_ONCE, conversation_until, feed, sound_of, told_of, tools_until
from console.recorder import recorder
from console.threads import Unhurried, breathe
from realtime import lines, timeline
from realtime.audio import AUDIO_FIELDS, SPEECH
from realtime.conversation import Conversation, types_read
from realtime.relaying import RelayRunner
from realtime.settings import compare
from realtime.timeline import is_stream

PUSH_ROWS = 40
"""Rows rendered in one push; at ten pushes a second a viewer keeps up with 400 rows a second."""
SNAPSHOT_ROWS = 200
"""Rows on a page as it opens. A viewer further behind than twice that gets the newest of them instead of each."""
REST_EVERY = 0.45
"""Seconds between two looks at all but new rows while nothing comes but what grows or is counted: at ten pushes a second
that makes two. A number that changes more often is not read, only paid for, here and in the browser."""
METER_EVERY = 2.0
"""Seconds between two looks at what the console costs a relayed session."""
COUNTS = ("events", "errors", "last_seq", "duration_us")
"""Columns that change all the time while a session is live; of the panels only its state says them then."""
TOLD_BY_ITEMS = types_read()
"""Types of events the conversation is made of."""
TOLD_BY_TOOLS = ("memory", "tool")
"""Kinds of notes the tools' panels are made of."""
LONGEST_PLACE = 18
"""Digits of a place in an address; no timeline is that long."""


def place(text: str, otherwise: int) -> int:
    """A place on a timeline as an address gives it; ``otherwise`` when it gives none."""
    return int(text) if text.isdecimal() and len(text) <= LONGEST_PLACE else otherwise


def rows_of(entries: Sequence[Entry]) -> Unhurried[fragments.Row]:
    """Rows for these heads, in order. Frames are read only where the row says something about their content."""
    rows: Unhurried[fragments.Row] = Unhurried()
    if not entries:
        return rows
    raws = raws_of(e for e in entries if not is_stream(e.type))
    relayed = entries[0].session.relayed
    for head in entries:
        breathe()
        text = text_of(head).text if head.fold_count > 1 else ""
        rows.append(_row(head, text, None if is_stream(head.type) else head.to_entry(raws.get(head.seq, "")), relayed))
    return rows


def _row(head: Entry, text: str, told: timeline.Entry | None, relayed: bool) -> fragments.Row:
    """A head's row. ``told``: the entry with its frame; None for a stream's, whose row says how it went on."""
    if told is None:
        line = lines.fold_line(bare(head), head.fold(), text if head.fold_count > 1 else "")
    else:
        line = lines.line(told)
    return fragments.row(head, line, relayed=relayed)


def member_rows_of(entries: Sequence[Entry]) -> Unhurried[fragments.Row]:
    """A row for each of these entries by itself."""
    raws = raws_of(entries)
    rows: Unhurried[fragments.Row] = Unhurried()
    for entry in entries:
        if entry.type in AUDIO_FIELDS:
            rows.append(fragments.row(entry, f"{entry.audio_ms:.0f} ms of sound", member=True))
        else:
            event = entry.to_entry(raws.get(entry.seq, "")).event
            delta = event.data.get("delta") if event else None
            rows.append(fragments.row(entry, f"“{delta}”" if isinstance(delta, str) else "", member=True))
    return rows


def expires_at(in_force: dict[str, Any] | None) -> int | None:
    """When the API will end the session, in unix seconds; None when it does not say."""
    value = (in_force or {}).get("expires_at")
    return value if isinstance(value, int) and value > 0 else None


@dataclass
class Watch:
    """One viewer of one session. Call ``catch_up`` from a reader thread whenever there may be news."""

    session_id: str
    last_seq: int
    """What the page already shows."""
    query: str = ""
    conversation: Conversation | None = None
    session: Session | None = None
    """As it was when somebody last looked at more than the rows."""
    shown: dict[str, str] = field(default_factory=dict)
    """Panels as they were last sent, so that one that did not change is not sent again."""
    order: list[str] = field(default_factory=list)
    """Ids of the conversation's items as the page has them."""
    grown: set[str] = field(default_factory=set)
    """Ids of items that changed and were not sent yet."""
    unsent: dict[int, Growth] = field(default_factory=dict)
    """Rows that have grown since they were sent, by their heads' ``seq``."""
    in_force: dict[str, Any] | None = None
    spoken: bool = False
    """The model has made sound: from then on its voice is locked, which the settings form must say."""
    rest_due: float = 0.0
    meter_due: float = 0.0
    meter: str = ""
    told: tuple[Any, ...] = ()
    """What the panels were last made of."""
    live: bool = True
    """Whether more is to come."""
    behind: bool = False
    """Whether more is stored than was sent: then the next look need not wait for news."""
    held_back: bool = False
    """Whether only new rows were sent: the rest follows when it is due, or with the first look that finds nothing new."""
    flows: bool = False
    """Whether the last look found something new: more may follow of which nobody tells, for it only makes rows grow."""

    def __post_init__(self) -> None:
        self.rows = Growing(self.session_id)

    def catch_up(self) -> list[str]:
        """Messages that bring the page up to date, none when it is. Call again until nothing comes and nothing is held
        back: that comes when it is due, or with the first look that finds no more entries.

        Rows travel by themselves: an HTML parser that has seen another element first would drop them.
        """
        while not (messages := self._look()) and self.behind:
            pass  # nothing of what was read is for this page
        return messages

    def _look(self) -> list[str]:
        rest: list[str] = []
        first = self.conversation is None
        if self.conversation is None:
            self.session = Session.objects.get(pk=self.session_id)
            self.conversation = conversation_until(self.session, self.last_seq)
            self.order = [item.id for item in self.conversation.items]
            rest.append(fragments.conversation_replaced(self.conversation.items))
        new, rows = self._new_rows()
        self.flows = bool(new)
        now = time.monotonic()
        if new and not first and now < self.rest_due and not any(map(_matters, new)) and not self._speaks(new):
            self.held_back = True
            return [rows] if rows else []
        self.rest_due, self.held_back = now + REST_EVERY, False
        grown = self._grown_rows()
        breathe()
        was_live = self.live
        session = self.session = Session.objects.get(pk=self.session_id)
        self.live = session.is_live
        breathe()
        rest += self._items()
        breathe()
        rest += [fragments.notice(e, self._line(e)) for e in new if _is_notice(session, e)]
        rest += self._panels(session, new, first, turned=self.live != was_live)
        return [message for message in (rows, grown, "".join(rest)) if message]

    def patience(self, otherwise: float) -> float:
        """Seconds until it should look again though nobody tells of news; ``otherwise`` when nothing is going on."""
        return max(0.0, min(otherwise, self.rest_due - time.monotonic())) if self.held_back or self.flows else otherwise

    def _new_rows(self) -> tuple[list[Entry], str]:
        """New entries, fed to the conversation, and the rows that begin with them; which others grew is noted."""
        assert self.session is not None
        new = entries_after(self.session_id, self.last_seq, READ_AT_ONCE)
        self.behind = len(new) == READ_AT_ONCE
        if not new:
            return [], ""
        heads = [e for e in new if e.row == e.seq]
        if self.query:
            matches = set(self._matching().after(self.last_seq).until(new[-1].seq).values_list("seq", flat=True))
            heads = [e for e in heads if e.seq in matches]
        if len(heads) > 2 * SNAPSHOT_ROWS:
            return self._leap()
        if len(heads) > PUSH_ROWS:
            new = [e for e in new if e.seq <= heads[PUSH_ROWS - 1].seq]
            self.behind = True
        before, told = self.last_seq, self._fed(new)
        rows = self.rows.take(new, told)
        self.unsent |= {head.seq: (head, text) for head, text in rows if head.seq <= before}
        begun = [(head, text) for head, text in rows if head.seq > before and (not self.query or head.seq in matches)]
        return new, self._drawn(begun, told)

    def _leap(self) -> tuple[list[Entry], str]:
        """To the end, where it is far behind: the newest rows take the place of all the page had. Of what came in between
        only the last entry of each type is told, in whose place it stands."""
        last: dict[str, Entry] = {}
        for piece in Entry.objects.of(self.session_id).after(self.last_seq).in_pieces(READ_AT_ONCE):
            self._fed(piece)
            last |= {e.type: e for e in piece if _matters(e) or e.type in SPEECH}
        self.behind, self.rows = False, Growing(self.session_id)
        self.unsent.clear()
        rows = rows_of(newest(self._matching().until(self.last_seq), SNAPSHOT_ROWS))
        return list(last.values()), fragments.replace_timeline(rows)

    def _fed(self, new: Sequence[Entry]) -> dict[int, timeline.Entry]:
        """Feed what comes next to the conversation; returns it with its frames, by ``seq``, but for sound."""
        assert self.conversation is not None
        breathe()
        told = told_of(new)
        breathe()
        self.grown |= feed(self.conversation, new, sound_of(new), told)
        self.last_seq = new[-1].seq
        breathe()
        return told

    def _grown_rows(self) -> str:
        """The rows that have grown since they were sent."""
        rows, self.unsent = sorted(self.unsent.items()), {}
        if self.query and rows:
            matches = set(self._matching().filter(seq__in=[seq for seq, _ in rows]).values_list("seq", flat=True))
            rows = [(seq, row) for seq, row in rows if seq in matches]
        return self._drawn([row for _, row in rows], {})

    def _drawn(self, rows: Sequence[Growth], told: Mapping[int, timeline.Entry]) -> str:
        """These rows for a page that is open."""
        assert self.session is not None
        relayed = self.session.relayed
        shown = (_row(e, text.text, None if is_stream(e.type) else told[e.seq], relayed) for e, text in Unhurried(rows))
        return fragments.push_rows(Unhurried(shown))

    def _matching(self) -> Any:
        """The rows its filter lets through."""
        return Entry.objects.of(self.session_id).rows().matching(self.query)

    def _speaks(self, new: list[Entry]) -> bool:
        """Whether the model makes its first sound with these entries."""
        return not self.spoken and any(e.type in SPEECH for e in new)

    def _items(self) -> list[str]:
        """The items of the conversation that changed."""
        assert self.conversation is not None
        changed, self.grown = self.grown, set()
        if not changed:
            return []
        items = self.conversation.items
        order = [item.id for item in items]
        before, self.order = self.order, order
        if order[: len(before)] != before or len(order) - len(before) > 1:
            return [fragments.conversation_replaced(items)]
        known = [fragments.conversation_item(item) for item in items if item.id in changed and item.id in before]
        return known + [fragments.conversation_append(item) for item in items[len(before) :]]

    def _panels(self, session: Session, new: list[Entry], first: bool, turned: bool) -> list[str]:
        """What stands around the timeline: each panel is sent when it has changed. ``turned``: the session has ended."""
        panels = {}
        spoke = self._speaks(new)
        self.spoken = self.spoken or spoke
        if first or spoke or any(e.type.startswith("session.") for e in new):
            self.in_force = session.in_force()
            differences = compare(session.asked(), self.in_force)
            panels["in_force"] = fragments.in_force(differences, self.in_force is not None, self.spoken)
        if first or turned or any(e.kind == "note" and e.type in TOLD_BY_TOOLS for e in new):
            panels |= fragments.tools(session, *tools_until(session, self.last_seq))
        breathe()
        now = time.monotonic()
        if session.relayed and (now >= self.meter_due or not session.is_live):
            self.meter_due = now + METER_EVERY
            self.meter = meter_of(session)
        panels |= self._facts(session)
        changed = [html for name, html in panels.items() if self.shown.get(name) != html]
        self.shown |= panels
        return changed

    def _facts(self, session: Session) -> dict[str, str]:
        """The panels made of the session's own columns and of what is in force; none while those are the same."""
        acting = acting_in(session)
        columns = {column.attname: getattr(session, column.attname) for column in session._meta.concrete_fields}
        counts = [columns.pop(name) for name in COUNTS] if session.is_live else []
        around = (columns, self.in_force, recorder.trouble, self.meter, acting)
        told, self.told = self.told, (counts, around)
        if told == self.told:
            return {}
        expires = expires_at(self.in_force)
        if told and told[1] == around:
            return {"state": fragments.state(session, expires)}
        panels = fragments.panels(session, expires, recorder.trouble)
        if session.relayed:  # somebody else's: there is no microphone here whose mode could be chosen
            return panels | fragments.relay_panels(session, self.meter, acting)
        return panels | {"mode": fragments.mode(session, self.in_force)}

    def _line(self, entry: Entry) -> str:
        """What a notice says: the row's own line."""
        return lines.line(entry.to_entry(entry.frame().raw))


def newest(rows: Any, limit: int) -> list[Entry]:
    """The newest of these rows, oldest first."""
    return list(rows.order_by("-seq")[:limit])[::-1]


def _matters(entry: Entry) -> bool:
    """Whether more than rows, counts and growing items says something of it: then the page learns it at once."""
    if is_stream(entry.type):
        return False
    return entry.kind != "ev" or entry.level == "error" or entry.type in TOLD_BY_ITEMS or entry.type.startswith("session.")


def _is_notice(session: Session, entry: Entry) -> bool:
    """Whether the reader is told in a sentence of its own, not only by a row. How a session ended stands above its
    timeline; what the API has against somebody else's client is that client's business."""
    if entry.level != "error":
        return False
    if entry.kind == "note" or entry.type != "error" or not session.relayed:
        return entry.kind == "note" or entry.type == "error"
    about = entry.frame().event.about
    asked = Entry.objects.of(session).filter(direction="sent", event_id=about).exclude(origin="app")
    return bool(about) and entry.leg == "upstream" and asked.exists()


def meter_of(session: Session) -> str:
    """What the console costs a relayed session, or has cost it; empty when that is not known."""
    if not session.relayed:
        return ""
    if isinstance(runner := live.find(session.pk), RelayRunner):
        return runner.meter.line()
    note = Entry.objects.of(session).of_types("meter").filter(kind="note").order_by("-seq").first()
    return note.text if note else ""


def acting_in(session: Session) -> fragments.Acting | None:
    """What pages do in a relayed session; None when it does not run here."""
    runner = live.find(session.pk)
    return fragments.Acting(runner.passage.withholds, runner.answers_calls) if isinstance(runner, RelayRunner) else None
