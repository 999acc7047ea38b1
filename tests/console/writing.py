"""The process that writes, as a thread of the tests' own process: the same code at the other end of the same pipes."""

from __future__ import annotations

import os
import threading

from console.writer import serve


class WriterThread:
    """Stands in for ``console.writer_process``: sees the tests' database and what they patch, and costs no start."""

    def __init__(self, again: bool, modest: bool) -> None:
        told, self._told_end = os.pipe()
        self._receipt_end, receipts = os.pipe()
        self.stdin, self.stdout = os.fdopen(self._told_end, "wb"), os.fdopen(self._receipt_end, "rb")
        self._thread = threading.Thread(target=self._run, args=[told, receipts, again], name="writer", daemon=True)
        self._thread.start()

    def _run(self, told: int, receipts: int, again: bool) -> None:
        with os.fdopen(told, "rb") as inward, os.fdopen(receipts, "wb") as outward:
            serve(inward, outward, again)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        self._thread.join(timeout)
        self.stdout.close()
        return 0

    def kill(self) -> None:
        """A thread cannot be ended; the tests' own do so soon."""
