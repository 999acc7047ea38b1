"""Locks on files that go with the process, however it ends: SQLite's own, which hold on every system."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def hold(path: Path) -> sqlite3.Connection | None:
    """Take the lock on a file, which is made; None when another process has it. Closing the connection lets it go."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        lock.close()
        return None
    return lock
