"""An import: a log's bytes become sessions that nobody sees before all of it is stored, and of which nothing stays otherwise."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone

from console.batches import Batch
from console.locks import FileLock
from console.models import Session, new_session_id
from console.pacing import Pace
from console.retention import remove_rows
from console.writer import explain
from console.writer_process import idle_class
from realtime.logs import reader
from realtime.logs.jsonl import Head
from realtime.timeline import Entry, Folder

CHUNK = 256 * 1024
"""Bytes read at once."""
MOST_ROWS, MOST_BYTES = 400, 1024 * 1024
"""Of one transaction; a frame larger than that has one of its own."""
TOLD_EVERY = 0.2
"""Seconds between two words about how far it is."""
STARVED, STARVED_SHARE, SHARED_STEPS = 0.25, 5, 20
"""A step of the idle thread that took so many seconds, so many times its CPU time, found no idle core: then the next
steps are this thread's, which has a share of a busy one."""


class Stopped(Exception):
    """The import was stopped; nothing of it stays."""


class Failed(Exception):
    """The import could not be stored; the sentence says why, and nothing of it stays."""


@dataclass(slots=True)
class Imported:
    """A file that has become sessions."""

    sessions: list[str]
    report: reader.Report


@dataclass(slots=True)
class _Open:
    """A session that is being written: what its own columns will say."""

    head: Head
    id: str = field(default_factory=new_session_id)
    made: bool = False
    folder: Folder = field(default_factory=Folder)
    changes: dict[str, Any] = field(default_factory=dict)
    last_us: int = 0


@dataclass(slots=True)
class _Step:
    """Entries of one session as rows, to be written in one transaction."""

    session: _Open
    batch: Batch = field(default_factory=Batch)
    size: int = 0
    """Bytes of its frames."""

    def add(self, entry: Entry) -> None:
        """Make an entry's rows."""
        self.batch.add(self.session.id, entry, self.session.folder)
        self.session.last_us = max(self.session.last_us, entry.t_us)
        self.size += entry.size


class Importer:
    """Stores one file. Call ``run`` once; ``stop`` from any thread."""

    def __init__(self, locks: Path, tell: Callable[[int, reader.Report], None] = lambda _read, _report: None) -> None:
        """``locks``: the folder of locks that say which imports are alive; ``tell`` is called with bytes read and lines."""
        self._locks, self._tell = locks, tell
        self._id = secrets.token_hex(8)
        self._stop = threading.Event()
        self._pace = Pace(50, MOST_ROWS, self._stop.is_set)
        self._report = reader.Report()
        self._opened: list[_Open] = []
        self._read = 0
        self._told_at = 0.0
        self._shared = 0
        """Steps that are still to be done without waiting for an idle core."""

    def stop(self) -> None:
        """Let ``run`` raise Stopped as soon as it can."""
        self._stop.set()

    def run(self, chunks: Iterable[bytes]) -> Imported:
        """Store a file from its bytes.

        Raises InvalidLog for a file without an event, Stopped, and Failed; then nothing of it is stored. Should the
        process end on the way, ``console.retention.sweep`` removes what it has written.
        """
        lock = FileLock(self._locks / self._id)
        try:
            self._store(self._counted(chunks))
            self._show()
        except BaseException as error:
            self._undo()
            if isinstance(error, DatabaseError):
                if self._stop.is_set():  # while it waited for the database
                    raise Stopped from error
                raise Failed(explain(error)) from error
            raise
        finally:
            lock.close()
            (self._locks / self._id).unlink(missing_ok=True)
        self._tell(self._read, self._report)
        return Imported([one.id for one in self._opened], self._report)

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._stop.is_set():
                raise Stopped
            yield chunk
            self._read += len(chunk)  # what has been asked for after it has been worked off

    def _store(self, chunks: Iterable[bytes]) -> None:
        """Decode on a thread that takes idle time only, write on this one.

        The lock of the database is never held by a thread that has to wait for an idle core: others wait for it.
        """
        steps = self._steps(chunks)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode", initializer=idle_class) as idle:
            while (step := self._next(idle, steps)) is not None:
                if self._stop.is_set():
                    raise Stopped
                self._write(step)
                if time.monotonic() - self._told_at > TOLD_EVERY:
                    self._told_at = time.monotonic()
                    self._tell(self._read, self._report)

    def _next(self, idle: ThreadPoolExecutor, steps: Iterator[_Step]) -> _Step | None:
        if self._shared:
            self._shared -= 1
            return next(steps, None)
        began = time.monotonic()
        step, cpu = idle.submit(_timed, steps).result()
        took = time.monotonic() - began
        if took > STARVED and took > STARVED_SHARE * cpu:
            self._shared = SHARED_STEPS
        return step

    def _steps(self, chunks: Iterable[bytes]) -> Iterator[_Step]:
        """Entries of the file, so many at once as the next transaction may take."""
        step: _Step | None = None
        for one in reader.read(chunks, self._report, timezone.now()):
            if isinstance(one, Head):
                if step is not None:
                    yield step
                    step.session.folder = Folder()  # one that is complete needs none
                step = _Step(_Open(one))
                self._opened.append(step.session)
                continue
            assert step is not None  # a reader gives a head first
            step.add(one)
            if len(step.batch) >= self._pace.size or step.size > MOST_BYTES:
                yield step
                step = _Step(step.session)
        if step is not None:
            yield step

    def _write(self, step: _Step) -> None:
        """Write a step's rows, below a session that is hidden."""
        session = step.session
        if not session.made:
            self._pace.run(lambda: self._make(session))
            session.made = True
        if summary := step.batch.sessions.get(session.id):
            session.changes |= summary.changes
            summary.changes = {}  # for ``_show``: a status would make it visible
            self._pace.run(step.batch.write)

    def _make(self, session: _Open) -> None:
        head = session.head
        Session.all_objects.create(
            pk=session.id,
            status=Session.IMPORTING,
            close_reason=self._id,  # which import it belongs to, until it is shown
            label=_column(head.label, 200),
            source="import",
            provider=_column(head.provider, 64),
            client=_column(head.client, 128),
            key_name=_column(head.key_name, 80),
            started_at=head.started_at,
        )

    def _show(self) -> None:
        """Make the sessions visible, all at once."""
        now = timezone.now()
        with transaction.atomic():
            for session in self._opened:
                changes = {
                    "close_reason": "",
                    **session.changes,
                    "status": Session.CLOSED,
                    "dialect": _column(session.changes.get("dialect", session.head.dialect), 8),
                    "model": _column(session.head.model or session.changes.get("model", ""), 128),
                    "duration_us": session.last_us,
                    "ended_at": _ended_at(session),
                    "imported_at": now,
                }
                Session.all_objects.filter(pk=session.id).update(**changes)

    def _undo(self) -> None:
        """Remove what has been written. What cannot be removed now is hidden, and swept later."""
        with contextlib.suppress(DatabaseError):
            for session in self._opened:
                remove_rows(session.id)


def _timed(steps: Iterator[_Step]) -> tuple[_Step | None, float]:
    """The next step, and the CPU seconds it took this thread."""
    began = time.thread_time()
    return next(steps, None), time.thread_time() - began


def _column(text: str, most: int) -> str:
    """Text of a head as a column takes it: so long at most, without NUL, which PostgreSQL has no text for."""
    return text[:most].replace("\x00", "\ufffd")


def _ended_at(session: _Open) -> datetime | None:
    """When a session ended; None beyond the calendar."""
    try:
        return session.head.started_at + timedelta(microseconds=session.last_us)
    except OverflowError:
        return None


def told(report: reader.Report) -> dict[str, Any]:
    """A report for programs, as ``import_log --json`` prints it; ``skipped_more`` lines are only counted."""
    facts: dict[str, Any] = {
        "format": report.format,
        "events": report.events,
        "guessed": report.guessed,
        "missing": report.missing,
        "skipped": [{"line": line, "reason": reason} for line, reason in report.skipped],
    }
    return facts | ({"skipped_more": report.skipped_more} if report.skipped_more else {})
