"""The process that writes: how the console starts it, and what it is. It ends with its input, when all is stored.

A process and not a thread, for Python runs one thread at a time: while a thread of the console's own wrote, each frame
that came would wait for it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from console.locks import database_name, hold_as_writer

NICE = 5
"""How much more modest than the console it is, in the system's own measure (0 to 19), should they share a core."""
PIPE = 1024 * 1024
"""Bytes that may be under way, where the system lets us choose: two batches of speech from a hundred sessions."""

PATIENCE = 1
"""Seconds the database may let it wait for a lock, after which it says so and tries again: one that is silent hangs."""
CONNECT_WITHIN = 2
"""Seconds the same for a connection to PostgreSQL, which takes no less."""
MODULE = "console.writer_process"
"""What is run; tests put one in its place that fails."""
ALONE_WITHIN = 5.0
"""Seconds until the process before it is gone."""


def start(again: bool, modest: bool) -> subprocess.Popen[bytes]:
    """Start it on this console's database; returns at once. Raises OSError when there can be no such process.

    ``again``: in the place of one that has ended before it could say what it had stored. ``modest``: it takes only
    time that nobody else wants, so that no frame waits for it; on a machine where all cores are busy that may be none.
    """
    from django.conf import settings  # noqa: PLC0415  (at the other end it is configured first)
    from django.db import connection  # noqa: PLC0415

    process = subprocess.Popen(
        [sys.executable, "-m", MODULE],
        cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=PIPE,
        env={"MALLOC_ARENA_MAX": "1", **os.environ},  # two threads in turns need no memory of their own each (glibc)
    )  # fmt: skip
    assert process.stdin is not None
    database = {name: value for name, value in connection.settings_dict.items() if name != "TEST"}
    lock = settings.CONSOLE_DATA_DIR / f"writer-{database_name(database)}.lock"
    told = {"database": impatient(database), "again": again, "modest": modest, "lock": str(lock)}
    process.stdin.write(json.dumps(told, default=str).encode() + b"\n")  # not as an argument: it may hold a password
    process.stdin.flush()
    return process


def impatient(database: dict[str, Any]) -> dict[str, Any]:
    """A database's settings for a process that must not wait long without a word."""
    options = dict(database.get("OPTIONS") or {})
    if database["ENGINE"].endswith("sqlite3"):
        options["timeout"] = min(options.get("timeout", PATIENCE), PATIENCE)
    elif database["ENGINE"].endswith("postgresql"):
        options.setdefault("connect_timeout", CONNECT_WITHIN)
        options["options"] = f"{options.get('options', '')} -c lock_timeout={PATIENCE}s".strip()
    return {**database, "OPTIONS": options}


def main() -> None:
    """Read what database to write to, load what that needs of Django, a third of the console, and write."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # a terminal and a supervisor send them to all; the console answers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if not (line := sys.stdin.buffer.readline()):
        return  # the console has ended as it began
    told = json.loads(line)
    lock = hold_as_writer(Path(told["lock"]), ALONE_WITHIN) if told.get("lock") else None
    if told.get("lock") and lock is None:
        sys.exit("Another process still writes to this database.")

    from django.apps import apps  # noqa: PLC0415  (its settings come with the first line)
    from django.conf import settings  # noqa: PLC0415

    settings.configure(DATABASES={"default": told["database"]}, INSTALLED_APPS=["console"], USE_TZ=True)
    apps.populate(settings.INSTALLED_APPS)  # what django.setup() does beside this is for pages
    from console.writer import serve, serve_in_turns  # noqa: PLC0415

    gc.freeze()  # what is loaded stays
    if hasattr(os, "nice"):
        os.nice(NICE)
    if told["modest"] and hasattr(os, "SCHED_IDLE"):
        serve_in_turns(sys.stdin.buffer, sys.stdout.buffer, told["again"], idle_class)
    else:
        serve(sys.stdin.buffer, sys.stdout.buffer, told["again"])


def idle_class() -> None:
    """Let this thread run when nobody else wants to. Linux lets others, niceness or not, finish a slice of milliseconds."""
    with contextlib.suppress(OSError):  # where a container forbids it, niceness has to do
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    main()
