"""Sessions: one connection to the API each, with a summary of its entries; and what was removed for age or size."""

from __future__ import annotations

import secrets
import string
from typing import Any, Self

from django.db import models

from console import columns
from realtime import shapes

ALPHABET = string.digits + string.ascii_letters


def new_session_id() -> str:
    """Twelve base62 characters: 71 bits, so an id cannot be guessed."""
    return "".join(secrets.choice(ALPHABET) for _ in range(12))


class SessionQuerySet(models.QuerySet["Session"]):
    """How sessions are asked for."""

    def newest_first(self) -> Self:
        """As the rail and the library list them."""
        return self.order_by("-started_at", "-id")

    def live(self) -> Self:
        """Those whose connection is not over."""
        return self.exclude(status=Session.CLOSED)

    def over(self) -> Self:
        """Those whose connection is."""
        return self.filter(status=Session.CLOSED)


class SessionManager(models.Manager.from_queryset(SessionQuerySet)):  # type: ignore[misc]  # made at run time
    """Every session but the hidden ones: those still being imported and those being deleted are for nobody to see."""

    def get_queryset(self) -> SessionQuerySet:
        """Sessions that are wholly there."""
        found: SessionQuerySet = super().get_queryset().exclude(status__in=Session.HIDDEN)
        return found


class Session(models.Model):
    """One connection to the API. Everything but the label is a summary of its entries and can be rebuilt."""

    IDLE, CONNECTING, READY, CLOSING, CLOSED = "idle", "connecting", "ready", "closing", "closed"
    IMPORTING, DELETING = HIDDEN = ("importing", "deleting")
    """Not there yet, and no longer there: rows are added and removed a few at a time, beside what is being recorded."""
    STATUSES = [(s, s) for s in (IDLE, CONNECTING, READY, CLOSING, CLOSED, *HIDDEN)]

    id = models.CharField(primary_key=True, max_length=24, default=new_session_id, editable=False)
    label = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=16, default="console")
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=128, blank=True)
    dialect = models.CharField(max_length=8, default="ga")
    client = models.CharField(max_length=128, blank=True)
    """Of a relayed session: the client's library, as its user agent says."""
    key_name = models.CharField(max_length=80, blank=True)
    """Of a relayed session: the relay key it came with."""
    status = models.CharField(max_length=16, choices=STATUSES, default=IDLE)
    started_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    close_by = models.CharField(max_length=16, blank=True)
    close_code = models.IntegerField(null=True, blank=True)
    close_reason = models.TextField(blank=True)
    events = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0)
    last_seq = models.PositiveIntegerField(default=0)
    duration_us = models.BigIntegerField(default=0)
    pinned = models.BooleanField(default=False)
    """Kept whatever CONSOLE_KEEP_DAYS and CONSOLE_MAX_DISK say."""
    imported_at = models.DateTimeField(null=True, blank=True)
    """When an imported session came here: its age is counted from then, not from when it was recorded."""

    objects = SessionManager()
    all_objects = SessionQuerySet.as_manager()
    """Hidden sessions too."""

    class Meta:
        ordering = ["-started_at", "-id"]

    def __str__(self) -> str:
        return self.label or self.id

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; names that a column cannot hold are cut, or stand-ins take their place."""
        for field in self._meta.concrete_fields:
            if isinstance(value := getattr(self, field.attname), str):
                setattr(self, field.attname, columns.text(value)[: field.max_length])
        super().save(*args, **kwargs)

    @property
    def is_live(self) -> bool:
        """Whether the connection is not over."""
        return self.status != self.CLOSED

    @property
    def relayed(self) -> bool:
        """Whether it is, or in an imported log was, somebody else's: a client's that came to the relay."""
        return self.source == "relay" or bool(self.client or self.key_name)

    def in_force(self) -> dict[str, Any] | None:
        """The session object of the last session.created or session.updated, in GA's shape; None before the first."""
        told = self.entries.of_types("session.created", "session.updated").counting()
        entry = told.order_by("-seq").first()
        session = entry.frame().event.data.get("session") if entry else None
        return shapes.in_ga(session) if isinstance(session, dict) else None

    def asked(self) -> dict[str, Any]:
        """All sent session.update merged: what was asked for, whether it was granted or not."""
        asked: dict[str, Any] = {}
        sent = self.entries.of_types("session.update").counting().filter(direction="sent")
        for entry in sent.order_by("seq"):
            update = entry.frame().event.data.get("session")
            if isinstance(update, dict):
                merge(asked, shapes.in_ga(update))
        return asked


def merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    """Deep merge as session.update does it: objects field by field, everything else replaced."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


class Removal(models.Model):
    """Sessions that were removed by a rule: what a page says of it."""

    at = models.DateTimeField(auto_now_add=True)
    rule = models.CharField(max_length=80)
    """Why, such as ``older than 30 days``."""
    sessions = models.PositiveIntegerField()

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.sessions} {self.rule}"
