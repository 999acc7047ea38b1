"""A session's log file: out of the database as lines, and lines into the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice

from django.db import transaction
from msgspec.structs import replace

from console.batches import BATCH_ROWS, Batch
from console.models import Entry, Frame, Session
from realtime.errors import InvalidLog
from realtime.logs import jsonl
from realtime.timeline import Folder

PAGE = 500
"""Entries read at once; a page of sound is about 4 MB."""


def pieces(session: Session, query: str = "", *, audio: bool = True) -> Iterator[bytes]:
    """A session's log, all of it or what a filter lets through, with its sound or without: a page of lines at a time.

    Only what the session had when it was loaded is given, so a running session's log ends. Raises InvalidFilter.
    """
    found = Entry.objects.of(session).matching(query).until(session.last_seq)
    yield jsonl.head_line(_head(session, audio)).encode()
    for page in found.in_pieces(PAGE):
        raws = {frame.pk: frame.raw for frame in Frame.objects.of(page)}
        yield "".join(_line(entry, raws.get(entry.pk, ""), audio) for entry in page).encode()


def _head(session: Session, audio: bool) -> jsonl.Head:
    return jsonl.Head(
        session=session.pk,
        started_at=session.started_at,
        label=session.label,
        source=session.source,
        provider=session.provider,
        model=session.model,
        dialect=session.dialect,
        audio="" if audio else "none",
        client=session.client,
        key_name=session.key_name,
    )


def _line(stored: Entry, raw: str, audio: bool) -> str:
    entry = stored.to_entry(raw)
    if entry.event is not None and entry.event.size != stored.size:
        entry = replace(entry, event=replace(entry.event, size=stored.size))  # of the frame that travelled
    return jsonl.entry_line(entry if audio else jsonl.without_audio(entry))


def store(lines: Iterable[bytes]) -> Session:
    """Make a session from a log's lines, folded anew, in one transaction.

    Raises InvalidLog, naming line and reason; then nothing has been stored.
    """
    head, entries = jsonl.read(lines)
    with transaction.atomic():
        session = Session.objects.create(
            label=head.label[:200],
            source="import",
            provider=head.provider[:64],
            dialect=head.dialect[:8],
            client=head.client[:128],
            key_name=head.key_name[:80],
            started_at=head.started_at,
        )
        folder, last_us = Folder(), 0
        while some := list(islice(entries, BATCH_ROWS)):
            batch = Batch()
            for entry in some:
                batch.add(session.pk, entry, folder)
                last_us = max(last_us, entry.t_us)
            batch.write()
        session.refresh_from_db()
        session.status, session.duration_us = Session.CLOSED, last_us
        session.model = head.model[:128] or session.model
        try:
            session.ended_at = head.started_at + timedelta(microseconds=last_us)
        except OverflowError:
            raise InvalidLog(0, "the session would end after the year 9999") from None
        session.save()
    return session
