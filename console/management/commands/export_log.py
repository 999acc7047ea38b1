"""Export a session: its event log, or its sound."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from console import logfiles, sound
from console.models import Session
from realtime.errors import InvalidFilter


class Command(BaseCommand):
    """``manage.py export_log ID [--format jsonl|wav] [--output FILE]``"""

    help = "Write a session's event log or sound to standard output or to a file."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which session, in which form, where to."""
        parser.add_argument("session", metavar="ID")
        parser.add_argument("--format", choices=("jsonl", "wav"), default="jsonl")
        parser.add_argument("--output", metavar="FILE", help="where to write; standard output without it")
        parser.add_argument("--filter", default="", metavar="WORDS", help="only entries that match (jsonl)")
        parser.add_argument("--no-audio", action="store_true", help="leave the sound out (jsonl)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it piece by piece."""
        try:
            session = Session.objects.get(pk=options["session"])
        except Session.DoesNotExist:
            raise CommandError(f"There is no session {options['session']}.") from None
        if options["format"] == "wav":
            track = sound.of_session(session)
            pieces = sound.pieces(session.pk, track, 0, track.wav_size)
        else:
            pieces = logfiles.pieces(session, options["filter"], audio=not options["no_audio"])
        try:
            if options["output"]:
                with Path(options["output"]).open("wb") as file:
                    file.writelines(pieces)
            else:
                # Bytes go past the command's own stdout, which takes text and ends each with a newline.
                sys.stdout.buffer.writelines(pieces)
                sys.stdout.buffer.flush()
        except InvalidFilter as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{options['output']} could not be written: {error.strerror}.") from error
