"""Files and folders that nobody but their owner may read, whatever the umask; on Windows the system's own rules hold."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

FOLDER, FILE = 0o700, 0o600


def make_private(path: Path) -> None:
    """Take a file or folder away from group and others, if it is there and belongs to this user."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # it is gone, or its file system has no modes
        facts = path.lstat()
        if stat.S_ISLNK(facts.st_mode):
            facts = path.stat()
        wanted = FOLDER if stat.S_ISDIR(facts.st_mode) else FILE
        if facts.st_uid == os.geteuid() and stat.S_IMODE(facts.st_mode) != wanted:
            path.chmod(wanted)


def private_folder(path: Path) -> None:
    """Make a folder, and those above it, if it is not there; private from then on. Raises OSError."""
    path.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    make_private(path)


def private_file(path: Path) -> None:
    """Make a file if it is not there; private from then on. Raises OSError."""
    if not path.exists():
        path.touch(mode=FILE)
    make_private(path)


def private_database(path: Path) -> None:
    """Make an SQLite database's file if it is not there; private, as those beside it that SQLite makes. Raises OSError.

    SQLite gives ``-wal`` and ``-shm`` the database's own mode when it makes them, so the database must exist first.
    """
    private_file(path)
    for suffix in ("-wal", "-shm", "-journal"):
        make_private(path.with_name(path.name + suffix))
