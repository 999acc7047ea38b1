"""The tap that writes: batches, on a thread and a connection of its own; then it nudges whoever shows."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from django.db import DatabaseError, DataError, IntegrityError, connection

from console.batches import Batch
from console.threads import give_way
from realtime import timeline as engine

log = logging.getLogger(__name__)

FLUSH_AFTER = 0.04  # seconds a batch may gather; with the write itself a row is stored within 50 ms
FLUSH_MORE, FLUSH_MOST = 0.001, 0.1  # seconds more for each session of the last batch: each costs pages of its own
REST_AFTER = 25  # batches without an entry, one second of them, after which the thread sleeps until it is woken
BATCH_ROWS = 500  # entries; one transaction
PRESSED = 0.08  # seconds: when as many come in less, it is a flood, and what counts is to get through it
SMALL_ROWS = 40  # entries of a transaction when there is no hurry, or all of one session: a short one holds nobody up
BREATH_EVERY, BREATH = 8, 0.00005  # entries, and seconds in which the loop that carries sound has its turn
PENDING_LIMIT = 64 * 1024 * 1024  # bytes held in memory while the database cannot be written
BEHIND = 16 * 1024 * 1024  # bytes waiting to be written at which those who can wait should
ENTRY_OVERHEAD = 400  # bytes an entry costs in memory beside its frame, roughly
RETRY_FIRST, RETRY_MOST = 0.25, 2.0  # seconds between tries while the database is locked or the disk is full


@dataclass(frozen=True, slots=True)
class Late:
    """What a frame's way through the relay cost, known after it was told."""

    seq: int
    added_us: int | None
    size: int = 0


Told = tuple[str, engine.Entry | Late]
"""Something told, and of which session."""


class Recorder:
    """Writes what all sessions of this process tell it.

    ``tap(session_id)`` gives a session its tap: recording is one put on a queue and cannot wait. The thread writes what
    has come every 40 ms, with many sessions every 100 ms, then calls ``nudge(ids)`` with the sessions that have news.
    While the database cannot be written it keeps what it has, tries again, and says so in ``trouble``; when that
    becomes too much for memory it calls ``overflow(ids)``, whose duty is to close those sessions: none runs unrecorded.
    """

    def __init__(self) -> None:
        self.nudge: Callable[[set[str]], None] = lambda ids: None
        self.overflow: Callable[[set[str]], None] = lambda ids: None
        self.trouble = ""
        """One sentence while recording is held up; empty when all is well."""
        self._told = self._done = 0
        """Bytes taken, and bytes dealt with: each counted by one thread only."""
        self._queue: deque[Told] = deque()
        self._wake = threading.Event()
        """That the thread should look before it is time."""
        self._rests = self._stopping = False
        self._folders: dict[str, engine.Folder] = {}
        self._thread: threading.Thread | None = None
        self._told_overflow = False

    @property
    def pending(self) -> int:
        """Bytes told and not yet stored."""
        return self._told - self._done

    @property
    def behind(self) -> bool:
        """Whether more is told than can be written, for no other reason than its amount."""
        return self._told - self._done > BEHIND and not self.trouble

    def tap(self, session_id: str) -> SessionTap:
        """The tap for one session."""
        return SessionTap(self, session_id)

    def put(self, session_id: str, entry: engine.Entry | Late) -> None:
        """Take one entry of one session, or what one's way cost; neither waits nor raises."""
        self._told += entry.size + ENTRY_OVERHEAD
        self._queue.append((session_id, entry))
        # To wake the thread costs more than all the rest, and it looks by itself soon enough.
        if (self._rests or len(self._queue) >= BATCH_ROWS) and not self._wake.is_set():
            self._wake.set()

    def start(self) -> None:
        """Start the thread; safe to call twice."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Write what is left and end the thread. Returns False when it could not be written in time."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._stopping = True
        self._wake.set()
        thread.join(timeout)
        return not thread.is_alive() and not self.trouble

    def _run(self) -> None:
        """Write what has come whenever it is time, until told to stop."""
        give_way()
        gather, quiet, taken = FLUSH_AFTER, 0, time.monotonic()
        try:
            while not self._stopping or self._queue:
                if not self._stopping:
                    self._wait(gather, quiet > REST_AFTER)
                told, before, taken = self._take(), taken, time.monotonic()
                pressed = len(told) == BATCH_ROWS and taken - before < PRESSED
                quiet = 0 if told else quiet + 1
                sessions = self._store(told, hurry=self._stopping or pressed or len(self._queue) >= BATCH_ROWS)
                gather = min(FLUSH_AFTER + FLUSH_MORE * sessions, FLUSH_MOST)
        finally:
            connection.close()

    def _store(self, told: list[Told], hurry: bool) -> int:
        """Write and nudge; returns of how many sessions. In no hurry, so that the loop never waits for long."""
        sessions: set[str] = set()
        for part in [told] if hurry else _apart(told):
            batch, size = self._batch(part, hurry)
            part.clear()  # their frames are held by the batch alone, which is gone as soon as it is written
            self._write(batch)
            self._done += size
            if batch.sessions:
                self.nudge(set(batch.sessions))
            sessions |= batch.sessions.keys()
        return len(sessions)

    def _wait(self, gather: float, rest: bool) -> None:
        """Wait until a batch is due; after a while in which none came, first until anything does."""
        if rest:
            self._rests = True
            if not self._queue:  # who has put something just now may not have seen that this thread rests
                self._wake.wait()
            self._rests = False
            self._wake.clear()
        if len(self._queue) < BATCH_ROWS and not self._stopping:
            self._wake.wait(gather)
        self._wake.clear()

    def _take(self) -> list[Told]:
        """What has come, as much as one transaction may hold; session by session, as that is a third less to write."""
        queue = self._queue
        told = [queue.popleft() for _ in range(min(len(queue), BATCH_ROWS))]
        told.sort(key=itemgetter(0))
        return told

    def _batch(self, told: list[Told], hurry: bool) -> tuple[Batch, int]:
        """Rows of what was told. With them its size in bytes."""
        batch, size = Batch(), 0
        for number, (session_id, entry) in enumerate(told, 1):
            size += entry.size + ENTRY_OVERHEAD
            if isinstance(entry, Late):
                batch.late.append((entry.added_us, session_id, entry.seq))
                continue
            if (folder := self._folders.get(session_id)) is None:
                folder = self._folders[session_id] = engine.Folder()
            batch.add(session_id, entry, folder)
            if entry.kind == "close":
                del self._folders[session_id]
            if not hurry and number % BREATH_EVERY == 0:
                time.sleep(BREATH)
        return batch, size

    def _write(self, batch: Batch) -> None:
        """Write a batch, again and again while the database refuses; says so in ``trouble`` meanwhile."""
        wait = RETRY_FIRST
        while True:
            try:
                batch.write()
            except (DataError, IntegrityError) as error:
                if not (gone := batch.drop_deleted()):
                    self._give_up(batch, error)
                    return
                log.warning("sessions deleted while they were being recorded: %s", ", ".join(gone))
            except DatabaseError as error:
                self._suffer(f"Recording is held up: {explain(error)}. Nothing is lost yet; it is tried again.", batch)
                connection.close()
                time.sleep(wait)
                wait = min(wait * 2, RETRY_MOST)
            else:
                if self.trouble:
                    self.trouble, self._told_overflow = "", False
                    log.warning("recording goes on")
                return

    def _give_up(self, batch: Batch, error: Exception) -> None:
        """Drop what the database will never take, a defect of ours: those sessions end, all others are recorded on."""
        log.error("entries of %s could not be stored", ", ".join(batch.sessions), exc_info=error)
        self.trouble = f"Some of what happened could not be stored: {explain(error)}."
        self.overflow(set(batch.sessions))

    def _suffer(self, trouble: str, batch: Batch) -> None:
        if trouble != self.trouble:
            log.error("%s", trouble)
        self.trouble = trouble
        self.nudge(set(batch.sessions))
        if self.pending > PENDING_LIMIT and not self._told_overflow:
            self._told_overflow = True
            self.overflow(set(self._folders))


def _apart(told: list[Told]) -> Iterator[list[Told]]:
    """Several small transactions in place of one, each session in one of them. What is told is used up on the way."""
    told.reverse()
    while told:
        part = [told.pop()]
        while told and (len(part) < SMALL_ROWS or told[-1][0] == part[-1][0]):
            part.append(told.pop())
        yield part


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


class SessionTap:
    """One session's tap."""

    def __init__(self, recorder: Recorder, session_id: str) -> None:
        self.recorder = recorder
        self.session_id = session_id

    def record(self, entry: engine.Entry) -> None:
        """Take one entry."""
        self.recorder.put(self.session_id, entry)

    @property
    def behind(self) -> bool:
        """Whether those who can wait should, until more is written."""
        return self.recorder.behind

    def forwarded(self, entry: engine.Entry) -> None:
        """Take what a relayed frame's way cost, when that became known late."""
        if entry.transit is not None:
            self.recorder.put(self.session_id, Late(entry.seq, entry.transit.added_us))


recorder = Recorder()
"""This process's recorder; ``console.lifecycle`` starts and stops it."""
