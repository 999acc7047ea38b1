"""What a live session's viewer asks ten times a second: entries that are new, and the rows they make or make grow."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from console.columns import join_frame
from console.models import Entry, Frame, Session
from realtime import timeline
from realtime.audio import AUDIO_FIELDS
from realtime.events import Event, parse
from realtime.timeline import OPEN_FOLDS, is_stream

TEXT_MEMBERS = 400
"""Members of a fold whose text is joined for its row."""
AT_ONCE = 500
"""Places asked for by one query: a database takes so many parameters at once."""

# Django takes longer to make these than the database to answer them: here they are made once.
_FIELDS = [field.attname for field in Entry._meta.concrete_fields]
_DATA = _FIELDS.index("data")
_SELECT = ", ".join(f'"{field.column}"' for field in Entry._meta.concrete_fields)
_NEW = f'SELECT {_SELECT} FROM "{Entry._meta.db_table}" WHERE "session_id" = %s AND "seq" > %s ORDER BY "seq" LIMIT %s'
_HEADS = (
    f'SELECT {_SELECT}, (SELECT "last_seq" FROM "{Session._meta.db_table}" WHERE "id" = %s) '
    f'FROM "{Entry._meta.db_table}" WHERE "session_id" = %s AND "seq" IN '
)
_TEXTS = (
    f'SELECT frame."text" FROM "{Entry._meta.db_table}" entry '
    f'JOIN "{Frame._meta.db_table}" frame ON frame."entry_id" = entry."id" '
    'WHERE entry."session_id" = %s AND entry."row" = %s AND entry."seq" BETWEEN %s AND %s ORDER BY entry."seq" LIMIT %s'
)
_FRAMES = f'SELECT "entry_id", "text", "audio", "at" FROM "{Frame._meta.db_table}" WHERE "entry_id" IN '


def _asked(sql: str, parameters: Iterable[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(parameters))
        return cursor.fetchall()


def _several(sql: str, parameters: Sequence[Any], keys: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Ask for these places or keys, as many at once as may be."""
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        yield from _asked(f"{sql}({', '.join(['%s'] * len(some))})", [*parameters, *some])


def _entry(values: Sequence[Any]) -> Entry:
    read = list(values)
    read[_DATA] = json.loads(read[_DATA]) if read[_DATA] != "{}" else {}
    return Entry.from_db("default", _FIELDS, read)


def entries_after(session_id: str, seq: int, limit: int) -> list[Entry]:
    """A session's next entries, in order."""
    return [_entry(values) for values in _asked(_NEW, (session_id, seq, limit))]


def raws_of(entries: Iterable[Entry]) -> dict[int, str]:
    """The frames of these entries by ``seq``, but for sound: of that nothing is read."""
    seqs = {e.id: e.seq for e in entries if e.kind == "ev" and e.type not in AUDIO_FIELDS}
    found = _several(_FRAMES, [], list(seqs))
    return {seqs[id_]: join_frame(text, audio, at) for id_, text, audio, at in found}


def bare(entry: Entry) -> timeline.Entry:
    """A frame of a stream by its columns alone: all that its row needs, and of sound also its item."""
    event = Event(raw="", type=entry.type, response_id=entry.response_id, item_id=entry.item_id)
    return timeline.Entry(
        seq=entry.seq,
        t_us=entry.t_us,
        kind="ev",
        direction=entry.direction,  # type: ignore[arg-type]  # written by the engine, read back as it was
        leg=entry.leg,  # type: ignore[arg-type]
        event=event,
        pair=entry.pair,
    )


def delta_of(event: Event | None) -> str:
    """What one frame of a stream adds to its text."""
    delta = event.data.get("delta") if event is not None else None
    return delta if isinstance(delta, str) else ""


@dataclass(slots=True)
class Text:
    """What the deltas of a row say so far."""

    members: int = 0
    text: str = ""

    def take(self, event: Event | None) -> None:
        """Add one more; there is an end to what one row can show."""
        if self.members < TEXT_MEMBERS:
            self.members += 1
            self.text += delta_of(event)


def text_of(head: Entry, until: int | None = None) -> Text:
    """What the deltas of a row say, to the end or to a place on the timeline."""
    text = Text()
    if head.type not in AUDIO_FIELDS:
        last = head.fold_last if until is None else min(head.fold_last, until)
        for (raw,) in _asked(_TEXTS, (head.session_id, head.seq, head.seq, last, TEXT_MEMBERS)):
            text.take(parse(raw))
    return text


Growth = tuple[Entry, Text]
"""A row by its head, and what its deltas say."""


class Growing:
    """The rows of one session that may still grow, as they stood when its viewer looked last.

    What is new is counted into them as the recorder counts it, so that they are not asked for again; and they never
    say more than the entries the viewer has seen.
    """

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self._rows: OrderedDict[int, Growth] = OrderedDict()
        """Head and text of each; those that grew last come last."""

    def take(self, new: Sequence[Entry], told: Mapping[int, timeline.Entry]) -> list[Growth]:
        """Count in the entries that come next; returns the rows that are new or have grown, in order, with their text.

        ``told``: the entries whose frames were read, by ``seq``.
        """
        earlier = {e.row for e in new if e.row < new[0].seq and e.row not in self._rows}
        rows = self._begun_before(sorted(earlier), new[-1].seq) if earlier else {}
        for entry in new:
            if entry.row in earlier:
                continue
            if entry.row == entry.seq:
                rows[entry.seq] = (entry, Text())
                if entry.kind != "ev" or not is_stream(entry.type):
                    continue
                self._rows[entry.seq] = rows[entry.seq]
                alone(entry)
            elif entry.row in self._rows:
                rows[entry.row] = self._rows[entry.row]
                self._rows.move_to_end(entry.row)
                grow(rows[entry.row][0], entry)
            else:
                continue  # its head is missing: there is no row to show
            read = told.get(entry.seq)
            rows[entry.row][1].take(read.event if read is not None else None)
        while len(self._rows) > OPEN_FOLDS:
            self._rows.popitem(last=False)
        return [rows[seq] for seq in sorted(rows)]

    def _begun_before(self, seqs: list[int], until: int) -> dict[int, tuple[Entry, Text]]:
        """Rows of which this viewer knows nothing yet, as they are stored. Where more is stored than it has seen, a row
        may count that in: such a one is asked for again when it grows."""
        rows = {}
        for *values, last_seq in _several(_HEADS, [self.session_id, self.session_id], seqs):
            head = _entry(values)
            rows[head.seq] = (head, text_of(head, until))
            if last_seq == until:
                self._rows[head.seq] = rows[head.seq]
        return rows


def alone(head: Entry) -> None:
    """Make a head what it was when its row began: its columns may count members that came later."""
    _fold(head, timeline.Fold(head.seq, head.t_us, head.t_us, head.seq, size=head.size, audio_ms=head.audio_ms))


def grow(head: Entry, member: Entry) -> None:
    """Count one more member into a head's columns."""
    fold = head.fold()
    fold.take(member.seq, member.t_us, member.size, member.audio_ms)
    _fold(head, fold)


def _fold(head: Entry, fold: timeline.Fold) -> None:
    head.fold_last, head.fold_count, head.fold_size, head.fold_audio_ms = fold.last, fold.count, fold.size, fold.audio_ms
    head.fold_last_us, head.fold_gap_us = fold.last_us, fold.gap_us
