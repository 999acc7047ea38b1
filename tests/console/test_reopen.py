"""Open a session again, finished or running: the page shows it as it was."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from console import watch
from tests.console.stage import HTMX, IN_FORCE, Stage, Story, flush, seqs

pytestmark = pytest.mark.django_db(transaction=True)

WEATHER = {
    "location": "Lisbon", "lat": 38.7, "lng": -9.1, "conditions": "clear",
    "temperature": {"value": 21.5, "unit": "°C"}, "wind": {"value": 12.0, "unit": "km/h"},
}  # fmt: skip


def told(**close: Any) -> Story:
    """A session in which everything happened once."""
    story = Story(label="Demo")
    story.note("state", "Connecting.", state="connecting")
    story.received("session.created", session={**IN_FORCE, "expires_at": 0})
    story.note("state", "Ready.", state="ready")
    story.sent("session.update", session={"instructions": "Sing.", "audio": {"output": {"voice": "cedar", "speed": 1.5}}})
    in_force = {**IN_FORCE["audio"], "output": {**IN_FORCE["audio"]["output"], "voice": "cedar"}}
    story.received("session.updated", session={**IN_FORCE, "instructions": "Sing.", "audio": in_force})
    item = {"id": "item_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]}
    story.received("conversation.item.added", item=item)
    arguments = {"lat": 38.7, "lng": -9.1, "location": "Lisbon"}
    story.note("tool", "", call_id="call_1", name="get_weather", arguments=arguments, output=WEATHER, ok=True, ms=42)
    story.note("memory", "", key="name", value="Ada", by="tool")
    answer = {"id": "item_2", "type": "message", "role": "assistant", "content": []}
    story.received("conversation.item.added", item=answer, previous_item_id="item_1")
    for word in ("It is ", "sunny."):
        story.received("response.output_audio_transcript.delta", response_id="resp_1", item_id="item_2", content_index=0, delta=word)
    story.received("response.output_audio_transcript.done", item_id="item_2", content_index=0, transcript="It is sunny.")
    story.received("error", error={"message": "Something small."})
    story.close(**{"by": "console", "code": 1000, "reason": "", **close})
    story.store()
    return story


class TestAFinishedSession:
    """``GET /sessions/<id>/`` of one that is over"""

    def test_its_rows(self, client: Client) -> None:
        """Every row is there, deltas gathered, and how many there are."""
        story = told()
        text = self._page(client, story)
        assert seqs(text) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14]
        assert "“It is sunny.”" in text
        assert 'data-live="false"' in text
        assert "<voice-link" not in text
        assert "/timeline\"" not in text  # nothing more comes

    def test_its_conversation(self, client: Client) -> None:
        """What was said, by whom, in order; the page asks for it when it is looked at."""
        sid = told().session.pk
        assert f'hx-get="/sessions/{sid}/conversation"' in client.get(f"/sessions/{sid}/").content.decode()
        text = re.sub(r"\s+", " ", client.get(f"/sessions/{sid}/conversation").content.decode())
        assert re.search(r'<li id="item-item_1" data-role="user".*?<p>Weather\?</p>.*?<li id="item-item_2".*?<p>It is sunny\.</p>', text)

    def test_its_memory_and_weather(self, client: Client) -> None:
        """What was remembered, and the last weather with its place."""
        text = html.unescape(self._page(client, told()))
        assert '"name": "Ada"' in text
        assert 'data-lat="38.7" data-lng="-9.1" data-location="Lisbon"' in text
        assert "21.5 °C" in text

    def test_its_settings(self, client: Client) -> None:
        """The form holds what was in force, and what was asked but not granted stands beside it."""
        text = self._page(client, told())
        assert '<option value="cedar" selected>' in text
        assert re.search(r"<textarea name=\"instructions\"[^>]*>\s*Sing\.</textarea>", text)
        granted = dict(re.findall(r'<tr data-granted="(\w+)"><td>([^<]*)</td>', text)[::-1])
        assert granted == {"false": "audio.output.speed", "true": "instructions"}

    def test_as_it_stood_in_between(self, client: Client) -> None:
        """Conversation, memory and weather can be seen as they stood at any row."""
        sid = told().session.pk
        early = client.get(f"/sessions/{sid}/conversation", {"until": 6}).content.decode()
        assert "Weather?" in early
        assert "sunny" not in early
        assert "Lisbon" not in client.get(f"/sessions/{sid}/tools", {"until": 6}).content.decode()
        assert "Lisbon" in client.get(f"/sessions/{sid}/tools", {"until": 7}).content.decode()

    @pytest.mark.parametrize(("by", "code", "reason", "failed", "shown"), [
        ("console", 1000, "", "false", "Closed here."),
        ("server", 1001, "It was an hour.", "false", "It was an hour"),
        ("server", 1008, "Policy <b>.", "true", "Policy &lt;b&gt;"),
        ("server", None, "", "true", ""),
        ("client", 1000, "done", "false", "done"),
    ])  # fmt: skip
    def test_why_it_ended(self, client: Client, by: str, code: int | None, reason: str, failed: str, shown: str) -> None:
        """A banner says who closed it and why, and whether that is as it should be."""
        text = self._page(client, told(by=by, code=code, reason=reason))
        [banner] = re.findall(rf'<div id="ended" data-failed="{failed}">(.*?)<session-player', text, re.S)
        assert re.search(r"<p[^>]*>\s*\S", banner)
        assert shown in banner

    def test_it_can_be_gone_on_with(self, client: Client) -> None:
        """Connecting again continues this session."""
        story = told()
        assert f'name="continues" value="{story.session.pk}"' in self._page(client, story)

    def test_a_long_one_opens_at_its_end(self, client: Client) -> None:
        """Of many rows the newest come with the page; the rest is asked for."""
        story = Story()
        for _ in range(watch.SNAPSHOT_ROWS + 50):
            story.received("rate_limits.updated")
        story.close()
        story.store()
        text = self._page(client, story)
        assert seqs(text) == list(range(52, watch.SNAPSHOT_ROWS + 52))
        assert 'data-more="true"' in text

    def test_only_the_console_for_htmx(self, client: Client) -> None:
        """A click in the rail brings the console, not the page around it."""
        story = told()
        text = client.get(f"/sessions/{story.session.pk}/", headers=HTMX).content.decode()
        assert re.match(r"<title>[^<]*</title>\s*<main id=\"console\"", text.lstrip())
        assert "<html" not in text

    def test_a_session_nobody_knows(self, client: Client) -> None:
        """An unknown id is a 404 on every address of a session."""
        for path in ("", "rows", "conversation", "tools", "settings", "events/1/", "events/1/members", "events/1/raw", "audio.wav"):
            assert client.get(f"/sessions/nobody/{path}").status_code == 404, path

    def _page(self, client: Client, story: Story) -> str:
        response = client.get(f"/sessions/{story.session.pk}/")
        assert response.status_code == 200
        return str(response.content.decode())


class TestARunningSession:
    """``GET /sessions/<id>/`` of one that runs"""

    async def test_it_is_followed(self, stage: Stage) -> None:
        """The page opens its sockets, can disconnect, and asks for what comes after the rows it has."""
        session_id = await stage.start()
        await flush()
        text = (await stage.client.get(f"/sessions/{session_id}/")).content.decode()
        assert f'ws-connect="/ws/sessions/{session_id}/timeline' in text
        assert f'data-url="/ws/sessions/{session_id}/audio"' in text
        assert f'hx-post="/sessions/{session_id}/disconnect"' in text
        assert f'data-last-seq="{max(seqs(text))}"' in text

    async def test_one_of_another_process(self, stage: Stage) -> None:
        """A session that runs elsewhere is shown; nothing can be sent to it from here."""
        story = await sync_to_async(Story)(status="ready")
        response = await stage.client.get(f"/sessions/{story.session.pk}/")
        assert response.status_code == 200
        assert "nothing was sent" in await stage.refused(story.session.pk, "say", text="Hello?")
