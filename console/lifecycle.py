"""What starts before the first page and stops after the last: recorder, nudges, the built-in simulator."""

from __future__ import annotations

import asyncio
import logging

from channels.layers import get_channel_layer

from console import live, providers
from console.recorder import recorder
from realtime import catalog
from realtime.simulator.server import SimulatorServer

log = logging.getLogger(__name__)

_simulator: SimulatorServer | None = None


def timeline_group(session_id: str) -> str:
    """The channel group of those who show a session."""
    return f"timeline.{session_id}"


RAIL_GROUP = "rail"
"""The channel group of those who list sessions."""


async def startup() -> None:
    """Start everything; call once, on the event loop that serves the pages."""
    global _simulator
    loop = asyncio.get_running_loop()
    layer = get_channel_layer()

    async def tell(session_ids: set[str]) -> None:
        for session_id in session_ids:
            await layer.group_send(timeline_group(session_id), {"type": "timeline.news"})

    def nudge(session_ids: set[str]) -> None:
        if not loop.is_closed():
            asyncio.run_coroutine_threadsafe(tell(session_ids), loop)

    def overflow(session_ids: set[str]) -> None:
        log.error("closing %d sessions: nothing more can be recorded", len(session_ids))
        asyncio.run_coroutine_threadsafe(live.stop_all(session_ids), loop)

    recorder.nudge, recorder.overflow = nudge, overflow
    recorder.start()
    await live.in_reader(live.mark_abandoned)
    live.READERS.submit(catalog.events)  # costs a second: read before the first page asks, without making it wait
    _simulator = SimulatorServer(host="127.0.0.1", port=0)
    await _simulator.start()
    providers.simulator_listens(_simulator.url)


async def shutdown() -> None:
    """Close every session, write what is left, stop. Takes a few seconds at most."""
    await live.stop_all()
    loop = asyncio.get_running_loop()
    if not await loop.run_in_executor(None, recorder.stop):
        log.error("Some of what was recorded last could not be written: %s", recorder.trouble or "no time left")
    if _simulator is not None:
        await _simulator.stop()
    await loop.run_in_executor(None, live.close_readers)
