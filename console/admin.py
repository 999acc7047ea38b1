"""Django's admin, for those who run the console for a team: what is kept, to look at and to throw away."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from console.models import Preset, Session


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):
    """Sessions are recordings: they can be named and deleted, not made up or changed."""

    list_display = ("__str__", "started_at", "provider", "model", "status", "events", "errors")
    list_filter = ("status", "provider", "source")
    search_fields = ("id", "label", "model")
    readonly_fields = tuple(field.name for field in Session._meta.fields if field.name != "label")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A session begins on the console."""
        return False


@admin.register(Preset)
class PresetAdmin(admin.ModelAdmin):
    """Settings under a name."""

    list_display = ("name", "created_at")
