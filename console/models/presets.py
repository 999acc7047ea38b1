"""Presets: a session's settings under a name."""

from __future__ import annotations

from django.db import models


class Preset(models.Model):
    """A session's settings under a name."""

    name = models.CharField(max_length=80, unique=True)
    settings = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
