"""The process an import runs in: how the console starts it, and what it is. It ends with its input, which is how it is stopped.

A process and not a thread: decoding a file takes seconds of Python, in which no frame of a live session would pass,
and what it takes of memory goes back to the system.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NICE = 10
"""How much more modest than the console it is (0 to 19)."""


def start(file: str) -> subprocess.Popen[bytes]:
    """Start an import of a file into this console's database; returns at once. Raises OSError.

    Its output is an object a line: ``bytes, lines, events, skipped`` on the way; at the end ``sessions`` and
    ``report``, or ``refused``, ``failed`` (sentences) or ``stopped``. It is stopped by closing its input.
    """
    from django.conf import settings  # noqa: PLC0415  (at the other end it is configured first)
    from django.db import connection  # noqa: PLC0415

    process = subprocess.Popen(
        [sys.executable, "-m", "console.import_process"],
        cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={"MALLOC_ARENA_MAX": "1", **os.environ},  # two threads in turns need no memory of their own each (glibc)
    )  # fmt: skip
    assert process.stdin is not None
    database = {name: value for name, value in connection.settings_dict.items() if name != "TEST"}
    task = {"database": database, "file": file, "locks": str(locks())}
    process.stdin.write(json.dumps(task, default=str).encode() + b"\n")  # not as an argument: it may hold a password
    process.stdin.flush()
    return process


def locks() -> Path:
    """The folder of locks that say which imports are alive."""
    from django.conf import settings  # noqa: PLC0415  (see above)

    return Path(settings.CONSOLE_DATA_DIR) / "imports"


def chunks(file: Path, size: int) -> Iterator[bytes]:
    """A file's bytes. Raises OSError."""
    with file.open("rb") as opened:
        while chunk := opened.read(size):
            yield chunk


def main() -> None:
    """Read what to import and where to, load what that needs of Django, import, say what became of it."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # a terminal and a supervisor send them to all; the console answers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if not (line := sys.stdin.buffer.readline()):
        return  # the console has ended as it began
    task = json.loads(line)
    if hasattr(os, "nice"):
        os.nice(NICE)

    from django.apps import apps  # noqa: PLC0415  (its settings come with the first line)
    from django.conf import settings  # noqa: PLC0415

    settings.configure(DATABASES={"default": task["database"]}, INSTALLED_APPS=["console"], USE_TZ=True)
    apps.populate(settings.INSTALLED_APPS)  # what django.setup() does beside this is for pages
    _import(task)


def _import(task: dict[str, Any]) -> None:
    from console import importing  # noqa: PLC0415  (models need Django's apps)
    from realtime.errors import InvalidLog  # noqa: PLC0415
    from realtime.logs.reader import Report  # noqa: PLC0415

    def progress(read: int, report: Report) -> None:
        skipped = len(report.skipped) + report.skipped_more
        _say(bytes=read, lines=report.lines, events=report.events, skipped=skipped)

    importer = importing.Importer(Path(task["locks"]), progress)

    def stop_at_end_of_input() -> None:
        while os.read(0, 4096):  # not through sys.stdin: a thread that holds it when Python ends is a fatal error
            pass
        importer.stop()

    threading.Thread(target=stop_at_end_of_input, name="stop", daemon=True).start()
    try:
        imported = importer.run(chunks(Path(task["file"]), importing.CHUNK))
    except importing.Stopped:
        _say(stopped=True)
    except InvalidLog as error:
        _say(refused=str(error))
    except importing.Failed as error:
        _say(failed=str(error))
    except OSError as error:
        _say(failed=f"the file could not be read: {error.strerror}")
    else:
        _say(sessions=imported.sessions, report=importing.told(imported.report))


def _say(**words: Any) -> None:
    """Write an object; a console that is gone needs no answer."""
    try:
        sys.stdout.write(json.dumps(words) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.close(1)
        os.open(os.devnull, os.O_WRONLY)


if __name__ == "__main__":
    main()
