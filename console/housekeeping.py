"""Housekeeping: a thread beside the console that removes what was deleted, left behind, or is to be kept no longer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from console import import_process, retention, storage
from console.news import RAIL, news
from console.threads import give_way
from console.writer import explain

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between two rounds."""
FIRST_AFTER = 1.0
"""Seconds after the start: the first page goes first."""

_stopped = threading.Event()
_WORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="housekeeping", initializer=give_way)

exceeded = ""
"""A sentence for the pages while the limit of size is exceeded and nothing may be removed."""


def _round() -> None:
    """Remove what is to be removed, then give back the space."""
    global exceeded
    try:
        allowed = retention.limits()
        before = exceeded
        stopped = _stopped.is_set
        retention.sweep_deleted(stopped)
        retention.sweep_imports(import_process.locks(), stopped)
        pruned = retention.prune(allowed, tell, stopped)
        exceeded = pruned.exceeded
        if exceeded and exceeded != before:
            log.warning("%s", exceeded)
        if exceeded != before:
            tell()
        if not stopped() and (pruned.removed or connection.vendor == "sqlite"):
            storage.give_back(stopped=stopped)
    except DatabaseError as error:
        log.error("sessions that are to be removed stay for now: %s", explain(error))
    except Exception:
        log.exception("housekeeping failed; it is tried again")
    finally:
        connection.close()


def _clear_uploads() -> None:
    for left in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*"):
        with contextlib.suppress(OSError):
            left.unlink()


def soon() -> Future[None]:
    """Do a round as soon as the one under way is over. Any thread may ask."""
    return _WORKER.submit(_round)


def tell() -> None:
    """Let pages that list sessions look again."""
    news.tell([RAIL])


def stop() -> None:
    """Let the round under way end after its transaction, and wait for it: what it leaves, the next start removes."""
    _stopped.set()
    _WORKER.submit(_stopped.clear).result()


async def rounds() -> None:
    """Do a round now and then, until this is cancelled. What uploads were left by a console that was killed goes first."""
    await asyncio.wrap_future(_WORKER.submit(_clear_uploads))
    await asyncio.sleep(FIRST_AFTER)
    while True:
        await asyncio.shield(asyncio.wrap_future(soon()))
        await asyncio.sleep(EVERY)
