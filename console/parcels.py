"""What travels between the recorder and the process that writes: parcels of entries one way, receipts the other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import BinaryIO

import msgspec
from django.core.serializers.json import DjangoJSONEncoder

from realtime import masking
from realtime.timeline import Entry

LENGTH = Struct("<I")
"""What goes before each message: its length in bytes."""


class Late(msgspec.Struct, frozen=True, array_like=True):
    """What a frame's way through the relay cost, known after it was told."""

    seq: int
    added_us: int | None
    size: int = 0


Told = tuple[str, Entry | Late]
"""Something told, and of which session."""


class Parcel(msgspec.Struct, array_like=True):
    """Entries of any sessions, in the order in which they were told."""

    entries: list[tuple[str, Entry, str]]
    """Session, entry without its facts, and those as JSON: what people and models call a number can be any number."""
    late: list[tuple[str, Late]]
    whole: bool
    """Whether what has come since the last whole one is to be stored now, in one transaction."""
    at: float
    """When it was packed (``monotonic``, which processes have in common)."""


class Receipt(msgspec.Struct, array_like=True):
    """What became of the entries up to a whole parcel."""

    sessions: list[str]
    """Whose entries they are."""
    done: bool = True
    """Whether it is dealt with; if not it is tried again."""
    trouble: str = ""
    """One sentence, when it is not stored."""
    deleted: list[str] = []
    """Sessions that are no longer there: theirs could not be kept."""
    details: str = ""
    """Of entries the database will never take: what it said."""
    begun: list[str] = []
    """Those of the sessions that have a row more; in the others rows only grew."""


_encode_into = msgspec.msgpack.Encoder().encode_into
_decode_parcel = msgspec.msgpack.Decoder(Parcel).decode
_decode_receipt = msgspec.msgpack.Decoder(Receipt).decode


def packed(told: Iterable[Told], whole: bool = False) -> bytearray:
    """A parcel as it travels, secrets masked: it may be kept in the journal."""
    entries: list[tuple[str, Entry, str]] = []
    late: list[tuple[str, Late]] = []
    for session_id, what in told:
        if isinstance(what, Late):
            late.append((session_id, what))
            continue
        what = _masked(what)
        if what.data:
            bare = msgspec.structs.replace(what, data={})
            entries.append((session_id, bare, masking.mask(json.dumps(what.data, cls=DjangoJSONEncoder), "")[0]))
        else:
            entries.append((session_id, what, ""))
    return _framed(Parcel(entries, late, whole, time.monotonic()))


def _masked(entry: Entry) -> Entry:
    """An entry without its secrets; of an event it says so, as whoever makes its row would."""
    event = entry.event
    if event is not None:
        raw, masked = masking.mask(event.raw, event.type)
        if masked:
            bare = msgspec.structs.replace(event, raw=raw)
            return msgspec.structs.replace(entry, event=bare, data={**entry.data, "masked": True})
    elif entry.text:
        text, masked = masking.mask(entry.text, "")
        if masked:
            return msgspec.structs.replace(entry, text=text)
    return entry


def parcels(inward: BinaryIO, before: Callable[[], None] = lambda: None) -> Iterator[tuple[list[Told], bool, float]]:
    """What was packed, until the other side has closed: what was told, whether to store it now, and when it was packed.

    ``before`` is called when one has come and is not yet read.
    """
    for message in _messages(inward):
        before()
        parcel = _decode_parcel(message)
        told: list[Told] = [
            (session_id, msgspec.structs.replace(entry, data=json.loads(facts)) if facts else entry)
            for session_id, entry, facts in parcel.entries
        ]
        yield told + list(parcel.late), parcel.whole, parcel.at


def signed(receipt: Receipt) -> bytearray:
    """A receipt as it travels."""
    return _framed(receipt)


def receipts(inward: BinaryIO) -> Iterator[Receipt]:
    """Receipts, until the other side has closed."""
    return map(_decode_receipt, _messages(inward))


def _framed(message: Parcel | Receipt) -> bytearray:
    """A message behind its length, encoded where it is to stand: most of it is frames, and not to be copied once more."""
    framed = bytearray(LENGTH.size)
    _encode_into(message, framed, LENGTH.size)
    LENGTH.pack_into(framed, 0, len(framed) - LENGTH.size)
    return framed


def _messages(inward: BinaryIO) -> Iterator[bytes]:
    """Whole messages; half of one, of a process that has ended, is none."""
    while len(head := inward.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(head)
        if len(message := inward.read(length)) < length:
            return
        yield message
