"""The simulator as a WebSocket server on loopback: the only module of it that waits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from realtime.audio import duration_ms
from realtime.simulator.ears import transcribe
from realtime.simulator.handshake import Accepted, Refused, Turned, judge
from realtime.simulator.options import SimulatorOptions
from realtime.simulator.responses import Hear
from realtime.simulator.session import SimulatedSession, Work
from realtime.simulator.voice import speak

__all__ = ["SimulatorOptions", "SimulatorServer"]

log = logging.getLogger(__name__)

MESSAGE_LIMIT = 32 * 1024 * 1024
"""Bytes of one frame."""
PING_INTERVAL = 20.0
"""Seconds, as the API pings."""
WORKERS = 2
"""Threads that speak and hear; shared by all sessions."""


class SimulatorServer:
    """Serves the simulated API.

    ``async with SimulatorServer(port=0) as simulator: simulator.url``; or ``start()`` and ``stop()``.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8765, options: SimulatorOptions | None = None) -> None:
        """``port`` 0 takes a free one."""
        self.host = host
        self.port = port
        self.options = options or SimulatorOptions()
        self.wire: Callable[[str, str], None] | None = None
        """Told of every frame as it travels: direction ``sent`` (by the client) or ``received``, and its text."""
        self._server: Server | None = None
        self._workers: ThreadPoolExecutor | None = None

    @property
    def url(self) -> str:
        """Where it answers, without the model."""
        return f"ws://{self.host}:{self.port}/v1/realtime"

    async def start(self) -> None:
        """Begin to listen. Raises OSError when the port is taken."""
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="simulator")
        self._server = await serve(
            self._serve,
            self.host,
            self.port,
            process_request=self._refuse,
            select_subprotocol=_subprotocol,
            max_size=MESSAGE_LIMIT,
            compression=None,
            ping_interval=PING_INTERVAL,
            server_header=None,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Close every session (1001) and stop listening."""
        if self._server is not None:
            self._server.close(code=1001, reason="the simulator stops")
            await self._server.wait_closed()
        if self._workers is not None:
            self._workers.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    # ── Handshake ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _judge(self, request: Request) -> Accepted | Turned | Refused:
        parts = urlsplit(request.path)
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        return judge(parts.path, dict(parse_qsl(parts.query)), headers, self.options)

    def _refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        verdict = self._judge(request)
        if not isinstance(verdict, Refused):
            return None
        body = json.dumps(verdict.body).encode()
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
        return Response(verdict.status, HTTPStatus(verdict.status).phrase, headers, body)

    async def _serve(self, connection: ServerConnection) -> None:
        if connection.request is None:  # cannot happen: a handler runs after the handshake
            return
        verdict = self._judge(connection.request)
        if isinstance(verdict, Turned):
            await self._turn_away(connection, verdict)
        elif isinstance(verdict, Accepted):
            await _Conversation(self, connection, verdict).run()

    async def _turn_away(self, connection: ServerConnection, verdict: Turned) -> None:
        event = json.dumps({"type": "error", "event_id": "event_refused", "error": verdict.error})
        self.tell("received", event)
        try:
            await connection.send(event)
            await connection.close(verdict.code, verdict.reason)
        except ConnectionClosed:
            log.debug("a client that was turned away left first")

    def tell(self, direction: str, raw: str) -> None:
        """Tell the tap of one frame."""
        if self.wire is not None:
            self.wire(direction, raw)

    async def do(self, work: Work) -> Any:
        """Do a piece of work in a thread."""
        loop = asyncio.get_running_loop()
        if isinstance(work, Hear):
            if self.options.ears == "off":
                return f"({duration_ms(work.pcm) / 1000:.1f} s of speech)"
            return await loop.run_in_executor(self._workers, transcribe, work.pcm)
        return await loop.run_in_executor(self._workers, speak, work.text, work.voice, work.speed, self.options.voice)


class _Conversation:
    """One client's connection and its session."""

    def __init__(self, server: SimulatorServer, connection: ServerConnection, accepted: Accepted) -> None:
        self.server = server
        self.connection = connection
        self.drop = accepted.drop
        self.session = SimulatedSession(accepted.model, server.options, time.monotonic, time.time)
        self.changed = asyncio.Event()
        self.changed.set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Carry frames both ways until the connection is over."""
        sender = asyncio.create_task(self._send(), name="simulator sends")
        try:
            async for message in self.connection:
                if isinstance(message, str):
                    self.server.tell("sent", message)
                    self.session.receive_text(message)
                else:
                    self.session.receive_binary(message)
                self.changed.set()
                await asyncio.sleep(0)  # a client in full flow must not keep the sender from its turn
        except ConnectionClosed:
            log.debug("a client vanished")
        finally:
            for task in (sender, *self.tasks):
                task.cancel()
            await asyncio.gather(sender, *self.tasks, return_exceptions=True)

    async def _send(self) -> None:
        """Send what the session has to say, when it has to be said."""
        while True:
            self.changed.clear()
            self.session.advance()
            for key, work in self.session.work_to_do():
                task = asyncio.create_task(self._work(key, work), name="simulator works")
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            for raw in self.session.events_to_send():
                self.server.tell("received", raw)
                await self.connection.send(raw)
                if self.drop and '"response.created"' in raw[:60]:
                    self.connection.transport.abort()
                    return
            if self.session.close is not None:
                await self.connection.close(*self.session.close)
                return
            due = self.session.next_at()
            # Not wait_for: in Python 3.11 it can swallow the cancellation that ends this task.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                    await self.changed.wait()

    async def _work(self, key: int, work: Work) -> None:
        try:
            self.session.work_done(key, await self.server.do(work))
        except (OSError, RuntimeError, ValueError) as error:
            log.warning("the simulator could not %s: %s", type(work).__name__.lower(), error)
            self.session.work_failed(key, f"The server had an error while processing your request: {error}.")
        self.changed.set()


def _subprotocol(connection: ServerConnection, offered: Any) -> Any:
    """``realtime`` when it is offered; the one that bears the key is never selected."""
    return "realtime" if "realtime" in offered else None
