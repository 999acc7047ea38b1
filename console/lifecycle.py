"""What starts before the first page and stops after the last: recorder, nudges, the built-in simulator."""

from __future__ import annotations

import asyncio
import gc
import logging

from channels.layers import get_channel_layer

from console import live, providers, rest
from console.recorder import recorder
from console.threads import take_turns
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
    take_turns()
    loop = asyncio.get_running_loop()
    layer = get_channel_layer()

    async def tell(groups: list[str]) -> None:
        for group in groups:
            await layer.group_send(group, {"type": "viewer.news"})

    def nudge(session_ids: set[str]) -> None:
        groups = [group for group in (*map(timeline_group, session_ids), RAIL_GROUP) if group in layer.groups]
        if groups and not loop.is_closed():  # most sessions have no viewer: theirs costs the loop nothing
            asyncio.run_coroutine_threadsafe(tell(groups), loop)

    def overflow(session_ids: set[str]) -> None:
        log.error("closing %d sessions: nothing more can be recorded", len(session_ids))
        asyncio.run_coroutine_threadsafe(live.stop_all(session_ids), loop)

    recorder.nudge, recorder.overflow = nudge, overflow
    recorder.start()
    await live.in_reader(live.mark_abandoned)
    live.READERS.submit(_read_ahead)  # costs a second: done before the first page asks, without making it wait
    _simulator = SimulatorServer(host="127.0.0.1", port=0)
    await _simulator.start()
    providers.simulator_listens(_simulator.url)


def _read_ahead() -> None:
    """Read what pages need; then tell the collector that what is here now stays."""
    catalog.events()
    gc.freeze()  # else it looks at all of it again, now and then, for 0.1 to 0.2 s in which no frame passes


async def shutdown() -> None:
    """Close every session, write what is left, stop. Takes a few seconds at most."""
    await live.stop_all()
    await rest.close()
    loop = asyncio.get_running_loop()
    if not await loop.run_in_executor(None, recorder.stop):
        log.error("Some of what was recorded last could not be written: %s", recorder.trouble or "no time left")
    if _simulator is not None:
        await _simulator.stop()
    await loop.run_in_executor(None, live.close_readers)
