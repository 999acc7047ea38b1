"""Starting and stopping the console: what it prepares, what it says, and what it refuses in one sentence."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import ROOT, start_console

TIMEOUT = 60  # seconds


def refused(folder: Path, *arguments: str, **environment: str) -> str:
    """What ``manage.py console`` says when it cannot start; it must be short, and no trace."""
    ended = subprocess.run(
        [sys.executable, "manage.py", "console", *arguments],
        cwd=ROOT, env={**os.environ, "CONSOLE_DATA_DIR": str(folder / "data"), **environment},
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    return ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_serves_and_stops(tmp_path: Path, signum: int) -> None:
    """From an empty directory it serves pages and hashed static files, says only where, and stops with status 0."""
    console = start_console(tmp_path)
    try:
        with urllib.request.urlopen(f"{console.url}healthz", timeout=TIMEOUT) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(console.url, timeout=TIMEOUT) as answer:
            page = answer.read().decode()
        script = next(part for part in page.split('"') if "/js/console." in part)
        assert script != "/static/console/js/console.js"
        with urllib.request.urlopen(f"{console.url.rstrip('/')}{script}", timeout=TIMEOUT) as answer:
            assert "immutable" in answer.headers["Cache-Control"]
    finally:
        status = console.stop(signum)
    assert (status, console.log.read_text()) == (0, "")


@pytest.mark.slow
def test_a_later_start_prepares_nothing_again(tmp_path: Path) -> None:
    """A second start neither migrates nor collects: it takes less than the three seconds it may."""
    assert start_console(tmp_path).stop() == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data/static").rglob("*")}
    began = time.monotonic()
    console = start_console(tmp_path)
    took = time.monotonic() - began
    assert console.stop() == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data/static").rglob("*")} == before
    assert took < 10  # three on an idle machine; the suite's is not


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    """A port somebody else listens on is one sentence that names another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refused(tmp_path, "--port", str(port))
    assert f"Port {port} is taken" in said
    assert f"PORT={port + 1}" in said


def test_an_open_address_needs_a_token(tmp_path: Path) -> None:
    """Listening where others can reach it is refused without a token, and the sentence says what to set."""
    assert "CONSOLE_TOKEN" in refused(tmp_path, HOST="0.0.0.0")


@pytest.mark.parametrize("port", ["no", "-1", "70000"])
def test_a_port_is_a_number(tmp_path: Path, port: str) -> None:
    """What is no port is said to be none."""
    assert "PORT" in refused(tmp_path, PORT=port)


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    """A data directory that cannot be made is named, with the variable that moves it."""
    (tmp_path / "data").write_text("")
    said = refused(tmp_path)
    assert str(tmp_path / "data") in said
    assert "CONSOLE_DATA_DIR" in said


@pytest.mark.slow
def test_one_data_directory_serves_one_console(tmp_path: Path) -> None:
    """A second console on the same data directory is refused, whatever its port; a later one is welcome."""
    first = start_console(tmp_path)
    try:
        said = refused(tmp_path, "--port", "0")
    finally:
        first.stop()
    assert "Another console works with" in said
    assert "CONSOLE_DATA_DIR" in said
    assert start_console(tmp_path).stop() == 0


def test_a_damaged_database(tmp_path: Path) -> None:
    """A database that is none is named, with what to do about it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/console.sqlite3").write_bytes(b"not a database" * 1000)
    assert "console.sqlite3 cannot be used" in refused(tmp_path, "--port", "0")


def test_a_locked_database(tmp_path: Path) -> None:
    """A database that another program holds is said to be held, after a few seconds of patience."""
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data/console.sqlite3") as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        assert "If another program holds it" in refused(tmp_path, "--port", "0")
    holder.close()
