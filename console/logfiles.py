"""A session's log file, out of the database; ``console.importing`` is the way back."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from console.models import Entry, Frame, Session
from realtime.logs import jsonl

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
