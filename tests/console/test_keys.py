"""Type a key on the page: it is held in memory for this browser, shown by its end, used for dialling, and forgotten."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient, Client

from console.access import keyring
from tests.console.stage import HTMX, Stage, flush

KEY = "sk-proj-A1b2C3d4E5f6G7h8I9j0WXYZ"


@pytest.fixture(autouse=True)
def _no_keys() -> Iterator[None]:
    """A keyring that nobody has used, before and after."""
    keyring._keys.clear()
    yield
    keyring._keys.clear()


def hold(client: Client, key: str = KEY, provider: str = "openai") -> Any:
    """Type a key."""
    return client.post("/keys/", {"provider": provider, "key": key}, headers=HTMX)


@pytest.mark.django_db
class TestHold:
    """``POST /keys/`` and ``POST /keys/forget``"""

    def test_its_end_is_shown(self, client: Client) -> None:
        """The page shows the last four characters, now and when it is opened again; never the key."""
        for text in (hold(client).content.decode(), client.get("/").content.decode()):
            assert "A key ending in <code>WXYZ</code>" in text
            assert KEY not in text

    def test_spaces_around_it_do_not_count(self, client: Client) -> None:
        """A key that was pasted with its line's end is the same key."""
        hold(client, f"  {KEY}\n")
        assert keyring.key(client.session.session_key, "openai") == KEY

    def test_it_is_this_browser_s(self, client: Client) -> None:
        """Another browser sees nothing of it and cannot use it."""
        hold(client)
        other = Client()
        assert "WXYZ" not in other.get("/").content.decode()
        response = other.post("/sessions/start", {"provider": "openai"}, headers=HTMX)
        assert response.status_code == 422

    def test_it_is_forgotten(self, client: Client) -> None:
        """Forgotten keys are gone, for this browser only."""
        other = Client()
        hold(client)
        hold(other)
        text = client.post("/keys/forget", headers=HTMX).content.decode()
        assert "WXYZ" not in text
        assert "sk-…" in text
        assert "WXYZ" not in client.get("/").content.decode()
        assert "WXYZ" in other.get("/").content.decode()

    def test_a_new_one_takes_its_place(self, client: Client) -> None:
        """A key typed later replaces the one before."""
        hold(client)
        hold(client, "sk-another-key-0987")
        assert keyring.key(client.session.session_key, "openai") == "sk-another-key-0987"

    @pytest.mark.parametrize(("key", "provider", "sentence"), [
        ("", "openai", "This field is required."),
        ("short", "openai", "This is not a key"),
        ("two words in it", "openai", "This is not a key"),
        ("line\r\nHost: evil", "openai", "This is not a key"),
        ("schlüssel-mit-ü", "openai", "This is not a key"),
        ("x" * 401, "openai", "at most 400 characters"),
        (KEY, "<moon>", "There is no provider"),
    ])  # fmt: skip
    def test_what_is_no_key(self, client: Client, key: str, provider: str, sentence: str) -> None:
        """What cannot be a key is refused with a sentence that does not repeat it; nothing is held."""
        response = hold(client, key, provider)
        text = response.content.decode()
        assert response.status_code == 422
        assert sentence in text
        assert not key or key not in text
        assert "<moon>" not in text
        assert not keyring._keys

    def test_without_htmx_it_is_a_redirect(self, client: Client) -> None:
        """A plain form leads back to the page."""
        response = client.post("/keys/", {"provider": "openai", "key": KEY})
        assert (response.status_code, response["Location"]) == (302, "/")

    @pytest.mark.parametrize("path", ["/keys/", "/keys/forget"])
    def test_it_takes_the_token_of_the_page(self, path: str) -> None:
        """A form from elsewhere neither sets nor drops a key; an address that is only opened does neither."""
        client = Client(enforce_csrf_checks=True)
        assert client.post(path, {"provider": "openai", "key": KEY}).status_code == 403
        assert client.get(path).status_code == 405

    def test_nobody_s_browser_has_none(self) -> None:
        """A browser without a session of its own holds nothing."""
        assert keyring.key(None, "openai") == ""
        assert keyring.hint(None, "openai") == ""
        keyring.forget(None)


@pytest.mark.django_db(transaction=True)
class TestUse:
    """A held key dials, and is nowhere else."""

    async def test_it_is_used_and_leaves_no_trace(self, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
        """The API is dialled with the key; no answer, no log, and no row of the database holds it, though it echoes it."""
        caplog.set_level(logging.DEBUG)
        answers = [await stage.client.post("/keys/", {"provider": "openai", "key": KEY}, headers=HTMX)]
        session_id = await stage.start(provider="openai")
        assert [(provider.name, key) for provider, _, key in stage.dialled] == [("openai", KEY)]
        for event in (
            {"type": "error", "error": {"message": f"Incorrect API key provided: {KEY}."}},
            {"type": "x", "client_secret": {"value": KEY}, "authorization": f"Bearer {KEY}"},
        ):
            await stage.hear(session_id, event)
        stage.api.hang_up(3000, f"invalid_request_error.invalid_api_key: {KEY}")
        await stage.runner(session_id)._ended.wait()
        await flush()
        for path in ("", "rows", "conversation", "tools", "settings", "events/1/", "log.jsonl"):
            answers.append(await stage.client.get(f"/sessions/{session_id}/{path}"))
        for path in ("/", "/sessions/", "/sessions.json", f"/sessions/{session_id}.json"):
            answers.append(await stage.client.get(path))
        for answer in answers:
            assert answer.status_code == 200
            body = b"".join([p async for p in answer.streaming_content]) if answer.streaming else answer.content
            assert KEY.encode() not in body
            assert KEY not in str(answer.headers) + str(answer.cookies)
        assert KEY not in caplog.text
        assert KEY not in await sync_to_async(database)()

    async def test_a_key_is_not_needed_twice(self, stage: Stage) -> None:
        """Once held, sessions start until it is forgotten."""
        client: AsyncClient = stage.client
        await client.post("/keys/", {"provider": "openai", "key": KEY}, headers=HTMX)
        for _ in range(2):
            await stage.start(provider="openai")
        await client.post("/keys/forget", headers=HTMX)
        response = await client.post("/sessions/start", {"provider": "openai"}, headers=HTMX)
        assert response.status_code == 422


def database() -> str:
    """Everything stored, as text."""
    with connection.cursor() as cursor:
        tables = [name for name in connection.introspection.table_names(cursor) if re.fullmatch(r"\w+", name)]
        stored = []
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')
            stored += cursor.fetchall()
    assert any("Incorrect API key" in str(row) for row in stored)
    return str(stored)
