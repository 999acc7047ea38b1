"""Start a session: from the welcome page, with settings, after another, and what stands in the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import AsyncClient

from console import live
from console.forms import SessionSettingsForm
from console.forms.settings import ASKED_AT_START
from console.models import Entry, Session
from realtime.errors import Unreachable
from realtime.testing import ScriptedUpstream
from realtime.upstream import Provider
from tests.console.stage import HTMX, IN_FORCE, Stage, Story, flush
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


def fields(**changed: str) -> dict[str, str]:
    """The settings form as the page posts it, with these fields changed."""
    form = SessionSettingsForm(session=ASKED_AT_START)
    values = {name: form[name].field.prepare_value(value) for name, value in form.initial.items()}
    return {name: str(value) for name, value in values.items() if value is not None and value is not False} | changed


class TestStart:
    """``POST /sessions/start``"""

    async def test_the_page_goes_there_at_once(self, stage: Stage) -> None:
        """The answer is the console with the new session, connecting, under its own address; dialling goes on."""
        response = await stage.client.post("/sessions/start", {"provider": "simulator"}, headers=HTMX)
        session = await Session.objects.aget()
        html = response.content.decode()
        assert response["HX-Push-Url"] == f"/sessions/{session.pk}/"
        assert f'<main id="console" data-session="{session.pk}" data-state="connecting"' in html
        assert "<html" not in html
        assert (session.provider, session.source, session.dialect) == ("simulator", "console", "ga")

    async def test_the_console_asks_for_its_own_settings(self, stage: Stage) -> None:
        """Without the settings form the console asks for its tools, the transcript, and manual turns, once greeted."""
        session_id = await self._started(stage)
        assert stage.api.sent == []
        stage.api.say({"type": "session.created", "session": IN_FORCE})
        [update] = await stage.api.expect("session.update")
        assert update["session"] == {"type": "realtime", **ASKED_AT_START}
        await stage.stop(session_id)
        assert (await Session.objects.aget(pk=session_id)).model == "gpt-realtime-2.1"

    async def test_the_model_is_the_one_chosen(self, stage: Stage) -> None:
        """Any model may be typed; without one it is the provider's first."""
        await stage.start(model="gpt-next")
        await stage.start()
        assert [model for _, model, _ in stage.dialled] == ["gpt-next", "gpt-realtime-2.1"]

    async def test_settings_are_posted_along(self, stage: Stage) -> None:
        """What the settings form says is asked for, all that differs from the API's defaults and nothing else."""
        said = fields(turn_detection="semantic_vad", eagerness="low", voice="cedar", instructions=" Be brief.\n")
        await self._started(stage, **said)
        stage.api.say({"type": "session.created", "session": IN_FORCE})
        [update] = await stage.api.expect("session.update")
        assert update["session"] == {
            "type": "realtime",
            "instructions": " Be brief.\n",
            "tools": ASKED_AT_START["tools"],
            "audio": {
                "input": {
                    "transcription": {"model": "gpt-4o-mini-transcribe"},
                    "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
                },
                "output": {"voice": "cedar"},
            },
        }

    async def test_settings_that_are_not_right(self, stage: Stage) -> None:
        """A field the form refuses is named in a sentence, and no session is made."""
        html = await self._refused(stage, provider="simulator", **fields(speed="9"))
        assert "Settings, Speed: A number from 0.25 to 1.5." in html

    async def test_without_htmx_it_is_a_redirect(self, stage: Stage) -> None:
        """A plain form leads to the session's page."""
        response = await stage.client.post("/sessions/start", {"provider": "simulator", "label": "Demo"})
        session = await Session.objects.aget()
        assert (response.status_code, response["Location"]) == (302, f"/sessions/{session.pk}/")
        assert session.label == "Demo"

    async def test_a_provider_nobody_knows(self, stage: Stage) -> None:
        """An unknown provider is answered with those there are."""
        html = await self._refused(stage, provider="<b>moon</b>")
        assert "There is no provider &quot;&lt;b&gt;moon&lt;/b&gt;&quot; here; configured: simulator, openai." in html

    async def test_no_provider(self, stage: Stage) -> None:
        """A form without a provider is answered with a sentence."""
        assert "Provider: This field is required." in await self._refused(stage)

    async def test_a_key_is_needed(self, stage: Stage) -> None:
        """The real API is not dialled without a key: the page says where to put one."""
        html = await self._refused(stage, provider="openai")
        assert "openai needs a key: type one here, or set OPENAI_API_KEY in .env." in html

    async def test_the_key_of_the_environment(self, stage: Stage, settings: Any) -> None:
        """A key in the environment is enough, and the provider that has one comes first."""
        settings.OPENAI_API_KEY = "sk-environment-key"
        await stage.start(provider="openai")
        [(provider, _, key)] = stage.dialled
        assert (provider.name, provider.key, key) == ("openai", "sk-environment-key", "")

    async def test_nobody_answers(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """A provider that cannot be reached ends the session with a sentence, and the session is kept."""

        async def dial(provider: Provider, model: str, key: str = "") -> ScriptedUpstream:
            raise Unreachable("ws://nowhere/", "the connection was refused")

        monkeypatch.setattr("console.live.upstream.dial", dial)
        session_id = await self._started(stage)
        async with asyncio.timeout(PATIENCE):
            while live.find(session_id):
                await asyncio.sleep(0)
        await flush()
        session = await Session.objects.aget(pk=session_id)
        assert (session.status, session.close_by, session.close_code) == ("closed", "server", None)
        assert session.close_reason == "ws://nowhere/ could not be reached: the connection was refused"
        assert await Entry.objects.of(session).filter(type="close", level="error").aexists()

    async def test_it_takes_the_token_of_the_page(self, stage: Stage) -> None:
        """A form from elsewhere is refused; the page's own, with its token, is not."""
        client = AsyncClient(enforce_csrf_checks=True)
        response = await client.post("/sessions/start", {"provider": "simulator"}, headers=HTMX)
        assert (response.status_code, await Session.objects.acount()) == (403, 0)
        await client.get("/")
        token = client.cookies["console_csrf"].value
        response = await client.post("/sessions/start", {"provider": "simulator"}, headers={"x-csrftoken": token})
        assert (response.status_code, await Session.objects.acount()) == (302, 1)

    async def test_looking_starts_nothing(self, stage: Stage) -> None:
        """A GET of that address is refused."""
        assert (await stage.client.get("/sessions/start")).status_code == 405

    async def _started(self, stage: Stage, **form: str) -> str:
        stage.api = ScriptedUpstream()
        await stage.client.post("/sessions/start", {"provider": "simulator", **form}, headers=HTMX)
        return str((await Session.objects.aget()).pk)

    async def _refused(self, stage: Stage, **form: str) -> str:
        response = await stage.client.post("/sessions/start", form, headers=HTMX)
        assert (response.status_code, stage.dialled) == (422, [])
        assert await Session.objects.acount() == 0
        return str(response.content.decode())


class TestGoOn:
    """``POST /sessions/start`` with ``continues``"""

    async def test_the_memory_goes_with_it(self, stage: Stage) -> None:
        """What an earlier session remembered at its end, the new one remembers from its start, and its tools too."""
        earlier = await asyncio.to_thread(self._earlier)
        session_id = await stage.start(continues=earlier)
        assert stage.runner(session_id).context.memory == {"name": "Ada"}
        await flush()
        html = (await stage.client.get(f"/sessions/{session_id}/tools")).content.decode()
        assert "Ada" in html
        assert "Lisbon" not in html

    async def test_a_session_that_is_gone(self, stage: Stage) -> None:
        """A session that is not there cannot be continued, and the page says so."""
        response = await stage.client.post(
            "/sessions/start", {"provider": "simulator", "continues": "nobody"}, headers=HTMX
        )
        assert response.status_code == 422
        assert "The session to be continued is not there any more." in response.content.decode()

    def _earlier(self) -> str:
        story = Story()
        for key, value in (("name", "Bea"), ("home", "Lisbon"), ("name", "Ada"), ("home", None)):
            story.note("memory", "", key=key, value=value, by="page")
        story.close()
        return story.store()
