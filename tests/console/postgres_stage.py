"""The process that writes, on a PostgreSQL of the tests' own: entries in, receipts and rows out."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import environ
import psycopg

from console import columns
from console.models import new_session_id
from console.parcels import Receipt, Told, packed, receipts
from tests.conftest import ROOT
from tests.waiting import PATIENCE

SESSION = (
    "INSERT INTO console_session (id, label, source, provider, model, dialect, client, key_name, status, started_at, close_by, "
    "close_reason, events, errors, last_seq, duration_us, pinned) "
    "VALUES (%s, '', 'console', '', '', 'ga', '', '', 'ready', %s, '', '', 0, 0, 0, 0, false)"
)
ROWS = (
    "SELECT e.seq, e.kind, e.type, e.data, f.text, f.audio, f.at FROM console_entry e LEFT JOIN console_frame f "
    "ON f.entry_id = e.id WHERE e.session_id = %s ORDER BY e.seq"
)


class PostgresStage:
    """A database with the console's tables."""

    def __init__(self, url: str) -> None:
        self.url = url
        environment = {**os.environ, "DATABASE_URL": url}
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True, timeout=PATIENCE * 2)
        self.settings = environ.Env.db_url_config(url)
        self.connection = psycopg.connect(
            host=self.settings["OPTIONS"]["host"],
            user=self.settings["USER"],
            dbname=self.settings["NAME"],
            autocommit=True,
        )

    def session(self) -> str:
        """A session to record into."""
        session_id = new_session_id()
        self.connection.execute(SESSION, [session_id, datetime.now(UTC)])
        return session_id

    def write(self, *batches: Sequence[Told]) -> list[Receipt]:
        """Let a process store these batches; returns what it said of each."""
        database = {
            "ATOMIC_REQUESTS": False,
            "AUTOCOMMIT": True,
            "CONN_MAX_AGE": 0,
            "CONN_HEALTH_CHECKS": False,
            "TIME_ZONE": None,
        }
        told = {"database": {**database, **self.settings}, "again": False, "modest": False}
        sent = json.dumps(told).encode() + b"\n" + b"".join(bytes(packed(batch, whole=True)) for batch in batches)
        done = subprocess.run(
            [sys.executable, "-m", "console.writer_process"],
            cwd=ROOT,
            input=sent,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
        return [receipt for receipt in receipts(io.BytesIO(done.stdout)) if receipt.done]

    def rows(self, session_id: str) -> list[tuple[Any, ...]]:
        """What is stored of a session: place, kind, type, facts and exact frame of each entry."""
        found = self.connection.execute(ROWS, [session_id]).fetchall()
        return [(*row[:4], columns.join_frame(*row[4:]) if row[4] is not None else None) for row in found]

    def close(self) -> None:
        """Give the connection back."""
        self.connection.close()
