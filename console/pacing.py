"""Pacing: long work on the database in short transactions, so that what is being recorded never waits for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from django.db import OperationalError, connection, transaction

TARGET = 0.010
"""Seconds a transaction is to take. SQLite has one writer at a time: the recorder's waits until this one is done."""
REST = 0.5
"""Part of a transaction's time that is left to others after it."""
LEAST_REST = 0.001
"""Seconds; a waiting writer looks again after one to two milliseconds."""
BUSY_FOR = 60.0
"""Seconds for which a locked database is tried again."""
BUSY_WAIT = 0.05


class Pace:
    """Transactions of a size that adapts to how long they take. ``size`` counts rows, or whatever the caller counts."""

    def __init__(self, size: int, most: int, stopped: Callable[[], bool] = lambda: False) -> None:
        """``size``: of the first transaction; ``most``: of any. ``stopped``: asked while the database is locked."""
        self.size, self._most, self._stopped = size, most, stopped

    def run(self, work: Callable[[], None]) -> None:
        """Do ``work`` in a transaction of its own, tried again while the database is locked; then rest.

        Raises DatabaseError when it cannot be done.
        """
        until = time.monotonic() + BUSY_FOR
        while True:
            began = time.perf_counter()
            try:
                with self._transaction():
                    began = time.perf_counter()  # from when the lock was had
                    work()
                break
            except OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until or self._stopped():
                    raise
                time.sleep(BUSY_WAIT)
        took = time.perf_counter() - began
        if took > 1.5 * TARGET:
            self.size = max(1, self.size // 2)
        elif took < 0.7 * TARGET:
            self.size = min(self._most, self.size + self.size // 4 + 1)
        time.sleep(max(LEAST_REST, REST * took))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL synchronous_commit TO off")  # work that can be done again need not be flushed
            yield
