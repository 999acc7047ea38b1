"""Courier: brings batches to the process that writes, keeps each until it is stored, and finds another one should it end."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from console import writer_process
from console.gathering import Packed
from console.parcels import Receipt, packed, receipts

log = logging.getLogger(__name__)

AGAIN_AFTER = 0.25
"""Seconds until another process is started when one has ended."""
DEATHS = 3
"""Processes that may end over a batch before it is given up: what kills them will kill the next one."""
OVERDUE = 2.0
"""Seconds without a receipt after which a process that takes only time nobody else wants gets too little of it."""
LOOK_EVERY = 0.5
"""Seconds between two looks at that."""


class Process(Protocol):
    """The process that writes, as ``subprocess`` has it."""

    stdin: Any
    stdout: Any

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its status."""

    def kill(self) -> None:
        """End it at once."""


class Courier:
    """One thread calls ``begin``, ``send`` and ``end``; on another one ``heard`` is told what became of each batch.

    ``heard`` gets receipts: some may say why a batch is held up, one says that it is dealt with, and then also its size.
    ``lost`` says that the process has ended; the next ``send``, ``revive`` or ``end`` starts another one and tells it all
    that is not stored.
    """

    launch: Callable[[bool, bool], Process] = staticmethod(writer_process.start)
    """Starts the process; called with whether another one was there before, and whether it is to be modest."""

    def __init__(self, heard: Callable[[Receipt, int], None], on_loss: Callable[[], None]) -> None:
        """``on_loss`` is called when the process has ended and was not asked to."""
        self._heard = heard
        self._on_loss = on_loss
        self._sent: deque[Packed] = deque()
        """Batches that are not dealt with, oldest first."""
        self._process: Process | None = None
        self._listener: threading.Thread | None = None
        self._ending = self._abandoned = False
        self._modest = True
        self._late = False
        """Whether the process is ended for being modest."""
        self._heard_at = 0.0
        self.lost = False

    def begin(self, again: bool = False) -> None:
        """Start a process, listen to it, and tell it what is not stored. Raises OSError when there can be none."""
        process = self.launch(again or bool(self._sent), self._modest)
        self.lost = self._ending = self._abandoned = self._late = False
        self._process = process
        self._listener = threading.Thread(target=self._listen, args=[process], name="recorder receipts", daemon=True)
        self._listener.start()
        if self._modest:
            watch = threading.Thread(target=self._watch, args=[process, self._listener], name="recorder watch", daemon=True)
            watch.start()
        for batch in list(self._sent):
            self._write(batch.parcels)

    def send(self, batch: Packed) -> None:
        """Bring a batch, to be stored; waits while the process is behind."""
        batch.parcels.append(packed((), whole=True))
        batch.at = time.monotonic()
        self._sent.append(batch)
        self._write(batch.parcels)  # all at once: to wake the process for each costs a tenth of all CPU
        self.revive()

    def revive(self) -> None:
        """If the process has ended, start another one."""
        while self.lost and not self._abandoned:
            self._bury()
            time.sleep(AGAIN_AFTER)
            try:
                self.begin(again=True)
            except OSError as error:
                why = f"no process that writes can be started ({error})"
                self._heard(Receipt(sorted(self._sent[0].sessions) if self._sent else [], done=False, trouble=why), 0)

    def end(self) -> None:
        """Wait until all is stored, unless ``abandon`` is called, and the process has ended."""
        assert self._process is not None
        while True:
            self._ending = True
            with contextlib.suppress(OSError):  # it may be gone already
                self._process.stdin.close()
            assert self._listener is not None
            self._listener.join()
            self._process.wait()
            self._process.stdout.close()
            if not self._sent or self._abandoned:
                return
            self.lost = True
            self.revive()

    def abandon(self) -> None:
        """End the process, whatever it has still to store; for another thread than the one that waits in ``end``."""
        self._abandoned = True
        if self._process is not None:
            self._process.kill()

    def _write(self, parcels: Sequence[bytearray]) -> None:
        process = self._process
        assert process is not None
        if self.lost:
            return
        try:
            for parcel in parcels:
                process.stdin.write(parcel)
            process.stdin.flush()
        except (OSError, ValueError):
            self.lost = True  # it has ended: what was sent is kept

    def _listen(self, process: Process) -> None:
        """Take receipts until the process has ended."""
        for receipt in receipts(process.stdout):
            self._heard_at = time.monotonic()
            self._heard(receipt, self._sent.popleft().size if receipt.done else 0)
        if not self._ending:
            self.lost = True
            self._on_loss()

    def _watch(self, process: Process, listener: threading.Thread) -> None:
        """Where all cores are busy with other work, end a modest process: the next one insists on its share."""
        while listener.is_alive():
            listener.join(LOOK_EVERY)
            try:
                waits_since = max(self._sent[0].at, self._heard_at)
            except IndexError:
                continue
            if time.monotonic() - waits_since > OVERDUE:
                log.warning("the machine is busy and what is recorded late: from now on it insists on its share")
                self._modest, self._late = False, True
                process.kill()
                return

    def _bury(self) -> None:
        """Hear the last of a process that has ended, and give up a batch that several have ended over."""
        assert self._process is not None and self._listener is not None
        self._listener.join()
        status = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what it did not read is kept
                pipe.close()
        why = "the machine is busy" if self._late else f"the process that writes has ended (status {status})"
        log.error("%s; another one takes over", why)
        if not self._sent:
            return
        first = self._sent[0]
        first.deaths += not self._late
        if first.deaths >= DEATHS:
            self._sent.popleft()
            self._heard(Receipt(sorted(first.sessions), trouble=why, details="So have those before it."), first.size)
