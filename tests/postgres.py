"""A PostgreSQL of the tests' own: private, unprivileged, in a temporary folder, gone when the tests are over.

Fixtures: ``postgres`` (session) is the server, ``postgres_url`` (test) and ``postgres_module_url`` (module) are the
``DATABASE_URL`` of a fresh, empty database. They skip, with the reason, where PostgreSQL's binaries are not installed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.children import die_with_us

START_WITHIN = 120  # seconds; two of them are enough on a quiet machine
STOP_WITHIN = 60  # seconds
UNPRIVILEGED = ("postgres", "nobody")
"""Users that a server runs as when the tests run as root, which PostgreSQL refuses."""
FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
"""Where distributions keep the server's programs, outside the PATH."""


def binaries() -> Path | None:
    """Folder of ``initdb`` and ``postgres``: ``POSTGRES_BIN``, the PATH, else the newest that a distribution installed."""
    found = [Path(os.environ["POSTGRES_BIN"])] if os.environ.get("POSTGRES_BIN") else []
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve().parent)
    for pattern in FOLDERS:
        installed = Path("/").glob(pattern.lstrip("/"))
        found += sorted(installed, key=lambda path: float(path.parent.name.rpartition("-")[2] or 0), reverse=True)
    return next((path for path in found if (path / "initdb").exists() and (path / "postgres").exists()), None)


class Postgres:
    """A running server; ``fresh()`` makes an empty database and returns its URL."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Take a server that listens on a Unix socket in ``folder``."""
        self.process = process
        self.folder = folder
        self._numbers = itertools.count(1)

    def url(self, database: str) -> str:
        """Return the ``DATABASE_URL`` of a database of this server."""
        return f"postgres://console@/{database}?host={self.folder}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Open a connection of the tests' own; every statement is its own transaction."""
        return psycopg.connect(host=str(self.folder), user="console", dbname=database, autocommit=True)

    def fresh(self) -> str:
        """Create an empty database and return its ``DATABASE_URL``."""
        name = f"console_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database and end the connections that are still open to it."""
        name = url.partition("@/")[2].partition("?")[0]
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _user() -> str | None:
    """User that the server runs as: None for our own; skips the test where root has nobody to be."""
    if os.getuid() != 0:
        return None
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            return name
    pytest.skip("PostgreSQL does not run as root, and there is no unprivileged user here")


def _wait_until_it_answers(server: Postgres, log: Path) -> None:
    """Return when the server takes connections; fails with its log when it ended or took too long."""
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            server.connect().close()
            return
        except psycopg.OperationalError as error:
            if server.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start within {START_WITHIN} s: {error}\n{log.read_text()}")
        time.sleep(0.05)


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a private server in a temporary folder for as long as the context lasts; skips without binaries."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (scripts/install-services)")
    user = _user()
    # A Unix socket's path has 107 bytes at most, so a long TMPDIR will not do.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=None if len(tempfile.gettempdir()) < 60 else "/tmp"))
    try:
        if user:
            shutil.chown(folder, user)
        log = folder / "server.log"
        as_user = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        made = subprocess.run(
            [programs / "initdb", "--pgdata", folder / "data", "--username", "console", "--auth", "trust",
             "--encoding", "UTF8", "--locale", "C", "--no-sync"],
            cwd=folder, capture_output=True, text=True, check=False, timeout=START_WITHIN, **as_user,
        )  # fmt: skip
        if made.returncode:
            pytest.fail(f"initdb failed: {made.stdout}{made.stderr}")
        quick = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB")
        here = ("listen_addresses=", f"unix_socket_directories={folder}", "unix_socket_permissions=0700")
        with log.open("wb") as terminal:
            process = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", *(word for setting in quick + here for word in ("-c", setting))],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal,
                process_group=0, preexec_fn=die_with_us(signal.SIGQUIT), **as_user,
            )  # fmt: skip
        server = Postgres(process, folder)
        try:
            _wait_until_it_answers(server, log)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # "fast": ends every connection, then itself
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(STOP_WITHIN)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL for the whole run, started when the first test asks for it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """``DATABASE_URL`` of an empty database of this test's own."""
    url = postgres.fresh()
    yield url
    postgres.drop(url)


@pytest.fixture(scope="module")
def postgres_module_url(postgres: Postgres) -> Iterator[str]:
    """``DATABASE_URL`` of an empty database that the tests of one module share."""
    url = postgres.fresh()
    yield url
    postgres.drop(url)
