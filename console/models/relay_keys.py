"""Relay keys: keys of the relay's own, of which only a digest is kept."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import F


class RelayKeyQuerySet(models.QuerySet["RelayKey"]):
    """How relay keys are asked for."""

    def usable(self) -> Self:
        """Those nobody has revoked."""
        return self.filter(revoked_at=None)

    def newest_first(self) -> Self:
        """As their page lists them: what can be used, then what no longer can."""
        return self.order_by(F("revoked_at").asc(nulls_first=True), "-created_at", "-id")


class RelayKey(models.Model):
    """A key of the relay's own: whoever has it works with the console's key upstream. ``console.relay_keys`` makes it."""

    name = models.CharField(max_length=80, unique=True)
    # SHA-256 without salt or stretching: those slow down guessing, and nobody guesses 256 random bits.
    digest = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=4)
    provider = models.CharField(max_length=64, blank=True)
    policy = models.JSONField(default=dict, blank=True)
    spent_usd = models.FloatField(default=0)
    dearest_usd = models.FloatField(default=0)
    """Of its responses so far, the dearest: reserved for each one that is under way."""
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = RelayKeyQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
