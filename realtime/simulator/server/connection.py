"""A client's connection to the simulator: relays frames both ways, each at its time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from realtime.dialects import BetaClient, Translator
from realtime.simulator.conversation.jobs import Work
from realtime.simulator.scenarios.player import ScenarioPlayer
from realtime.simulator.server.handshake import Accepted
from realtime.simulator.server.outgoing import OutgoingQueue
from realtime.simulator.session.session import SimulatedSession
from realtime.simulator.shared.frames import Abort, Frame, Freeze, Shut
from realtime.simulator.shared.options import SimulatorOptions

log = logging.getLogger(__name__)

LONG_FRAME = 64 * 1024
"""Characters above which a frame is processed in a thread: one second of audio takes 6 ms, and the largest frame would delay
all other sessions."""
UNSENT_LIMIT = 4 * 1024 * 1024
"""Characters that may wait for a slow client; above the limit no more frames are read from the client."""


class ServerServices(Protocol):
    """The part of the server that its connections use."""

    @property
    def options(self) -> SimulatorOptions:
        """The options of all sessions."""

    @property
    def now(self) -> Callable[[], float]:
        """Returns unix seconds."""

    @property
    def frozen(self) -> set[asyncio.Transport]:
        """Connections kept from reading by a step or a fault."""

    @property
    def complaints(self) -> deque[str]:
        """Deviations from the scenario, one sentence each."""

    def with_scenario(self, session: SimulatedSession, outgoing: OutgoingQueue) -> SimulatedSession | ScenarioPlayer:
        """Put the scenario in front of a new session, if it has one."""

    def report_frame(self, direction: str, raw: str) -> None:
        """Report one frame to the tap: direction ``sent`` (by the client) or ``received``, and its text."""

    async def receive_in_thread(self, session: SimulatedSession | ScenarioPlayer, raw: str) -> None:
        """Process a frame in a thread; nothing else may use the session meanwhile."""

    async def run_job(self, work: Work) -> Any:
        """Return the result of a piece of work, done in a thread. Raises OSError, RuntimeError or ValueError."""


class SimulatorConnection:
    """One client's connection and its session."""

    def __init__(self, server: ServerServices, connection: ServerConnection, accepted: Accepted) -> None:
        self.server = server
        self.connection = connection
        self.drop = accepted.drop
        self.outgoing = OutgoingQueue(server.options.faults, server.options.seed)
        self.session = SimulatedSession(
            accepted.model, self.outgoing.options(server.options), time.monotonic, server.now, accepted.kind, accepted.settings
        )
        self.front = server.with_scenario(self.session, self.outgoing)
        """The session, or the scenario player in front of it."""
        self.translator = BetaClient(self.session.conversation_id) if accepted.beta else Translator()
        self.changed = asyncio.Event()
        self.changed.set()
        self.sent = asyncio.Event()
        self.turn = asyncio.Lock()
        """Held during any use of the session, in threads too."""
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Carry frames both ways until the connection is over."""
        if not self.outgoing.pongs:
            never_pong(self.connection)
        sender = asyncio.create_task(self._send(), name="simulator sends")
        try:
            async for message in self.connection:
                if isinstance(message, str):
                    self.server.report_frame("sent", message)
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
            log.debug("a client left")
        finally:
            for task in (sender, *self.tasks):
                task.cancel()
            await asyncio.gather(sender, *self.tasks, return_exceptions=True)
            if isinstance(self.front, ScenarioPlayer):
                complaints = [*self.front.failures, *(f"{step}: not reached" for step in self.front.unreached())]
                self.server.complaints.extend(complaints)
                for complaint in complaints:
                    log.warning("scenario %s: %s", self.front.scenario.name, complaint)

    async def _receive(self, raw: str) -> None:
        """Process a frame; in a thread if that takes long: much audio, or the first audio."""
        listener = self.session.input_audio.buffer.listener
        unready = listener is not None and listener.detector is None and '"input_audio_buffer.append"' in raw[:200]
        if (instead := self.outgoing.intercept(raw)) is not None:
            for event in instead:
                self.outgoing.send(event, time.monotonic())
            return
        async with self.turn:
            if unready or len(raw) > LONG_FRAME:
                await self.server.receive_in_thread(self.front, raw)
            else:
                self.front.receive_text(raw)

    async def _send(self) -> None:
        """Send the session's frames at their times."""
        try:
            await self._send_all()
        except ConnectionClosed:
            log.debug("a client left before all frames were sent")
        except Exception:  # a bug, logged in full; the client must not wait for frames that never come
            log.exception("the simulator cannot go on with a session")
            await self.connection.close(1011)
        finally:
            self.sent.set()  # run() must not wait for frames that are never sent

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
                self.outgoing.send(frame, now)
            if over is not None and not closing:
                self.outgoing.send(Shut(*over), now)
            closing = over is not None
            for frame in self.outgoing.due(now):
                if not await self._put(frame):
                    return
            for note in (*self.outgoing.drain_notes(), *self.translator.notes_to_tell()):
                log.info(note)
            times = [at for at in (None if closing else due, self.outgoing.next_at()) if at is not None]
            # Not wait_for: in Python 3.11 it can swallow the cancellation that ends this task.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(times) - time.monotonic()) if times else None):
                    await self.changed.wait()

    async def _put(self, frame: Frame) -> bool:
        """Put one frame on the wire. Returns True if more may follow."""
        if isinstance(frame, Abort):
            self.connection.transport.abort()
        elif isinstance(frame, Shut):
            await self.connection.close(frame.code, frame.reason)
        elif isinstance(frame, Freeze):
            await self._freeze(frame.seconds)
        else:
            for data in self.translator.to_client(frame) if isinstance(frame, str) else [frame.data]:
                if isinstance(data, str):
                    self.server.report_frame("received", data)
                await self.connection.send(data)
                if self.drop and isinstance(data, str) and '"response.created"' in data[:60]:
                    self.connection.transport.abort()
                    return False
        return not isinstance(frame, Abort | Shut)

    async def _freeze(self, seconds: float | None) -> None:
        """Neither read nor write for this time; None: until either side gives up."""
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
            result = await self.server.run_job(work)
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
