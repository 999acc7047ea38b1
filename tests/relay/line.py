"""A line through the relay for any client: what travels is kept on both sides of the console and compared with its log."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

from realtime.simulator.server import SimulatorServer
from tests.clients.conftest import HURRIED
from tests.conftest import Console
from tests.realtime.simulator.watch import watched
from tests.relay.stage import log, own, port_of, stored
from tests.relay.wire import Tap


class Line:
    """What clients take for the API: a tap, the console, a tap, the simulator."""

    def __init__(self, relay: Console, before: Tap, behind: Tap, simulator: SimulatorServer) -> None:
        self.relay, self.before, self.behind, self.simulator = relay, before, behind, simulator
        self.host, self.port = "127.0.0.1", before.port
        self.url = f"ws://{self.host}:{self.port}/v1/realtime"

    async def check(self) -> None:
        """What was stored of each session is what travelled, on both sides of the console; nothing is missing."""
        talks = [wire for wire in self.before.wires if wire.header("x-console-session")]
        assert talks
        for client, upstream in zip(talks, self.behind.wires, strict=True):
            rows = await log(self.relay, client.header("x-console-session"))
            assert stored(rows, "sent", "client") == own(*client.sent)
            assert stored(rows, "sent", "upstream") == own(*upstream.sent)
            told = own(*client.received)
            # What the API still said while its client was leaving reached nobody any more.
            assert stored(rows, "received", "client")[: len(told)] == told
            heard = stored(rows, "received", "upstream")
            assert own(*upstream.received)[: len(heard)] == heard
            assert len(told) > 1


@contextlib.asynccontextmanager
async def line(relay: Console, listener: socket.socket) -> AsyncIterator[Line]:
    """A line to a simulator of its own; what was stored is compared with what travelled, at the end."""
    with watched():
        async with SimulatorServer(port=0, options=HURRIED) as simulator:
            async with Tap(simulator.port, listener.dup()) as behind, Tap(port_of(relay)) as before:
                running = Line(relay, before, behind, simulator)
                yield running
                await running.check()
