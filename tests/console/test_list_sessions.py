"""See which sessions there are: the rail, the library, and the same for programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from console import rail
from tests.console.stage import IN_FORCE, Story

pytestmark = pytest.mark.django_db

BEGAN = datetime(2026, 11, 20, 10, tzinfo=UTC)


def told(minutes: int = 0, code: int | None = 1000, by: str = "console", **columns: str) -> str:
    """A finished session that began so many minutes after ten."""
    story = Story(started_at=BEGAN + timedelta(minutes=minutes), **columns)
    story.received("session.created", session=IN_FORCE)
    story.received("error", error={"message": "No."})
    story.clock.advance(2)
    story.close(by, code, "bye")
    return story.store()


class TestThePages:
    """``GET /sessions/`` and the rail"""

    def test_newest_first(self, client: Client) -> None:
        """The library and the rail list sessions by when they began, the newest first."""
        for minutes, label in ((1, "second"), (2, "third"), (0, "first")):
            told(minutes, label=label)
        for path in ("/sessions/", "/"):
            text = client.get(path).content.decode()
            assert text.index("third") < text.index("second") < text.index("first")

    def test_what_is_told_of_each(self, client: Client) -> None:
        """Model, state, length, events and errors stand in the library."""
        told(label="Demo")
        text = client.get("/sessions/").content.decode()
        for shown in ("Demo", "simulator", "gpt-realtime-2.1", "2026-11-20 10:00:00", "closed 1000", "2.0 s", "<b>1</b>"):
            assert shown in text

    @pytest.mark.parametrize(("by", "code", "failed"), [
        ("console", 1000, False), ("server", 1000, False), ("server", 1001, False), ("server", 1011, True),
        ("server", None, True), ("client", 1000, False), ("console", None, False),
    ])  # fmt: skip
    def test_those_that_failed_are_marked(self, client: Client, by: str, code: int | None, failed: bool) -> None:
        """A session that ended otherwise than it should is marked in the rail and the library."""
        told(code=code, by=by)
        assert ('<li data-live="false" data-failed="true"' in client.get("/").content.decode()) is failed
        assert ('<td class="failed">' in client.get("/sessions/").content.decode()) is failed

    def test_none_yet(self, client: Client) -> None:
        """An empty list says what will be there."""
        assert "No sessions yet." in client.get("/").content.decode()
        assert "No sessions yet." in client.get("/sessions/").content.decode()

    def test_the_rail_is_short(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """The rail holds the newest only; the library has all."""
        monkeypatch.setattr(rail, "RAIL_LIMIT", 2)
        for minutes in range(3):
            told(minutes, label=f"number-{minutes}")
        assert "number-0" not in client.get("/").content.decode()
        assert "number-0" in client.get("/sessions/").content.decode()


class TestForPrograms:
    """``GET /sessions.json``, ``/sessions/<id>.json``, ``/healthz``"""

    def test_the_list(self, client: Client) -> None:
        """An array of what the contract names for each, newest first."""
        first, second = told(0), told(1, label="Olá")
        sessions = client.get("/sessions.json").json()
        assert [session["id"] for session in sessions] == [second, first]
        assert sessions[0] | {"ended_at": None} == {
            "id": second, "label": "Olá", "source": "console", "provider": "simulator", "model": "gpt-realtime-2.1",
            "dialect": "ga", "client": "", "key_name": "", "status": "closed", "started_at": "2026-11-20T10:01:00+00:00", "ended_at": None,
            "events": 2, "errors": 1, "pinned": False,
        }  # fmt: skip

    def test_one(self, client: Client) -> None:
        """One session with how it ended, how long it took, and the settings in force."""
        session = client.get(f"/sessions/{told()}.json").json()
        assert session["close"] == {"by": "console", "code": 1000, "reason": "bye"}
        assert (session["duration_ms"], session["session"]) == (2020, IN_FORCE)

    def test_one_that_runs(self, client: Client) -> None:
        """A running session has no end yet, and before the API has greeted no settings."""
        session = client.get(f"/sessions/{Story(status='connecting').session.pk}.json").json()
        assert (session["status"], session["close"], session["session"]) == ("connecting", None, None)

    def test_nobody_s(self, client: Client) -> None:
        """An unknown id is a 404."""
        assert client.get("/sessions/nobody.json").status_code == 404

    def test_it_lives(self, client: Client) -> None:
        """The health check answers 200 when the database does."""
        response = client.get("/healthz")
        assert (response.status_code, response.content) == (200, b"ok\n")

    def test_it_does_not(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a database the health check fails."""
        client.raise_request_exception = False

        def cursor(self: Any) -> None:
            raise OperationalError("unable to open database file")

        monkeypatch.setattr("django.db.backends.sqlite3.base.DatabaseWrapper.cursor", cursor)
        assert client.get("/healthz").status_code >= 500
