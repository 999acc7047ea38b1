"""Isolation: finds the one entry of a batch over which the process that writes ends, and puts a note in its place."""

from __future__ import annotations

import io

import msgspec

from console.gathering import Packed
from console.parcels import Late, Told, parcels
from realtime.timeline import Entry

LOST = "This entry could not be stored: the process that writes ended each time it was to write it."


def split(batch: Packed) -> list[Packed]:
    """The same entries as smaller batches, in their order: one for each parcel, or of a single parcel one for each entry.

    Of a single entry nothing is left to split, nor of a parcel that cannot be read: the list holds the batch itself.
    """
    packed = batch.parcels[:-1]
    if batch.rows <= 1 or not packed:
        return [batch]
    if len(packed) > 1:
        parts = [_packed(told, batch) if (told := _content(parcel)) else _unread(parcel, batch) for parcel in packed]
    elif told := _content(packed[0]):
        parts = [_packed([one], batch) for one in told]
    else:
        return [batch]
    parts[-1].size += batch.size - sum(part.size for part in parts)
    parts[-1].kept = batch.kept  # the journal keeps all of it until the last one is stored
    return parts


def without_entry(batch: Packed) -> Packed | None:
    """In place of a batch of one entry, one that says on the session's timeline that it was given up.

    None when there is nothing to say it of: the entry itself is stored and what its way cost is not, or none can be read.
    """
    if not (told := _content(batch.parcels[0])):
        return None
    session_id, entry = told[0]
    if isinstance(entry, Late):
        return None
    facts = {"type": entry.type[:128], "direction": entry.direction, "size": entry.size}
    if entry.kind == "close":
        code = entry.data.get("code")
        data = {"by": str(entry.data.get("by", "console"))[:16], "code": code if isinstance(code, int) else None}
        note = Entry(entry.seq, entry.t_us, "close", data=data, text="its reason could not be stored")
    else:
        note = Entry(entry.seq, entry.t_us, "note", note="problem", text=LOST, data={"lost": facts})
    part = _packed([(session_id, note)], batch)
    part.kept, part.size, part.given_up = batch.kept, batch.size, True
    return part


def _packed(told: list[Told], of: Packed) -> Packed:
    """A batch of these, ready to be sent."""
    part = Packed(at=of.at)
    part.take(told)
    part.finish()
    return part


def _unread(parcel: bytearray, of: Packed) -> Packed:
    """A batch of one parcel that cannot be read."""
    part = Packed(parcels=[parcel], sessions=set(of.sessions), rows=1, at=of.at)
    part.finish()
    return part


def _content(parcel: bytearray) -> list[Told]:
    """The entries of a parcel; none when it cannot be read."""
    try:
        return [one for told, _, _ in parcels(io.BytesIO(parcel)) for one in told]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []
