"""``manage.py console``: prepare the data directory, then serve until Ctrl+C."""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
from argparse import ArgumentParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from console.access import is_loopback

HOST, PORT = "127.0.0.1", 8000


class Command(BaseCommand):
    """Serve the console: pages, sockets and the built-in simulator from one process."""

    help = "Prepare the data directory and serve the console."
    requires_system_checks: list[str] = []  # tests run them; a start should not take longer for it

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen; the environment's HOST and PORT count where no option is given."""
        parser.add_argument("--host", default=os.environ.get("HOST") or HOST, help="address to listen on")
        parser.add_argument("--port", default=os.environ.get("PORT") or str(PORT), help="port; 0 takes a free one")
        parser.add_argument("--no-migrate", action="store_true", help="leave the database's tables as they are")

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse what cannot work with a sentence, prepare, serve."""
        host, port = options["host"].strip("[]"), as_port(options["port"])
        if not is_loopback(host) and not settings.CONSOLE_TOKEN:
            raise CommandError(
                f"{host} can be reached by others: set CONSOLE_TOKEN to a secret that pages ask for, "
                f"or leave HOST at {HOST}."
            )
        assert_free(host, port)
        prepare_data_dir()
        self.lock = hold_data_dir()
        prepare_database(migrate=not options["no_migrate"])
        prepare_static()
        self.serve(host, port)

    def serve(self, host: str, port: int) -> None:
        """Run until a signal comes. What is imported here builds the pages, which need what was prepared."""
        from console import lifecycle  # noqa: PLC0415
        from console.asgi import application  # noqa: PLC0415
        from console.server import CompleteServer  # noqa: PLC0415

        def ready(listens_on: int) -> None:
            shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
            shown = f"[{shown}]" if ":" in shown else shown
            self.stdout.write(f"Realtime Console: http://{shown}:{listens_on}/")
            self.stdout.flush()

        server = CompleteServer(
            application, host=host, port=port, startup=lifecycle.startup, shutdown=lifecycle.shutdown, ready=ready
        )
        try:
            server.run()
        except OSError as error:
            raise CommandError(f"The console cannot listen on {host}:{port}: {error}") from None


def as_port(text: str) -> int:
    """A port's number. Raises CommandError for anything else."""
    if not (text.isdecimal() and int(text) <= 65535):
        raise CommandError(f"PORT is a number from 0 to 65535, not {text!r}.")
    return int(text)


def assert_free(host: str, port: int) -> None:
    """Raise CommandError when the port cannot be had: before another console's sessions are touched."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            if os.name == "posix":  # as the server will; on Windows this would allow taking a port somebody uses
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except PermissionError:
        raise CommandError(f"Port {port} needs more rights than this user has: use PORT=8000 or above 1023.") from None
    except socket.gaierror:
        raise CommandError(f"HOST={host} is no address of this machine.") from None
    except OSError as error:
        if error.errno and "in use" in (error.strerror or "").lower():
            raise CommandError(
                f"Port {port} is taken, perhaps by a console already running: use PORT={port + 1}."
            ) from None
        raise CommandError(f"The console cannot listen on {host}:{port}: {error.strerror}.") from None


def prepare_data_dir() -> None:
    """Make the data directory. Raises CommandError when nothing can be written there."""
    folder = settings.CONSOLE_DATA_DIR
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CommandError(
            f"Nothing can be written in {folder} ({error.strerror}): set CONSOLE_DATA_DIR to another directory."
        ) from None


def hold_data_dir() -> sqlite3.Connection:
    """Keep other consoles out of the data directory: at its start each takes what is open there for abandoned.

    The lock is SQLite's own, on a file made for it: it holds on every system, and goes with the process however that
    ends. Raises CommandError when another console has it.
    """
    folder = settings.CONSOLE_DATA_DIR
    lock = sqlite3.connect(folder / "lock", timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        raise CommandError(
            f"Another console works with {folder} ({error}): stop it, or set CONSOLE_DATA_DIR to a directory of its own."
        ) from None
    return lock


def prepare_database(*, migrate: bool) -> None:
    """Bring the tables up to date. Raises CommandError when the database cannot be used."""
    try:
        executor = MigrationExecutor(connection)
        if migrate and executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        where = settings.DATABASES["default"].get("NAME")
        raise CommandError(
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
