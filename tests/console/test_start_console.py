"""Starting and stopping the console: what it prepares, what it says, and what it refuses in one sentence."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests import children
from tests.conftest import ROOT, START_WITHIN, Console, start_console
from tests.waiting import eventually, soon

TIMEOUT = START_WITHIN


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
    """A second start neither migrates nor collects: it takes less than three seconds of one core."""
    assert start_console(tmp_path).stop() == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data/static").rglob("*")}
    console = start_console(tmp_path)
    took = children.cpu_seconds(console.process)
    assert console.stop() == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data/static").rglob("*")} == before
    assert took < 3  # of computing, as time passes faster where others compute, too


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


@pytest.mark.parametrize("url", ["console.example", "https://console.example/path", "https://[x"])
def test_a_public_url_that_is_none(tmp_path: Path, url: str) -> None:
    """An address that is no origin is refused, and the sentence shows it."""
    assert f"it is '{url}'" in refused(tmp_path, CONSOLE_PUBLIC_URL=url)


@pytest.mark.slow
def test_the_public_url_is_printed(tmp_path: Path) -> None:
    """Behind a proxy the address that people open is said first, and served as a host."""
    console = start_console(tmp_path, CONSOLE_PUBLIC_URL="https://console.example", CONSOLE_TOKEN="open-sesame")
    try:
        assert console.lines[0] == f"Realtime Console: https://console.example/ (behind a proxy to {console.url})"
        headers = {"Host": "console.example", "Authorization": "Bearer open-sesame"}
        request = urllib.request.Request(f"{console.url}sessions.json", headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            assert answer.status == 200
    finally:
        assert console.stop() == 0
    assert console.log.read_text() == ""


@pytest.mark.slow
def test_it_serves_https_beside_http(tmp_path: Path) -> None:
    """With --tls it says both addresses and what a client must trust, and serves pages and sockets at both."""
    console = start_console(tmp_path, "--tls")
    try:
        said = console.lines
        encrypted = said[1].split()[-1]
        trust = dict(line.split()[-1].split("=") for line in said[2:])
        assert set(trust) == {"NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"}
        context = ssl.create_default_context(cafile=trust["SSL_CERT_FILE"])
        for url in (console.url, encrypted):
            with urllib.request.urlopen(f"{url}healthz", timeout=TIMEOUT, context=context) as answer:
                assert answer.status == 200
        asyncio.run(speak(encrypted, context))
    finally:
        status = console.stop()
    assert (status, console.log.read_text()) == (0, "")


async def speak(url: str, context: ssl.SSLContext | None = None) -> None:
    """Be told by the simulator, through the relay, that a session has begun; it is recorded."""
    address = url.replace("http", "ws", 1) + "via/simulator/v1/realtime?model=gpt-realtime"
    async with connect(address, ssl=context, proxy=None) as client:
        assert json.loads(await client.recv())["type"] == "session.created"
        assert client.response is not None
        session = client.response.headers["x-console-session"]

    def listed() -> dict[str, Any]:
        with urllib.request.urlopen(f"{url}sessions.json", timeout=TIMEOUT, context=context) as answer:
            (kept,) = json.load(answer)
        return kept

    await soon(lambda: listed()["status"] == "closed", "the session is closed")
    kept = listed()
    assert kept["id"] == session
    assert kept["events"]


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    """A certificate without its key is one sentence that names both variables, before anything else is touched."""
    said = refused(tmp_path, "--port", "0", CONSOLE_TLS_CERT=str(tmp_path / "cert.pem"))
    assert "CONSOLE_TLS_CERT is set and CONSOLE_TLS_KEY is not" in said


def test_a_taken_port_for_https_is_said(tmp_path: Path) -> None:
    """A port for https that somebody else listens on is named by its own variable."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refused(tmp_path, "--port", "0", "--tls", CONSOLE_TLS_PORT=str(port))
    assert f"use CONSOLE_TLS_PORT={port + 1}" in said


@pytest.mark.slow
def test_runserver_is_a_whole_console(tmp_path: Path) -> None:
    """`manage.py runserver` prepares, and starts the recorder and the simulator, as `manage.py console` does."""
    console = start(tmp_path, [sys.executable, "manage.py", "runserver", "--noreload", "0"])
    try:
        asyncio.run(speak(console.url))
    finally:
        status = console.stop()
    assert (status, "Traceback" in console.log.read_text()) == (0, False)


@pytest.mark.slow
def test_any_asgi_server_carries_it(tmp_path: Path) -> None:
    """Under uvicorn, as docs/serving.md starts it, the console records and answers; ending it closes what is open."""
    environment = {**os.environ, "CONSOLE_DATA_DIR": str(tmp_path / "data")}
    for command in (["migrate"], ["collectstatic", "--noinput"]):
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, timeout=TIMEOUT, check=True,
        )  # fmt: skip
    console = start(tmp_path, [sys.executable, "-m", "uvicorn", *UVICORN, "--port", "0"])
    try:
        asyncio.run(speak(console.url))
        second = start_refused(tmp_path, [sys.executable, "-m", "uvicorn", *UVICORN, "--port", "0"])
    finally:
        console.stop()
    assert "Another console works with" in second
    assert "Traceback" not in console.log.read_text()


UVICORN = (
    "console.asgi:application --ws-max-size 33554432 --ws-per-message-deflate false "
    "--timeout-graceful-shutdown 5 --log-level info --no-use-colors"
).split()


def test_the_documents_say_how_uvicorn_is_started() -> None:
    """docs/serving.md has the options that were tried here."""
    command = " ".join(UVICORN[:5])
    assert command in " ".join((ROOT / "docs/serving.md").read_text().replace("\\\n", " ").split())


def start(folder: Path, command: list[str]) -> Console:
    """Another way to start the console; waits until it has said its address, in the log or on its output."""
    log = folder / "terminal.log"
    with log.open("wb") as terminal:
        process = children.spawn(
            command, cwd=ROOT, env={**os.environ, "CONSOLE_DATA_DIR": str(folder / "data"), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def address() -> re.Match[str] | None:
        assert process.poll() is None, f"it did not start: {log.read_text()}"
        return re.search(r"(?:Console:|running on) (http://\S+)", log.read_text())

    found = eventually(address, "it says its address", TIMEOUT)
    assert found is not None
    return Console(process, found[1].rstrip("/") + "/", folder / "data", log)


def start_refused(folder: Path, command: list[str]) -> str:
    """What it says when it does not start."""
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "CONSOLE_DATA_DIR": str(folder / "data")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert ended.returncode != 0
    return ended.stderr


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
