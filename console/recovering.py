"""Recovery at a start: what a console that was killed left in its journal is stored, what it left open is closed."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from console import journal
from console.batches import BATCH_ROWS, Batch
from console.locks import database_name, end_orphan
from console.models import Entry, Session
from console.parcels import Receipt, Told, parcels
from console.writer import Writer
from realtime import timeline as engine

log = logging.getLogger(__name__)

STORE_WITHIN = 30.0
"""Seconds a database that refuses has until the start is given up; the journal stays for the next one."""
SESSIONS_AT_ONCE = 100
"""Sessions closed in one transaction."""


class NotStored(Exception):
    """The database does not take what the journal holds; says why."""


def journal_base() -> Path:
    """Path of this database's journal, without the ends of its two files."""
    return Path(settings.CONSOLE_DATA_DIR) / f"journal-{database_name(connection.settings_dict)}"


def writer_lock() -> Path:
    """Path of the lock of the process that writes to this database."""
    return Path(settings.CONSOLE_DATA_DIR) / f"writer-{database_name(connection.settings_dict)}.lock"


def recover() -> None:
    """Store what the last console had recorded and not stored, then close the sessions it left open.

    Call before anything is recorded, by the one console that holds the database. Raises NotStored, Refused and
    DatabaseError; then nothing is lost and a later start tries again.
    """
    end_orphan(writer_lock())
    if stored := replay(journal_base()):
        log.warning("the last console was ended before it had stored all: %d entries came from its journal", stored)
    if closed := close_abandoned():
        log.warning("%d sessions were open when the last console ended: they are closed now", closed)


def replay(base: Path) -> int:
    """Store the entries of a journal that are not in the database. Returns how many there were. Raises NotStored."""
    if not (records := journal.read(base)):
        return 0
    before, until = _last_row(), time.monotonic() + STORE_WITHIN

    def hear(receipt: Receipt) -> None:
        if receipt.trouble and receipt.done:
            log.error("entries of %s in the journal could not be stored: %s", ", ".join(receipt.sessions), receipt.details)
        elif not receipt.done and receipt.trouble and time.monotonic() > until:
            raise NotStored(receipt.trouble)

    writer, rows = Writer(hear, again=True), 0
    for record in records:
        told = _entries(record)
        writer.take(told)
        rows += len(told)
        if rows >= BATCH_ROWS:
            writer.store()
            rows = 0
    if rows:
        writer.store()
    return _last_row() - before


def _last_row() -> int:
    """Key of the entry written last; keys count up by one."""
    return Entry.objects.aggregate(last=Max("id"))["last"] or 0


def _entries(record: bytes) -> list[Told]:
    """The entries of one record; none when it is not what its checksum promised, which is said."""
    try:
        return [told for some, _, _ in parcels(io.BytesIO(record)) for told in some]
    except (msgspec.DecodeError, ValueError, RecursionError):
        log.exception("a record of the journal cannot be read")
        return []


def close_abandoned(running: Collection[str] = ()) -> int:
    """Close every session that is open in the database and not running, at its last entry. Returns how many."""
    left = list(Session.objects.live().exclude(pk__in=running).order_by("started_at"))
    for start in range(0, len(left), SESSIONS_AT_ONCE):
        with transaction.atomic():
            _close(left[start : start + SESSIONS_AT_ONCE])
    return len(left)


def _close(sessions: Collection[Session]) -> None:
    """Give each a close entry at the time of its last entry."""
    batch, ends = Batch(), {}
    for session in sessions:
        last = Entry.objects.of(session).order_by("-seq").values_list("seq", "t_us").first()
        seq, t_us = last or (0, 0)
        ends[session.pk] = ended_at = session.started_at + timedelta(microseconds=t_us)
        reason = f"the console stopped; last frame at {ended_at:%Y-%m-%dT%H:%M:%S.%fZ}"
        if last is None:
            reason = "the console stopped; nothing had been recorded"
        data = {"by": "console", "code": None}
        batch.add(session.pk, engine.Entry(seq + 1, t_us, "close", text=reason, data=data), engine.Folder())
    batch.write()
    for session_id, ended_at in ends.items():
        Session.objects.filter(pk=session_id).update(ended_at=ended_at)
