"""A console to be killed: an API and clients that number and time their frames, and what the next console has of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import WebSocketException

from tests import children
from tests.conftest import ROOT
from tests.waiting import eventually

START_WITHIN = 120.0
"""Seconds for a start beside busy loops."""
STORED_WITHIN = 60.0
"""Seconds in which what was recorded is in the database when nobody is killed."""
EVERY = 0.01
"""Seconds between two frames of a side."""
SOUND = "A" * 1500
KEY = "sk-somebodys-own-key-4711"
Ask = Callable[..., list[tuple[Any, ...]]]
"""Rows of a query with ``?`` for its values."""
FRAMES = (
    "SELECT f.text FROM console_entry e JOIN console_frame f ON f.entry_id = e.id "
    "WHERE e.session_id = ? AND e.direction = ? AND e.type = 'test.tick' ORDER BY e.seq"
)


@dataclass
class Side:
    """What one side of a session has got: when frame n came."""

    came: list[float] = field(default_factory=list)

    def take(self, frame: str | bytes) -> None:
        """Take a frame; the other side numbers its ticks."""
        if (tick := json.loads(frame))["type"] == "test.tick":
            assert tick["n"] == len(self.came)
            self.came.append(time.monotonic())


@dataclass
class Talk:
    """One session: what its client got of the API and the API of the client."""

    client: Side = field(default_factory=Side)
    api: Side = field(default_factory=Side)
    session_id: str = ""
    closed: asyncio.Event = field(default_factory=asyncio.Event)


class Traffic:
    """An API and clients that talk through the console; each says a numbered frame every EVERY seconds."""

    def __init__(self, every: float = EVERY) -> None:
        self.every = every
        self._by_label: dict[str, Talk] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Traffic:
        self._server: Server = await serve(self._serve, "127.0.0.1", 0, ping_interval=None, compression=None)
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/v1/realtime"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()
        self._server.close()
        await self._server.wait_closed()

    async def start(self, console: str, sessions: int) -> list[Talk]:
        """Begin so many sessions and wait until each is under way."""
        talks = []
        for number in range(sessions):
            label = f"{time.monotonic_ns()}-{number}"
            self._by_label[label] = talk = Talk()
            self._tasks.append(asyncio.create_task(self._drive(console, label, talk)))
            talks.append(talk)
        async with asyncio.timeout(START_WITHIN):
            while not all(talk.client.came and talk.api.came for talk in talks):
                await asyncio.sleep(0.01)
        return talks

    async def stop(self) -> None:
        """End all clients."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _drive(self, console: str, label: str, talk: Talk) -> None:
        address = console.replace("http", "ws", 1) + f"v1/realtime?model={label}"
        with contextlib.suppress(WebSocketException, OSError):
            headers = {"Authorization": f"Bearer {KEY}"}
            async with connect(address, additional_headers=headers, proxy=None, ping_interval=None, compression=None) as socket:
                assert socket.response is not None
                talk.session_id = socket.response.headers["x-console-session"]
                await self._talk(socket, talk.client)
        talk.closed.set()

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        label = re.search(r"model=([\d-]+)", socket.request.path)
        assert label is not None
        await socket.send('{"type":"session.created","session":{"type":"realtime"}}')
        with contextlib.suppress(WebSocketException, OSError):
            await self._talk(socket, self._by_label[label[1]].api)

    async def _talk(self, socket: Any, side: Side) -> None:
        """Say a frame now and then, and take what comes, until the connection is gone."""
        saying = asyncio.create_task(self._say(socket))
        try:
            async for frame in socket:
                side.take(frame)
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)

    async def _say(self, socket: Any) -> None:
        number = 0
        while True:
            await socket.send(json.dumps({"type": "test.tick", "n": number, "x": SOUND}))
            number += 1
            await asyncio.sleep(self.every)


@dataclass
class Victim:
    """A console that leads a group of processes of its own."""

    process: subprocess.Popen[bytes]
    url: str
    data_dir: Path
    log: Path

    @property
    def pid(self) -> int:
        """Of the console."""
        return self.process.pid

    def writers(self) -> list[int]:
        """The processes that write for it."""
        found = subprocess.run(["pgrep", "-P", str(self.pid), "-f", "writer_process"], capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]

    def kill(self, what: str) -> None:
        """End the console, its writer, one after the other, or the whole group, as a system short of memory does."""
        writers = eventually(self.writers, "a process that writes is there")
        if what == "group":
            os.killpg(self.pid, signal.SIGKILL)
        for name in what.split(","):
            for pid in {"console": [self.pid], "writer": writers}.get(name, []):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if what != "writer":
            self.process.wait(30)

    def stop(self) -> int:
        """End it as a supervisor does."""
        return children.stop(self.process)


def start(folder: Path, **environment: str) -> Victim:
    """Start a console on the data directory in ``folder``."""
    log = folder / "terminal.log"
    with log.open("ab") as terminal:
        process = children.spawn(
            [sys.executable, "manage.py", "console", "--port", "0"],
            cwd=ROOT, env={**os.environ, "CONSOLE_DATA_DIR": str(folder / "data"), **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal,
        )  # fmt: skip
    assert process.stdout is not None
    timer = threading.Timer(START_WITHIN, process.kill)
    timer.start()
    with process.stdout as said:
        found = re.search(r"http://\S+/", line := said.readline().decode())
    timer.cancel()
    assert found, f"the console did not start within {START_WITHIN:.0f} s: {line}{log.read_text()}"
    return Victim(process, found[0], folder / "data", log)


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many processes that do nothing but take time."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@contextlib.contextmanager
def asking(console: Victim, url: str = "") -> Iterator[Ask]:
    """Ask a console's database: its SQLite file, or the PostgreSQL at an address."""
    if url:
        name = url.partition("@/")[2].partition("?")[0]
        with psycopg.connect(host=url.partition("host=")[2], user="console", dbname=name, autocommit=True) as database:
            yield lambda sql, *values: database.execute(sql.replace("?", "%s"), values).fetchall()
    else:
        with contextlib.closing(sqlite3.connect(console.data_dir / "console.sqlite3")) as file:
            yield lambda sql, *values: file.execute(sql, values).fetchall()


def stored(ask: Ask, talk: Talk, direction: str) -> int:
    """How many of one direction's frames are stored; asserts that they are the first ones, in their order, once."""
    numbers = [json.loads(text)["n"] for (text,) in ask(FRAMES, talk.session_id, direction)]
    assert numbers == list(range(len(numbers))), f"{talk.session_id} {direction} is no clean prefix"
    return len(numbers)


def losses(ask: Ask, talk: Talk) -> list[float]:
    """Seconds between the last frame that got through and the last one stored, for each direction."""
    lost = []
    for direction, side in (("received", talk.client), ("sent", talk.api)):
        kept = stored(ask, talk, direction)
        lost.append(side.came[-1] - side.came[kept - 1] if 0 < kept < len(side.came) else 0.0 if kept else float("inf"))
    return lost


def get(url: str) -> bytes:
    """What a console answers."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())
