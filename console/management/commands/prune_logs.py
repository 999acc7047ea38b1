"""Remove the sessions that CONSOLE_KEEP_DAYS and CONSOLE_MAX_DISK keep no longer, and what was left behind."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from console import import_process, retention, storage
from console.writer import explain


class Command(BaseCommand):
    """``manage.py prune_logs [--compact]``"""

    help = "Remove old sessions as CONSOLE_KEEP_DAYS and CONSOLE_MAX_DISK say; works beside a running console."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whether to write the database anew."""
        parser.add_argument(
            "--compact", action="store_true",
            help="also write the database anew without free space; needs as much room again, and recording waits meanwhile",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Remove, give space back, say what was done."""
        try:
            self._prune(retention.limits(), options["compact"])
        except retention.InvalidLimit as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"Not all could be done: {explain(error)}.") from None

    def _prune(self, allowed: retention.Limits, compact: bool) -> None:
        before = storage.used()
        retention.sweep_deleted()
        retention.sweep_imports(import_process.locks())
        pruned = retention.prune(allowed)
        if allowed == retention.Limits() and not compact:
            self.stdout.write("Neither CONSOLE_KEEP_DAYS nor CONSOLE_MAX_DISK is set: all sessions are kept.")
        for rule, count in pruned.removed.items():
            self.stdout.write(f"{count} {'session' if count == 1 else 'sessions'} removed: {rule}.")
        if not pruned.removed and allowed != retention.Limits():
            self.stdout.write("No session had to be removed.")
        if pruned.exceeded:
            self.stdout.write(pruned.exceeded)
        if compact:
            storage.compact()
            self.stdout.write("The database was written anew without free space.")
        else:
            storage.give_back(spare=0)
            if not storage.shrinks() and storage.free():
                self.stdout.write(
                    f"{retention.in_words(storage.free())} of the file are free and used for what is recorded next; "
                    "prune_logs --compact gives them back to the system."
                )
        self.stdout.write(f"The recordings take {retention.in_words(storage.used())}, {retention.in_words(before)} before.")
        connection.close()
