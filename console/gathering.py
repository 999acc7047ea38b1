"""Gathering: entries on their way into one transaction, packed as they come, and when they are enough for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from console.batches import BATCH_ROWS
from console.journal import Journal, Segment
from console.parcels import Late, Told, packed
from realtime.timeline import Entry

FLUSH_AFTER = 0.04
"""Seconds entries gather at least; with the write itself one is stored within 50 ms."""
BATCH_BYTES = 1536 * 1024
"""Bytes that are enough for one transaction: it holds them twice."""
ENTRY_OVERHEAD = 400
"""Bytes an entry costs in memory beside its frame, roughly."""


def weight(told: Entry | Late) -> int:
    """Bytes something told counts while it is not stored."""
    return told.size + ENTRY_OVERHEAD


@dataclass(slots=True)
class Packed:
    """A batch as the process that writes is to get it; kept until it is known to be stored."""

    parcels: list[bytearray] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    rows: int = 0
    size: int = 0
    """Bytes, as ``weight`` has them."""
    at: float = 0.0
    """When it was brought (``monotonic``)."""
    deaths: int = 0
    """Processes that have ended over it."""
    given_up: bool = False
    """Whether it stands in the place of an entry over which they did."""
    kept: list[Segment] = field(default_factory=list)
    """Where in the journal its parcels are, until it is stored."""

    def take(self, told: Sequence[Told]) -> bytearray:
        """Pack a few entries; returns their parcel."""
        self.parcels.append(parcel := packed(told))  # first: what fails is not counted
        self.rows += len(told)
        self.size += sum(weight(what) for _, what in told)
        self.sessions.update(session_id for session_id, _ in told)
        return parcel

    def finish(self) -> None:
        """Say at its end that it is to be stored."""
        self.parcels.append(packed((), whole=True))

    def release(self) -> None:
        """Let go of what the journal keeps of it."""
        while self.kept:
            self.kept.pop().release()


class Gathering:
    """The next batch of some sessions. It gathers the longer the more sessions run: each costs pages of its own."""

    def __init__(self, more: float, most: float) -> None:
        """Seconds it gathers beyond FLUSH_AFTER: ``more`` for each session that runs, ``most`` altogether."""
        self._more, self._most = more, most
        self._batch = Packed()
        self.due = 0.0
        """When it is whole (``monotonic``), once it has begun."""

    def __bool__(self) -> bool:
        return self._batch.rows > 0

    @property
    def full(self) -> bool:
        """Whether it holds as much as one transaction may."""
        return self._batch.rows >= BATCH_ROWS or self._batch.size >= BATCH_BYTES

    @property
    def whole(self) -> bool:
        """Whether it should be written now."""
        return self.full or (bool(self) and monotonic() >= self.due)

    def take(self, told: Sequence[Told], running: int, journal: Journal | None = None) -> None:
        """Pack a few entries, if there are any, and keep them in the journal, if there is one; so many sessions run."""
        if not told:
            return
        if not self:
            self.due = monotonic() + FLUSH_AFTER + min(self._more * running, self._most)
        parcel = self._batch.take(told)
        if journal is not None and (segment := journal.append(parcel)) is not None:
            self._batch.kept.append(segment)

    def finish(self) -> Packed:
        """What has gathered; the next one begins."""
        batch, self._batch = self._batch, Packed()
        return batch
