"""Stores a batch that the database refused for a value in it: all of it, but what it refuses is kept as raw text with a mark."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection, transaction
from django.db.backends.utils import CursorWrapper

from console import columns
from console.batches import ENTRY_COLUMNS, ID, INSERT_ENTRY, INSERT_FRAME, SEQ, SESSION, Batch, Row, marked, report

log = logging.getLogger(__name__)

NOTE = "An event came here that the database does not take, not even its text; the console's log has the details."


def is_about_a_value(error: BaseException) -> bool:
    """Whether the database, or its driver, refused a value: trying again will not help, leaving the value out will.

    SQLSTATE classes: 22 is data exception, 23 integrity constraint, 54 program limit exceeded (an index row or the
    nesting of JSON; PostgreSQL's driver calls that an OperationalError).
    """
    if isinstance(error, DataError | IntegrityError) or "binding parameter" in str(error):  # SQLite's driver
        return True
    if not isinstance(error, DatabaseError | InterfaceError):
        return True  # what the driver itself cannot turn into a parameter, such as a number of more than 64 bits
    return str(getattr(error.__cause__, "sqlstate", None) or "")[:2] in ("22", "23", "54")


@dataclass(slots=True)
class Refused:
    """What could not be stored in any form."""

    sessions: set[str] = field(default_factory=set)
    error: Exception | None = None

    def add(self, sessions: Iterable[str], error: Exception) -> None:
        """Count entries of these sessions."""
        self.sessions.update(sessions)
        self.error = error


def write_apart(batch: Batch, refused: Refused) -> None:
    """Store a batch in one transaction, in ever smaller parts where the database refuses one.

    ``refused`` is told what could not be stored in any form. Raises DatabaseError where that is not about a value; then
    nothing is stored.
    """
    refused.sessions.clear()  # of a try before this one
    refused.error = None
    frames = {id(row): (text, sound, at) for row, text, sound, at in batch.frames}
    batch.complete()
    with transaction.atomic(), connection.cursor() as cursor:
        batch.number(cursor)

        def insert(rows: Sequence[Row]) -> None:
            cursor.executemany(INSERT_ENTRY, rows)
            kept = ((row[ID], *frames[id(row)]) for row in rows if id(row) in frames)
            cursor.executemany(INSERT_FRAME, list(kept))

        def keep_raw(row: Row, error: Exception) -> None:
            report(row[SESSION], row[SEQ], error)
            if not _insert_marked(cursor, row, frames.get(id(row)), type(error).__name__):
                refused.add([row[SESSION]], error)

        _in_parts(insert, batch.entries, keep_raw)
        for sql, rows in batch.updates():
            _in_parts(partial(cursor.executemany, sql), rows, _leave_out)
        for session_id, summary in batch.sessions.items():
            _in_parts(lambda part: part[0][1].apply(part[0][0]), [(session_id, summary)], _leave_out)


def _in_parts(store: Callable[[Sequence[Any]], None], rows: Sequence[Any], culprit: Callable[[Any, Exception], None]) -> None:
    """Store rows by halves, quarters and so on, until ``culprit`` is called with each single one that is refused."""
    if not rows:
        return
    try:
        with transaction.atomic():
            store(rows)
    except Exception as error:
        if not is_about_a_value(error):
            raise
        if len(rows) == 1:
            culprit(rows[0], error)
        else:
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                _in_parts(store, half, culprit)


def _insert_marked(cursor: CursorWrapper, row: Row, frame: tuple[str, bytes | None, int] | None, why: str) -> bool:
    """Insert an entry in the place of one that was refused: its raw text with a mark, else a note. Whether one was taken."""
    told = dict(zip(ENTRY_COLUMNS, row, strict=True))
    bare = told | dict.fromkeys(("event_id", "response_id", "item_id", "text"), "") | {
        "type": told["kind"] if told["kind"] != "ev" else "", "level": "warning", "data": marked(f"storing: {why}"),
        "pair": None, "row": told["seq"], "audio_ms": 0.0, "added_us": None,
    }  # fmt: skip
    note = bare | {
        "kind": "note", "direction": "console", "leg": "upstream", "origin": "console", "type": "problem", "level": "error",
        "text": NOTE, "size": 0, "fold_last": told["seq"], "fold_count": 1, "fold_size": 0, "fold_audio_ms": 0.0,
        "fold_last_us": 0, "fold_gap_us": 0,
    }  # fmt: skip
    raw = columns.join_frame(*frame).encode("utf-8", "surrogatepass") if frame is not None else None
    for values, whole in ((bare, raw), (note, None)):
        if values["kind"] == "ev" and whole is None:
            continue
        try:
            with transaction.atomic():
                cursor.execute(INSERT_ENTRY, list(values.values()))
                if whole is not None:
                    cursor.execute(INSERT_FRAME, [row[ID], "", whole, columns.WHOLE])
        except Exception as error:
            if not is_about_a_value(error):
                raise
        else:
            return True
    return False


def _leave_out(row: Any, error: Exception) -> None:
    """Leave what is summed up as it was: it can be made again from the entries."""
    log.error("a sum of what is stored could not be kept: %s", type(error).__name__)
