"""Read a timeline: pages of rows, filters, a fold's members, one event in full; and markup stays text everywhere."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.models import Preset
from tests.console.stage import HTMX, IN_FORCE, Story, seqs

pytestmark = pytest.mark.django_db

EVIL = "</script></textarea></pre><img src=x onerror=alert(1)>'\"&amp;<script>alert(1)</script>"
"""Text that would run if a page took it for markup."""


def long_story(rows: int) -> Story:
    """A session of so many rows."""
    story = Story()
    for number in range(rows):
        story.received("rate_limits.updated", number=number)
    story.store()
    return story


def page(client: Client, story: Story, **query: Any) -> Any:
    """One page of rows."""
    return client.get(f"/sessions/{story.session.pk}/rows", query)


def facts(response: Any) -> tuple[str, str, str]:
    """What the answer says of the rest."""
    return response["X-Has-More"], response["X-Matching"], response["X-Total"]


class TestRows:
    """``GET /sessions/<id>/rows``"""

    @pytest.mark.parametrize(("query", "first", "last", "more"), [
        ({}, 301, 500, "true"),
        ({"limit": 400}, 101, 500, "true"),
        ({"limit": 1}, 500, 500, "true"),
        ({"before": 301}, 101, 300, "true"),
        ({"before": 101}, 1, 100, "false"),
        ({"before": 201}, 1, 200, "false"),
        ({"before": 10**30}, 301, 500, "true"),
        ({"after": 0}, 1, 200, "true"),
        ({"after": 300}, 301, 500, "false"),
        ({"after": 480}, 481, 500, "false"),
        ({"after": 0, "limit": 10}, 1, 10, "true"),
        ({"around_us": 2_000_000, "limit": 10}, 197, 206, "true"),
        ({"around_us": 0, "limit": 10}, 1, 6, "true"),
        ({"around_us": -5, "limit": 10}, 1, 5, "true"),
        ({"around_us": 10**30, "limit": 10}, 496, 500, "false"),
    ])  # fmt: skip
    def test_a_page(self, client: Client, query: dict[str, int], first: int, last: int, more: str) -> None:
        """Rows before, after or around a place, oldest first, and whether the way goes on."""
        response = page(client, long_story(500), **query)
        assert seqs(response.content.decode()) == list(range(first, last + 1))
        assert facts(response) == (more, "500", "500")

    @pytest.mark.parametrize("query", [{"before": 1}, {"after": 500}, {"q": "type:nothing"}])
    def test_an_empty_page(self, client: Client, query: dict[str, Any]) -> None:
        """Where there are no rows the answer is empty, and nothing goes on."""
        response = page(client, long_story(500), **query)
        assert (response.status_code, response.content.strip()) == (200, b"")
        assert response["X-Has-More"] == "false"

    def test_pages_joined_are_the_timeline(self, client: Client) -> None:
        """Going back page by page meets every row once, whatever the filter."""
        story = self._told()
        for query in ("", "-type:*.delta", "dir:received"):
            found: list[int] = []
            before = 10**9
            while True:
                response = page(client, story, before=before, limit=3, q=query)
                found = seqs(response.content.decode()) + found
                if response["X-Has-More"] == "false":
                    break
                before = found[0]
            assert found == seqs(page(client, story, q=query).content.decode())
            assert len(found) == int(response["X-Matching"])

    @pytest.mark.parametrize(("query", "types"), [
        ("type:response.*", ["response.output_text.delta", "response.output_text.delta", "response.done"]),
        ("type:response.* -type:*.delta", ["response.done"]),
        ("dir:sent", ["input_audio_buffer.append", "input_audio_buffer.append"]),
        ("dir:console", ["state", "close"]),
        ("is:error", ["error", "response.done"]),
        ("is:note", ["state"]),
        ("is:fold", ["input_audio_buffer.append", "response.output_text.delta"]),
        ("is:audio", ["input_audio_buffer.append", "input_audio_buffer.append"]),
        ("item:item_b", ["response.output_text.delta"]),
        ("response:resp_1", ["response.output_text.delta", "response.output_text.delta", "response.done"]),
        ("ERROR", ["error"]),
        ('"goodbye to"', ["close"]),
        ("failed", ["response.done"]),
        ("-morning type:*.delta -dir:sent", ["response.output_text.delta"]),
        ("zürich", ["response.output_text.delta"]),
        ("ZÜRICH", ["response.output_text.delta"]),
        ('"0 %"', ["response.output_text.delta"]),
        ("0%", []),
        ("AAAA", []),
        ("buffer", ["input_audio_buffer.append", "input_audio_buffer.committed", "input_audio_buffer.append"]),
        ("type:*.com*ted", ["input_audio_buffer.committed"]),
    ])  # fmt: skip
    def test_a_filter(self, client: Client, query: str, types: list[str]) -> None:
        """Only rows that match come, a word in any frame they gather among it; how many match, and of how many, is said."""
        story = self._told()
        response = page(client, story, q=query)
        assert re.findall(r'data-type="([^"]*)"', response.content.decode()) == types
        assert facts(response) == ("false", str(len(types)), "9")

    @pytest.mark.parametrize(("query", "sentence"), [
        ({"q": "moon:full"}, 'there is no operator "moon:"'),
        ({"q": "dir:up"}, "a direction is sent, received or console"),
        ({"q": "is:"}, "something must follow the colon"),
        ({"q": 'a "b'}, "A quotation mark is missing its partner"),
        ({"q": "<script>:x is:<b>"}, "after is: comes error"),
        ({"q": "x" * 501}, "at most 500 characters"),
        ({"before": "soon"}, "Before: Enter a whole number."),
        ({"after": "-1"}, "After: Ensure this value is greater than or equal to 0."),
        ({"limit": "401"}, "Limit: Ensure this value is less than or equal to 400."),
        ({"around_us": "9" * 5000}, "Around us: "),
    ])  # fmt: skip
    def test_what_makes_no_sense(self, client: Client, query: dict[str, str], sentence: str) -> None:
        """A filter or a place that cannot be read is answered with a sentence, escaped."""
        response = page(client, long_story(1), **query)
        text = response.content.decode()
        assert response.status_code == 422
        assert sentence in html.unescape(text)
        assert "<script" not in text
        assert "<b>" not in text

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.text(st.sampled_from('ab*?[]!^\\"-: .') | st.characters(exclude_categories=["Cs"]), max_size=30)
        | st.from_regex(r'-?(type|dir|is|item|response):["\\*\[\]()a-z. ]{0,9}', fullmatch=True)
    )
    def test_any_filter(self, client: Client, query: str) -> None:
        """Whatever is typed is read or explained."""
        assert page(client, self._one(), q=query).status_code in (200, 422)

    def test_rows_of_a_session_nobody_knows(self, client: Client) -> None:
        """An unknown id is a 404."""
        assert client.get("/sessions/nobody/rows").status_code == 404

    def _one(self) -> Story:
        story = Story()
        story.note("state", "Connecting.")
        story.store()
        return story

    def _told(self) -> Story:
        story = Story()
        story.note("state", "Connecting.", state="connecting")
        for _ in range(3):
            story.sent("input_audio_buffer.append", audio="AAAA")
        story.received("input_audio_buffer.committed", item_id="item_a")
        story.sent("input_audio_buffer.append", audio="AAAA")
        for item_id, delta in (("item_a", "Good"), ("item_a", " morning, Zürich"), ("item_b", "100 %")):
            story.received("response.output_text.delta", response_id="resp_1", item_id=item_id, delta=delta)
        story.received("error", error={"message": "no"})
        story.received("response.done", response={"id": "resp_1", "status": "failed"})
        story.close("server", 1001, "It says goodbye to you.")
        story.store()
        return story


class TestMembers:
    """``GET /sessions/<id>/events/<seq>/members``"""

    def test_the_newest_come_first_and_the_rest_by_pages(self, client: Client) -> None:
        """A fold of 450 is shown 200 at a time; each page says how many come before and after it."""
        story = Story()
        for number in range(450):
            story.received("response.output_text.delta", item_id="item_1", delta=f"<{number}>")
            if number == 100:
                story.received("response.output_text.delta", item_id="item_2", delta="other")
        story.store()
        address = f"/sessions/{story.session.pk}/events/1/members"
        text = client.get(address).content.decode()
        assert self._shown(text) == list(range(252, 452))
        assert ">250 earlier<" in text
        assert " later<" not in text
        assert "“&lt;449&gt;”" in text
        [earlier] = re.findall(r'data-page="([^"]*)"', text)
        text = client.get(address + earlier).content.decode()
        assert self._shown(text) == list(range(51, 102)) + list(range(103, 252))
        assert ">50 earlier<" in text
        assert ">200 later<" in text
        text = client.get(f"{address}?after=51").content.decode()
        assert self._shown(text)[0] == 52
        assert ">51 earlier<" in text

    def test_members_of_sound(self, client: Client) -> None:
        """A member of sound says how long it sounds; its bytes are not read."""
        story = Story()
        for _ in range(2):
            story.sent("input_audio_buffer.append", audio="A" * 1280)
        story.store()
        text = client.get(f"/sessions/{story.session.pk}/events/1/members").content.decode()
        assert text.count("20 ms of sound") == 2

    def test_what_makes_no_sense(self, client: Client) -> None:
        """A place that cannot be read is explained; a row that is not there is a 404."""
        story = long_story(1)
        address = f"/sessions/{story.session.pk}/events"
        assert client.get(f"{address}/1/members?before=x").status_code == 422
        assert client.get(f"{address}/2/members").status_code == 404

    def _shown(self, text: str) -> list[int]:
        return [int(seq) for seq in re.findall(r'data-seq="(\d+)"', text)]


class TestOneEvent:
    """``GET /sessions/<id>/events/<seq>/``"""

    def test_an_event(self, client: Client) -> None:
        """Its type, its meaning, when and how large it was, and all of its JSON; ids lead to their neighbours."""
        story = Story()
        seq = story.received("response.output_text.done", response_id="resp_1", item_id="item_1", text="Olá", n=[1, None])
        text = self._pane(client, story, seq)
        assert "← response.output_text.done" in text
        assert json.loads(self._json(text)) == {
            "type": "response.output_text.done", "response_id": "resp_1", "item_id": "item_1", "text": "Olá", "n": [1, None],
        }  # fmt: skip
        assert 'data-filter="response:resp_1"' in text
        assert 'data-filter="item:item_1"' in text
        assert f'href="/sessions/{story.session.pk}/events/{seq}/raw"' in text
        assert '<p class="meaning"' in text
        assert "received by api" in text

    def test_a_fold(self, client: Client) -> None:
        """A fold shows its text so far, how many it gathers and their size together; a member shows itself."""
        story = Story()
        for word in ("Hel", "lo"):
            story.received("response.output_text.delta", item_id="item_1", delta=word)
        head, member = self._pane(client, story, 1), self._pane(client, story, 2)
        assert "×2" in head
        assert "“Hello”" in head
        assert "all together" in head
        assert json.loads(self._json(head))["delta"] == "Hel"
        assert "×2" not in member
        assert json.loads(self._json(member))["delta"] == "lo"

    def test_sound(self, client: Client) -> None:
        """An event of sound can be listened to; its base64 is cut short on the page and whole in the raw text."""
        story = Story()
        seq = story.sent("input_audio_buffer.append", audio="A" * 12_800)
        text = self._pane(client, story, seq)
        assert f'<audio controls preload="none" src="/sessions/{story.session.pk}/events/{seq}/audio.wav">' in text
        assert json.loads(self._json(text))["audio"] == f"{'A' * 60}… (12,800 characters)"

    def test_an_error_leads_to_what_it_answers(self, client: Client) -> None:
        """An error names the row of the event it is about."""
        story = Story()
        sent = story.sent("response.cancel", event_id="evt_1")
        seq = story.received("error", error={"message": "Nothing to cancel.", "event_id": "evt_1"})
        text = self._pane(client, story, seq)
        assert f'href="#row-{sent}" data-go="{sent}"' in text
        assert "→ response.cancel (row 1)" in text
        assert 'data-level="error"' in text

    def test_an_error_about_nothing_known(self, client: Client) -> None:
        """An error about an event that is not on the timeline leads nowhere."""
        story = Story()
        seq = story.received("error", error={"message": "No.", "event_id": "evt_9"})
        assert "data-go" not in self._pane(client, story, seq)

    @pytest.mark.parametrize(("kind", "shown"), [("note", "Nobody knows."), ("close", "1001 by the API: enough")])
    def test_what_is_no_event(self, client: Client, kind: str, shown: str) -> None:
        """A note and the close show their sentence and their facts."""
        story = Story()
        if kind == "note":
            story.note("problem", "Nobody knows.", while_="connecting")
        else:
            story.close("server", 1001, "enough")
        text = self._pane(client, story, 1)
        assert shown in text
        assert json.loads(self._json(text)) == ({"while_": "connecting"} if kind == "note" else {"by": "server", "code": 1001})
        assert "/raw" not in text

    @pytest.mark.parametrize("raw", ["", "no JSON", "[1]", "null", '{"no": "type"}', "{" * 1000, "\x00\x01"])
    def test_a_frame_that_is_no_event(self, client: Client, raw: str) -> None:
        """Whatever came is shown as it came, and what is wrong with it is said."""
        story = Story()
        seq = story.raw(raw)
        text = self._pane(client, story, seq)
        assert 'data-level="error"' in text
        assert re.search("This frame is|The event has no type", text)
        if raw and raw != '{"no": "type"}':
            assert self._json(text) == raw

    @pytest.mark.parametrize("path", ["2/", "99999999999999999999/", "x/"])
    def test_a_row_nobody_knows(self, client: Client, path: str) -> None:
        """A row that is not there is a 404."""
        assert client.get(f"/sessions/{long_story(1).session.pk}/events/{path}").status_code == 404

    def _pane(self, client: Client, story: Story, seq: int) -> str:
        story.store()
        response = client.get(f"/sessions/{story.session.pk}/events/{seq}/")
        assert response.status_code == 200
        return response.content.decode()

    def _json(self, text: str) -> str:
        [shown] = re.findall(r"<event-json><pre>(.*?)</pre>", text, re.S)
        return html.unescape(shown)


@pytest.mark.django_db(transaction=True)  # the settings are read on a thread of their own
class TestMarkup:
    """What anybody sends is text on the page, never markup."""

    def test_it_is_escaped_everywhere(self, client: Client) -> None:
        """Rows, event, members, conversation, memory, weather, settings, rail, library, banner: all show it as text."""
        story = self._evil()
        sid = story.session.pk
        Preset.objects.create(name=EVIL[:80], settings={"instructions": EVIL})
        addresses = [
            "/", "/sessions/", f"/sessions/{sid}/", f"/sessions/{sid}/rows", f"/sessions/{sid}/conversation",
            f"/sessions/{sid}/tools", f"/sessions/{sid}/settings", f"/presets/{Preset.objects.get().pk}/apply",
            *(f"/sessions/{sid}/events/{entry.seq}/{what}" for entry in story.entries for what in ("", "members")),
        ]  # fmt: skip
        shown = 0
        for address in addresses:
            for headers in ({}, HTMX):
                text = client.get(address, headers=headers).content.decode()
                assert not re.search(r"<img|<script>|alert\(1\)>|onerror=alert\(1\)>", text), address
                shown += "onerror=alert(1)&gt;" in text
        assert shown > len(addresses)

    def test_half_a_surrogate_pair(self, client: Client) -> None:
        """JSON can spell characters that no page can hold: they are shown as unknown, the raw text as it came."""
        half = r"a\ud800b"
        story = Story()
        sid = story.session.pk
        session = json.dumps(IN_FORCE).replace('"instructions": ""', f'"instructions": "{half}"')
        story.raw(f'{{"type":"session.created","event_id":"{half}","session":{session}}}')
        item = f'{{"id":"item_{half}","type":"message","role":"user","content":[{{"type":"input_text","text":"{half}"}}]}}'
        story.raw(f'{{"type":"conversation.item.added","item":{item}}}')
        story.raw(f'{{"type":"unknown.{half}","item_id":"item_{half}","response_id":"{half}","{half}":"{half}"}}')
        for _ in range(2):
            story.raw(f'{{"type":"response.output_text.delta","item_id":"item_2","delta":"{half}"}}')
        story.store()
        addresses = [
            f"/sessions/{sid}/", f"/sessions/{sid}/rows", f"/sessions/{sid}/conversation",
            f"/sessions/{sid}/settings", f"/sessions/{sid}.json", f"/sessions/{sid}/events/4/members",
            *(f"/sessions/{sid}/events/{entry.seq}/{what}" for entry in story.entries for what in ("", "raw")),
        ]  # fmt: skip
        for address in addresses:
            response = client.get(address)
            assert response.status_code == 200, address
            text = response.content.decode()
            assert "a�b" in text or half in text or r"a\ufffdb" in text, address

    def _evil(self) -> Story:
        story = Story(label=EVIL, model=EVIL, provider=EVIL[:60])
        story.received("session.created", event_id=EVIL, session={**IN_FORCE, "instructions": EVIL, "model": EVIL,
                       "audio": {"input": {}, "output": {"voice": EVIL}}, "tools": [{"type": EVIL}]})  # fmt: skip
        story.sent("session.update", session={"instructions": EVIL, "audio": {"output": {"voice": EVIL + "?"}}})
        item = {"id": EVIL, "type": "message", "role": EVIL, "status": EVIL, "content": [{"type": "input_text", "text": EVIL}]}
        story.received("conversation.item.added", item=item)
        call = {"id": "item_2", "type": "function_call", "name": EVIL, "call_id": EVIL, "arguments": EVIL, "status": EVIL}
        story.received("conversation.item.added", item=call)
        story.received(EVIL, response_id=EVIL, item_id=EVIL, **{EVIL: EVIL})
        for _ in range(2):
            story.received("response.output_text.delta", response_id=EVIL, item_id=EVIL, delta=EVIL)
        story.received("error", error={"message": EVIL, "code": EVIL, "param": EVIL, "event_id": EVIL})
        story.raw(EVIL)
        story.note("memory", EVIL, key=EVIL, value=EVIL)
        story.note("tool", EVIL, name="get_weather", ok=True, ms=EVIL, arguments={"location": EVIL}, output={
            "location": EVIL, "lat": EVIL, "lng": EVIL, "conditions": EVIL,
            "temperature": {"value": EVIL, "unit": EVIL}, "wind": {"value": EVIL, "unit": EVIL},
        })  # fmt: skip
        story.note(EVIL, EVIL, **{EVIL: EVIL})
        story.close("server", 1008, EVIL)
        story.store()
        return story
