"""A session's timeline: entries and their frames, and the words in which they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Greatest

from console import columns
from console.models.sessions import Session
from realtime import filters, timeline
from realtime.events import parse


class RowNumber(models.BigIntegerField):
    """A key whose rows a database appends, with no index to keep beside them: on SQLite the table's own row number.

    That is what a column is if its type is the word ``integer``, and no other (SQLite, "CREATE TABLE", ROWIDs and the
    INTEGER PRIMARY KEY).
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Django's name for 64 bits, ``bigint``, would make a column like any other, and an index for it."""
        return "integer" if connection.vendor == "sqlite" else super().db_type(connection)

    def rel_db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """The same for a key that is another table's."""
        return self.db_type(connection)


class EntryQuerySet(models.QuerySet["Entry"]):
    """How a timeline is asked for."""

    def of(self, session: Session | str) -> Self:
        """One session's."""
        return self.filter(session_id=session if isinstance(session, str) else session.pk)

    def after(self, seq: int) -> Self:
        """What came after a place on the timeline."""
        return self.filter(seq__gt=seq)

    def before(self, seq: int) -> Self:
        """What came before a place on the timeline."""
        return self.filter(seq__lt=seq)

    def until(self, seq: int) -> Self:
        """What had happened by then, that place included."""
        return self.filter(seq__lte=seq)

    def rows(self) -> Self:
        """Heads only: one per row of the timeline."""
        return self.filter(row=F("seq"))

    def of_types(self, *types: str) -> Self:
        """Those of these types, which are no stream's: so each is a row of its own, and only rows are indexed by type."""
        return self.rows().filter(type__in=types)

    def counting(self) -> Self:
        """Without the client's row of a frame that was changed on its way: what the API said and was told."""
        return self.filter(Q(pair=None) | Q(leg="upstream"))

    def members_of(self, head: Entry) -> Self:
        """Every entry a row gathers, its head first."""
        return self.filter(row=head.seq, seq__range=(head.seq, head.fold_last)).order_by("seq")

    def in_pieces(self, size: int) -> Iterator[list[Entry]]:
        """In order, so many at once: a long session is never in memory as a whole."""
        seq = 0
        while piece := list(self.after(seq).order_by("seq")[:size]):
            seq = piece[-1].seq
            yield piece

    def matching(self, query: str) -> Self:
        """What a filter lets through, asked in SQL. Raises InvalidFilter, naming the word that does not parse."""
        found = self
        for term in filters.parse(query).terms:
            found = found.filter(_sql(term))
        return found


def _sql(term: filters.Term) -> Q:
    """One term of a filter as a condition on entries."""
    condition = term.where()
    clause, payload = Q(), Q()
    for field, lookup, value in condition.any_of:
        value = columns.text(value) if isinstance(value, str) else value  # as the column has it
        if field == "payload":
            payload |= Q(**{f"text__{lookup}": value})
        else:
            clause |= Q(**{f"{field}__{lookup}": value})
    if payload:
        clause |= Q(Exists(Frame.objects.of_row().filter(payload)))
    return ~clause if condition.negated else clause


class Entry(models.Model):
    """An event, a note or the close, at its place; what the timeline shows without opening the frame."""

    id = RowNumber(primary_key=True)
    """In the order of writing, over all sessions: ``console.batches`` numbers them. Named by nothing but its frame."""
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="entries", db_index=False)
    seq = models.PositiveIntegerField()
    t_us = models.BigIntegerField()
    kind = models.CharField(max_length=8)
    direction = models.CharField(max_length=8)
    leg = models.CharField(max_length=8)
    origin = models.CharField(max_length=8)
    type = models.CharField(max_length=128)
    level = models.CharField(max_length=8, blank=True)
    event_id = models.CharField(max_length=512, blank=True)
    response_id = models.CharField(max_length=128, blank=True)
    item_id = models.CharField(max_length=128, blank=True)
    text = models.TextField(blank=True)
    data = models.JSONField(default=dict, blank=True)
    pair = models.PositiveIntegerField(null=True, blank=True)
    row = models.PositiveIntegerField()
    size = models.PositiveIntegerField(default=0)
    audio_ms = models.FloatField(default=0)
    added_us = models.PositiveIntegerField(null=True, blank=True)
    """Of a relayed frame: microseconds from received to forwarded."""
    # The row's summary, on its head only; `realtime.timeline.Folder` makes it again from the entries.
    fold_last = models.PositiveIntegerField(default=0)
    fold_count = models.PositiveIntegerField(default=1)
    fold_size = models.PositiveBigIntegerField(default=0)
    fold_audio_ms = models.FloatField(default=0)
    fold_last_us = models.BigIntegerField(default=0)
    fold_gap_us = models.BigIntegerField(default=0)

    objects = EntryQuerySet.as_manager()

    class Meta:
        ordering = ["session_id", "seq"]
        # One index takes every entry, the others only rows: each costs a page for every session of a batch.
        constraints = [models.UniqueConstraint(fields=["session", "seq"], name="entry_place")]
        indexes = [
            models.Index(fields=["session", "seq"], name="entry_rows", condition=Q(row=F("seq"))),
            models.Index(fields=["session", "type", "seq"], name="entry_types", condition=Q(row=F("seq"))),
        ]

    def __str__(self) -> str:
        return f"{self.session_id} {self.seq} {self.type}"

    def frame(self) -> Frame:
        """The frame's text; an empty one for notes. Raises Frame.DoesNotExist for an event whose frame is missing."""
        if self.kind != "ev":
            return Frame(entry_id=self.pk, text="", at=-1)
        return Frame.objects.get(pk=self.pk)

    def to_entry(self, raw: str = "") -> timeline.Entry:
        """The engine's entry again, given the frame's text."""
        text, data = columns.from_note(self.text, self.data)
        return timeline.Entry(
            seq=self.seq,
            t_us=self.t_us,
            kind=self.kind,  # type: ignore[arg-type]  # written by the engine, read back as it was
            direction=self.direction,  # type: ignore[arg-type]
            leg=self.leg,  # type: ignore[arg-type]
            origin=self.origin,  # type: ignore[arg-type]
            event=parse(raw) if self.kind == "ev" else None,
            note=self.type if self.kind == "note" else "",
            text=text,
            data=data,
            pair=self.pair,
            transit=timeline.Transit(self.added_us) if self.added_us is not None else None,
        )

    def fold(self) -> timeline.Fold:
        """The row's summary, of a head."""
        return timeline.Fold(
            head=self.seq,
            first_us=self.t_us,
            last_us=self.fold_last_us,
            last=self.fold_last,
            count=self.fold_count,
            size=self.fold_size,
            audio_ms=self.fold_audio_ms,
            gap_us=self.fold_gap_us,
        )


class FrameQuerySet(models.QuerySet["Frame"]):
    """How frames are asked for."""

    def of(self, entries: Iterable[Entry]) -> Self:
        """Those of these entries, by whose keys they go; a note has none."""
        return self.filter(pk__in=[entry.pk for entry in entries if entry.kind == "ev"])

    def of_row(self) -> Self:
        """Those an entry of the query around this one gathers if it is a row's head, else its own."""
        places = (OuterRef("seq"), Greatest(OuterRef("seq"), OuterRef("fold_last")))
        return self.filter(entry__session=OuterRef("session"), entry__row=OuterRef("row"), entry__seq__range=places)


class Frame(models.Model):
    """A frame as it travelled: its text, with the sound taken out and kept as bytes; ``raw`` joins them again.

    ``at`` says where the sound stood in the text, -1 without sound. It is ``columns.WHOLE`` where the text holds what a
    text column cannot: ``audio`` is then the whole frame, and ``text`` a stand-in that can be searched.
    """

    entry = models.OneToOneField(Entry, primary_key=True, on_delete=models.CASCADE, related_name="+")
    text = models.TextField()
    audio = models.BinaryField(null=True)
    at = models.IntegerField(default=-1)

    objects = FrameQuerySet.as_manager()

    def __str__(self) -> str:
        return str(self.entry)

    @property
    def raw(self) -> str:
        """The frame's text, byte for byte as it travelled (secrets masked)."""
        return columns.join_frame(self.text, self.audio, self.at)

    @property
    def sound(self) -> bytes:
        """The sound that was taken out of the text; empty when there is none."""
        return bytes(self.audio) if self.audio and self.at >= 0 else b""

    @property
    def event(self) -> Any:
        """The frame read as an event."""
        return parse(self.raw)
