"""Writer: stores what the recorder tells it, each batch in one transaction, and says what became of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, connections, transaction

from console.batches import ALONE, Batch
from console.parcels import Late, Receipt, Told, parcels, signed
from console.quarantine import Refused, is_about_a_value, write_apart
from console.reopening import reopened
from realtime import masking
from realtime import timeline as engine
from realtime.errors import traced

RETRY_FIRST, RETRY_MOST = 0.25, 1.0
"""Seconds between tries while the database is locked or the disk is full."""
ALONE_FOR = 5.0
"""Seconds it goes on trying when the console is gone."""
LONGEST_SAID = 300
"""Characters of what a database says that are shown."""
SAY_EVERY = 0.25
"""Seconds of work after which it says that it is still at it."""
SAY_ALL_FOR = 10.0
"""Seconds in which one that has taken over says of each batch that it begins it: should it end too, over that one."""
LATE = 0.1
"""Seconds from which what is stored is late, and the next batch is not left to idle time."""


class Writer:
    """Makes rows of what it is told, and stores them; ``tell`` gets a receipt for each batch, and whenever one is held up."""

    def __init__(self, tell: Callable[[Receipt], None], again: bool = False) -> None:
        """``again``: some of what comes may have been stored already, by a writer that ended before it could say so."""
        self._tell = tell
        self._again, self._settled = again, False
        self._batch = Batch()
        self._folders: dict[str, engine.Folder] = {}
        self._stored: dict[str, int] = {}
        """Where another writer stopped, of sessions that this one began in the middle."""

    def take(self, told: list[Told]) -> None:
        """Make rows of what is told next: the frames themselves are not held any longer."""
        self._patiently(self._settle)
        self._patiently(lambda: self._open(told))
        for session_id, entry in told:
            if isinstance(entry, Late):
                self._batch.late.append((entry.added_us, session_id, entry.seq))
                continue
            folder = self._folders.get(session_id) or self._folders.setdefault(session_id, engine.Folder())
            if entry.seq > self._stored.get(session_id, 0):
                self._batch.add(session_id, entry, folder)
            if entry.kind == "close":
                del self._folders[session_id]
                self._stored.pop(session_id, None)

    def store(self) -> None:
        """Write what was taken in one transaction, again and again while the database cannot be had.

        Where it refuses a value, everything else is stored, and that entry as raw text with a mark.
        """
        batch, self._batch = self._batch, Batch()
        sessions, deleted, refused = sorted(batch.sessions), [], Refused()
        apart = partial(write_apart, batch, refused)
        write: Callable[[], None] = batch.write
        while (error := self._patiently(write, sessions)) is not None:
            if isinstance(error, IntegrityError) and (gone := self._gone(batch)):
                deleted += gone
            elif write is apart:  # not even a part of it
                refused.add(sessions, error)
                break
            else:
                write = apart
        if refused.error is not None:
            self._tell(Receipt(sorted(refused.sessions), trouble=explain(refused.error), details=traced(refused.error)))
        else:
            self._tell(Receipt(sessions, deleted=deleted, begun=sorted(batch.begun)))

    def _gone(self, batch: Batch) -> list[str]:
        """Sessions of a batch that were deleted meanwhile, and are left out of it from now on."""
        gone: set[str] = set()
        self._patiently(lambda: gone.update(batch.drop_deleted()))
        return sorted(gone)

    def _patiently(self, work: Callable[[], None], sessions: Sequence[str] = ()) -> Exception | None:
        """Do what needs the database as soon as that can be had; ``sessions`` wait for it.

        Returns None when it is done, else an error that is about a value: to try again would not help.
        """
        wait = RETRY_FIRST
        while True:
            try:
                work()
            except Exception as error:  # noqa: BLE001  (of what kind it is decides what helps)
                if is_about_a_value(error):
                    return error
                self._tell(Receipt(list(sessions), done=False, trouble=explain(error)))
                connection.close()
                time.sleep(wait)
                wait = min(wait * 2, RETRY_MOST)
            else:
                return None

    def _settle(self) -> None:
        """Once, where a writer before this one may have been killed: PostgreSQL can still be busy with its last transaction."""
        if self._again and not self._settled:
            if connection.vendor == "postgresql":
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(ALONE)
            self._settled = True

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
    text = masking.mask(str(error), "")[0]  # some repeat the value they refuse
    if "locked" in text or "lock timeout" in text:
        return "the database is locked by another program"
    if "full" in text:
        return "the disk is full; free some space"
    if "readonly" in text or "read-only" in text:
        return "the database cannot be written to (read-only)"
    return f"the database said: {' '.join(text.split())[:LONGEST_SAID]}"


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


    def at_work(self) -> None:
        """Say that this process has loaded, or is at work."""
        if self._alone_since is None:
            self.tell(Receipt([], done=False))


class Serving:
    """Stores parcels, batch by batch."""

    def __init__(self, inward: BinaryIO, outward: BinaryIO, again: bool) -> None:
        self._answering = Answering(outward)
        self._writer = Writer(self._answering.tell, again)
        self._parcels = parcels(inward, self._say)
        self._begins = True
        """Whether what comes next is the first of a batch."""
        self._said_at = time.monotonic()
        self._say_all_until = self._said_at + SAY_ALL_FOR if again else 0.0
        self._answering.at_work()

    def step(self) -> float | None:
        """Store the next batch. Returns the seconds since its last parcel was packed, None when no more will come."""
        whole = self._begins = True
        for told, whole, at in self._parcels:
            self._writer.take(told)
            if whole:
                self._writer.store()
                return time.monotonic() - at
        if not whole:  # the console ended while it told this
            self._writer.store()
        return None

    def _say(self) -> None:
        """Say that it is at work: where one batch takes long, and where the last process ended over one, at its beginning."""
        now, begins, self._begins = time.monotonic(), self._begins, False
        if now < self._say_all_until if begins else now - self._said_at > SAY_EVERY:
            self._answering.at_work()
            self._said_at = now
        elif begins:
            self._said_at = now


def serve(inward: BinaryIO, outward: BinaryIO, again: bool = False) -> None:
    """Store parcels until no more come."""
    serving = Serving(inward, outward, again)
    try:
        while serving.step() is not None:
            pass
    finally:
        connection.close()


def serve_in_turns(inward: BinaryIO, outward: BinaryIO, again: bool, give_way: Callable[[], None]) -> None:
    """As ``serve``, on two threads that take turns: one that has called ``give_way``, and this one whenever that is late."""
    serving, shared = Serving(inward, outward, again), connections[DEFAULT_DB_ALIAS]
    shared.inc_thread_sharing()  # one at a time uses it: a second connection would have a cache of its own

    def begin() -> None:
        connections[DEFAULT_DB_ALIAS] = shared
        give_way()

    try:
        Turns(serving.step, begin).run()
    finally:
        shared.close()


class Turns:
    """Work in steps on two threads: a modest one, and whoever calls ``run``, who takes the next step when one was late."""

    def __init__(self, step: Callable[[], float | None], give_way: Callable[[], None]) -> None:
        """``step`` returns how late it was, in seconds, None after the last."""
        self._step, self._give_way = step, give_way
        self._changed = threading.Condition()
        self._next: str | None = "modest"

    def run(self) -> None:
        """Work until there is no more to do. Raises what a step raises, on whichever thread."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="modest", initializer=self._give_way) as other:
            modest = other.submit(self._work, "modest")
            self._work("urgent")
            modest.result()

    def _work(self, who: str) -> None:
        while self._mine(who):
            late: float | None = None
            try:
                late = self._step()
            finally:  # a step that fails is the last one
                self._pass_on(None if late is None else "urgent" if late > LATE else "modest")

    def _mine(self, who: str) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._next in (who, None))
            return self._next is not None

    def _pass_on(self, to: str | None) -> None:
        with self._changed:
            self._next = to
            self._changed.notify_all()
