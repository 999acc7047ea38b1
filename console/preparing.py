"""What stands ready before the first page: the data directory, held for one console, tables, static files."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from console import origin, retention
from console.locks import AdvisoryLock, FileLock, Refused, database_path
from console.private_files import make_private, private_database, private_folder

log = logging.getLogger(__name__)


class CannotStart(Exception):
    """The console cannot start here; the sentence says what to do."""


def assert_public_url() -> None:
    """Raise CannotStart when ``CONSOLE_PUBLIC_URL`` is set and names no origin."""
    try:
        origin.public()
    except ValueError as error:
        raise CannotStart(str(error)) from None


def assert_guarded(host: str) -> None:
    """Raise CannotStart when others could reach an address and nothing would ask who they are."""
    assert_public_url()
    if settings.CONSOLE_PUBLIC_URL and not settings.CONSOLE_TOKEN:
        log.warning("CONSOLE_PUBLIC_URL is set and CONSOLE_TOKEN is not: whoever the proxy lets through may do everything.")
    if not origin.is_loopback(host) and not settings.CONSOLE_TOKEN:
        raise CannotStart(
            f"{host} can be reached by others: set CONSOLE_TOKEN to a secret that pages ask for, "
            "or leave HOST at 127.0.0.1."
        )


def assert_limits() -> None:
    """Raise CannotStart when CONSOLE_KEEP_DAYS or CONSOLE_MAX_DISK cannot be a limit: nothing may be removed by mistake."""
    try:
        retention.limits()
    except retention.InvalidLimit as error:
        raise CannotStart(str(error)) from None


def prepare_data_dir() -> None:
    """Make the data directory and the database's file, private to this user. Raises CannotStart when nothing can be written there."""
    folder = settings.CONSOLE_DATA_DIR
    try:
        private_folder(folder)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotStart(
            f"Nothing can be written in {folder} ({error.strerror}): set CONSOLE_DATA_DIR to another directory."
        ) from None
    for path in (folder / "secret_key", folder / "lock"):
        make_private(path)
    if (database := database_path(settings.DATABASES["default"])) is not None:
        with contextlib.suppress(OSError):  # said when it is opened
            private_database(database)


class Held:
    """What keeps other consoles out, until it is closed or the process ends."""

    def __init__(self) -> None:
        self._locks: list[FileLock | AdvisoryLock] = []

    def add(self, lock: FileLock | AdvisoryLock) -> None:
        """Hold one more."""
        self._locks.append(lock)

    def close(self) -> None:
        """Let others in, in the reverse order."""
        while self._locks:
            self._locks.pop().close()


def hold_console() -> Held:
    """Keep other consoles out of the data directory and the database: at its start each takes what is open for abandoned.

    Raises CannotStart when another console has one of them.
    """
    held = Held()
    try:
        _hold_data_dir(held)
        _hold_database(held)
    except CannotStart:
        held.close()
        raise
    return held


def _hold_data_dir(held: Held) -> None:
    folder = settings.CONSOLE_DATA_DIR
    try:
        held.add(FileLock(folder / "lock"))
    except Refused as error:
        raise CannotStart(
            f"Another console works with {folder} ({error}): stop it, or set CONSOLE_DATA_DIR to a directory of its own."
        ) from None


def _hold_database(held: Held) -> None:
    """SQLite: a lock beside the database's file, whatever data directory it is in. PostgreSQL: one of the database's own."""
    database = settings.DATABASES["default"]
    where = database_path(database)
    try:
        if where is not None:
            held.add(FileLock(where.with_name(where.name + ".lock")))
        elif connection.vendor == "postgresql":
            where = database["NAME"]
            held.add(AdvisoryLock(connection.copy(), _lost))
    except Refused as error:
        raise CannotStart(
            f"Another console works with the database {where} ({error}): stop it, or set DATABASE_URL to another database. "
            "Several consoles on one database are not supported yet."
        ) from None
    except (DatabaseError, OSError) as error:
        raise unusable(error) from None


def _lost() -> None:
    """Another console has the database: this one ends, in the orderly way of a signal."""
    log.error("Another console has taken the database while this one had lost its connection: this one stops.")
    os.kill(os.getpid(), signal.SIGTERM)


def unusable(error: DatabaseError | OSError) -> CannotStart:
    """What to say of a database that cannot be used."""
    where = settings.DATABASES["default"].get("NAME")
    return CannotStart(
        f"The database {where} cannot be used ({' '.join(str(error).split())}). If another program holds it, end that; "
        "if it is damaged, move it away and a new one is made."
    )


def prepare_database(*, migrate: bool) -> None:
    """Bring the tables up to date. Raises CannotStart when the database cannot be used."""
    try:
        executor = MigrationExecutor(connection)
        if migrate and executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        raise unusable(error) from None
    finally:
        connection.close()


def prepare_static() -> None:
    """Collect the static files under hashed names where they changed since the last start."""
    stamp = settings.CONSOLE_DATA_DIR / "static.stamp"
    state = static_state()
    if settings.STATIC_ROOT.is_dir() and stamp.is_file() and stamp.read_text() == state:
        return
    call_command("collectstatic", verbosity=0, interactive=False, clear=True)
    stamp.write_text(state)


def static_state() -> str:
    """A fingerprint of every static file there is, by size and time, and of those who make their hashed names."""
    found = [version("django"), version("whitenoise")]
    for finder in get_finders():
        for path, storage in finder.list([]):
            facts = Path(storage.path(path)).stat()
            found.append(f"{path} {facts.st_size} {facts.st_mtime_ns}")
    return hashlib.sha256("\n".join(found).encode()).hexdigest()
