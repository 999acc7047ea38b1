"""A client of the simulator over a real socket: dial, send, and read until something comes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from realtime.simulator.server import SimulatorServer
from realtime.simulator.shared.options import SimulatorOptions
from tests.realtime.simulator.harness import Event, check, types
from tests.waiting import PATIENCE

QUICK = SimulatorOptions(latency_ms=5, pace=60, voice="tone")


def dial(simulator: SimulatorServer, model: str = "gpt-realtime", **arguments: Any) -> connect:
    """Connect as a client does; ``model`` empty: without one."""
    query = f"?model={model}" if model else ""
    return connect(simulator.url + query, max_size=None, compression=None, open_timeout=PATIENCE, **arguments)


async def send(client: ClientConnection, type_: str, **fields: Any) -> None:
    """One client event."""
    await client.send(json.dumps({"type": type_, **fields}))


async def until(client: ClientConnection, type_: str) -> list[Event]:
    """Events up to and with the first of a type; each is one of the API's."""
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async for raw in client:
            events.append(json.loads(raw))
            check(events[-1])
            if events[-1]["type"] == type_:
                return events
    raise AssertionError(f"closed before {type_}: {types(events)}")


async def drained(client: ClientConnection) -> list[str]:
    """Everything until the connection is over, however it ends."""
    frames: list[str] = []
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                frames.append(str(await client.recv()))
        except ConnectionClosed:
            return frames
