"""A database that an earlier console has filled, opened by this one: nothing of it is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.console.stories import tell
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


def migrate(data_dir: Path, *to: str) -> None:
    """Bring the database there to a state, the newest by default."""
    environment = {**os.environ, "CONSOLE_DATA_DIR": str(data_dir), "DATABASE_URL": ""}
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0", *to]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=PATIENCE)


def fill(database: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert these rows, as far as the table has their columns."""
    known = [column[1] for column in database.execute(f"PRAGMA table_info({table})")]
    names = [name for name in known if name in rows[0]]
    marks = ", ".join("?" * len(names))
    database.executemany(
        f'INSERT INTO {table} ({", ".join(names)}) VALUES ({marks})', [[row[name] for name in names] for row in rows]
    )


def table(cursor: Any, name: str) -> list[dict[str, Any]]:
    """A table as it is."""
    cursor.execute(f"SELECT * FROM {name} ORDER BY 1")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_keys_that_are_the_order_of_writing(tmp_path: Path) -> None:
    """Sessions whose entries and frames went by session and place come out with all they had, and know their rows' ends."""
    tell()
    tell()
    migrate(tmp_path, "console", "0004")
    with connection.cursor() as cursor:
        sessions, entries, frames = (table(cursor, f"console_{name}") for name in ("session", "entry", "frame"))
    places = {entry["id"]: {"session_id": entry["session_id"], "seq": entry["seq"]} for entry in entries}
    with closing(sqlite3.connect(tmp_path / "console.sqlite3")) as database, database:
        fill(database, "console_session", sessions)
        fill(database, "console_entry", entries[::-1])
        fill(database, "console_frame", [frame | places[frame["entry_id"]] for frame in frames])
    migrate(tmp_path)
    with closing(sqlite3.connect(tmp_path / "console.sqlite3")) as database:
        told = {name: table(database.cursor(), f"console_{name}") for name in ("entry", "frame")}
    expected = sorted(entries, key=lambda entry: (entry["session_id"], entry["seq"]))
    assert told["entry"] == [entry | {"id": number} for number, entry in enumerate(expected, 1)]
    moved = {number: entry["id"] for number, entry in enumerate(expected, 1)}
    kept = {frame["entry_id"]: frame for frame in frames}
    assert told["frame"] == [kept[moved[frame["entry_id"]]] | {"entry_id": frame["entry_id"]} for frame in told["frame"]]
    assert len(told["frame"]) == len(frames)
