"""The tap that writes: batches, on a thread and a connection of its own; then it nudges whoever shows."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction
from django.utils import timezone

from console.models import Entry, Frame, Session
from realtime import audio, lines, masking
from realtime import timeline as engine

log = logging.getLogger(__name__)

FLUSH_AFTER = 0.04  # seconds a batch may gather; with the write itself a row is stored within 50 ms
BATCH_ROWS = 500  # entries; one transaction
PENDING_LIMIT = 64 * 1024 * 1024  # bytes held in memory while the database cannot be written
ENTRY_OVERHEAD = 400  # bytes an entry costs in memory beside its frame, roughly
RETRY_FIRST, RETRY_MOST = 0.25, 2.0  # seconds between tries while the database is locked or the disk is full

_encode = DjangoJSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

ENTRY_COLUMNS = (
    "session_id", "seq", "t_us", "kind", "direction", "leg", "origin", "type", "level", "event_id", "response_id",
    "item_id", "text", "data", "pair", "row", "size", "audio_ms", "fold_count", "fold_size", "fold_audio_ms",
    "fold_last_us", "fold_gap_us",
)  # fmt: skip
FRAME_COLUMNS = ("session_id", "seq", "text", "audio", "at")
FOLD_COLUMNS = ("fold_count", "fold_size", "fold_audio_ms", "fold_last_us", "fold_gap_us")


def _insert(model: type[Entry] | type[Frame], columns: Iterable[str]) -> str:
    """An INSERT for these columns, in SQL every backend reads."""
    names = ", ".join(f'"{column}"' for column in columns)
    marks = ", ".join("%s" for _ in columns)
    return f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES ({marks})'


INSERT_ENTRY = _insert(Entry, ENTRY_COLUMNS)
INSERT_FRAME = _insert(Frame, FRAME_COLUMNS)
UPDATE_FOLD = (
    f'UPDATE "{Entry._meta.db_table}" SET ' + ", ".join(f'"{c}" = %s' for c in FOLD_COLUMNS)
    + ' WHERE "session_id" = %s AND "seq" = %s'
)  # fmt: skip


@dataclass(slots=True)
class Summary:
    """What a batch adds to a session's own columns."""

    events: int = 0
    errors: int = 0
    last_seq: int = 0
    t_us: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    """Columns to set: status, model, how it closed."""


class Batch:
    """Entries on their way into the database, as rows; sessions may be mixed."""

    def __init__(self) -> None:
        self.entries: list[list[Any]] = []
        self.frames: list[tuple[Any, ...]] = []
        self.heads: dict[tuple[str, int], int] = {}
        """Index in ``entries`` of each head this batch inserts."""
        self.folds: dict[tuple[str, int], engine.Fold] = {}
        """Heads stored before this batch that have grown."""
        self.sessions: dict[str, Summary] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, session_id: str, entry: engine.Entry, folder: engine.Folder) -> None:
        """Make an entry's rows: secrets masked, sound taken out as bytes, folded into its row."""
        fold = folder.fold(entry)
        level = lines.level(entry)
        event, data = entry.event, entry.data
        text, _ = masking.mask(entry.text, "")  # the other side may repeat a key, also in its goodbye
        audio_ms = 0.0
        if event is not None:
            raw, masked = masking.mask(event.raw, event.type)
            if masked:
                data = {**data, "masked": True}
            parts = audio.split(raw, event.type)
            self.frames.append((session_id, entry.seq, parts.text, parts.audio or None, parts.at))
            audio_ms = folder.audio_ms(entry)
        key = (session_id, fold.head)
        if fold.head == entry.seq:
            self.heads[key] = len(self.entries)
        self.entries.append([
            session_id, entry.seq, entry.t_us, entry.kind, entry.direction, entry.leg, entry.origin, entry.type[:128],
            level, event.event_id[:512] if event else "", event.response_id[:128] if event else "",
            event.item_id[:128] if event else "", text, _facts(data), entry.pair, fold.head, entry.size, audio_ms,
            1, 0, 0.0, 0, 0,
        ])  # fmt: skip
        if key in self.heads:
            self.entries[self.heads[key]][-5:] = _fold_values(fold)
        else:
            self.folds[key] = fold
        self._summarise(session_id, replace(entry, text=text), level)

    def _summarise(self, session_id: str, entry: engine.Entry, level: str) -> None:
        summary = self.sessions.setdefault(session_id, Summary())
        summary.events += entry.kind == "ev"
        summary.errors += level == "error"
        summary.last_seq, summary.t_us = entry.seq, entry.t_us
        if entry.kind == "close":
            data = entry.data
            summary.changes |= {
                "status": Session.CLOSED, "close_by": data.get("by") or "", "close_code": data.get("code"),
                "close_reason": entry.text, "ended_at": timezone.now(),
            }  # fmt: skip
        elif entry.kind == "note" and entry.note == "state" and entry.data.get("state") in ("connecting", "ready", "closing"):
            summary.changes["status"] = entry.data["state"]
        elif entry.type in ("session.created", "session.updated") and entry.event is not None:
            session = entry.event.data.get("session")
            model = session.get("model") if isinstance(session, dict) else None
            if isinstance(model, str):
                summary.changes["model"] = model[:128]

    def write(self) -> None:
        """Store everything in one transaction. Raises DatabaseError; then nothing of it is stored."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(INSERT_ENTRY, self.entries)
            cursor.executemany(INSERT_FRAME, self.frames)
            cursor.executemany(UPDATE_FOLD, [(*_fold_values(fold), *key) for key, fold in self.folds.items()])
            for session_id, summary in self.sessions.items():
                session = Session.objects.get(pk=session_id)
                session.events += summary.events
                session.errors += summary.errors
                session.last_seq, session.duration_us = summary.last_seq, summary.t_us
                for column, value in summary.changes.items():
                    setattr(session, column, value)
                session.save()

    def drop_deleted(self) -> set[str]:
        """Leave out sessions that are no longer there, and return their ids: their rows have nowhere to be kept."""
        gone = set(self.sessions) - set(Session.objects.filter(pk__in=self.sessions).values_list("pk", flat=True))
        self.entries = [row for row in self.entries if row[0] not in gone]
        self.frames = [row for row in self.frames if row[0] not in gone]
        self.folds = {key: fold for key, fold in self.folds.items() if key[0] not in gone}
        for session_id in gone:
            del self.sessions[session_id]
        return gone


def _fold_values(fold: engine.Fold) -> tuple[Any, ...]:
    return (fold.count, fold.size, fold.audio_ms, fold.last_us, fold.gap_us)


def _facts(data: dict[str, Any]) -> str:
    """A note's facts as JSON text. What a model calls a number may be none that JSON has: it stands as a word."""
    text, _ = masking.mask(_encode(data), "")
    return _encode(json.loads(text, parse_constant=str)) if "NaN" in text or "Infinity" in text else text


class Recorder:
    """Writes what all sessions of this process tell it.

    ``tap(session_id)`` gives a session its tap: recording is one put on a queue and cannot wait. The thread writes a
    batch at most 50 ms later, then calls ``nudge(ids)`` with the sessions that have news. While the database cannot be
    written it keeps what it has, tries again, and says so in ``trouble``; when that becomes too much for memory it
    calls ``overflow(ids)``, whose duty is to close those sessions: none runs unrecorded.
    """

    def __init__(self) -> None:
        self.nudge: Callable[[set[str]], None] = lambda ids: None
        self.overflow: Callable[[set[str]], None] = lambda ids: None
        self.trouble = ""
        """One sentence while recording is held up; empty when all is well."""
        self._told = self._done = 0
        """Bytes taken, and bytes dealt with: each counted by one thread only."""
        self._queue: queue.SimpleQueue[tuple[str, engine.Entry] | None] = queue.SimpleQueue()
        self._folders: dict[str, engine.Folder] = {}
        self._thread: threading.Thread | None = None
        self._told_overflow = False

    @property
    def pending(self) -> int:
        """Bytes told and not yet stored."""
        return self._told - self._done

    def tap(self, session_id: str) -> SessionTap:
        """The tap for one session."""
        return SessionTap(self, session_id)

    def put(self, session_id: str, entry: engine.Entry) -> None:
        """Take one entry of one session; neither waits nor raises."""
        self._told += entry.size + ENTRY_OVERHEAD
        self._queue.put((session_id, entry))

    def start(self) -> None:
        """Start the thread; safe to call twice."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Write what is left and end the thread. Returns False when it could not be written in time."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._queue.put(None)
        thread.join(timeout)
        return not thread.is_alive() and not self.trouble

    def _run(self) -> None:
        """Gather, write, nudge, until told to stop."""
        stopping = False
        try:
            while not stopping:
                batch, size, stopping = self._gather()
                if len(batch):
                    self._write(batch)
                    self._done += size
                    self.nudge(set(batch.sessions))
        finally:
            connection.close()

    def _gather(self) -> tuple[Batch, int, bool]:
        """Wait for an entry, then take what comes until the batch is due. The last value: stop afterwards."""
        batch, size, due = Batch(), 0, 0.0
        while len(batch) < BATCH_ROWS:
            try:
                told = self._queue.get(timeout=max(0.0, due - time.monotonic()) if due else None)
            except queue.Empty:
                break
            if told is None:
                return batch, size, True
            due = due or time.monotonic() + FLUSH_AFTER
            session_id, entry = told
            batch.add(session_id, entry, self._folders.setdefault(session_id, engine.Folder()))
            size += entry.size + ENTRY_OVERHEAD
            if entry.kind == "close":
                del self._folders[session_id]
        return batch, size, False

    def _write(self, batch: Batch) -> None:
        """Write a batch, again and again while the database refuses; says so in ``trouble`` meanwhile."""
        wait = RETRY_FIRST
        while True:
            try:
                batch.write()
            except (DataError, IntegrityError, Session.DoesNotExist) as error:
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


recorder = Recorder()
"""This process's recorder; ``console.lifecycle`` starts and stops it."""
