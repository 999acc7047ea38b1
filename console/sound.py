"""The sound of a stored session, or of one row: its plan from the rows, its bytes from the frames."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial

from console.models import Entry, Frame, Session
from realtime import soundtrack, timeline
from realtime.audio import AUDIO_FIELDS
from realtime.soundtrack import Soundtrack

ITEMS = "conversation.item."
"""What events begin with that may bring an item with its whole sound."""
FETCH_AT_ONCE = 500
"""Frames read by one query; SQLite takes only so many parameters."""
PIECE = 192_000
"""Bytes of a WAV file made at once: one or two seconds. Who seeks leaves the rest unmade."""
PLANS = 8
"""Plans kept: a player asks for a session again and again, at each seek. An hour of talk is about 20 MB."""


def of_session(session: Session) -> Soundtrack:
    """The whole session as it was heard."""
    return _plan(session.pk, session.last_seq, session.duration_us)


@lru_cache(maxsize=PLANS)
def _plan(session_id: str, last_seq: int, duration_us: int) -> Soundtrack:
    types = (*AUDIO_FIELDS, *soundtrack.TOLD_BY, *soundtrack.NOTED_BY)
    entries = Entry.objects.of(session_id).counting().until(last_seq).filter(type__in=types).order_by("seq")
    return soundtrack.plan(_told(entries), duration_us)


def of_row(entry: Entry) -> Soundtrack | None:
    """One event's sound, or for the head of a row that of all its members; None when there is none."""
    entries = Entry.objects.of(entry.session_id)
    formats = entries.of_types("session.created", "session.updated").before(entry.seq).order_by("seq")
    if entry.type.startswith(ITEMS):
        return soundtrack.of_item(entry.to_entry(entry.frame().raw), [told for told, _ in _told(formats)])
    if entry.type not in AUDIO_FIELDS:
        return None
    members = entries.members_of(entry) if entry.row == entry.seq else entries.filter(seq=entry.seq)
    track = soundtrack.join([*_told(formats), *_told(members)])
    return track if track.length else None


def pieces(session_id: str, track: Soundtrack, first: int, last: int) -> Iterator[bytes]:
    """Bytes ``first`` up to ``last`` of the WAV file, each piece made when it is asked for."""
    for start in range(first, last, PIECE):
        yield track.wav(start, min(last, start + PIECE), partial(_fetch, session_id))


def _fetch(session_id: str, seqs: list[int]) -> dict[int, bytes]:
    """The sound of these entries, as it travelled."""
    found: dict[int, bytes] = {}
    for start in range(0, len(seqs), FETCH_AT_ONCE):
        told = Entry.objects.of(session_id).filter(seq__in=seqs[start : start + FETCH_AT_ONCE]).values_list("pk", "seq")
        places = dict(told)
        for frame in Frame.objects.filter(pk__in=places):
            found[places[frame.pk]] = frame.sound or _odd(frame)
    return found


def _odd(frame: Frame) -> bytes:
    """The sound of a frame that was kept whole: an item's, or one whose base64 is not written as usual."""
    event = frame.event
    text = event.data.get(AUDIO_FIELDS.get(event.type, "")) or soundtrack.in_item(event.data)
    try:
        return base64.b64decode(text) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""


def _told(entries: Iterable[Entry]) -> Iterator[tuple[timeline.Entry, float]]:
    """The engine's entries, each with its milliseconds of sound; frames are read only where they are not sound."""
    for entry in entries:
        if entry.type in AUDIO_FIELDS:
            raw = json.dumps({"type": entry.type, "item_id": entry.item_id})
        else:
            raw = entry.frame().raw
        yield entry.to_entry(raw), entry.audio_ms
