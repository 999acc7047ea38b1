"""The simulator as a WebSocket server on loopback: the only module of it that waits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.http11 import Request, Response

from realtime.audio import duration_ms
from realtime.dialects import BetaClient, Translator
from realtime.simulator.ears import transcribe, transcribe_so_far
from realtime.simulator.faults import refused
from realtime.simulator.handshake import Accepted, Refused, Turned, judge, refused_by_http
from realtime.simulator.http import door
from realtime.simulator.keys import Keys
from realtime.simulator.line import Line
from realtime.simulator.options import SimulatorOptions
from realtime.simulator.responses import Hear
from realtime.simulator.rest import Rest
from realtime.simulator.scenario import Scenario
from realtime.simulator.session import SimulatedSession, Work
from realtime.simulator.stage import Stage
from realtime.simulator.voice import speak
from realtime.simulator.wire import Abort, Frame, Freeze, Shut

__all__ = ["SimulatorOptions", "SimulatorServer"]

log = logging.getLogger(__name__)

MESSAGE_LIMIT = 32 * 1024 * 1024
"""Bytes of one frame."""
OPEN_SECONDS = 10.0
"""Seconds a client has for its handshake, or for a whole request that is none."""
PING_INTERVAL = 20.0
"""Seconds, as the API pings."""
WORKERS = 2
"""Threads that speak, and as many that hear; shared by all sessions. Nobody's answer waits for others to be heard."""
LONG_FRAME = 64 * 1024
"""Characters from which on a frame is taken in a thread: one second of sound takes 6 ms to listen to, and the largest
frame as long as all other sessions would notice."""
UNSENT_LIMIT = 4 * 1024 * 1024
"""Characters that may wait for a client that does not read; nothing more is taken from it before it does."""


COMPLAINTS = 1000
"""What did not go as a scenario has it, the last of it."""


class SimulatorServer:
    """Serves the simulated API.

    ``async with SimulatorServer(port=0) as simulator: simulator.url``; or ``start()`` and ``stop()``.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 8765, options: SimulatorOptions | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """``port`` 0 takes a free one; ``now`` gives unix seconds. Raises FaultError."""
        self.host = host
        self.port = port
        self.options = options or SimulatorOptions()
        self.wire: Callable[[str, str], None] | None = None
        """Told of every frame as it travels: direction ``sent`` (by the client) or ``received``, and its text."""
        self.now = now
        self.keys = Keys(now)
        self.complaints: deque[str] = deque(maxlen=COMPLAINTS)
        """What did not go as a scenario has it: steps not reached when a session was over, placeholders without a meaning."""
        self.frozen: set[asyncio.Transport] = set()
        """Connections that a step or a fault keeps from reading."""
        self._let_in = 0
        self._begun = 0
        Line(self.options.faults)
        self._server: Server | None = None
        self._workers: ThreadPoolExecutor | None = None
        self._ears: ThreadPoolExecutor | None = None

    @property
    def url(self) -> str:
        """Where it answers, without the model."""
        return f"ws://{self.host}:{self.port}/v1/realtime"

    async def start(self) -> None:
        """Begin to listen. Raises OSError when the port is taken."""
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="simulator voice")
        self._ears = ThreadPoolExecutor(WORKERS, thread_name_prefix="simulator ears")
        self._server = await serve(
            self._serve,
            self.host,
            self.port,
            process_request=self._refuse,
            select_subprotocol=_subprotocol,
            max_size=MESSAGE_LIMIT,
            compression=None,
            create_connection=door(Rest(self.options, self.keys).answer),
            open_timeout=OPEN_SECONDS,
            ping_interval=PING_INTERVAL,
            server_header=None,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Close every session (1001) and stop listening."""
        for transport in self.frozen:
            transport.abort()
        if self._server is not None:
            self._server.close(code=1001, reason="the simulator stops")
            await self._server.wait_closed()
        for workers in (self._workers, self._ears):
            if workers is not None:
                workers.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    # ── Handshake ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _judge(self, request: Request) -> Accepted | Turned | Refused:
        parts = urlsplit(request.path)
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        return judge(parts.path, dict(parse_qsl(parts.query)), headers, self.options, self.keys)

    def _refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        verdict = self._judge(request)
        if isinstance(verdict, Accepted):
            if (status := refused(self.options.faults, self._let_in)) is not None:
                verdict = refused_by_http(status)
            self._let_in += 1
        if not isinstance(verdict, Refused):
            return None
        body = json.dumps(verdict.body).encode()
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
        if verdict.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "POST"
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

    def staged(self, session: SimulatedSession, line: Line) -> SimulatedSession | Stage:
        """A new session, with whoever has a say in it."""
        self._begun += 1
        scenario = self.options.scenario
        if scenario is not None and scenario.sessions is not None and self._begun > scenario.sessions:
            scenario = None
        if scenario is None and not self.options.faults:
            return session
        return Stage(session, scenario or Scenario(), line.plan)

    def tell(self, direction: str, raw: str) -> None:
        """Tell the tap of one frame."""
        if self.wire is not None:
            self.wire(direction, raw)

    async def listen(self, session: SimulatedSession | Stage, raw: str) -> None:
        """Let a session take a frame in a thread; nobody else may touch it meanwhile."""
        await asyncio.get_running_loop().run_in_executor(self._ears, session.receive_text, raw)

    async def do(self, work: Work) -> Any:
        """Do a piece of work in a thread."""
        loop = asyncio.get_running_loop()
        if isinstance(work, Hear):
            if self.options.ears == "off":
                return "" if work.partial else f"({duration_ms(work.pcm) / 1000:.1f} s of speech)"
            return await loop.run_in_executor(self._ears, transcribe_so_far if work.partial else transcribe, work.pcm)
        return await loop.run_in_executor(self._workers, speak, work.text, work.voice, work.speed, self.options.voice)


class _Conversation:
    """One client's connection and its session."""

    def __init__(self, server: SimulatorServer, connection: ServerConnection, accepted: Accepted) -> None:
        self.server = server
        self.connection = connection
        self.drop = accepted.drop
        self.line = Line(server.options.faults, server.options.seed)
        self.session = SimulatedSession(
            accepted.model, self.line.options(server.options), time.monotonic, server.now, accepted.kind, accepted.settings
        )
        self.front = server.staged(self.session, self.line)
        """The session, or the scenario in front of it: what is fed and drained."""
        self.translator = BetaClient(self.session.conversation_id) if accepted.beta else Translator()
        self.changed = asyncio.Event()
        self.changed.set()
        self.sent = asyncio.Event()
        self.turn = asyncio.Lock()
        """Held by whoever works with the session, which may be a thread."""
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Carry frames both ways until the connection is over."""
        if not self.line.pongs:
            never_pong(self.connection)
        sender = asyncio.create_task(self._send(), name="simulator sends")
        try:
            async for message in self.connection:
                if isinstance(message, str):
                    self.server.tell("sent", message)
                    for raw in self.translator.to_api(message):
                        await self._receive(raw)
                else:
                    self.front.receive_binary(message)
                self.changed.set()
                await asyncio.sleep(0)  # a client in full flow must not keep the sender from its turn
                while self.session.unsent > UNSENT_LIMIT and not sender.done():
                    self.sent.clear()
                    await self.sent.wait()
        except ConnectionClosed:
            log.debug("a client vanished")
        finally:
            for task in (sender, *self.tasks):
                task.cancel()
            await asyncio.gather(sender, *self.tasks, return_exceptions=True)
            if isinstance(self.front, Stage):
                complaints = [*self.front.problems, *(f"{step}: not reached" for step in self.front.left())]
                self.server.complaints.extend(complaints)
                for complaint in complaints:
                    log.warning("scenario %s: %s", self.front.scenario.name, complaint)

    async def _receive(self, raw: str) -> None:
        """Give the session a frame; in a thread where that takes long: much sound, or the first that is listened to."""
        listener = self.session.hearing.buffer.listener
        unready = listener is not None and listener.detector is None and '"input_audio_buffer.append"' in raw[:200]
        if (instead := self.line.hear(raw)) is not None:
            for event in instead:
                self.line.send(event, time.monotonic())
            return
        async with self.turn:
            if unready or len(raw) > LONG_FRAME:
                await self.server.listen(self.front, raw)
            else:
                self.front.receive_text(raw)

    async def _send(self) -> None:
        """Send what the session has to say, when it has to be said."""
        try:
            await self._send_all()
        finally:
            self.sent.set()  # nobody must wait for what is never sent

    async def _send_all(self) -> None:
        closing = False
        while True:
            self.changed.clear()
            async with self.turn:
                self.front.advance()
                for key, work in self.front.work_to_do():
                    task = asyncio.create_task(self._work(key, work), name="simulator works")
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
                events, due = self.front.events_to_send(), self.front.next_at()
                over = self.front.close
            self.sent.set()
            now = time.monotonic()
            for frame in events:
                self.line.send(frame, now)
            if over is not None and not closing:
                self.line.send(Shut(*over), now)
            closing = over is not None
            for frame in self.line.due(now):
                if not await self._put(frame):
                    return
            for note in (*self.line.notes_to_tell(), *self.translator.notes_to_tell()):
                log.info(note)
            times = [at for at in (None if closing else due, self.line.next_at()) if at is not None]
            # Not wait_for: in Python 3.11 it can swallow the cancellation that ends this task.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(times) - time.monotonic()) if times else None):
                    await self.changed.wait()

    async def _put(self, frame: Frame) -> bool:
        """Put one frame on the wire. Whether more may follow."""
        if isinstance(frame, Abort):
            self.connection.transport.abort()
        elif isinstance(frame, Shut):
            await self.connection.close(frame.code, frame.reason)
        elif isinstance(frame, Freeze):
            await self._freeze(frame.seconds)
        else:
            for data in self.translator.to_client(frame) if isinstance(frame, str) else [frame.data]:
                if isinstance(data, str):
                    self.server.tell("received", data)
                await self.connection.send(data)
                if self.drop and isinstance(data, str) and '"response.created"' in data[:60]:
                    self.connection.transport.abort()
                    return False
        return not isinstance(frame, Abort | Shut)

    async def _freeze(self, seconds: float | None) -> None:
        """Neither read nor write for so long; None: until somebody gives up."""
        transport = self.connection.transport
        self.connection.ping_timeout = None  # else the server itself would be the one that gives up
        self.server.frozen.add(transport)
        transport.pause_reading()
        try:
            await asyncio.sleep(seconds) if seconds is not None else await asyncio.Event().wait()
        finally:
            self.server.frozen.discard(transport)
            transport.resume_reading()

    async def _work(self, key: int, work: Work) -> None:
        try:
            result = await self.server.do(work)
        except (OSError, RuntimeError, ValueError) as error:
            log.warning("the simulator could not %s: %s", type(work).__name__.lower(), error)
            async with self.turn:
                self.front.work_failed(key, f"The server had an error while processing your request: {error}.")
        else:
            async with self.turn:
                self.front.work_done(key, result)
        self.changed.set()


def never_pong(connection: ServerConnection) -> None:
    """Let a connection answer no pings."""
    protocol, send = connection.protocol, connection.protocol.send_frame

    def send_all_but_pongs(frame: WebSocketFrame) -> None:
        if frame.opcode is not Opcode.PONG:
            send(frame)

    protocol.send_frame = send_all_but_pongs  # type: ignore[method-assign]


def _subprotocol(connection: ServerConnection, offered: Any) -> Any:
    """``realtime`` when it is offered; the one that bears the key is never selected."""
    return "realtime" if "realtime" in offered else None
