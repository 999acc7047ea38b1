"""Outages: where recording cannot go on, new sessions are refused with a sentence, every page says so, and it recovers."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from channels.testing import WebsocketCommunicator
from django.db import DataError, InterfaceError, OperationalError
from django.test import Client

from console import live
from console.asgi import application
from console.models import Entry, Session
from console.recorder import Recorder, recorder
from tests.conftest import Console, csrf_of, start_console
from tests.console.relayed_stage import program
from tests.console.stage import HOST, HTMX, Stage, Story, flush
from tests.waiting import PATIENCE, eventually, soon

pytestmark = pytest.mark.django_db(transaction=True)

FULL = "database or disk is full"


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """No session can be written."""

    def save(*args: Any, **kwargs: Any) -> None:
        raise OperationalError(FULL)

    monkeypatch.setattr(Session, "save", save)


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Recording has been held up for long; said by the class, for a recorder that runs finds that nothing is."""
    sentence = "Recording is held up: the disk is full; free some space."
    with monkeypatch.context() as trouble:  # over before the stage stops its recorder
        trouble.setattr(recorder, "trouble", sentence)
        trouble.setattr(Recorder, "stopped", sentence)
        yield


async def handshake(path: str) -> tuple[int, dict[str, Any]]:
    """Ask for a relayed session that is refused: status and error."""
    socket = WebsocketCommunicator(application, path, headers=[(b"host", HOST)])
    socket.scope["client"] = ("127.0.0.1", 50_000)
    await socket.send_input({"type": "websocket.connect"})
    start = await socket.receive_output(PATIENCE)
    body = await socket.receive_output(PATIENCE)
    return start["status"], json.loads(body["body"])["error"]


class TestNewSessions:
    """Sessions that cannot be recorded do not begin"""

    async def test_a_full_disk_on_the_page(self, stage: Stage, full: None) -> None:
        """It says what to do, with 503, and nothing is dialled."""
        answer = await stage.client.post("/sessions/start", {"provider": "simulator"}, headers=HTMX)
        assert (answer.status_code, stage.dialled) == (503, [])
        assert "the disk is full; free some space" in answer.content.decode()

    async def test_a_full_disk_at_the_relay(self, stage: Stage, full: None) -> None:
        """It gets 503 in the API's error shape before the WebSocket opens."""
        status, error = await handshake("/v1/realtime?model=x")
        assert (status, error["code"], error["type"]) == (503, "recording_unavailable", "server_error")
        assert "the disk is full; free some space" in error["message"]

    async def test_held_up_for_long(self, stage: Stage, held_up: None) -> None:
        """While recording is held up neither begins, though the database would take a session."""
        answer = await stage.client.post("/sessions/start", {"provider": "simulator"}, headers=HTMX)
        assert (answer.status_code, "Recording is held up" in answer.content.decode()) == (503, True)
        assert (await handshake("/v1/realtime?model=x"))[0] == 503
        assert await Session.objects.acount() == 0

    async def test_a_key_that_cannot_be_checked(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the database of keys does not answer, that is said and not that the key is wrong."""

        def find(key: str) -> None:
            raise OperationalError("database is locked")

        monkeypatch.setattr("console.relay_keys.find", find)
        socket = "/v1/realtime?model=x&api-key=rc-0123456789"
        monkeypatch.setattr("console.relay_keys.PREFIX", "rc-")
        status, error = await handshake(socket)
        assert (status, error["code"]) == (503, "recording_unavailable")
        assert "locked by another program" in error["message"]


class TestPages:
    """What pages and programs are told"""

    @pytest.mark.parametrize("path", ["/", "/sessions/", "/relay/"])
    def test_every_page_says_so(self, client: Client, held_up: None, path: str) -> None:
        """The sentence stands on each."""
        assert "Recording is held up: the disk is full" in client.get(path).content.decode()

    def test_a_session_s_page_too(self, client: Client, held_up: None) -> None:
        """Also above a session."""
        page = client.get(f"/sessions/{Story(status='closed').session.pk}/")
        assert "Recording is held up: the disk is full" in page.content.decode()

    def test_the_health_check(self, client: Client, held_up: None) -> None:
        """It answers 503 with the reason."""
        answer = client.get("/healthz")
        assert (answer.status_code, answer.content.decode()) == (503, f"{recorder.trouble}\n")

    def test_a_moment_is_no_outage(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """What has been held up since a second is no reason to refuse."""
        monkeypatch.setattr(recorder, "_held_since", time.monotonic())
        monkeypatch.setattr(recorder, "trouble", "Recording is held up: …")
        assert (client.get("/healthz").status_code, recorder.stopped) == (200, "")

    @pytest.mark.parametrize("error", [OperationalError(FULL), InterfaceError("connection already closed")])
    @pytest.mark.parametrize("path", ["/sessions/", "/sessions.json"])
    def test_a_view_that_finds_the_database_gone(
        self, client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, path: str
    ) -> None:
        """It answers 503 with a sentence."""

        def gone(self: Any) -> None:
            raise error

        monkeypatch.setattr("console.models.SessionQuerySet.newest_first", gone)
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.content.decode().startswith("The console cannot do this now: ")

    async def test_the_relay_s_addresses_answer_as_the_api(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client's request gets the API's error shape."""

        def gone(*args: Any, **kwargs: Any) -> None:
            raise OperationalError(FULL)

        monkeypatch.setattr("console.views.tokens.admit", gone)
        answer = await stage.client.post("/v1/realtime/client_secrets", "{}", content_type="application/json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "recording_unavailable")

    def test_a_defect_is_none(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is no outage is not called one."""

        def broken(self: Any) -> None:
            raise DataError("a defect")

        monkeypatch.setattr("console.models.SessionQuerySet.newest_first", broken)
        client.raise_request_exception = False
        assert client.get("/sessions/").status_code == 500


class TestEnds:
    """Sessions that end because recording failed"""

    async def test_both_sides_are_told_why(self, stage: Stage) -> None:
        """The client and the API get 1011 and the reason; so does the log, and the session's page."""
        async with program(stage) as on:
            api = stage.api
            closing = asyncio.create_task(live.give_up([on.session_id]))
            while (message := await on.socket.receive_output(PATIENCE))["type"] != "websocket.close":
                pass
            await closing
            assert (message["code"], message["reason"]) == (1011, live.RECORDING_FAILED)
            assert (api.close_code, api.close_reason) == (1011, live.RECORDING_FAILED)
            await flush()
            session = await Session.objects.aget(pk=on.session_id)
            assert (session.status, session.close_by, session.close_code) == ("closed", "console", 1011)
            assert session.close_reason == live.RECORDING_FAILED
            notes = Entry.objects.of(on.session_id).filter(type="problem").values_list("text", flat=True)
            assert live.RECORDING_FAILED in [text async for text in notes]

    async def test_a_session_of_the_page_s_own(self, stage: Stage) -> None:
        """The API gets the same, and the session's page says it."""
        session_id = await stage.start()
        await live.give_up([session_id])
        await flush()
        assert (stage.api.close_code, stage.api.close_reason) == (1011, live.RECORDING_FAILED)
        page = await stage.client.get(f"/sessions/{session_id}/")
        assert "recording failed: the console can no longer store what happens" in page.content.decode()


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A console with its own processes."""
    running = start_console(tmp_path)
    yield running
    assert running.stop() == 0


@pytest.mark.slow
async def test_it_recovers_by_itself(console: Console) -> None:
    """Another program holds the database: new sessions are refused and the health check says why; then all is stored."""
    async with httpx.AsyncClient(base_url=console.url, trust_env=False, timeout=PATIENCE) as page:
        await page.get("")
        form = {"provider": "simulator", "csrfmiddlewaretoken": csrf_of(page)}
        first = (await page.post("sessions/start", data=form)).headers["location"].strip("/")
        holder = sqlite3.connect(console.data_dir / "console.sqlite3", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            send = {"event": '{"type":"while.held.up"}', "csrfmiddlewaretoken": csrf_of(page)}

            async def sick() -> bool:
                assert (await page.post(f"{first}/send", data=send)).status_code in (204, 422)
                return (await page.get("healthz")).status_code == 503

            await soon(sick, "the health check says that recording is held up")
            assert "locked by another program" in (await page.get("healthz")).text
            refused = await page.post("sessions/start", data=form)
            assert (refused.status_code, "locked by another program" in refused.text) == (503, True)
            for path in ("", "sessions/", "relay/", first + "/"):
                assert "locked by another program" in (await page.get(path)).text
        finally:
            holder.rollback()
            holder.close()

        async def well() -> bool:
            return (await page.get("healthz")).status_code == 200

        await soon(well, "recording goes on")
        assert "while.held.up" in (await page.get(f"{first}/log.jsonl")).text
        assert (await page.post("sessions/start", data=form)).status_code == 302
        eventually(lambda: "recording goes on" in console.log.read_text(), "the log says so")
