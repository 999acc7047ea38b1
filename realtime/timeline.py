"""Timeline: a session's entries in order, on one clock, and the folds that gather a stream's deltas into a row."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from realtime.audio import AUDIO_FIELDS, encoded_length_ms, size_ms
from realtime.events import Event

Direction = Literal["sent", "received", "console"]
Leg = Literal["client", "upstream"]
Origin = Literal["app", "browser", "tool", "composer", "console", "replay", "api"]
Kind = Literal["ev", "note", "close"]

SENT: Direction = "sent"
RECEIVED: Direction = "received"
CONSOLE: Direction = "console"

OPEN_FOLDS = 256
"""Streams that can be open at once; an older one that goes on after that begins a new row. Bounds memory."""


class Transit(msgspec.Struct, array_like=True, gc=False):
    """What a frame's way through the relay cost, filled in when it has left."""

    added_us: int | None = None
    """Microseconds from received to forwarded; None while it has not left, or when it never does."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event, a note of the console's, or the close, at its place on a session's timeline."""

    seq: int
    """Place in the session, from 1, without gaps."""
    t_us: int
    """Microseconds since the session began, on a monotonic clock."""
    kind: Kind
    direction: Direction = CONSOLE
    leg: Leg = "upstream"
    origin: Origin = "console"
    event: Event | None = None
    """Set for ``ev``."""
    note: str = ""
    """For a note: its kind, e.g. ``state``, ``tool``, ``memory``, ``skip``."""
    text: str = ""
    """For a note: its sentence. For a close: the reason."""
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    """For a note: its facts. For a close: ``by`` (client, server, console) and ``code`` (int or None)."""
    pair: int | None = None
    """Shared by the rows of a frame that was changed on its way: ``seq`` of the first of them."""
    transit: Transit | None = None
    """Of a relayed frame."""

    @property
    def counts(self) -> bool:
        """Whether this is what the API said or was told: of a frame changed on its way, only the upstream's row is."""
        return self.pair is None or self.leg == "upstream"

    @property
    def type(self) -> str:
        """The event's type, or the note's kind, or ``close``."""
        return self.event.type if self.event else self.note or self.kind

    @property
    def size(self) -> int:
        """Bytes on the wire; 0 for what never travelled."""
        return self.event.size if self.event else 0


@dataclass(slots=True)
class Fold:
    """A row that gathers one stream's entries. Also a row of one: count 1."""

    head: int
    """``seq`` of the first member, which names the row."""
    first_us: int
    last_us: int
    last: int = 0
    """``seq`` of the last member; 0 where it does not matter."""
    count: int = 1
    size: int = 0
    """Bytes on the wire, all members together."""
    audio_ms: float = 0.0
    """Sound carried by all members together."""
    gap_us: int = 0
    """Longest silence between two members."""

    def take(self, seq: int, t_us: int, size: int, audio_ms: float) -> None:
        """Count one more member."""
        if (gap := t_us - self.last_us) > self.gap_us:
            self.gap_us = gap
        self.last, self.last_us = seq, t_us
        self.count += 1
        self.size += size
        self.audio_ms += audio_ms


APPEND = "input_audio_buffer.append"
BOUNDARIES = ("input_audio_buffer.committed", "input_audio_buffer.cleared")
"""What ends a stretch of appended sound, which has no ids of its own."""


def is_stream(type_: str) -> bool:
    """Whether events of this type come in runs that a reader wants as one row."""
    return type_.endswith(".delta") or type_ == APPEND


class Timeline:
    """Numbers a session's entries, stamps them, and says which row each belongs to.

    Feed every frame and note through ``event()``, ``note()`` and ``close()``; each returns the new entry. Then ask
    ``fold(entry)`` for its row: one row per entry, but one row for all deltas of a stream however they interleave.
    A stream is keyed by (direction, type, response, item, content index). Appended microphone audio has no ids: its
    stream lasts until the buffer is committed or cleared.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` gives monotonic seconds; the session begins now."""
        self.clock = clock
        self.began = clock()
        self.last_seq = 0
        self.folder = Folder()

    def now_us(self) -> int:
        """Microseconds since the session began."""
        return int((self.clock() - self.began) * 1_000_000)

    def event(
        self,
        event: Event,
        direction: Direction,
        origin: Origin,
        leg: Leg = "upstream",
        *,
        data: dict[str, Any] | None = None,
        pair: int | None = None,
        transit: Transit | None = None,
    ) -> Entry:
        """Place one event."""
        self.last_seq = seq = self.last_seq + 1
        t_us = int((self.clock() - self.began) * 1_000_000)
        # By place, not by name, and without further calls: every frame comes through here.
        return Entry(seq, t_us, "ev", direction, leg, origin, event, "", "", {} if data is None else data, pair, transit)

    def note(self, kind: str, text: str, data: dict[str, Any] | None = None) -> Entry:
        """Place one sentence of the console's own."""
        return self._place("note", note=kind, text=text, data=data or {})

    def close(self, by: str, code: int | None, reason: str) -> Entry:
        """Place the end of the connection."""
        return self._place("close", text=reason, data={"by": by, "code": code})

    def fold(self, entry: Entry) -> Fold:
        """The row this entry belongs to, with the entry counted in."""
        return self.folder.fold(entry)

    def _place(self, kind: Kind, **fields: Any) -> Entry:
        self.last_seq += 1
        return Entry(seq=self.last_seq, t_us=self.now_us(), kind=kind, **fields)


class Folder:
    """Gathers entries into rows; pure, so that an imported log folds exactly as the live session did."""

    def __init__(self) -> None:
        self.open: OrderedDict[tuple[Any, ...], Fold] = OrderedDict()
        self.formats: dict[Direction, str] = {SENT: "audio/pcm", RECEIVED: "audio/pcm"}
        self.buffers = 0
        """How often the input buffer was committed or cleared: which stretch of microphone audio this is."""

    def fold(self, entry: Entry) -> Fold:
        """Count the entry into its row and return the row. Call once per entry, in order."""
        return self.take(entry)[0]

    def take(self, entry: Entry, sound: int | None = None) -> tuple[Fold, float]:
        """As ``fold``, with the milliseconds of sound the entry itself carries. ``sound``: its bytes, where they are known."""
        event = entry.event
        audio_ms = self.audio_ms(entry, sound)
        if event is None or not is_stream(event.type):
            self._learn(event)
            return Fold(entry.seq, entry.t_us, entry.t_us, entry.seq, size=entry.size, audio_ms=audio_ms), audio_ms
        key = self._key(entry, event)
        fold = self.open.get(key)
        if fold is None:
            fold = self.open[key] = Fold(entry.seq, entry.t_us, entry.t_us, entry.seq, 1, event.size, audio_ms)
            if len(self.open) > OPEN_FOLDS:
                self.open.popitem(last=False)
        else:
            self.open.move_to_end(key)
            fold.take(entry.seq, entry.t_us, event.size, audio_ms)
        return fold, audio_ms

    def resume(self, head: Entry, fold: Fold) -> None:
        """Go on with a row that began earlier; those that grew last are to come last."""
        if head.event is not None:
            self.open[self._key(head, head.event)] = fold

    def _key(self, entry: Entry, event: Event) -> tuple[Any, ...]:
        """Which stream an entry belongs to."""
        buffer = self.buffers if event.type == APPEND else 0
        return (entry.direction, entry.leg, event.type, event.response_id, event.item_id, event.content_index, buffer)

    def audio_ms(self, entry: Entry, sound: int | None = None) -> float:
        """Milliseconds of sound this entry carries, judged by its length and the format in force; 0 for most."""
        event = entry.event
        if event is None or (name := AUDIO_FIELDS.get(event.type)) is None:
            return 0.0
        format_ = self.formats[SENT if name == "audio" else RECEIVED]
        return encoded_length_ms(event.raw, name, format_) if sound is None else size_ms(sound, format_)

    def _learn(self, event: Event | None) -> None:
        """Follow what decides how later entries fold: buffer boundaries and audio formats."""
        if event is None:
            return
        if event.type in BOUNDARIES:
            self.buffers += 1
        elif event.type in ("session.created", "session.updated"):
            session = event.data.get("session")
            for direction, side in ((SENT, "input"), (RECEIVED, "output")):
                self.formats[direction] = _format_of(session, side)


def _format_of(session: Any, side: str) -> str:
    """The audio format in force for one side of a session object, GA or beta; ``audio/pcm`` when it says nothing."""
    if not isinstance(session, dict):
        return "audio/pcm"
    flat = session.get(f"{side}_audio_format")
    if isinstance(flat, str):
        return {"g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}.get(flat, "audio/pcm")
    here: Any = session.get("audio")
    for key in (side, "format", "type"):
        here = here.get(key) if isinstance(here, dict) else None
    return here if isinstance(here, str) else "audio/pcm"


def fold_all(entries: Iterable[Entry]) -> dict[int, Fold]:
    """Fold a whole log: row by the ``seq`` of its head, in order."""
    folder = Folder()
    rows: dict[int, Fold] = {}
    for entry in entries:
        fold = folder.fold(entry)
        rows[fold.head] = fold
    return rows
