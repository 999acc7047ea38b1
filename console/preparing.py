"""What stands ready before the first page: the data directory, held for one console, tables, static files."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from console import origin

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


def prepare_data_dir() -> None:
    """Make the data directory. Raises CannotStart when nothing can be written there."""
    folder = settings.CONSOLE_DATA_DIR
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotStart(
            f"Nothing can be written in {folder} ({error.strerror}): set CONSOLE_DATA_DIR to another directory."
        ) from None


def hold_data_dir() -> sqlite3.Connection:
    """Keep other consoles out of the data directory: at its start each takes what is open there for abandoned.

    The lock is SQLite's own, on a file made for it: it holds on every system, and goes with the process however that
    ends. Raises CannotStart when another console has it.
    """
    folder = settings.CONSOLE_DATA_DIR
    lock = sqlite3.connect(folder / "lock", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        raise CannotStart(
            f"Another console works with {folder} ({error}): stop it, or set CONSOLE_DATA_DIR to a directory of its own."
        ) from None
    return lock


def prepare_database(*, migrate: bool) -> None:
    """Bring the tables up to date. Raises CannotStart when the database cannot be used."""
    try:
        executor = MigrationExecutor(connection)
        if migrate and executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        where = settings.DATABASES["default"].get("NAME")
        raise CannotStart(
            f"The database {where} cannot be used ({error}). If another program holds it, end that; if it is damaged, "
            "move it away and a new one is made."
        ) from None
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
