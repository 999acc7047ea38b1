"""The conversation and the tools as they stood at a place on the timeline, and what makes them go on from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import F, Q, Sum

from console.growing import bare, raws_of
from console.models import Entry, Session
from console.threads import breathe
from realtime import timeline
from realtime.audio import AUDIO_FIELDS
from realtime.conversation import Conversation, types_read
from realtime.tools.memory import memory_of

READ_AT_ONCE = 2000
"""Entries read for one push, or for one piece of a long way."""


def conversation_until(session: Session, seq: int) -> Conversation:
    """The conversation as it stood at a place on the timeline. Of sound only how much there was of each stream is read."""
    entries = Entry.objects.of(session).until(seq).filter(kind="ev")
    sums = entries.filter(type__in=AUDIO_FIELDS).order_by().values("row").annotate(ms=Sum("audio_ms"))
    sound = dict(sums.values_list("row", "ms"))
    read = entries.filter(type__in=types_read()).filter(~Q(type__in=AUDIO_FIELDS) | Q(row=F("seq")))
    conversation = Conversation()
    for piece in read.in_pieces(READ_AT_ONCE):
        feed(conversation, piece, sound, told_of(piece))
        breathe()
    return conversation


def feed(
    conversation: Conversation, entries: Iterable[Entry], sound: Mapping[int, float], told: Mapping[int, timeline.Entry]
) -> set[str]:
    """Feed entries of the log; returns the ids of the items that changed.

    Sound is fed as one piece, at the first of the ``entries`` that have it: ``sound`` has its milliseconds by ``seq``,
    and the others are left out. ``told``: entries with their frames, by ``seq``.
    """
    changed: set[str] = set()
    for entry in entries:
        if entry.seq in told:
            changed |= conversation.feed(told[entry.seq])
        elif entry.seq in sound:
            changed |= conversation.feed(bare(entry), sound[entry.seq])
    return changed


def told_of(entries: Sequence[Entry]) -> dict[int, timeline.Entry]:
    """These entries with their frames, by ``seq``; those that carry sound are left out."""
    raws = raws_of(entries)
    return {e.seq: e.to_entry(raws.get(e.seq, "")) for e in entries if e.type not in AUDIO_FIELDS}


def sound_of(entries: Iterable[Entry]) -> dict[int, float]:
    """Milliseconds of sound each row gained with these entries, by the ``seq`` of the first of them that carries it."""
    firsts: dict[tuple[int, bool], int] = {}
    sound: dict[int, float] = {}
    for entry in entries:
        if entry.type in AUDIO_FIELDS:
            first = firsts.setdefault((entry.row, entry.pair is None), entry.seq)
            sound[first] = sound.get(first, 0.0) + entry.audio_ms
    return sound


def tools_until(session: Session, seq: int) -> tuple[dict[str, str], dict[str, Any] | None]:
    """The memory, and the last weather that was got, as they stood at a place on the timeline."""
    notes = Entry.objects.of(session).until(seq).filter(kind="note")
    memory = memory_of(e.to_entry() for e in notes.of_types("memory").order_by("seq"))
    weather = notes.of_types("tool").filter(data__name="get_weather").order_by("-seq").first()
    return memory, weather.data if weather else None
