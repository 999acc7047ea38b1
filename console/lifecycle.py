"""What starts before the first page and stops after the last: recorder, nudges, housekeeping, the built-in simulator."""

from __future__ import annotations

import asyncio
import gc
import logging

from django.conf import settings
from django.template.loader import get_template

from console import accounts, housekeeping, imports, live, providers, recovering, rest
from console.journal import Journal
from console.locks import Refused
from console.news import RAIL, news
from console.preparing import CannotStart
from console.recorder import recorder
from console.threads import take_turns
from realtime import catalog
from realtime.simulator.server import SimulatorServer

log = logging.getLogger(__name__)

COLLECT_AFTER = (5_000, 5, 5)
"""Objects more than before at which the collector looks at new ones, and how seldom at older ones; Python's are 700, 10, 10."""

_simulator: SimulatorServer | None = None
_rounds: asyncio.Task[None] | None = None


async def startup() -> None:
    """Start everything; call once, on the event loop that serves the pages. Raises CannotStart and DatabaseError."""
    global _rounds, _simulator
    take_turns()
    loop = asyncio.get_running_loop()

    def nudge(session_ids: set[str]) -> None:
        news.tell((*session_ids, RAIL))

    def overflow(session_ids: set[str]) -> None:
        log.error("closing %d sessions, for recording failed: %s", len(session_ids), recorder.trouble)
        asyncio.run_coroutine_threadsafe(live.give_up(session_ids), loop)

    recorder.nudge, recorder.shown, recorder.overflow = nudge, news.topics, overflow
    await recover()
    recorder.journal = open_journal()
    recorder.start()
    live.READERS.submit(_read_ahead)  # costs a second: done before the first page asks, without making it wait
    _simulator = SimulatorServer(host="127.0.0.1", port=0)
    await _simulator.start()
    providers.simulator_listens(_simulator.url)
    _rounds = asyncio.create_task(housekeeping.rounds(), name="housekeeping")


async def recover() -> None:
    """Store and close what the last console left, before anything is recorded. Raises CannotStart when that cannot be."""
    try:
        await live.in_reader(recovering.recover)
    except (recovering.NotStored, Refused) as error:
        raise CannotStart(
            f"What the last console recorded is in its journal and cannot be stored ({error}). Nothing of it is lost: "
            "mend that and start again."
        ) from None


def open_journal() -> Journal | None:
    """A new journal for what is recorded from now on; without one a kill loses more, which is said."""
    try:
        return Journal(recovering.journal_base())
    except OSError as error:
        log.error("there is no journal (%s): a kill would lose what is not yet in the database", error)
        return None


def _read_ahead() -> None:
    """Read what pages need; then let the collector look seldom, and at nothing that is here to stay.

    No frame passes while it looks: at all there is that takes 0.2 s, at what a hundred sessions hold 20 ms. What
    sessions leave behind is freed without it.
    """
    catalog.events()
    for path in (settings.BASE_DIR / "templates" / "console").glob("*.html"):
        get_template(f"console/{path.name}")  # compiled, and kept
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def shutdown() -> None:
    """Close every session, write what is left, stop. Takes a few seconds at most."""
    if _rounds is not None:
        _rounds.cancel()
    await asyncio.gather(live.stop_all(), imports.stop_all())
    await accounts.flush()
    await rest.close()
    loop = asyncio.get_running_loop()
    if not (stored := await loop.run_in_executor(None, recorder.stop)):
        log.error("Some of what was recorded last is not in the database yet: %s", recorder.trouble or "no time left")
    if recorder.journal is not None:
        recorder.journal.close(stored=stored)
        recorder.journal = None
    if _simulator is not None:
        await _simulator.stop()
    await loop.run_in_executor(None, housekeeping.stop)
    await loop.run_in_executor(None, live.close_readers)
