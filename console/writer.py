"""Writer: stores what the recorder tells it, each batch in one transaction, and says what became of it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from operator import itemgetter
from typing import BinaryIO

from django.db import DatabaseError, DataError, IntegrityError, connection

from console.batches import Batch
from console.parcels import Late, Receipt, Told, parcels, signed
from console.reopening import reopened
from realtime import timeline as engine

RETRY_FIRST, RETRY_MOST = 0.25, 2.0
"""Seconds between tries while the database is locked or the disk is full."""
ALONE_FOR = 5.0
"""Seconds it goes on trying when the console is gone."""


class Writer:
    """Stores what it is told, session by session; ``tell`` gets a receipt for each batch, and whenever one is held up."""

    def __init__(self, tell: Callable[[Receipt], None], again: bool = False) -> None:
        """``again``: some of what comes may have been stored already, by a writer that ended before it could say so."""
        self._tell = tell
        self._again = again
        self._folders: dict[str, engine.Folder] = {}
        self._stored: dict[str, int] = {}
        """Where another writer stopped, of sessions that this one began in the middle."""

    def store(self, told: list[Told]) -> None:
        """Write what was told in one transaction, again and again while the database refuses."""
        told.sort(key=itemgetter(0))  # session by session is a third less to write
        sessions = sorted({session_id for session_id, _ in told})
        deleted: list[str] = []
        batch: Batch | None = None
        wait = RETRY_FIRST
        while True:
            try:
                if batch is None:
                    self._open(told)
                    batch = self._batch(told)
                    told.clear()  # their frames are held by the batch alone
                batch.write()
            except (DataError, IntegrityError) as error:
                if batch is None or not (gone := batch.drop_deleted()):
                    self._tell(Receipt(sessions, trouble=explain(error), details=traceback.format_exc()))
                    return
                deleted += sorted(gone)
            except DatabaseError as error:
                self._tell(Receipt(sessions, done=False, trouble=explain(error)))
                connection.close()
                time.sleep(wait)
                wait = min(wait * 2, RETRY_MOST)
            else:
                self._tell(Receipt(sessions, deleted=deleted))
                return

    def _batch(self, told: list[Told]) -> Batch:
        """Rows of what was told."""
        batch = Batch()
        for session_id, entry in told:
            if isinstance(entry, Late):
                batch.late.append((entry.added_us, session_id, entry.seq))
                continue
            folder = self._folders.setdefault(session_id, engine.Folder())
            if entry.seq > self._stored.get(session_id, 0):
                batch.add(session_id, entry, folder)
            if entry.kind == "close":
                del self._folders[session_id]
                self._stored.pop(session_id, None)
        return batch

    def _open(self, told: list[Told]) -> None:
        """Have ready what folds each session: from its first entry, or from where another writer stopped."""
        for session_id, entry in told:
            if session_id in self._folders or isinstance(entry, Late):
                continue
            if entry.seq == 1 and not self._again:
                self._folders[session_id] = engine.Folder()
            else:
                self._folders[session_id], stored = reopened(session_id)
                self._stored[session_id] = stored if self._again else 0


def explain(error: Exception) -> str:
    """A database error in words a person can act on."""
    text = str(error)
    if "locked" in text:
        return "the database is locked by another program"
    if "full" in text:
        return "the disk is full; free some space"
    if "readonly" in text or "read-only" in text:
        return "the database cannot be written to (read-only)"
    return f"the database said: {text}"


class Alone(Exception):
    """The console is gone, and what it told last cannot be stored."""


class Answering:
    """Sends receipts. When nobody is there to read them, what has come is stored all the same, if that can be soon."""

    def __init__(self, outward: BinaryIO) -> None:
        self._outward = outward
        self._alone_since: float | None = None

    def tell(self, receipt: Receipt) -> None:
        """Send one. Raises Alone when nothing can be stored and nobody is there to be told."""
        if self._alone_since is None:
            try:
                self._outward.write(signed(receipt))
                self._outward.flush()
            except OSError:
                self._alone_since = time.monotonic()
        elif not receipt.done and time.monotonic() - self._alone_since > ALONE_FOR:
            raise Alone(receipt.trouble)


def serve(inward: BinaryIO, outward: BinaryIO, again: bool = False) -> None:
    """Store parcels until no more come."""
    writer, waiting = Writer(Answering(outward).tell, again), []
    try:
        for told, whole in parcels(inward):
            waiting += told
            if whole:
                writer.store(waiting)
        if waiting:  # the console ended while it told this
            writer.store(waiting)
    finally:
        connection.close()
