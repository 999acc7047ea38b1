"""Disk space of the recordings: how much they use, and giving back what is free, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.db import connection, transaction

from console.models import Entry, Frame, Session
from console.pacing import Pace

TABLES = tuple(model._meta.db_table for model in (Session, Entry, Frame))
SPARE = 16 * 1024 * 1024
"""Bytes of free pages that a database keeps: they are used again at once where something is recorded."""
PAGES = 64
"""Free pages that are first given back in one transaction."""
LONG_LOG = 64 * 1024 * 1024
"""Bytes of the write-ahead log above which it is cut; SQLite never makes the file shorter by itself."""
NOT_COUNTED = 1.15
"""PostgreSQL: of rows as they are stored, with page headers and line pointers; measured with sound and with text."""


def used(limit: int | None = None) -> int:
    """Bytes the recordings use: pages in use and the write-ahead log, or on PostgreSQL tables, indexes and TOAST.

    What was deleted does not count, though its pages may still be part of the file. On PostgreSQL that is measured,
    which reads the tables, only where their files are larger than ``limit``.
    """
    if connection.vendor == "sqlite":
        return (_pragma("page_count") - _pragma("freelist_count")) * _pragma("page_size") + log_size()
    total = _total()
    return total if limit is not None and total <= limit else min(total, _measured())


def free() -> int:
    """Bytes of the database's file that nothing uses; 0 on PostgreSQL, which does not tell."""
    return _pragma("freelist_count") * _pragma("page_size") if connection.vendor == "sqlite" else 0


def log_size() -> int:
    """Bytes of SQLite's write-ahead log."""
    try:
        return Path(f"{connection.settings_dict['NAME']}-wal").stat().st_size
    except OSError:
        return 0


def shrinks() -> bool:
    """Whether the database gives pages back by itself; ``compact`` makes an old SQLite database do so."""
    return connection.vendor != "sqlite" or _pragma("auto_vacuum") == 2


def give_back(spare: int = SPARE, stopped: Callable[[], bool] = lambda: False) -> None:
    """Give free pages back to the system, a few in each transaction, but for ``spare`` bytes; cut a long write-ahead log.

    ``stopped`` is asked between two transactions. Raises DatabaseError.
    """
    if connection.vendor != "sqlite":
        with connection.cursor() as cursor:  # runs beside readers and writers, makes room that is used again
            for name in TABLES:
                cursor.execute(f'VACUUM "{name}"')
        return
    if shrinks():
        pace = Pace(PAGES, 8 * PAGES)
        while not stopped() and (pages := (free() - spare) // _pragma("page_size")) > 0:
            before = free()
            pace.run(lambda: _vacuum(min(pages, pace.size)))
            if free() >= before:
                break
    cut_log()


def cut_log(longest: int = LONG_LOG) -> None:
    """Cut a write-ahead log of more bytes than this, unless somebody reads from it just now."""
    if connection.vendor == "sqlite" and log_size() > longest:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")  # the work, beside readers and writers
            cursor.execute("PRAGMA busy_timeout=0")
            try:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                cursor.execute(f"PRAGMA busy_timeout={int(connection.settings_dict['OPTIONS'].get('timeout', 5) * 1000)}")


def compact() -> None:
    """Write the database anew without what is free; afterwards it gives pages back by itself.

    Nothing can be recorded meanwhile. Raises OperationalError when others hold the database, or the disk has no room
    for a second copy.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            for name in TABLES:
                cursor.execute(f'VACUUM FULL "{name}"')


def _vacuum(pages: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()  # a page a row: all of them must be asked for


def _pragma(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchone()[0])


def _total() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + " + ".join(f"pg_total_relation_size('\"{name}\"')" for name in TABLES))
        return int(cursor.fetchone()[0])


def _measured() -> int:
    """Bytes of the rows that are there, and the same share of the indexes as of the rest."""
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(f'SELECT COALESCE(SUM(pg_column_size(e.*)), 0) FROM "{TABLES[1]}" e')
        entries = int(cursor.fetchone()[0])
        cursor.execute(
            f'SELECT COALESCE(SUM(60 + pg_column_size(f."text") + COALESCE(pg_column_size(f."audio"), 0)), 0) FROM "{TABLES[2]}" f'
        )
        frames = int(cursor.fetchone()[0])
        cursor.execute("SELECT " + " + ".join(f"pg_indexes_size('\"{name}\"')" for name in TABLES))
        indexes = int(cursor.fetchone()[0])
        rows = int((entries + frames) * NOT_COUNTED)
        heap = max(1, _total() - indexes)
        return rows + int(indexes * min(1.0, rows / heap))


