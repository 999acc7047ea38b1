"""The simulator as a WebSocket server on loopback, with the threads and keys shared by all sessions."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from realtime.audio import duration_ms
from realtime.simulator.conversation.jobs import Recognize, Work
from realtime.simulator.faults.presets import refused
from realtime.simulator.model.speech_recognition import transcribe, transcribe_so_far
from realtime.simulator.model.speech_synthesis import speak
from realtime.simulator.scenarios.player import ScenarioPlayer
from realtime.simulator.scenarios.steps import Scenario
from realtime.simulator.server.connection import SimulatorConnection
from realtime.simulator.server.handshake import Accepted, AcceptedThenClosed, Refused, check_handshake, refused_by_http
from realtime.simulator.server.http import failure, http_fallback
from realtime.simulator.server.keys import EphemeralKeys
from realtime.simulator.server.outgoing import OutgoingQueue
from realtime.simulator.server.rest_api import RestApi
from realtime.simulator.session.session import SimulatedSession
from realtime.simulator.shared.options import SimulatorOptions

__all__ = ["SimulatorOptions", "SimulatorServer"]

log = logging.getLogger(__name__)

MESSAGE_LIMIT = 32 * 1024 * 1024
"""Bytes of one frame."""
OPEN_SECONDS = 10.0
"""Seconds for a client's handshake, or for a whole plain HTTP request."""
WORKERS = 2
"""Threads for speech synthesis, and as many for speech recognition, shared by all sessions: no answer waits for recognition."""
COMPLAINTS = 1000
"""Deviations from the scenario that are kept, the latest."""


class SimulatorServer:
    """Serves the simulated API.

    ``async with SimulatorServer(port=0) as simulator: simulator.url``; or ``start()`` and ``stop()``.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 8765, options: SimulatorOptions | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """``port`` 0 takes a free port; ``now`` returns unix seconds. Raises FaultError, and TypeError if ``options.scenario``
        is not a Scenario."""
        self.host = host
        self.port = port
        self.options = options or SimulatorOptions()
        self.wire: Callable[[str, str], None] | None = None
        """Called with every frame: direction ``sent`` (by the client) or ``received``, and its text."""
        self.now = now
        self.keys = EphemeralKeys(now)
        self.complaints: deque[str] = deque(maxlen=COMPLAINTS)
        """Deviations from the scenario: steps not reached by the end of a session, placeholders without a value."""
        self.frozen: set[asyncio.Transport] = set()
        """Connections kept from reading by a step or a fault."""
        self._let_in = 0
        self._begun = 0
        OutgoingQueue(self.options.faults)
        if self.options.scenario is not None and not isinstance(self.options.scenario, Scenario):
            given = self.options.scenario
            raise TypeError(f"options.scenario must be a Scenario, not {given!r}: realtime.simulator.load reads a file")
        self._scenario = self.options.scenario
        self._server: Server | None = None
        self._synthesis_workers: ThreadPoolExecutor | None = None
        self._recognition_workers: ThreadPoolExecutor | None = None

    @property
    def url(self) -> str:
        """Address of the WebSocket, without the model."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}/v1/realtime"

    async def start(self) -> None:
        """Start listening. Raises OSError if the port is taken."""
        self._synthesis_workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="simulator voice")
        self._recognition_workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="simulator ears")
        self._server = await serve(
            self._serve,
            self.host,
            self.port,
            process_request=self._refuse,
            process_response=_in_api_shape,
            select_subprotocol=_subprotocol,
            max_size=MESSAGE_LIMIT,
            compression=None,
            create_connection=http_fallback(RestApi(self.options, self.keys).answer),
            open_timeout=OPEN_SECONDS,
            ping_interval=self.options.ping_seconds,
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
        for workers in (self._synthesis_workers, self._recognition_workers):
            if workers is not None:
                workers.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    # ── Handshake ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _judge(self, request: Request) -> Accepted | AcceptedThenClosed | Refused:
        path, _, query = request.path.partition("?")  # not urlsplit, which raises for addresses like //[
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        return check_handshake(path, dict(parse_qsl(query)), headers, self.options, self.keys)

    def _refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        verdict = self._judge(request)
        if isinstance(verdict, Accepted):
            if (status := refused(self.options.faults, self._let_in)) is not None:
                verdict = refused_by_http(status)
            self._let_in += 1
        if not isinstance(verdict, Refused):
            return None
        return _response(verdict.status, verdict.body, {"Allow": "POST"} if verdict.status == HTTPStatus.METHOD_NOT_ALLOWED else {})

    async def _serve(self, connection: ServerConnection) -> None:
        if connection.request is None:  # cannot happen: a handler runs after the handshake
            return
        verdict = self._judge(connection.request)
        if isinstance(verdict, AcceptedThenClosed):
            await self._turn_away(connection, verdict)
        elif isinstance(verdict, Accepted):
            await SimulatorConnection(self, connection, verdict).run()

    async def _turn_away(self, connection: ServerConnection, verdict: AcceptedThenClosed) -> None:
        event = json.dumps({"type": "error", "event_id": "event_refused", "error": verdict.error})
        self.report_frame("received", event)
        try:
            await connection.send(event)
            await connection.close(verdict.code, verdict.reason)
        except ConnectionClosed:
            log.debug("a client that was turned away left first")

    def with_scenario(self, session: SimulatedSession, outgoing: OutgoingQueue) -> SimulatedSession | ScenarioPlayer:
        """Put a scenario player in front of a new session, if there is a scenario or a fault."""
        self._begun += 1
        scenario = self._scenario
        if scenario is not None and scenario.sessions is not None and self._begun > scenario.sessions:
            scenario = None
        if scenario is None and not self.options.faults:
            return session
        return ScenarioPlayer(session, scenario or Scenario(), outgoing.plan)

    def report_frame(self, direction: str, raw: str) -> None:
        """Report one frame to the tap."""
        if self.wire is not None:
            self.wire(direction, raw)

    async def receive_in_thread(self, session: SimulatedSession | ScenarioPlayer, raw: str) -> None:
        """Process a frame in a thread; nothing else may use the session meanwhile."""
        await asyncio.get_running_loop().run_in_executor(self._recognition_workers, session.receive_text, raw)

    async def run_job(self, work: Work) -> Any:
        """Do a piece of work in a thread."""
        loop = asyncio.get_running_loop()
        if isinstance(work, Recognize):
            if self.options.ears == "off":
                return "" if work.partial else f"({duration_ms(work.pcm) / 1000:.1f} s of speech)"
            return await loop.run_in_executor(self._recognition_workers, transcribe_so_far if work.partial else transcribe, work.pcm)
        return await loop.run_in_executor(self._synthesis_workers, speak, work.text, work.voice, work.speed, self.options.voice)


def _response(status: int, body: dict[str, Any], headers: Mapping[str, str]) -> Response:
    """Return the HTTP response to a failed handshake."""
    content = json.dumps(body).encode()
    all_headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), "Connection": "close", **headers}
    return Response(status, HTTPStatus(status).phrase, Headers(all_headers), content)


def _in_api_shape(connection: ServerConnection, request: Request, response: Response) -> Response | None:
    """Convert a failed handshake of websockets into the API's error shape; None leaves the response unchanged."""
    if response.status_code < HTTPStatus.BAD_REQUEST or response.headers.get("Content-Type") == "application/json":
        return None
    error = failure(response.status_code, bytes(response.body).decode().partition("\n")[0])
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade, close"}
    return _response(error.status, error.body, upgrade if error.status == HTTPStatus.UPGRADE_REQUIRED else {})


def _subprotocol(connection: ServerConnection, offered: Any) -> Any:
    """Select ``realtime`` if offered; the subprotocol with the key is never selected."""
    return "realtime" if "realtime" in offered else None
