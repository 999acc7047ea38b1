"""What travels between the recorder and the process that writes: parcels of entries one way, receipts the other."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import BinaryIO

import msgspec
from django.core.serializers.json import DjangoJSONEncoder
from msgspec.structs import replace

from console import columns
from console.columns import UNSTORABLE, within
from realtime import masking
from realtime.events import parse
from realtime.timeline import Entry

log = logging.getLogger(__name__)

LENGTH = Struct("<I")
"""What goes before each message: its length in bytes."""


class Late(msgspec.Struct, frozen=True, array_like=True):
    """What a frame's way through the relay cost, known after it was told."""

    seq: int
    added_us: int | None
    size: int = 0


Told = tuple[str, Entry | Late]
"""Something told, and of which session."""


Travelling = tuple[str, Entry, str]
"""Session, entry without its facts, and those as JSON: what people and models call a number can be any number."""


class Parcel(msgspec.Struct, array_like=True):
    """Entries of any sessions, in the order in which they were told."""

    entries: list[Travelling]
    late: list[tuple[str, Late]]
    whole: bool
    """Whether what has come since the last whole one is to be stored now, in one transaction."""
    at: float
    """When it was packed (``monotonic``, which processes have in common)."""
    frames: dict[int, bytes] = {}
    """Frames of entries that could not be packed with theirs, by index, as UTF-8 with surrogates."""


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


EVENT = Entry.__struct_fields__.index("event")

_encode = msgspec.msgpack.Encoder().encode
_encode_into = msgspec.msgpack.Encoder().encode_into
_decode_parcel = msgspec.msgpack.Decoder(Parcel).decode
_decode_receipt = msgspec.msgpack.Decoder(Receipt).decode


def packed(told: Iterable[Told], whole: bool = False) -> bytearray:
    """A parcel as it travels, secrets masked. Never raises for what an entry holds: one that cannot be packed travels as its raw text."""
    told = list(told)
    late = [(session_id, what) for session_id, what in told if isinstance(what, Late)]
    given = [(session_id, what) for session_id, what in told if not isinstance(what, Late)]
    now = time.monotonic()
    try:
        return _framed(Parcel([_bare(*one) for one in given], late, whole, now))
    except Exception:  # noqa: BLE001  (whatever it is: only the entry it is about travels otherwise)
        entries, frames = [], {}
        for index, (session_id, entry) in enumerate(given):
            safe, frame = _safe(session_id, entry)
            entries.append(safe)
            if frame is not None:
                frames[index] = frame
        return _framed(Parcel(entries, [(s, Late(w.seq, within(w.added_us))) for s, w in late], whole, now, frames))


def _bare(session_id: str, entry: Entry) -> Travelling:
    """An entry as it travels, secrets masked: it may be kept in the journal."""
    entry = _masked(entry)
    if entry.data:
        return session_id, replace(entry, data={}), masking.mask(json.dumps(entry.data, cls=DjangoJSONEncoder), "")[0]
    return session_id, entry, ""


def _safe(session_id: str, entry: Entry) -> tuple[Travelling, bytes | None]:
    """An entry in a form that can be packed for sure, and its frame if that travels beside it."""
    try:
        travelling = _bare(session_id, entry)
        _encode(travelling)
    except Exception as error:  # noqa: BLE001
        log.error("entry %d of session %s travels as raw text: %s", entry.seq, session_id, type(error).__name__)
    else:
        return travelling, None
    frame = None
    if entry.event is not None:
        frame = masking.mask_or_hide(entry.event.raw, entry.event.type).encode("utf-8", "surrogatepass")
    said = columns.text(masking.mask_or_hide(entry.text))
    bare = replace(entry, event=None, text=said, note=columns.text(entry.note), data={})
    try:
        facts = masking.mask_or_hide(json.dumps(entry.data, cls=DjangoJSONEncoder))
        _encode(facts)
    except Exception as error:  # noqa: BLE001
        facts = json.dumps({UNSTORABLE: f"packing: {type(error).__name__}"})
    return (session_id, bare, facts if facts != "{}" else ""), frame


def _masked(entry: Entry) -> Entry:
    """An entry without its secrets; of an event it says so, as whoever makes its row would."""
    event = entry.event
    if event is not None:
        raw, masked = masking.mask(event.raw, event.type)
        if masked:
            return replace(entry, event=replace(event, raw=raw), data={**entry.data, "masked": True})
    elif entry.text:
        text, masked = masking.mask(entry.text, "")
        if masked:
            return replace(entry, text=text)
    return entry


def parcels(inward: BinaryIO, before: Callable[[], None] = lambda: None) -> Iterator[tuple[list[Told], bool, float]]:
    """What was packed, until the other side has closed: what was told, whether to store it now, and when it was packed.

    ``before`` is called when one has come and is not yet read.
    """
    for message in _messages(inward):
        before()
        try:
            parcel = _decode_parcel(message)
        except msgspec.ValidationError:
            parcel = _salvaged(message)
        told: list[Told] = [
            (session_id, _whole(entry, facts, parcel.frames.get(index)))
            for index, (session_id, entry, facts) in enumerate(parcel.entries)
        ]
        yield told + list(parcel.late), parcel.whole, parcel.at


def _salvaged(message: bytes) -> Parcel:
    """A parcel in which an entry is not as it must be: that one keeps its place and its raw text."""
    entries, late, whole, at, *_ = msgspec.msgpack.decode(message)
    kept, frames = [], {}
    for index, (session_id, entry, facts) in enumerate(entries):
        try:
            kept.append((session_id, msgspec.convert(entry, Entry), facts))
        except msgspec.ValidationError as error:
            log.error("entry %d of session %s is kept as raw text: %s", entry[0], session_id, error)
            event = entry[EVENT]
            if event is not None:
                frames[index] = event[0].encode()
            bare = Entry(entry[0], entry[1], "ev" if event is not None else "note", note="" if event else "problem")
            kept.append((session_id, bare, json.dumps({UNSTORABLE: "unpacking: ValidationError"})))
    return Parcel(kept, [(session_id, Late(*rest)) for session_id, rest in late], whole, at, frames)


def _whole(entry: Entry, facts: str, frame: bytes | None) -> Entry:
    """An entry again, of what has travelled."""
    if frame is not None:
        entry = replace(entry, event=parse(frame.decode("utf-8", "surrogatepass")))
    if not facts:
        return entry
    try:
        data = json.loads(facts)
    except (ValueError, RecursionError) as error:
        data = {UNSTORABLE: f"unpacking: {type(error).__name__}"}
    return replace(entry, data=data)


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
