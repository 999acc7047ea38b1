"""One row in full: its facts, its JSON, and, of a frame that was changed on its way, what became of it."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any

from console import fragments
from console.models import Entry, Frame
from console.watch import rows_of
from realtime import catalog, lines
from realtime.soundtrack import in_item

AROUND = 2
"""Lines that are the same, shown on either side of one that is not."""
MOST_LINES = 600
"""Lines of JSON that are compared; of longer ones the beginning."""
MOST_SIDES = 8
"""Rows of one frame that are named."""

ELIDED = 2000
"""Characters of a string in the Event tab; longer ones (sound, mostly) are elided there and whole in the raw text."""


def pane_of(entry: Entry) -> fragments.EventPane:
    """One row in full, for the Event tab. Of a fold, its first member."""
    frame = entry.frame()
    raw = frame.raw
    told = entry.to_entry(raw)
    head = Entry.objects.of(entry.session_id).filter(seq=entry.row).first() or entry
    relayed = entry.session.relayed
    row = rows_of([head])[0] if head.seq == entry.seq else fragments.row(entry, lines.line(told), True, relayed)
    info = catalog.event(entry.type) if entry.kind == "ev" else None
    answered = None
    if told.event is not None and told.event.about:
        sent = Entry.objects.of(entry.session_id).filter(direction="sent", event_id=told.event.about).first()
        answered = rows_of([sent])[0] if sent else None
    data = told.event.data if told.event else told.data
    return fragments.EventPane(
        session_id=entry.session_id,
        row=row,
        meaning=info.meaning if info else "",
        json=fragments.to_json(_elided(data)) if data else raw,
        raw_length=len(raw),
        has_audio=head.fold_audio_ms > 0 or bool(in_item(data)),
        response_id=entry.response_id,
        item_id=entry.item_id,
        about=answered,
        facts=_facts(entry, head, relayed),
        change=_change(entry) if entry.pair is not None else None,
    )


def _facts(entry: Entry, head: Entry, relayed: bool) -> list[tuple[str, str]]:
    facts = [("at", f"{entry.t_us / 1e6:.3f} s"), (entry.direction, f"by {entry.origin}")]
    if entry.kind == "ev":
        facts.append(("", lines.size(entry.size)))
    if relayed:
        facts.append(("leg", "client" if entry.leg == "client" else "API"))
    if entry.added_us is not None:
        facts.append(("added", lines.added(entry.added_us)))
    if head.fold_count > 1:
        facts.append(("all together", lines.size(head.fold_size)))
    return facts


def _elided(value: Any) -> Any:
    """The same with very long strings cut: what is left tells what it is, the raw text has the rest."""
    if isinstance(value, str) and len(value) > ELIDED:
        return f"{value[:60]}… ({len(value):,} characters)"
    if isinstance(value, dict):
        return {key: _elided(inner) for key, inner in value.items()}
    return [_elided(inner) for inner in value] if isinstance(value, list) else value


def _change(entry: Entry) -> fragments.Change:
    """What a frame was when it came, and what it was when it left; one may have left as several."""
    sides = list(Entry.objects.of(entry.session_id).filter(pair=entry.pair).order_by("seq")[:MOST_SIDES])
    events = {frame.pk: frame.event for frame in Frame.objects.of(sides)}
    texts = [_text(events[one.pk].data, events[one.pk].raw) for one in sides if one.pk in events]
    told = [(_who(one), one.seq, one.type) for one in sides]
    left = [line for text in texts[1:] for line in text]
    return fragments.Change(told, difference(texts[0], left) if texts else [])


def _who(entry: Entry) -> str:
    sent = entry.direction == "sent"
    if entry.leg == "client":
        return "client sent" if sent else "client got"
    return "API got" if sent else "API sent"


def _text(data: dict[str, Any], raw: str) -> list[str]:
    return (fragments.to_json(_elided(data)) if data else raw[:ELIDED]).split("\n")[:MOST_LINES]


def difference(came: list[str], left: list[str]) -> list[fragments.DiffLine]:
    """What differs between two texts, line by line; of what is the same, only what stands around it."""
    found: list[fragments.DiffLine] = []
    for group in SequenceMatcher(None, came, left, autojunk=False).get_grouped_opcodes(AROUND):
        if found or group[0][1] > 0:
            found.append(fragments.DiffLine("…", ""))
        for how, i1, i2, j1, j2 in group:
            if how == "equal":
                found += [fragments.DiffLine(" ", line) for line in came[i1:i2]]
                continue
            found += [fragments.DiffLine("-", line) for line in came[i1:i2]]
            found += [fragments.DiffLine("+", line) for line in left[j1:j2]]
    return found
