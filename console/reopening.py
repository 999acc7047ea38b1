"""A running session's folder again, from what is stored: for a writer that takes over in the middle."""

from __future__ import annotations

from django.db.models import Max, Q

from console.models import Entry
from realtime.timeline import APPEND, BOUNDARIES, OPEN_FOLDS, Folder


def reopened(session_id: str) -> tuple[Folder, int]:
    """What folds the session from here on as if it had folded it from its first entry, and the last place stored."""
    entries = Entry.objects.of(session_id)
    folder = Folder()
    if told := entries.of_types("session.created", "session.updated").order_by("-seq").first():
        folder.fold(told.to_entry(told.frame().raw))  # the audio formats in force
    buffer = entries.of_types(*BOUNDARIES).aggregate(seq=Max("seq"))["seq"] or 0
    streams = entries.rows().filter(Q(type__endswith=".delta") | Q(type=APPEND, seq__gt=buffer))
    for head in reversed(streams.order_by("-fold_last_us", "-seq")[:OPEN_FOLDS]):
        folder.resume(head.to_entry(head.frame().raw), head.fold())
    return folder, entries.aggregate(seq=Max("seq"))["seq"] or 0
