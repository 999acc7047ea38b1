"""What one viewer has seen of a session, and the HTML that brings the page up to date: store first, show second."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Q, Sum

from console import fragments, live
from console.models import Entry, Frame, Session
from console.recorder import recorder
from realtime import lines
from realtime.audio import AUDIO_FIELDS, join
from realtime.conversation import Conversation, types_read
from realtime.relaying import RelayRunner
from realtime.settings import compare
from realtime.timeline import is_stream
from realtime.tools.memory import memory_of

READ_AT_ONCE = 2000
"""Entries read for one push."""
PUSH_ROWS = 40
"""Rows rendered in one push; at ten pushes a second a viewer keeps up with 400 rows a second."""
SNAPSHOT_ROWS = 200
"""Rows on a page as it opens. A viewer further behind than twice that gets the newest of them instead of each."""
PANELS_EVERY = 0.5
"""Seconds between two looks at the panels while nothing but deltas comes: of those only the counts change."""
METER_EVERY = 2.0
"""Seconds between two looks at what the console costs a relayed session."""
SPEECH = ("response.output_audio.delta", "response.audio.delta")
LONGEST_PLACE = 18
"""Digits of a place in an address; no timeline is that long."""
TEXT_MEMBERS = 400
"""Members of a fold whose text is joined for its row."""


def place(text: str, otherwise: int) -> int:
    """A place on a timeline as an address gives it; ``otherwise`` when it gives none."""
    return int(text) if text.isdecimal() and len(text) <= LONGEST_PLACE else otherwise


def rows_of(entries: Sequence[Entry]) -> list[fragments.Row]:
    """Rows for these heads, in order. Frames are read only where the row says something about their content."""
    heads = {e.seq: e for e in entries}
    if not heads:
        return []
    session_id = entries[0].session_id
    relayed = entries[0].session.relayed
    told = [e.seq for e in entries if e.kind == "ev" and e.type not in AUDIO_FIELDS]
    raws = {f.seq: f.raw for f in Frame.objects.filter(session_id=session_id, seq__in=told)}
    texts = _texts([e for e in entries if e.fold_count > 1 and e.type not in AUDIO_FIELDS])
    rows = []
    for entry in entries:
        told_entry = entry.to_entry(raws.get(entry.seq, _bare(entry)))
        line = (
            lines.fold_line(told_entry, entry.fold(), texts.get(entry.seq, ""))
            if is_stream(entry.type)
            else lines.line(told_entry)
        )
        rows.append(fragments.row(entry, line, relayed=relayed))
    return rows


def _bare(entry: Entry) -> str:
    """An audio frame's head without its sound: all its row needs."""
    return f'{{"type":"{entry.type}","response_id":"{entry.response_id}","item_id":"{entry.item_id}"}}'


def _texts(heads: Iterable[Entry]) -> dict[int, str]:
    """What the deltas of each of these rows say so far, by head."""
    texts: dict[int, str] = {}
    for head in heads:
        members = Entry.objects.of(head.session_id).members_of(head.seq).values_list("seq", flat=True)
        frames = Frame.objects.filter(session_id=head.session_id, seq__in=list(members[:TEXT_MEMBERS])).order_by("seq")
        parts = (frame.event.data.get("delta") for frame in frames)
        texts[head.seq] = "".join(part for part in parts if isinstance(part, str))
    return texts


def conversation_until(session: Session, seq: int) -> Conversation:
    """The conversation as it stood at a place on the timeline. Of sound only how much there was of each stream is read."""
    entries = Entry.objects.of(session).until(seq).filter(kind="ev")
    sums = entries.filter(type__in=AUDIO_FIELDS).order_by().values("row").annotate(ms=Sum("audio_ms"))
    sound = dict(sums.values_list("row", "ms"))
    told = entries.filter(type__in=types_read())
    conversation = Conversation()
    feed(conversation, told.filter(~Q(type__in=AUDIO_FIELDS) | Q(row=F("seq"))).order_by("seq"), sound)
    return conversation


def feed(conversation: Conversation, entries: Iterable[Entry], sound: Mapping[int, float] | None = None) -> set[str]:
    """Feed entries of the log; returns the ids of the items that changed. ``sound``: milliseconds by ``seq``, where an
    entry stands for its whole stream."""
    entries = list(entries)
    seqs = [e.seq for e in entries if e.kind == "ev" and e.type not in AUDIO_FIELDS]
    raws: dict[int, str] = {}
    for start in range(0, len(seqs), 500):  # SQLite takes so many parameters at once
        frames = Frame.objects.filter(session_id=entries[0].session_id, seq__in=seqs[start : start + 500])
        parts = frames.values_list("seq", "text", "audio", "at")
        raws.update((seq, join(text, bytes(audio or b""), at)) for seq, text, audio, at in parts)
    changed: set[str] = set()
    for entry in entries:
        audio_ms = (sound or {}).get(entry.seq, entry.audio_ms)
        changed |= conversation.feed(entry.to_entry(raws.get(entry.seq, _bare(entry))), audio_ms)
    return changed


def tools_until(session: Session, seq: int) -> tuple[dict[str, str], dict[str, Any] | None]:
    """The memory, and the last weather that was got, as they stood at a place on the timeline."""
    notes = Entry.objects.of(session).until(seq).filter(kind="note")
    memory = memory_of(e.to_entry() for e in notes.filter(type="memory").order_by("seq"))
    weather = notes.filter(type="tool", data__name="get_weather").order_by("-seq").first()
    return memory, weather.data if weather else None


def member_rows_of(entries: Sequence[Entry]) -> list[fragments.Row]:
    """A row for each of these entries by itself."""
    seqs = [e.seq for e in entries if e.type not in AUDIO_FIELDS]
    raws = {f.seq: f.raw for f in Frame.objects.filter(session_id=entries[0].session_id, seq__in=seqs)} if seqs else {}
    rows = []
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
    shown: dict[str, str] = field(default_factory=dict)
    """Panels as they were last sent, so that one that did not change is not sent again."""
    order: list[str] = field(default_factory=list)
    """Ids of the conversation's items as the page has them."""
    in_force: dict[str, Any] | None = None
    spoken: bool = False
    """The model has made sound: from then on its voice is locked, which the settings form must say."""
    panels_due: float = 0.0
    meter_due: float = 0.0
    meter: str = ""
    told: tuple[Any, ...] = ()
    """What the panels were last made of."""
    live: bool = True
    """Whether more is to come."""

    def catch_up(self) -> list[str]:
        """Messages that bring the page up to date, none when it is. Call again until nothing comes.

        Rows travel by themselves: an HTML parser that has seen another element first would drop them.
        """
        session = Session.objects.get(pk=self.session_id)
        self.live = session.is_live
        rest: list[str] = []
        first = self.conversation is None
        if self.conversation is None:
            self.conversation = conversation_until(session, self.last_seq)
            self.order = [item.id for item in self.conversation.items]
            rest.append(fragments.conversation_replaced(self.conversation.items))
        new, rows = self._rows(session)
        rest += self._items(new)
        rest += [fragments.notice(e, self._line(e)) for e in new if _is_notice(session, e)]
        rest += self._panels(session, new, first)
        return [message for message in (rows, "".join(rest)) if message]

    def _rows(self, session: Session) -> tuple[list[Entry], str]:
        """New entries, and the rows that show them: new ones, and those that grew."""
        entries = Entry.objects.of(session)
        new = list(entries.after(self.last_seq).order_by("seq")[:READ_AT_ONCE])
        if not new:
            return [], ""
        matching = entries.rows().matching(self.query)
        heads = list(matching.after(self.last_seq).until(new[-1].seq).order_by("seq"))
        if len(heads) > 2 * SNAPSHOT_ROWS:
            html = fragments.replace_timeline(rows_of(newest(matching, SNAPSHOT_ROWS)))
            new = list(entries.after(self.last_seq).order_by("seq"))
        else:
            if len(heads) > PUSH_ROWS:
                heads = heads[:PUSH_ROWS]
                new = [e for e in new if e.seq <= heads[-1].seq]
            grown = {e.row for e in new if e.row <= self.last_seq}
            html = fragments.push_rows(rows_of([*matching.filter(seq__in=grown).order_by("seq"), *heads]))
        self.last_seq = new[-1].seq
        return new, html

    def _items(self, new: list[Entry]) -> list[str]:
        """The items of the conversation that changed with these entries."""
        assert self.conversation is not None
        changed = feed(self.conversation, new)
        if not changed:
            return []
        items = self.conversation.items
        order = [item.id for item in items]
        before, self.order = self.order, order
        if order[: len(before)] != before or len(order) - len(before) > 1:
            return [fragments.conversation_replaced(items)]
        known = [fragments.conversation_item(item) for item in items if item.id in changed and item.id in before]
        return known + [fragments.conversation_append(item) for item in items[len(before) :]]

    def _panels(self, session: Session, new: list[Entry], first: bool) -> list[str]:
        """What stands around the timeline: each panel is sent when it has changed."""
        panels = {}
        spoke = not self.spoken and any(e.type in SPEECH for e in new)
        self.spoken = self.spoken or spoke
        now = time.monotonic()
        if new and not (first or spoke) and now < self.panels_due and all(is_stream(e.type) for e in new):
            return []
        self.panels_due = now + PANELS_EVERY
        if first or spoke or any(e.type.startswith("session.") for e in new):
            self.in_force = session.in_force()
            differences = compare(session.asked(), self.in_force)
            panels["in_force"] = fragments.in_force(differences, self.in_force is not None, self.spoken)
        if first or any(e.kind == "note" for e in new):
            panels |= fragments.tools(session, *tools_until(session, self.last_seq))
        if session.relayed and (now >= self.meter_due or not session.is_live):
            self.meter_due = now + METER_EVERY
            self.meter = meter_of(session)
        panels |= self._facts(session)
        changed = [html for name, html in panels.items() if self.shown.get(name) != html]
        self.shown |= panels
        return changed

    def _facts(self, session: Session) -> dict[str, str]:
        """The panels made of the session's own columns and of what is in force; none while those are the same."""
        columns = [getattr(session, column.attname) for column in session._meta.concrete_fields]
        acting = acting_in(session)
        told = (columns, self.in_force, recorder.trouble, self.meter, acting)
        if told == self.told:
            return {}
        self.told = told
        panels = fragments.panels(session, expires_at(self.in_force), recorder.trouble)
        if session.relayed:  # somebody else's: there is no microphone here whose mode could be chosen
            return panels | fragments.relay_panels(session, self.meter, acting)
        return panels | {"mode": fragments.mode(session, self.in_force)}

    def _line(self, entry: Entry) -> str:
        """What a notice says: the row's own line."""
        return lines.line(entry.to_entry(entry.frame().raw))


def newest(rows: Any, limit: int) -> list[Entry]:
    """The newest of these rows, oldest first."""
    return list(rows.order_by("-seq")[:limit])[::-1]


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
    note = Entry.objects.of(session).filter(kind="note", type="meter").order_by("-seq").first()
    return note.text if note else ""


def acting_in(session: Session) -> fragments.Acting | None:
    """What pages do in a relayed session; None when it does not run here."""
    runner = live.find(session.pk)
    return fragments.Acting(runner.passage.withholds, runner.answers_calls) if isinstance(runner, RelayRunner) else None
