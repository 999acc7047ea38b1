"""Locks: one console for a database and a data directory, and one process that writes."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from console.private_files import make_private, private_file

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

log = logging.getLogger(__name__)

CLASS_ID = 0x52434F4E
"""First half of the advisory lock's key, as PostgreSQL shows it in pg_locks; the second names the schema."""
LOOK_EVERY = 5.0
"""Seconds between two looks whether the advisory lock is still held."""
ORPHAN_WITHIN = 0.5
"""Seconds a writer whose console is gone has to end by itself."""
DEAD_WITHIN = 10.0
"""Seconds in which a process that was killed is gone."""


class Refused(Exception):
    """Somebody else holds what is wanted; says who in a few words."""


class FileLock:
    """A lock that holds on every system and goes with the process, however that ends: SQLite's own, on a file made for it."""

    def __init__(self, path: Path) -> None:
        """Raises Refused when another process has it, OSError when there can be no such file."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_file(path)
        self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            self._connection.close()
            raise Refused(str(error)) from None

    def close(self) -> None:
        """Give it up."""
        self._connection.close()


class AdvisoryLock:
    """A lock of the database's own, PostgreSQL's: it goes with the connection, so a console that was killed does not keep it."""

    def __init__(self, connection: Any, on_loss: Callable[[], None]) -> None:
        """``connection``: Django's, for this alone. ``on_loss`` is called on a thread when another one has got the lock.

        Raises Refused when another one has it, DatabaseError when the database cannot be reached.
        """
        connection.inc_thread_sharing()  # made here, watched by a thread
        self._connection, self._on_loss = connection, on_loss
        self._closing = threading.Event()
        if not self._take():
            connection.close()
            raise Refused("its advisory lock is held")
        self._thread = threading.Thread(target=self._watch, name="database lock", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give it up."""
        self._closing.set()
        self._thread.join()
        self._connection.close()

    def _take(self) -> bool:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT current_schema()")
            self._key = zlib.crc32(str(cursor.fetchone()[0]).encode()) - 2**31  # PostgreSQL's integers are signed
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [CLASS_ID, self._key])
            return bool(cursor.fetchone()[0])

    def _holds(self) -> bool:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted "
                "AND classid::bigint = %s AND objid::bigint = %s",
                [CLASS_ID, self._key % 2**32],
            )
            return bool(cursor.fetchone()[0])

    def _watch(self) -> None:
        """Notice when it is lost, as by a restart of the database, and take it again unless somebody else has."""
        lost = False
        while not self._closing.wait(LOOK_EVERY):
            try:
                if not lost and self._holds():
                    continue
                if not self._take():
                    self._on_loss()
                    return
                log.warning("the lock of this console on its database was lost and is held again")
                lost = False
            except Exception as error:  # noqa: BLE001  (whatever the driver says: the connection is made anew)
                if not lost:
                    log.warning("the lock of this console on its database is lost (%s); it is tried again", str(error).strip())
                lost = True
                with contextlib.suppress(Exception):
                    self._connection.close()


def database_path(database: Mapping[str, Any]) -> Path | None:
    """The file of an SQLite database; None for one in memory, and for another engine's."""
    name = str(database["NAME"])
    if not database["ENGINE"].endswith("sqlite3"):
        return None
    if name.startswith("file:"):
        parts = urlsplit(name)
        if "mode=memory" in parts.query:
            return None
        name = unquote(parts.path)
    return None if name in ("", ":memory:") else Path(name).resolve()


def database_name(database: Mapping[str, Any]) -> str:
    """Eight characters that stand for a database in the names of files that belong to it."""
    told = [database_path(database) or database["NAME"], *(database.get(key, "") for key in ("ENGINE", "HOST", "PORT"))]
    return hashlib.sha256(repr([str(part) for part in told]).encode()).hexdigest()[:8]


def hold_as_writer(path: Path, within: float) -> IO[str] | None:
    """Become the one process that writes; the lock goes with the process. Returns None when another one still is."""
    file = _opened(path)
    until = time.monotonic() + within
    while not _locked(file):
        if time.monotonic() > until:
            file.close()
            return None
        time.sleep(0.01)
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def end_orphan(path: Path) -> None:
    """See that no writer of a console that is gone goes on: wait for its end for a moment, then end it.

    All it has still to store is in the journal. Who holds the lock is alive, so the number in the file is its own.
    """
    if fcntl is None or not path.exists():
        return
    with _opened(path) as file:
        began, killed = time.monotonic(), False
        while not _locked(file):
            waited = time.monotonic() - began
            if waited > DEAD_WITHIN:
                raise Refused(f"process {file.read() or 'of an earlier console'} still writes to it")
            file.seek(0)
            if waited > ORPHAN_WITHIN and not killed and (pid := file.read()).isdecimal() and int(pid) > 1:
                log.warning("ending process %s, which wrote for a console that is gone", pid)
                with contextlib.suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)
                killed = True
            time.sleep(0.01)


def _opened(path: Path) -> IO[str]:
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    make_private(path)
    return file


def _locked(file: IO[str]) -> bool:
    """Take the lock on an open file if it is to be had; where there are no such locks it is."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
