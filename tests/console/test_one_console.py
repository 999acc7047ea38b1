"""One console: a second one on the same database is refused, whatever its data directory; and what it keeps is private."""

from __future__ import annotations

import os
import queue
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from django.db.utils import load_backend

from console import locks
from console.locks import AdvisoryLock, FileLock, Refused, database_name, database_path
from console.private_files import make_private, private_database, private_folder
from console.writer_process import impatient
from tests import children
from tests.conftest import ROOT, start_console
from tests.console.test_start_console import UVICORN, refused, start, start_refused
from tests.postgres import Postgres
from tests.waiting import PATIENCE, eventually

SENTENCE = "Another console works with the database"


def manage(folder: Path, *arguments: str, **environment: str) -> str:
    """What a command says; it must do what it is asked."""
    ended = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env={**os.environ, "CONSOLE_DATA_DIR": str(folder / "data"), **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE * 2, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two places for two consoles."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return tmp_path / "one", tmp_path / "two"


@pytest.mark.slow
class TestSecondConsole:
    """A second console"""

    def test_on_one_sqlite_file(self, tmp_path: Path) -> None:
        """Two data directories on one file, even through a link, are refused; commands run beside, and a killed one frees it."""
        one, two = folders(tmp_path)
        shared = tmp_path / "shared.sqlite3"
        (tmp_path / "link.sqlite3").symlink_to(shared)
        url, link = f"sqlite:///{shared}", f"sqlite:///{tmp_path}/link.sqlite3"
        first = start_console(one, DATABASE_URL=url)
        try:
            assert SENTENCE in refused(two, "--port", "0", DATABASE_URL=link)
            manage(two, "migrate", DATABASE_URL=url)
            manage(two, "relay_key", "somebody", DATABASE_URL=url)
        finally:
            children.kill(first.process)
        assert start_console(two, DATABASE_URL=link).stop() == 0
        assert stat.S_IMODE(shared.stat().st_mode) == 0o600

    def test_on_one_postgres(self, tmp_path: Path, postgres_url: str) -> None:
        """PostgreSQL's own lock keeps it out, the first one's live sessions stay so; commands run beside, a killed one frees it."""
        one, two = folders(tmp_path)
        first = start_console(one, DATABASE_URL=postgres_url)
        name = postgres_url.partition("@/")[2].partition("?")[0]
        live = "SELECT count(*) FROM console_session WHERE status = 'ready'"
        with psycopg.connect(host=postgres_url.partition("host=")[2], user="console", dbname=name, autocommit=True) as database:
            database.execute(
                "INSERT INTO console_session (id, label, source, provider, model, dialect, client, key_name, status, started_at, "
                "close_by, close_reason, events, errors, last_seq, duration_us, pinned) VALUES "
                "('x', '', 'console', '', '', 'ga', '', '', 'ready', now(), '', '', 0, 0, 0, 0, false)"
            )
            try:
                assert SENTENCE in refused(two, "--port", "0", DATABASE_URL=postgres_url)
                assert database.execute(live).fetchone() == (1,)
                manage(two, "relay_key", "somebody", DATABASE_URL=postgres_url)
            finally:
                children.kill(first.process)
            assert start_console(two, DATABASE_URL=postgres_url).stop() == 0
            assert database.execute(live).fetchone() == (0,)

    def test_under_other_servers(self, tmp_path: Path) -> None:
        """runserver and uvicorn are refused as well, and so is a second console beside uvicorn."""
        one, two = folders(tmp_path)
        url = f"sqlite:///{tmp_path}/shared.sqlite3"
        first = start_console(one, DATABASE_URL=url)
        environment = {"DATABASE_URL": url}
        try:
            with pytest.MonkeyPatch.context() as patched:
                for name, value in environment.items():
                    patched.setenv(name, value)
                for command in (["manage.py", "runserver", "--noreload", "0"], ["-m", "uvicorn", *UVICORN, "--port", "0"]):
                    assert SENTENCE in start_refused(two, [sys.executable, *command])
        finally:
            first.stop()
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("DATABASE_URL", url)
            other = start(two, [sys.executable, "-m", "uvicorn", *UVICORN, "--port", "0"])
        try:
            assert SENTENCE in refused(one, "--port", "0", DATABASE_URL=url)
        finally:
            other.stop()


class TestLocks:
    """The locks themselves"""

    def test_a_file(self, tmp_path: Path) -> None:
        """One at a time has it."""
        first = FileLock(tmp_path / "lock")
        with pytest.raises(Refused):
            FileLock(tmp_path / "lock")
        first.close()
        FileLock(tmp_path / "lock").close()
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match="file"):
            FileLock(tmp_path / "file" / "lock")

    @pytest.mark.django_db
    def test_an_advisory_lock(self, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is taken again when its connection was cut; when another one has it by then that is said."""
        monkeypatch.setattr(locks, "LOOK_EVERY", 0.05)
        url = postgres.fresh()
        lost: queue.Queue[str] = queue.Queue()
        first = AdvisoryLock(connection_to(url), lambda: lost.put("first"))
        with pytest.raises(Refused):
            AdvisoryLock(connection_to(url), lambda: None)
        name = url.partition("@/")[2].partition("?")[0]
        holders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        with postgres.connect(name) as observer:
            [(pid,)] = observer.execute(holders).fetchall()
            observer.execute("SELECT pg_terminate_backend(%s)", [pid])
            eventually(
                lambda: (found := observer.execute(holders).fetchall()) and found != [(pid,)], "another connection holds the lock"
            )
            assert lost.empty()
            [(pid,)] = observer.execute(holders).fetchall()
            key = observer.execute("SELECT classid::bigint, objid::bigint FROM pg_locks WHERE locktype = 'advisory'").fetchone()
            assert key is not None
            signed = [number - 2**32 if number >= 2**31 else number for number in key]
            rival = postgres.connect(name)
            waiting = threading.Thread(target=rival.execute, args=["SELECT pg_advisory_lock(%s::int, %s::int)", signed])
            waiting.start()
            eventually(
                lambda: observer.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone(),
                "somebody else waits for the lock",
            )
            observer.execute("SELECT pg_terminate_backend(%s)", [pid])
            assert lost.get(timeout=PATIENCE) == "first"
            waiting.join()
            rival.close()
        first.close()
        postgres.drop(url)

    def test_names(self, tmp_path: Path) -> None:
        """What belongs to a database is named after it: the same for one file by any path, another for another."""
        engine = "django.db.backends.sqlite3"
        (tmp_path / "link").symlink_to(tmp_path / "real")
        names = [database_name({"ENGINE": engine, "NAME": tmp_path / name}) for name in ("real", "link", "other")]
        assert names[0] == names[1] != names[2]
        assert database_path({"ENGINE": engine, "NAME": ":memory:"}) is None
        assert database_path({"ENGINE": engine, "NAME": "file:x?mode=memory&cache=shared"}) is None
        assert database_path({"ENGINE": engine, "NAME": f"file:{tmp_path}/a%20b?cache=shared"}) == tmp_path / "a b"
        assert database_path({"ENGINE": "django.db.backends.postgresql", "NAME": "x"}) is None

    def test_a_writer_waits_for_no_lock_without_a_word(self) -> None:
        """Of either database it asks for an answer within a second or two."""
        lite = impatient({"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"timeout": 5}})
        post = impatient({"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"options": "-c x=1"}})
        assert lite["OPTIONS"] == {"timeout": 1}
        assert post["OPTIONS"] == {"connect_timeout": 2, "options": "-c x=1 -c lock_timeout=1s"}


def connection_to(url: str) -> object:
    """Django's connection to a database."""
    import environ  # noqa: PLC0415  (of this alone)
    from django.db import connections  # noqa: PLC0415

    told = environ.Env.db_url_config(url)
    defaults = {**connections.settings["default"], **told, "TEST": {}}
    if "OPTIONS" not in told:
        defaults["OPTIONS"] = {}
    return load_backend(defaults["ENGINE"]).DatabaseWrapper(defaults, "default")


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
class TestPrivate:
    """What is in the data directory"""

    def modes(self, folder: Path) -> dict[str, str]:
        """The modes of all that lies in a data directory, static files left out."""
        found = [folder, *(path for path in folder.rglob("*") if "static" not in path.relative_to(folder).parts[0])]
        return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in found}

    @pytest.mark.slow
    @pytest.mark.parametrize("umask", [0o000, 0o022])
    def test_whatever_the_umask(self, tmp_path: Path, umask: int) -> None:
        """Of a new console only its owner can read anything, while it runs and after it was killed."""
        before = os.umask(umask)
        try:
            console = start_console(tmp_path)
        finally:
            os.umask(before)
        try:
            running = self.modes(tmp_path / "data")
        finally:
            children.kill(console.process)
        databases = {f"console.sqlite3{end}" for end in ("", "-wal", "-shm", ".lock")}
        assert databases | {"secret_key", "lock"} <= set(running)
        assert [name for name in running if name.startswith("journal-")]
        for found in (running, self.modes(tmp_path / "data")):
            wide = {name: mode for name, mode in found.items() if mode not in ("0o700", "0o600") and name != "static.stamp"}
            assert not wide

    @pytest.mark.slow
    def test_what_was_there_before(self, tmp_path: Path) -> None:
        """An older console's directory and files are taken away from others at the next start."""
        data = tmp_path / "data"
        assert start_console(tmp_path).stop() == 0
        data.chmod(0o755)
        for path in ("console.sqlite3", "secret_key", "lock"):
            (data / path).chmod(0o644)
        console = start_console(tmp_path)
        try:
            found = self.modes(data)
        finally:
            assert console.stop(signal.SIGTERM) == 0
        assert (found["data"], found["console.sqlite3"], found["secret_key"], found["lock"]) == ("0o700", "0o600", "0o600", "0o600")
        assert found["console.sqlite3-wal"] == found["console.sqlite3-shm"] == "0o600"

    def test_a_command_that_comes_first(self, tmp_path: Path) -> None:
        """A database that `migrate` makes is as private."""
        before = os.umask(0)
        try:
            manage(tmp_path, "migrate")
        finally:
            os.umask(before)
        assert set(self.modes(tmp_path / "data").values()) <= {"0o700", "0o600"}

    def test_only_what_is_ours(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What belongs to somebody else is left as it is, and what is not there is no error."""
        (tmp_path / "theirs").touch(mode=0o644)
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
        make_private(tmp_path / "theirs")
        make_private(tmp_path / "nothing")
        assert stat.S_IMODE((tmp_path / "theirs").stat().st_mode) == 0o644

    def test_folders_and_databases(self, tmp_path: Path) -> None:
        """A folder, a database and what lies beside it are made or become private."""
        private_folder(tmp_path / "a" / "b")
        (tmp_path / "x-wal").touch(mode=0o666)
        private_database(tmp_path / "x")
        assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a/b", "x", "x-wal")] == [0o700, 0o600, 0o600]
