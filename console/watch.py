"""What one viewer has seen of a session, and the HTML that brings the page up to date: store first, show second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from console import fragments
from console.models import Entry, Frame, Session
from realtime import lines
from realtime.audio import AUDIO_FIELDS
from realtime.conversation import Conversation
from realtime.timeline import is_stream
from realtime.tools.memory import memory_of

READ_AT_ONCE = 2000
"""Entries read for one push."""
PUSH_ROWS = 40
"""Rows rendered in one push; at ten pushes a second a viewer keeps up with 400 rows a second."""
SNAPSHOT_ROWS = 200
"""Rows on a page as it opens. A viewer further behind than twice that gets the newest of them instead of each."""
TEXT_MEMBERS = 400
"""Members of a fold whose text is joined for its row."""


def rows_of(entries: Sequence[Entry]) -> list[fragments.Row]:
    """Rows for these heads, in order. Frames are read only where the row says something about their content."""
    heads = {e.seq: e for e in entries}
    if not heads:
        return []
    session_id = entries[0].session_id
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
        rows.append(fragments.row(entry, line))
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
    """The conversation as it stood at a place on the timeline; sound is counted by rows, not read."""
    conversation = Conversation()
    feed(conversation, Entry.objects.of(session).until(seq).order_by("seq"))
    return conversation


def feed(conversation: Conversation, entries: Iterable[Entry]) -> set[str]:
    """Feed entries of the log; returns the ids of the items that changed."""
    entries = list(entries)
    if not entries:
        return set()
    seqs = [e.seq for e in entries if e.kind == "ev" and e.type not in AUDIO_FIELDS]
    raws: dict[int, str] = {}
    for start in range(0, len(seqs), 500):  # SQLite takes so many parameters at once
        frames = Frame.objects.filter(session_id=entries[0].session_id, seq__in=seqs[start : start + 500])
        raws.update((frame.seq, frame.raw) for frame in frames)
    changed: set[str] = set()
    for entry in entries:
        changed |= conversation.feed(entry.to_entry(raws.get(entry.seq, _bare(entry))), entry.audio_ms)
    return changed


def tools_until(session: Session, seq: int) -> tuple[dict[str, str], dict[str, Any] | None]:
    """The memory, and the last weather that was got, as they stood at a place on the timeline."""
    notes = Entry.objects.of(session).until(seq).filter(kind="note")
    memory = memory_of(e.to_entry() for e in notes.filter(type="memory").order_by("seq"))
    weather = notes.filter(type="tool", data__name="get_weather").order_by("-seq").first()
    return memory, weather.data if weather else None


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

    def catch_up(self) -> str:
        """HTML that brings the page up to date, ``""`` when it is. Call again until nothing comes."""
        session = Session.objects.get(pk=self.session_id)
        parts: list[str] = []
        if self.conversation is None:
            self.conversation = conversation_until(session, self.last_seq)
            parts.append(fragments.conversation(self.conversation.items))
        parts += self._rows(session)
        parts += self._panels(session)
        return "\n".join(part for part in parts if part)

    def _rows(self, session: Session) -> list[str]:
        """New rows, rows that grew, and the items that changed with them."""
        assert self.conversation is not None
        entries = Entry.objects.of(session)
        new = list(entries.after(self.last_seq).order_by("seq")[:READ_AT_ONCE])
        if not new:
            return []
        matching = entries.rows().matching(self.query)
        heads = list(matching.after(self.last_seq).until(new[-1].seq).order_by("seq"))
        if len(heads) > 2 * SNAPSHOT_ROWS:
            parts = [fragments.replace_timeline(rows_of(newest(matching, SNAPSHOT_ROWS)))]
            new = list(entries.after(self.last_seq).order_by("seq"))
        else:
            if len(heads) > PUSH_ROWS:
                heads = heads[:PUSH_ROWS]
                new = [e for e in new if e.seq <= heads[-1].seq]
            grown = {e.row for e in new if e.row <= self.last_seq}
            parts = [
                fragments.replace_rows(rows_of(list(matching.filter(seq__in=grown).order_by("seq")))),
                fragments.append_rows(rows_of(heads)),
            ]
        changed = feed(self.conversation, new)
        parts.append(fragments.conversation_changes(self.conversation.items, changed))
        parts += [fragments.notice(e) for e in new if _is_notice(e)]
        self.last_seq = new[-1].seq
        return parts

    def _panels(self, session: Session) -> list[str]:
        """State bar, mode, settings in force, memory and weather: each sent when it has changed."""
        memory, weather = tools_until(session, self.last_seq)
        panels = fragments.panels(session, memory, weather, self.last_seq)
        changed = [html for name, html in panels.items() if self.shown.get(name) != html]
        self.shown = panels
        return changed


def newest(rows: Any, limit: int) -> list[Entry]:
    """The newest of these rows, oldest first."""
    return list(rows.order_by("-seq")[:limit])[::-1]


def _is_notice(entry: Entry) -> bool:
    """Whether the reader is told in a sentence of its own, not only by a row."""
    return entry.type in ("problem", "error") or (entry.kind == "close" and entry.level == "error")
