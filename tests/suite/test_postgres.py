"""The tests' PostgreSQL: each test has an empty database, the console runs on it, and the server ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.conftest import ROOT, start_console
from tests.postgres import Postgres, binaries, running_postgres
from tests.waiting import eventually


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_has_an_empty_database(postgres: Postgres, postgres_url: str, turn: str) -> None:
    """A table made by one test is not there in the next one's database."""
    name = postgres_url.partition("@/")[2].partition("?")[0]
    with postgres.connect(name) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        connection.execute(f"CREATE TABLE {turn} (id int)")


def test_a_console_runs_on_it(tmp_path: Path, postgres: Postgres, postgres_url: str) -> None:
    """A console that gets the URL as DATABASE_URL keeps its tables there."""
    console = start_console(tmp_path, DATABASE_URL=postgres_url)
    try:
        name = postgres_url.partition("@/")[2].partition("?")[0]
        with postgres.connect(name) as connection:
            assert connection.execute("SELECT count(*) FROM console_session").fetchone() == (0,)
    finally:
        assert console.stop() == 0


def test_the_server_ends_with_its_context() -> None:
    """When the context is left, also by an exception, neither the process nor its folder remains."""
    with pytest.raises(RuntimeError, match="a test failed"):
        with running_postgres() as server:
            raise RuntimeError("a test failed")
    assert server.process.returncode is not None
    assert not server.folder.exists()
    with pytest.raises(psycopg.OperationalError):
        server.connect()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_server_ends_with_a_killed_run() -> None:
    """kill -9 of the process that started the server ends the server."""
    if binaries() is None:
        pytest.skip("PostgreSQL's server is not installed (scripts/install-services)")
    story = (
        "import os, signal, tests.postgres as it\n"
        "with it.running_postgres() as server:\n"
        "    print(server.process.pid, server.folder, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", story], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    pid, folder = run.stdout.split()
    eventually(lambda: not _is_there(int(pid)), "the server ends")
    shutil.rmtree(folder)


def _is_there(pid: int) -> bool:
    """Whether a process has this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
