"""The tap that records: gathers what all sessions tell, hands it to the process that writes, then nudges who shows."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from time import monotonic, sleep

from console.batches import BATCH_ROWS
from console.courier import Courier
from console.gathering import Gathering, weight
from console.journal import Journal
from console.parcels import Late, Receipt, Told
from console.threads import breathe, give_way
from realtime import timeline as engine
from realtime.errors import traced

log = logging.getLogger(__name__)

LOOK_EVERY = 0.02  # seconds between two looks at what has come: packed as it comes, never a whole batch in one go
SHOWN_MORE, SHOWN_MOST = 0.001, 0.06  # seconds more that a batch gathers for each session that runs, and at most
OTHER_MORE, OTHER_MOST = 0.005, 0.26  # the same where no page shows them: fewer and larger batches cost less
FEW = 20  # sessions that run, up to which one batch for all of them costs less than two
REST_AFTER = 50  # looks without an entry, one second of them, after which the thread sleeps until it is woken
HELD_UP_FOR = 3.0  # seconds it may be held up before no new session begins: a lock of another program's is shorter
FAIL_PAUSE = 0.5  # seconds between two tries when the recorder itself fails
PENDING_LIMIT = 64 * 1024 * 1024  # bytes held in memory while the database cannot be written
PARCEL_ROWS = 32  # entries packed in one go: 0.1 ms in which the loop does not have its turn
BEHIND = 12 * 1024 * 1024  # bytes waiting to be written at which those who can wait should
ROOM_WITHIN = 0.5  # seconds after which who waits for room looks by itself


class Recorder:
    """Records what all sessions of this process tell it.

    ``tap(session_id)`` gives a session its tap: recording is one put on a queue and cannot wait. A thread packs what
    has come every 20 ms for the process that writes (``console.writer_process``), to be stored every 40 ms, with many
    sessions every 100 ms, or 300 ms if no page shows them; then ``nudge(ids)`` is called with the sessions that have
    more rows, none if rows only grew: who shows one that goes on looks by itself. ``shown()`` says which ones pages
    show. While the database cannot be written what was told is kept and tried again, and ``trouble`` says so; when
    that lasts, ``stopped`` is the reason for which no new session may begin; when it becomes too much for memory
    ``overflow(ids)`` is called, whose duty is to close those sessions: none runs unrecorded. Should the process itself
    end, another one takes over with what is not stored.
    """

    def __init__(self) -> None:
        self.nudge: Callable[[set[str]], None] = lambda ids: None
        self.overflow: Callable[[set[str]], None] = lambda ids: None
        self.shown: Callable[[], frozenset[str]] = frozenset
        self.trouble = ""
        """One sentence while recording is held up; empty when all is well."""
        self._told = self._done = 0
        """Bytes taken, and bytes dealt with: each counted by one thread only."""
        self._queue: deque[Told] = deque()
        self.journal: Journal | None = None
        """Keeps what is packed until it is stored; set before ``start``."""
        self._courier = Courier(self._heard)
        self._waiting: deque[asyncio.Future[None]] = deque()
        """Of those who wait until less is behind."""
        self._open: set[str] = set()
        """Sessions that have not told their end."""
        self._wake = threading.Event()
        """That the thread should look before it is time."""
        self._rests = self._stopping = False
        self._batches = Gathering(SHOWN_MORE, SHOWN_MOST), Gathering(OTHER_MORE, OTHER_MOST)
        """What is gathered of the sessions that pages show, and of all others."""
        self._shown: frozenset[str] | None = None
        """Which ones go into the first; all while they are few."""
        self._thread: threading.Thread | None = None
        self._told_overflow = False
        self._hand: deque[tuple[Gathering, list[Told]]] = deque()
        """What was taken from the queue and is in no batch yet."""
        self._held_since = 0.0
        """Since when recording is held up (``monotonic``); 0 while it is not."""
        self._stop_by = 0.0
        """When a stop gives up (``monotonic``)."""

    @property
    def stopped(self) -> str:
        """Why a new session could not be recorded: a sentence; empty while recording goes on, or is held up for a moment."""
        if not (since := self._held_since):
            return ""
        return self.trouble if monotonic() - since > HELD_UP_FOR or self.pending > PENDING_LIMIT else ""

    @property
    def pending(self) -> int:
        """Bytes told and not yet stored."""
        return self._told - self._done

    @property
    def behind(self) -> bool:
        """Whether more is told than can be written, for no other reason than its amount."""
        return self._told - self._done > BEHIND and not self.trouble

    async def room(self) -> None:
        """Wait until half of what was too much is written, or for a moment: a hundred sessions that look every 10 ms take
        the time in which it could be."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ROOM_WITHIN):
                await future

    def tap(self, session_id: str) -> SessionTap:
        """The tap for one session."""
        return SessionTap(self, session_id)

    def put(self, session_id: str, entry: engine.Entry | Late) -> None:
        """Take one entry of one session, or what one's way cost; neither waits nor raises."""
        self._told += weight(entry)
        self._queue.append((session_id, entry))
        if self._rests and not self._wake.is_set():  # to wake the thread costs more than all the rest
            self._wake.set()

    def start(self) -> None:
        """Start to write; safe to call twice. Raises OSError when there can be no process that does."""
        if self._thread is None:
            self._stopping = False
            self._courier.begin()
            self._begin()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Write what is left and end. Returns False when it could not be written in time."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._stop_by = monotonic() + timeout
        self._stopping = True
        self._wake.set()
        thread.join(timeout)
        if thread.is_alive():
            self._courier.abandon()
            return False
        return not self.trouble and not self.pending

    def _run(self) -> None:
        """Hand on what has come, until told to stop. Should this thread end otherwise, another one takes its place."""
        try:
            give_way()
            self._work()
        except BaseException as error:  # noqa: BLE001  (also what is meant to end a thread: this one is needed)
            self._fail(error)
            if self._thread is threading.current_thread():
                self._begin()

    def _work(self) -> None:
        quiet = 0
        while not self._stopping or self._queue or self._hand or any(self._batches):
            try:
                if not self._stopping:
                    self._wait(quiet > REST_AFTER)
                quiet = 0 if self._queue or any(self._batches) else quiet + 1
                self._heed_pages()
                self._pack()
                self._send(all_=self._stopping)
            except Exception as error:  # noqa: BLE001  (nothing is lost by it: what was in hand is tried again)
                self._fail(error)
                if self._thread is None and not self._stop_by > monotonic():
                    return
            if self._held_since and not self.pending:
                self._go_on()
        self._courier.end()

    def _fail(self, error: BaseException) -> None:
        """Say that handing on has failed, and pause before it is tried again."""
        log.error("the recorder failed: %s", traced(error))
        self._suffer(f"the recorder itself failed ({type(error).__name__}); the console's log has the details")
        sleep(FAIL_PAUSE)

    def _wait(self, rest: bool) -> None:
        """Wait until it is time to look; after a while in which nothing came, first until anything does."""
        if rest:
            self._rests = True
            if not self._queue:  # who has put something just now may not have seen that this thread rests
                self._wake.wait()
            self._rests = False
            self._wake.clear()
        if not self._stopping and len(self._queue) < BATCH_ROWS:
            due = min((batch.due for batch in self._batches if batch), default=inf)
            sleep(max(0.0, min(LOOK_EVERY, due - monotonic())))

    def _heed_pages(self) -> None:
        """Learn which sessions pages show. When those are others, all that has gathered is handed on: what a session told
        is never in both batches, so its order is kept."""
        shown = self.shown() if len(self._open) > FEW else None
        if shown != self._shown:
            self._send(all_=True)
            self._shown = shown

    def _pack(self) -> None:
        """Pack what has come, a few entries at a time, as much as one transaction may hold."""
        queue, shown, (watched, others) = self._queue, self._shown, self._batches
        while (queue or self._hand) and not watched.full and not others.full:
            if not self._hand:
                self._take(shown)
            while self._hand:
                batch, told = self._hand[0]
                batch.take(told, len(self._open), self.journal)
                self._hand.popleft()
            if queue:
                breathe()

    def _take(self, shown: frozenset[str] | None) -> None:
        """Take a few entries from the queue, for one batch or the other."""
        queue, (watched, others) = self._queue, self._batches
        told = [queue.popleft() for _ in range(min(len(queue), PARCEL_ROWS))]
        for session_id, entry in told:
            if isinstance(entry, engine.Entry):
                (self._open.discard if entry.kind == "close" else self._open.add)(session_id)
        if shown is None:
            self._hand.append((watched, told))
        else:
            self._hand.append((watched, [one for one in told if one[0] in shown]))
            self._hand.append((others, [one for one in told if one[0] not in shown]))

    def _send(self, all_: bool = False) -> None:
        """Hand on what is whole, to be stored; with ``all_`` also what is not."""
        for batch in self._batches:
            if batch.whole or (all_ and batch):
                self._courier.send(batch.finish())

    def _heard(self, receipt: Receipt, size: int) -> None:
        """What became of a batch of that many bytes: it is held up, it can never be stored, or it is stored."""
        if not receipt.done:
            self._suffer(receipt.trouble)
        else:
            self._done += size
            if receipt.deleted:
                log.warning("sessions deleted while they were being recorded: %s", ", ".join(receipt.deleted))
            if receipt.trouble:
                log.error("entries of %s could not be stored: %s", ", ".join(receipt.sessions), receipt.details)
                self.trouble, self._held_since = f"Some of what happened could not be stored: {receipt.trouble}.", 0.0
                self._call(self.overflow, receipt.sessions)
            elif self.trouble:
                self._go_on()
        if receipt.sessions:
            self._call(self.nudge, receipt.sessions if receipt.trouble else receipt.begun)
        if self.trouble or self.pending < BEHIND // 2:
            self._make_room()

    def _go_on(self) -> None:
        """Recording goes on after trouble."""
        self.trouble, self._told_overflow, self._held_since = "", False, 0.0
        log.warning("recording goes on")

    def _call(self, told: Callable[[set[str]], None], sessions: Iterable[str]) -> None:
        """Tell somebody of these sessions; what goes wrong there is not the recording's."""
        try:
            told(set(sessions))
        except Exception as error:  # noqa: BLE001
            log.error("what is recorded could not be told: %s", traced(error))

    def _make_room(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            with contextlib.suppress(RuntimeError):  # its loop is closed
                future.get_loop().call_soon_threadsafe(_end, future)

    def _suffer(self, why: str) -> None:
        trouble = f"Recording is held up: {why}. Nothing is lost yet; it is tried again."
        if self.journal is not None and self.journal.failure:
            trouble = (
                f"Recording is held up: {why}. What is not stored is in memory alone, as the journal cannot be written either "
                f"({self.journal.failure}): it is lost if the console ends. It is tried again."
            )
        if trouble != self.trouble:
            log.error("%s", trouble)
        self.trouble = trouble
        self._held_since = self._held_since or monotonic()
        if self.pending > PENDING_LIMIT and not self._told_overflow:
            self._told_overflow = True
            self._call(self.overflow, set(self._open))


def _end(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class SessionTap:
    """One session's tap."""

    def __init__(self, recorder: Recorder, session_id: str) -> None:
        self.recorder = recorder
        self.session_id = session_id
        self.record: Callable[[engine.Entry], None] = partial(recorder.put, session_id)
        """Takes one entry; a method would be one more call for every frame."""

    @property
    def behind(self) -> bool:
        """Whether those who can wait should, until more is written."""
        return self.recorder.behind

    async def room(self) -> None:
        """Wait until much of that is written, or for a moment."""
        await self.recorder.room()

    def forwarded(self, entry: engine.Entry) -> None:
        """Take what a relayed frame's way cost, when that became known late."""
        if entry.transit is not None:
            self.recorder.put(self.session_id, Late(entry.seq, entry.transit.added_us))


recorder = Recorder()
"""This process's recorder; ``console.lifecycle`` starts and stops it."""
