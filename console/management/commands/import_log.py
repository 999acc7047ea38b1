"""Import event logs: each becomes a session, or is refused with line and reason."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from console import import_process, importing
from realtime.errors import InvalidLog


class Command(BaseCommand):
    """``manage.py import_log FILE… [--json]``"""

    help = "Import event logs (.jsonl); prints the id of each session, with --json an object a file. - reads standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Any number of files."""
        parser.add_argument("files", nargs="+", metavar="FILE")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print an object for each file")

    def run_from_argv(self, argv: list[str]) -> None:
        """From a terminal: a running console goes first."""
        if hasattr(os, "nice"):
            os.nice(import_process.NICE)
        super().run_from_argv(argv)

    def handle(self, *args: Any, **options: Any) -> None:
        """Import one file after the other; a refused one keeps none from its turn. Raises CommandError if there was one."""
        refused = 0
        for name in options["files"]:
            facts: dict[str, Any] = {"file": name}
            try:
                imported = importing.Importer(import_process.locks()).run(_chunks(name))
            except OSError as error:
                facts["error"] = f"{name} could not be read: {error.strerror}."
            except (InvalidLog, importing.Failed) as error:
                facts["error"] = f"{name} could not be imported, nothing of it was stored: {error}."
            except DatabaseError as error:
                raise CommandError(f"The database cannot be used ({error}): start the console once, which prepares it.") from None
            else:
                facts |= {"sessions": imported.sessions, **importing.told(imported.report)}
            refused += "error" in facts
            self._say(facts, options["as_json"])
        if refused:
            raise CommandError(f"{refused} of {len(options['files'])} files could not be imported.", returncode=1)

    def _say(self, facts: dict[str, Any], as_json: bool) -> None:
        if as_json:
            nothing: dict[str, Any] = {"format": None, "sessions": [], "events": 0, "guessed": [], "missing": [], "skipped": []}
            self.stdout.write(json.dumps({"file": facts["file"], **nothing, **facts}, ensure_ascii=False))
            return
        if "error" in facts:
            self.stderr.write(facts["error"])
            return
        for session_id in facts["sessions"]:
            self.stdout.write(session_id)
        if facts["guessed"]:
            self.stderr.write(f"{facts['file']}: assumed, since the file does not say: {', '.join(facts['guessed'])}.")
        if facts["skipped"]:
            first, count = facts["skipped"][0], len(facts["skipped"]) + facts.get("skipped_more", 0)
            self.stderr.write(
                f"{facts['file']}: {count} {'line was' if count == 1 else 'lines were'} passed over, the first at "
                f"line {first['line']}: {first['reason']}."
            )


def _chunks(name: str) -> Iterator[bytes]:
    """A file's bytes, of ``-`` those of standard input."""
    if name != "-":
        yield from import_process.chunks(Path(name), importing.CHUNK)
        return
    while chunk := sys.stdin.buffer.read(importing.CHUNK):
        yield chunk
