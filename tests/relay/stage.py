"""The relay on stage: a console, somebody else's API behind it, programs that connect, and what the log says of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.conftest import Console
from tests.relay.wire import Message
from tests.waiting import PATIENCE, soon

OWN_KEY = "sk-programs-own-key-4711"
CONSOLES_KEY = "sk-console-own-key-0815"
ORIGIN = "https://app.example"
"""A page's origin that may use the relay."""
LARGEST = 32 * 1024 * 1024
Row = dict[str, Any]
HELLO = '{"type":"session.created"}'
BOTH = pytest.mark.parametrize("relay", ["daphne", "uvicorn"], indirect=True)
"""For tests about the door: under the console's own server, and under another."""


class Api:
    """Somebody else's API, behind the console's provider ``custom``; each connection is handed to the test."""

    def __init__(self, listener: socket.socket) -> None:
        self.refusal: Response | None = None
        """What a handshake is answered instead."""
        self.answers = asyncio.Event()
        """Cleared: handshakes wait for their answer."""
        self.answers.set()
        self.asked: list[Request] = []
        """Handshakes, also those not answered."""
        self.given_up = 0
        """Connections that were gone before their handshake was answered."""
        self._listener = listener
        self._talks: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def __aenter__(self) -> Api:
        self._server: Server = await serve(
            self._serve,
            sock=self._listener.dup(),
            process_request=self._judge,
            compression=None,
            max_size=LARGEST,
            max_queue=None,
            ping_interval=None,
            open_timeout=None,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.answers.set()
        self._server.close()
        await self._server.wait_closed()

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.asked.append(request)
        lost = asyncio.ensure_future(connection.connection_lost_waiter)
        answered = asyncio.ensure_future(self.answers.wait())
        await asyncio.wait({answered, lost}, return_when=asyncio.FIRST_COMPLETED)
        answered.cancel()
        if lost.done():
            self.given_up += 1
        return self.refusal

    async def _serve(self, connection: ServerConnection) -> None:
        self._talks.put_nowait(connection)
        await connection.wait_closed()

    async def talk(self) -> ServerConnection:
        """The next connection that is made."""
        async with asyncio.timeout(PATIENCE):
            return await self._talks.get()


def refusal(status: int, phrase: str, body: bytes) -> Response:
    """An HTTP answer to a handshake."""
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
    return Response(status, phrase, headers, body)


def dial(relay: Console, path: str = "/v1/realtime?model=gpt-realtime", key: str = OWN_KEY, **options: Any) -> connect:
    """A program connects; without a key when that is empty."""
    headers = dict(options.pop("additional_headers", {}))
    if key:
        headers["Authorization"] = f"Bearer {key}"
    url = path if "://" in path else "ws" + relay.url.removeprefix("http").rstrip("/") + path
    chosen: dict[str, Any] = {"max_size": LARGEST, "compression": None, "proxy": None, "ping_interval": None, **options}
    return connect(url, additional_headers=headers, open_timeout=PATIENCE, **chosen)


def port_of(relay: Console) -> int:
    """Where a console listens."""
    return int(relay.url.rstrip("/").rpartition(":")[2])


@asynccontextmanager
async def joined(relay: Console, api: Api, *arguments: Any, **options: Any) -> AsyncIterator[tuple[ClientConnection, ServerConnection]]:
    """A program and the API it is connected to, which has said the first word."""
    async with dial(relay, *arguments, **options) as program:
        talk = await api.talk()
        await talk.send(HELLO)
        assert await got(program) == HELLO
        yield program, talk


async def got(connection: ClientConnection | ServerConnection) -> Message:
    """The next message."""
    async with asyncio.timeout(PATIENCE):
        return await connection.recv()


async def ended(connection: ClientConnection | ServerConnection) -> tuple[int | None, str]:
    """How the other side ended it: code and reason of its close frame, 1005 for one without, None when none came."""
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                await connection.recv()
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, "")


def session_of(connection: ClientConnection) -> str:
    """The id of the session a program got."""
    assert connection.response is not None
    return connection.response.headers["X-Console-Session"]


async def until(what: Callable[[], Any], of: str) -> None:
    """Wait until something is so."""
    await soon(what, of)


async def fetch(relay: Console, path: str, **options: Any) -> httpx.Response:
    """A page or file of the console."""
    async with httpx.AsyncClient(base_url=relay.url, trust_env=False, timeout=PATIENCE) as client:
        return await client.get(path, **options)


async def facts(relay: Console, session_id: str) -> Row:
    """What is known of a session."""
    return dict((await fetch(relay, f"sessions/{session_id}.json")).json())


async def log(relay: Console, session_id: str) -> list[Row]:
    """A session's log, when it is over."""
    async with asyncio.timeout(PATIENCE):
        while True:
            text = (await fetch(relay, f"sessions/{session_id}/log.jsonl")).text
            rows = [json.loads(line) for line in text.split("\n") if line]
            if rows[-1]["k"] == "close":
                return rows
            await asyncio.sleep(0.05)


def stored(rows: list[Row], direction: str, leg: str) -> list[str]:
    """The frames of a log in one direction, as they travelled on one side of the relay."""
    mine = [row for row in rows if row["k"] == "ev" and row["dir"] == direction]
    frames = []
    for row in mine:
        data = row.get("data") or {}
        if "pair" in row and row["leg"] != leg:
            continue
        if (leg == "client" and data.get("withheld")) or (leg == "upstream" and data.get("refused")):
            continue
        if "pair" not in row and row["origin"] == "console" and row["leg"] != leg:
            continue
        frames.append(row["raw"])
    return frames


def notes(rows: list[Row], kind: str) -> list[str]:
    """The sentences of one kind of note."""
    return [row["text"] for row in rows if row["k"] == "note" and row["kind"] == kind]


def own(*frames: Message) -> list[str]:
    """Messages as they are stored: the bytes of binary ones kept one to one."""
    return [frame if isinstance(frame, str) else frame.decode("latin-1") for frame in frames]
