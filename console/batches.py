"""A batch: entries of the log as rows of the database, written in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from console.models import Entry, Frame, Session
from realtime import audio, lines, masking
from realtime import timeline as engine

_encode = DjangoJSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

BATCH_ROWS = 500
"""Entries of one transaction."""
ENTRY_COLUMNS = (
    "id", "session_id", "seq", "t_us", "kind", "direction", "leg", "origin", "type", "level", "event_id", "response_id",
    "item_id", "text", "data", "pair", "row", "size", "audio_ms", "added_us", "fold_last", "fold_count", "fold_size",
    "fold_audio_ms", "fold_last_us", "fold_gap_us",
)  # fmt: skip
FRAME_COLUMNS = ("entry_id", "text", "audio", "at")
ID, SESSION, ADDED = (ENTRY_COLUMNS.index(column) for column in ("id", "session_id", "added_us"))
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
        """Make an entry's rows: secrets masked, sound taken out as bytes, folded into its row."""
        seq, event, data, text = entry.seq, entry.event, entry.data, entry.text
        event_id = response_id = item_id = ""
        size, parts = 0, None
        if text:
            text, _ = masking.mask(text, "")  # the other side may repeat a key, also in its goodbye
        if event is not None:
            type_, size = event.type, event.size
            event_id, response_id, item_id = event.event_id[:512], event.response_id[:128], event.item_id[:128]
            raw, masked = masking.mask(event.raw, type_)
            if masked:
                data = {**data, "masked": True}
            parts = audio.split(raw, type_)
        else:
            type_ = entry.type
        fold, audio_ms = folder.take(entry, len(parts.audio) if parts is not None and parts.at >= 0 else None)
        level = lines.level(entry)
        row = [
            None, session_id, seq, entry.t_us, entry.kind, entry.direction, entry.leg, entry.origin, type_[:128], level,
            event_id, response_id, item_id, text, _facts(data) if data else "{}", entry.pair, fold.head, size, audio_ms, None,
            seq, 1, 0, 0.0, 0, 0,
        ]  # fmt: skip
        if parts is not None:
            self.frames.append((row, parts.text, parts.audio or None, parts.at))
        if entry.transit is not None:
            self.relayed.append((row, entry.transit))
        key = (session_id, fold.head)
        if fold.head == seq:
            self.heads[key] = (row, fold)
        elif key not in self.heads:
            self.folds[key] = fold
        self.entries.append(row)
        self._summarise(session_id, entry, text, level)

    def _summarise(self, session_id: str, entry: engine.Entry, text: str, level: str) -> None:
        summary = self.sessions.get(session_id)
        if summary is None:
            summary = self.sessions[session_id] = Summary()
        summary.errors += level == "error"
        summary.last_seq, summary.t_us = entry.seq, entry.t_us
        if entry.event is not None:
            summary.events += 1
            if entry.event.type in ("session.created", "session.updated"):
                session = entry.event.data.get("session")
                model = session.get("model") if isinstance(session, dict) else None
                if isinstance(model, str):
                    summary.changes["model"] = model[:128]
        elif entry.kind == "close":
            data = entry.data
            summary.changes |= {
                "status": Session.CLOSED, "close_by": data.get("by") or "", "close_code": data.get("code"),
                "close_reason": text, "ended_at": timezone.now(),
            }  # fmt: skip
        elif entry.note == "dialect" and isinstance(entry.data.get("dialect"), str):
            summary.changes["dialect"] = entry.data["dialect"]
        elif entry.note == "state" and entry.data.get("state") in ("connecting", "ready", "closing"):
            summary.changes["status"] = entry.data["state"]

    def write(self) -> None:
        """Store everything in one transaction. Raises DatabaseError; then nothing of it is stored."""
        for row, transit in self.relayed:
            row[ADDED] = transit.added_us
        for row, fold in self.heads.values():
            row[-len(FOLD_COLUMNS) :] = _fold_values(fold)
        self.entries.sort(key=itemgetter(SESSION))  # session by session is a third less to write
        with transaction.atomic(), connection.cursor() as cursor:
            self._number(cursor)
            cursor.executemany(INSERT_ENTRY, self.entries)
            cursor.executemany(INSERT_FRAME, sorted((row[ID], text, sound, at) for row, text, sound, at in self.frames))
            cursor.executemany(UPDATE_FOLD, [(*_fold_values(fold), *key) for key, fold in self.folds.items()])
            cursor.executemany(UPDATE_ADDED, self.late)
            cursor.executemany(
                UPDATE_SESSION, [(s.events, s.errors, s.last_seq, s.t_us, key) for key, s in self.sessions.items()]
            )
            for session_id, summary in self.sessions.items():
                if summary.changes:
                    sessions = Session.objects.filter(pk=session_id)
                    if summary.changes.get("status", Session.CLOSED) != Session.CLOSED:
                        sessions = sessions.live()  # what was closed meanwhile, as a console that was killed left it, stays so
                    sessions.update(**summary.changes)

    def _number(self, cursor: CursorWrapper) -> None:
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


def _fold_values(fold: engine.Fold) -> tuple[Any, ...]:
    return (fold.last, fold.count, fold.size, fold.audio_ms, fold.last_us, fold.gap_us)


def _facts(data: dict[str, Any]) -> str:
    """A note's facts as JSON text. What a model calls a number may be none that JSON has: it stands as a word."""
    text, _ = masking.mask(_encode(data), "")
    return _encode(json.loads(text, parse_constant=str)) if "NaN" in text or "Infinity" in text else text
