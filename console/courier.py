"""Courier: supervises the process that writes. Keeps each batch until it is stored, and replaces a process that ended or hangs."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from console import writer_process
from console.gathering import Packed
from console.hang_detection import HangDetector
from console.isolating import split, without_entry
from console.parcels import Receipt, receipts
from console.threads import give_way

log = logging.getLogger(__name__)

AGAIN_AFTER, AGAIN_MOST = 0.25, 2.0
"""Seconds until another process is started; doubled with each that ends before anything more is stored."""
DEATHS = 5
"""Processes that may end over one single entry before it is given up: what killed them will kill the next one. One that hangs
counts twice."""
LOOK_EVERY = 0.25
"""Seconds between two looks whether the process still answers."""


class Process(Protocol):
    """The process that writes, as ``subprocess`` has it."""

    stdin: Any
    stdout: Any

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its status."""

    def kill(self) -> None:
        """End it at once."""


class Courier:
    """Brings batches to the process that writes, on threads of its own: ``send`` never waits.

    ``heard`` is told what became of each batch: some receipts may say why one is held up, one says that it is dealt
    with, and then also its size. A process that ends, or that says nothing for too long (``console.hang_detection``), is replaced
    by one that is told all that is not stored. A batch over which a process has ended is split; a single entry over
    which DEATHS have ended is given up, with a note in its place on its session's timeline.
    """

    launch: Callable[[bool, bool], Process] = staticmethod(writer_process.start)
    """Starts the process; called with whether another one was there before, and whether it is to be modest."""

    def __init__(self, heard: Callable[[Receipt, int], None]) -> None:
        self._heard = heard
        self._changed = threading.Condition()
        """Guards all that follows; notified when any of it changes."""
        self._sent: deque[Packed] = deque()
        """Batches that are not dealt with, oldest first."""
        self._written = 0
        """How many of them this process was given."""
        self._process: Process | None = None
        self._listener: threading.Thread | None = None
        self._threads: list[threading.Thread] = []
        self._lost = self._ending = self._abandoned = self._over = False
        self._modest = True
        self._detector = HangDetector()
        self._deaths = 0
        """Processes that have ended since anything was stored."""

    def begin(self) -> None:
        """Start a process and what supervises it. Raises OSError when there can be no process."""
        self._ending = self._abandoned = self._over = False
        self._deaths = 0
        self._launch(again=bool(self._sent))
        self._threads = [
            threading.Thread(target=self._supervise, name="recorder writes", daemon=True),
            threading.Thread(target=self._watch, name="recorder watch", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def send(self, batch: Packed) -> None:
        """Take a batch, to be stored."""
        batch.finish()
        with self._changed:
            self._sent.append(batch)
            self._changed.notify_all()

    def end(self) -> None:
        """Wait until all is stored, unless ``abandon`` is called, and the process has ended."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def abandon(self) -> None:
        """End the process, whatever it has still to store; for another thread than the one that waits in ``end``."""
        with self._changed:
            self._abandoned = True
            if self._process is not None:
                self._process.kill()
            self._changed.notify_all()

    def _launch(self, again: bool) -> None:
        process = self.launch(again, self._modest)
        with self._changed:
            self._process, self._lost, self._written = process, False, 0
            self._detector.begin(replacing=again)
            self._listener = threading.Thread(target=self._listen, args=[process], name="recorder receipts", daemon=True)
            self._listener.start()

    def _supervise(self) -> None:
        """Write what was sent, replace the process when it is lost, until all is stored or nobody wants it any longer."""
        give_way()
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._lost or self._abandoned or self._ending or self._written < len(self._sent)
                )
                over = self._abandoned or (self._ending and (not self._sent or (not self._lost and self._written == len(self._sent))))
                lost = self._lost and not over
                batch = None
                if not lost and not over:
                    batch = self._sent[self._written]
                    batch.at = time.monotonic()
                    self._written += 1
            if batch is not None:
                self._write(batch)
            elif lost:
                self._replace()
            elif self._finish():
                return

    def _write(self, batch: Packed) -> None:
        """Write a batch into the pipe; waits while the process is behind."""
        process = self._process
        assert process is not None
        try:
            for parcel in batch.parcels:  # all at once: to wake the process for each costs a tenth of all CPU
                process.stdin.write(parcel)
            process.stdin.flush()
        except (OSError, ValueError):
            with self._changed:
                self._lost = True  # it has ended: what was sent is kept

    def _finish(self) -> bool:
        """Close the pipe, wait for the end of the process. Returns whether nothing is left to be done."""
        process, listener = self._process, self._listener
        assert process is not None
        assert listener is not None
        with contextlib.suppress(OSError):  # it may be gone already
            process.stdin.close()
        listener.join()
        process.wait()
        process.stdout.close()
        with self._changed:
            self._lost = bool(self._sent)
            self._over = self._abandoned or not self._lost
            self._changed.notify_all()
            return self._over

    def _listen(self, process: Process) -> None:
        """Take receipts until the process has ended."""
        for receipt in receipts(process.stdout):
            with self._changed:
                self._detector.hear(done=receipt.done)
                if receipt.done:
                    batch = self._sent.popleft()
                    self._written -= 1
                    self._deaths = 0
            if receipt.done:
                batch.release()
                self._heard(receipt, batch.size)
            elif receipt.trouble:
                self._heard(receipt, 0)
        with self._changed:
            self._lost = True
            self._changed.notify_all()

    def _watch(self) -> None:
        """End a process that says nothing for too long while there is something to store."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._over or self._abandoned, timeout=LOOK_EVERY)
                if self._over or self._abandoned:
                    return
                if self._lost or not (self._written and self._sent) or not self._detector.look(LOOK_EVERY):
                    continue
                process, sessions = self._process, sorted(self._sent[0].sessions)
                modest, self._modest = self._modest, False
            assert process is not None
            process.kill()
            why = "the process that writes does not answer; another one takes over"
            log.error("%s%s", why, ", and does not leave the machine to others any longer" if modest else "")
            self._heard(Receipt(sessions, done=False, trouble=why), 0)

    def _replace(self) -> None:
        """Hear the last of a process that has ended, isolate what it ended over, and start another one."""
        self._bury()
        while self._waited(min(AGAIN_AFTER * 2 ** (self._deaths - 1), AGAIN_MOST)):
            try:
                self._launch(again=True)
            except OSError as error:
                self._deaths += 1
                self._tell(f"no process that writes can be started ({error})")
            else:
                return

    def _waited(self, seconds: float) -> bool:
        """Wait; returns False at once when nobody wants what is not stored any longer."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._abandoned, timeout=seconds)

    def _bury(self) -> None:
        """Wait for the end of a process, and look for what it ended over."""
        process, listener = self._process, self._listener
        assert process is not None
        assert listener is not None
        listener.join()
        status = process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what it did not read is kept
                pipe.close()
        why = "it did not answer" if self._detector.late else f"status {status}"
        with self._changed:
            self._deaths += 1
            repeated = self._deaths > 1
            suspect = self._sent[0] if self._sent and self._written and self._detector.may_have_begun(status) else None
        log.error("the process that writes has ended (%s); another one takes over", why)
        if repeated:
            self._tell(f"the process that writes has ended ({why})")
        if suspect is not None:
            try:
                self._isolate(suspect, why)
            except Exception:  # whatever it is: without this thread nothing would be recorded any longer
                log.exception("what the process ended over could not be isolated")

    def _tell(self, why: str) -> None:
        sessions = sorted(self._sent[0].sessions) if self._sent else []
        self._heard(Receipt(sessions, done=False, trouble=why), 0)

    def _isolate(self, batch: Packed, why: str) -> None:
        """Split a batch over which a process has ended; give up what cannot be split and has ended DEATHS of them."""
        batch.deaths += 2 if self._detector.late else 1  # who hangs has had its time; a signal may come from anywhere
        parts = split(batch)
        if len(parts) == 1 and batch.deaths >= DEATHS:
            sessions = ", ".join(sorted(batch.sessions))
            log.error("an entry of %s could not be stored: one process after the other has ended over it (%s)", sessions, why)
            part = None if batch.given_up else without_entry(batch)
            parts = [] if part is None else [part]
        with self._changed:
            self._sent.popleft()
            self._sent.extendleft(reversed(parts))
        if not parts:
            batch.release()
            trouble = f"the process that writes has ended ({why})"
            self._heard(Receipt(sorted(batch.sessions), trouble=trouble, details="So have those before it."), batch.size)
