"""Import event logs: each becomes a session, or is refused with line and reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from console import logfiles
from realtime.errors import InvalidLog
from realtime.logs import jsonl

CHUNK = 1024 * 1024  # bytes read at once


class Command(BaseCommand):
    """``manage.py import_log FILE…``"""

    help = "Import event logs (.jsonl); prints the id of each session. - reads from standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        """Any number of files."""
        parser.add_argument("files", nargs="+", metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import one file after the other; those before a refused one stay imported."""
        for name in options["files"]:
            try:
                if name == "-":
                    session = logfiles.store(jsonl.split_lines(_chunks(sys.stdin.buffer)))
                else:
                    with Path(name).open("rb") as file:
                        session = logfiles.store(jsonl.split_lines(_chunks(file)))
            except OSError as error:
                raise CommandError(f"{name} could not be read: {error.strerror}.") from error
            except InvalidLog as error:
                raise CommandError(f"{name} could not be imported, nothing of it was stored: {error}.") from error
            self.stdout.write(session.pk)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
