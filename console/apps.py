"""The app's own settings-up: a database that is made anew can give space back to the system."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class ConsoleConfig(AppConfig):
    """The one app of the project."""

    name = "console"

    def ready(self) -> None:
        """Look at the database whenever its tables were brought up to date."""
        post_migrate.connect(_begin_incremental, sender=self)


def _begin_incremental(using: str, **_: Any) -> None:
    """Set up incremental vacuum in a SQLite database that holds no session yet, which takes some milliseconds.

    Not among a connection's first statements: there SQLite takes the write lock for it, each time.
    """
    connection = connections[using]
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return
    with connection.cursor() as cursor:
        if cursor.execute("PRAGMA auto_vacuum").fetchone()[0] or "console_session" not in connection.introspection.table_names(cursor):
            return
        if cursor.execute("SELECT EXISTS (SELECT 1 FROM console_session)").fetchone()[0]:
            return
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("VACUUM")
