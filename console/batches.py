"""A batch: entries of the log as rows of the database, written in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from operator import itemgetter
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import F

from console import columns
from console.models import Entry, Frame, Session
from realtime import lines, masking
from realtime import timeline as engine
from realtime.errors import traced

log = logging.getLogger(__name__)

Row = list[Any]
"""Values of an entry's columns, in the order of ENTRY_COLUMNS."""
Made = tuple[Row, tuple[str, bytes | None, int] | None, engine.Fold]
"""An entry's row, the columns of its frame, and its fold."""
UNREAD_NOTE = "The console had something to note here that could not be stored; its log has the details."
ENDED_BY = ("client", "server", "console")
BATCH_ROWS = 500
"""Entries of one transaction."""
ENTRY_COLUMNS = (
    "id", "session_id", "seq", "t_us", "kind", "direction", "leg", "origin", "type", "level", "event_id", "response_id",
    "item_id", "text", "data", "pair", "row", "size", "audio_ms", "added_us", "fold_last", "fold_count", "fold_size",
    "fold_audio_ms", "fold_last_us", "fold_gap_us",
)  # fmt: skip
FRAME_COLUMNS = ("entry_id", "text", "audio", "at")
ID, SESSION, SEQ, LEVEL, TEXT, ADDED = map(ENTRY_COLUMNS.index, ("id", "session_id", "seq", "level", "text", "added_us"))
FOLD_COLUMNS = ENTRY_COLUMNS[ENTRY_COLUMNS.index("fold_last") :]


def _insert(model: type[Entry] | type[Frame], columns: Iterable[str]) -> str:
    """An INSERT for these columns, in SQL every backend reads."""
    names = ", ".join(f'"{column}"' for column in columns)
    marks = ", ".join("%s" for _ in columns)
    return f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES ({marks})'


INSERT_ENTRY = _insert(Entry, ENTRY_COLUMNS)
INSERT_FRAME = _insert(Frame, FRAME_COLUMNS)
LAST_ID = f'SELECT COALESCE(MAX("id"), 0) FROM "{Entry._meta.db_table}"'
ALONE = f'LOCK TABLE "{Entry._meta.db_table}" IN SHARE ROW EXCLUSIVE MODE'
"""PostgreSQL: one transaction at a time numbers entries, while all can read. SQLite has one writer anyway."""
UPDATE_FOLD = (
    f'UPDATE "{Entry._meta.db_table}" SET ' + ", ".join(f'"{c}" = %s' for c in FOLD_COLUMNS)
    + ' WHERE "session_id" = %s AND "seq" = %s'
)  # fmt: skip
UPDATE_ADDED = f'UPDATE "{Entry._meta.db_table}" SET "added_us" = %s WHERE "session_id" = %s AND "seq" = %s'
UPDATE_SESSION = (
    f'UPDATE "{Session._meta.db_table}" SET "events" = "events" + %s, "errors" = "errors" + %s, "last_seq" = %s, '
    '"duration_us" = %s WHERE "id" = %s'
)


@dataclass(slots=True)
class Summary:
    """What a batch adds to a session's own columns."""

    events: int = 0
    errors: int = 0
    last_seq: int = 0
    t_us: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    """Columns to set: status, model, how it closed."""

    def apply(self, session_id: str) -> None:
        """Set these columns."""
        if not self.changes:
            return
        sessions = Session.objects.filter(pk=session_id)
        if self.changes.get("status", Session.CLOSED) != Session.CLOSED:
            sessions = sessions.live()  # what was closed meanwhile, as a console that was killed left it, stays so
        sessions.update(**self.changes)


class Batch:
    """Entries on their way into the database, as rows; sessions may be mixed."""

    def __init__(self) -> None:
        self.entries: list[list[Any]] = []
        self.frames: list[tuple[list[Any], str, bytes | None, int]] = []
        """Row of the entry, and the columns of its frame."""
        self.heads: dict[tuple[str, int], tuple[list[Any], engine.Fold]] = {}
        """Row and fold of each head this batch inserts."""
        self.folds: dict[tuple[str, int], engine.Fold] = {}
        """Heads stored before this batch that have grown."""
        self.sessions: dict[str, Summary] = {}
        self.relayed: list[tuple[list[Any], engine.Transit]] = []
        """Rows of relayed frames, and what their way cost: known in most cases by the time they are written."""
        self.late: list[tuple[int | None, str, int]] = []
        """What a frame's way cost that was stored before it had left."""

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def begun(self) -> set[str]:
        """Sessions in which rows begin with this batch."""
        return {session_id for session_id, _ in self.heads}

    def add(self, session_id: str, entry: engine.Entry, folder: engine.Folder) -> None:
        """Make an entry's rows: secrets masked, sound taken out as bytes, folded into its row.

        Never raises for what an entry holds: one that cannot be read is kept as raw text, with a mark that says so.
        """
        try:
            made = _made(session_id, entry, folder)
        except Exception as error:  # noqa: BLE001  (whatever it is, it must not cost the other entries of the batch)
            report(session_id, entry.seq, error)
            made = _unread(session_id, entry, error)
        row, frame, fold = made
        if frame is not None:
            self.frames.append((row, *frame))
        if entry.transit is not None:
            self.relayed.append((row, entry.transit))
        key = (session_id, fold.head)
        if fold.head == entry.seq:
            self.heads[key] = (row, fold)
        elif key not in self.heads:
            self.folds[key] = fold
        self.entries.append(row)
        self._summarise(session_id, entry, row)

    def _summarise(self, session_id: str, entry: engine.Entry, row: Row) -> None:
        summary = self.sessions.get(session_id)
        if summary is None:
            summary = self.sessions[session_id] = Summary()
        summary.errors += row[LEVEL] == "error"
        summary.last_seq, summary.t_us = entry.seq, entry.t_us
        summary.events += entry.event is not None
        try:
            summary.changes |= _changes(entry, row)
        except Exception as error:  # noqa: BLE001  (the columns of a session can be made again from its entries)
            report(session_id, entry.seq, error)

    def write(self) -> None:
        """Store everything in one transaction. Raises DatabaseError; then nothing of it is stored."""
        self.complete()
        with transaction.atomic(), connection.cursor() as cursor:
            self.number(cursor)
            cursor.executemany(INSERT_ENTRY, self.entries)
            cursor.executemany(INSERT_FRAME, sorted((row[ID], text, sound, at) for row, text, sound, at in self.frames))
            for sql, rows in self.updates():
                cursor.executemany(sql, rows)
            for session_id, summary in self.sessions.items():
                summary.apply(session_id)

    def complete(self) -> None:
        """Fill in what may have changed since the rows were made, and put them in the order in which they are written."""
        for row, transit in self.relayed:
            row[ADDED] = columns.within(transit.added_us)
        for row, fold in self.heads.values():
            row[-len(FOLD_COLUMNS) :] = _fold_values(fold)
        self.entries.sort(key=itemgetter(SESSION))  # session by session is a third less to write

    def updates(self) -> list[tuple[str, list[tuple[Any, ...]]]]:
        """What changes in rows stored before: each statement, and what it is executed with."""
        return [
            (UPDATE_FOLD, [(*_fold_values(fold), *key) for key, fold in self.folds.items()]),
            (UPDATE_ADDED, [(columns.within(added), session_id, seq) for added, session_id, seq in self.late]),
            (UPDATE_SESSION, [(s.events, s.errors, s.last_seq, s.t_us, key) for key, s in self.sessions.items()]),
        ]

    def number(self, cursor: CursorWrapper) -> None:
        """Give the entries their keys, which follow the last one stored: so rows are appended, entries as frames."""
        if connection.vendor == "postgresql":
            cursor.execute(ALONE)
        cursor.execute(LAST_ID)
        for id_, row in enumerate(self.entries, cursor.fetchone()[0] + 1):
            row[ID] = id_

    def drop_deleted(self) -> set[str]:
        """Leave out sessions that are no longer there, and return their ids: their rows have nowhere to be kept."""
        gone = set(self.sessions) - set(Session.objects.filter(pk__in=self.sessions).values_list("pk", flat=True))
        self.entries = [row for row in self.entries if row[SESSION] not in gone]
        self.frames = [frame for frame in self.frames if frame[0][SESSION] not in gone]
        self.folds = {key: fold for key, fold in self.folds.items() if key[0] not in gone}
        for session_id in gone:
            del self.sessions[session_id]
        return gone


def report(session_id: str, seq: int, error: BaseException) -> None:
    """Log that an entry could not be read or stored."""
    log.error("entry %d of session %s is kept as raw text only: %s", seq, session_id, traced(error))


def marked(why: str) -> str:
    """The facts of an entry that is kept as raw text only, as JSON."""
    return columns.facts({columns.UNSTORABLE: why})


def _fold_values(fold: engine.Fold) -> tuple[Any, ...]:
    return (fold.last, fold.count, fold.size, fold.audio_ms, fold.last_us, fold.gap_us)


def _mask(text: str) -> str:
    return masking.mask(text, "")[0]


def _cut(value: str, most: int) -> str:
    """Text as a column of so many characters holds it."""
    return columns.text(value[:most])


def _made(session_id: str, entry: engine.Entry, folder: engine.Folder) -> Made:
    """An entry's row, its frame's columns and its fold. Raises whatever reading it raises; nothing is folded then."""
    event, data, frame = entry.event, entry.data, None
    event_id, response_id, item_id, type_ = "", "", "", entry.type
    if event is not None:
        event_id, response_id, item_id = event.event_id, event.response_id, event.item_id
        raw, masked = masking.mask(event.raw, event.type)
        if masked:  # a key may stand where an id or a type is expected
            data = {**data, "masked": True}
            event_id, response_id, item_id, type_ = map(masking.text, (event_id, response_id, item_id, type_))
        event_id, response_id, item_id = _cut(event_id, 512), _cut(response_id, 128), _cut(item_id, 128)
        frame = columns.split_frame(raw, event.type)
    # The other side may repeat a key, also in its goodbye.
    text, facts = columns.note(entry.text, data, _mask) if entry.text or data else ("", "{}")
    level = lines.level(entry)
    sound = len(frame[1] or b"") if frame is not None and frame[2] >= 0 else None
    fold, audio_ms = folder.take(entry, sound)
    row = [
        None, session_id, entry.seq, entry.t_us, entry.kind, entry.direction, entry.leg, entry.origin, _cut(type_, 128),
        level, event_id, response_id, item_id, text, facts, entry.pair, fold.head, entry.size, audio_ms, None,
        entry.seq, 1, 0, 0.0, 0, 0,
    ]  # fmt: skip
    return row, frame, fold


def _unread(session_id: str, entry: engine.Entry, error: Exception) -> Made:
    """The same of an entry that could not be read: a row of its own with a mark, and the raw text."""
    frame = None
    if entry.event is not None:
        frame = columns.split_frame(masking.mask_or_hide(entry.event.raw), "")
    fold = engine.Fold(entry.seq, entry.t_us, entry.t_us, entry.seq, size=entry.size)
    text = UNREAD_NOTE if entry.kind == "note" else ""
    row = [
        None, session_id, entry.seq, entry.t_us, entry.kind, entry.direction, entry.leg, entry.origin, _cut(entry.type, 128),
        "warning", "", "", "", text, marked(f"reading: {type(error).__name__}"), entry.pair, entry.seq, entry.size, 0.0, None,
        entry.seq, 1, 0, 0.0, 0, 0,
    ]  # fmt: skip
    return row, frame, fold


def _changes(entry: engine.Entry, row: Row) -> dict[str, Any]:
    """Columns of its session that an entry sets."""
    data = entry.data
    if entry.event is not None:
        if entry.event.type in ("session.created", "session.updated"):
            session = entry.event.data.get("session")
            model = session.get("model") if isinstance(session, dict) else None
            if isinstance(model, str):
                return {"model": _cut(model, 128)}
    elif entry.kind == "close":
        code = data.get("code")
        code = code if type(code) is int and abs(code) <= columns.LARGEST else None
        by = data.get("by")
        return {
            "status": Session.CLOSED, "close_by": by if by in ENDED_BY else "", "close_code": code,
            "close_reason": row[TEXT],
            # When it closed, not when that is written: the database may have been held up, or the console away.
            "ended_at": F("started_at") + timedelta(microseconds=entry.t_us),
        }  # fmt: skip
    elif entry.note == "dialect" and data.get("dialect") in ("ga", "beta"):
        return {"dialect": data["dialect"]}
    elif entry.note == "state" and data.get("state") in ("connecting", "ready", "closing"):
        return {"status": data["state"]}
    return {}
