"""A server for the page's sound alone: its modules, a bare page, and an audio socket that a test plays."""

from __future__ import annotations

import asyncio
import json
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.waiting import PATIENCE

HERE = Path(__file__).parent
FOLDERS = {"static": HERE.parents[1] / "static" / "console", "": HERE / "voice_page"}
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self' ws:;"
    " img-src 'self' data: https://tile.openstreetmap.org"
)
"""As strict as the console's own."""


class SoundStage:
    """What the page said, in order, and a way to answer. Everything runs in a thread of its own."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any] | bytes] = []
        """All messages of the page: text as dict, sound as bytes."""
        self.connections = 0
        self.refuse = False
        """Whether new connections are turned away."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._socket: ServerConnection | None = None
        self._stop: asyncio.Event
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """The page."""
        return f"http://127.0.0.1:{self.port}/index.html"

    @property
    def told(self) -> list[dict[str, Any]]:
        """The text messages."""
        return [message for message in self.heard if isinstance(message, dict)]

    @property
    def chunks(self) -> list[bytes]:
        """The sound messages."""
        return [message for message in self.heard if isinstance(message, bytes)]

    def say(self, *messages: dict[str, Any] | bytes) -> None:
        """Send to the page, in order."""

        async def send() -> None:
            assert self._socket is not None, "the page has no socket open"
            for message in messages:
                await self._socket.send(message if isinstance(message, bytes) else json.dumps(message))

        asyncio.run_coroutine_threadsafe(send(), self._loop).result(PATIENCE)

    def hang_up(self, code: int, reason: str = "") -> None:
        """Close the page's socket; 1006 breaks it instead."""

        async def close() -> None:
            assert self._socket is not None
            if code == 1006:
                self._socket.transport.abort()
            else:
                await self._socket.close(code, reason)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(PATIENCE)

    async def _converse(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.connections += 1
        try:
            async for message in socket:
                self.heard.append(json.loads(message) if isinstance(message, str) else message)
        except ConnectionClosed:
            return

    def _answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        if request.path.startswith("/audio"):
            return _response(HTTPStatus.SERVICE_UNAVAILABLE, b"not now", "text/plain") if self.refuse else None
        folder, name = _split(request.path)
        file = FOLDERS[folder] / name
        if not file.is_file():
            return _response(HTTPStatus.NOT_FOUND, b"no such file", "text/plain")
        return _response(HTTPStatus.OK, file.read_bytes(), mimetypes.guess_type(name)[0] or "application/octet-stream")

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        server: Server
        async with serve(self._converse, "127.0.0.1", 0, process_request=self._answer) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()
            server.close(close_connections=True)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[SoundStage]:
        """Serve for the length of the block."""
        stage = cls()
        thread = threading.Thread(target=stage._loop.run_until_complete, args=(stage._run(),), name="sound stage")
        thread.start()
        assert stage._ready.wait(PATIENCE), "the server of the sound stage did not start"
        try:
            yield stage
        finally:
            stage._loop.call_soon_threadsafe(stage._stop.set)
            thread.join(PATIENCE)
            stage._loop.close()


def _split(path: str) -> tuple[str, str]:
    name = path.partition("?")[0].removeprefix("/")
    folder, _, rest = name.partition("/")
    return (folder, rest) if folder == "static" else ("", name)


def _response(status: HTTPStatus, body: bytes, type_: str) -> Response:
    headers = Headers({"Content-Type": type_, "Content-Length": str(len(body)), "Content-Security-Policy": POLICY})
    return Response(status.value, status.phrase, headers, body)
