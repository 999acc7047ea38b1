"""Watch somebody else's session and act in it: whose it is, what the console costs it, what the page may do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client

from console import live, logfiles, watch
from console.models import Entry, Session
from tests.console.relayed_stage import Program, RelayedStory, program
from tests.console.stage import HTMX, Stage, Story, flush

pytestmark = pytest.mark.django_db(transaction=True)

ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
CALL = {"type": "function_call", "id": "item_c", "name": "set_memory", "call_id": "call_1"}
REMEMBER = '{"key": "name", "value": "Ada"}'
CALLED: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "resp_1", "conversation_id": "conv_1"}},
    {"type": "response.output_item.done", "response_id": "resp_1",
     "item": {**CALL, "arguments": REMEMBER, "status": "completed"}},
]  # fmt: skip
"""The model wants to remember something."""


async def page(stage: Stage, session_id: str) -> str:
    """The session's page."""
    response = await stage.client.get(f"/sessions/{session_id}/")
    return str(response.content.decode())


def pushed(session_id: str) -> str:
    """What a page that opens now is sent."""
    return "".join(watch.Watch(session_id, 0).catch_up())


class TestWhoseItIs:
    """The strip under the top bar"""

    async def test_the_client_and_what_it_costs(self, stage: Stage) -> None:
        """Source, client library, dialect, label and the honesty meter stand above the timeline, live."""
        async with program(stage, "&console_label=kiosk") as client:
            await client.send({"type": "response.create"})
            await flush()
            text = await page(stage, client.session_id)
            for shown in ("<dd>relay</dd>", "<dd>OpenAI/Python 3.52.0</dd>", "<dd>GA</dd>", "<dd>kiosk</dd>"):
                assert shown in text
            assert re.search(r'id="meter"[^>]*>added [\d.]+ / [\d.]+ ms to the API, .*changed 0 bytes in 0 frames', text)
            assert 'id="meter"' in await sync_to_async(pushed)(client.session_id)

    async def test_two_dialects(self, stage: Stage) -> None:
        """A beta client of a GA API is said to be one."""
        async with program(stage, "", (b"openai-beta", b"realtime=v1")) as client:
            assert "<dd>beta → GA</dd>" in await page(stage, client.session_id)

    async def test_the_meter_is_read_now_and_then(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """The meter is asked once in two seconds by who looks, and by nobody when nobody does."""
        asked: list[int] = []
        async with program(stage) as client:
            line = client.runner.meter.line
            monkeypatch.setattr(client.runner.meter, "line", lambda: asked.append(1) or line())
            for _ in range(5):
                await client.send({"type": "response.create"})
            await flush()
            assert asked == []
            seen = watch.Watch(client.session_id, 0)
            for _ in range(5):
                await sync_to_async(seen.catch_up)()
            assert len(asked) == 1

    def test_when_it_is_over(self, client: Client) -> None:
        """A session that is over shows what its last note said, and JSON tells the same."""
        story = RelayedStory(label="kiosk", key_name="shop")
        story.note("meter", "added 0.07 / 0.31 ms to the API", changed_frames=0)
        story.close()
        sid = story.store()
        text = client.get(f"/sessions/{sid}/").content.decode()
        assert "added 0.07 / 0.31 ms to the API</p>" in text
        assert "<dd>shop</dd>" in text
        assert "<listen-in>" not in text
        told = client.get(f"/sessions/{sid}.json").json()
        assert (told["client"], told["key_name"], told["meter"]) == ("OpenAI/Python 3.52.0", "shop", "added 0.07 / 0.31 ms to the API")
        assert told.items() >= client.get("/sessions.json").json()[0].items()

    def test_a_session_of_the_page_s_own(self, client: Client) -> None:
        """The page's own sessions have no such strip."""
        assert 'id="relayed"' not in client.get(f"/sessions/{Story().store()}/").content.decode()


class TestRows:
    """What a row says of a frame's way"""

    def test_both_sides_of_a_frame(self, client: Client) -> None:
        """A frame that was changed has a row for each side, bound together, and its pane shows what became of it."""
        story = RelayedStory(dialect="beta")
        came = {"type": "session.update", "session": {"voice": "alloy", "instructions": "Be <b>brief</b>."}}
        left = {"type": "session.update", "session": {"audio": {"output": {"voice": "alloy"}}, "instructions": "Be <b>brief</b>."}}
        one, two = story.sides(("client", came), ("upstream", left))
        sid = story.store()
        rows = client.get(f"/sessions/{sid}/rows").content.decode()
        assert rows.count(f'data-pair="{one}"') == 2
        assert re.findall(r'data-mark="leg" title="[^"]*">(\w+)<', rows) == ["client", "API"]
        for seq in (one, two):
            pane = client.get(f"/sessions/{sid}/events/{seq}/").content.decode()
            assert "Changed on its way" in pane
            assert "<b>client sent</b>" in pane
            assert "<b>API got</b>" in pane
            assert f'data-go="{one}"' in pane
            assert f'data-go="{two}"' in pane
            assert "<del>-     &quot;voice&quot;: &quot;alloy&quot;,</del>" in pane
            assert "<ins>+       &quot;output&quot;: {</ins>" in pane
            assert "Be &lt;b&gt;brief" in pane
            assert "added 70 µs" in pane

    def test_one_frame_that_left_as_two(self, client: Client) -> None:
        """What the API sent once and the client got as several is one group."""
        story = RelayedStory(dialect="beta")
        event = {"type": "session.created", "session": {}}
        seqs = story.sides(("upstream", event), ("client", event), ("client", {"type": "conversation.created"}), direction="received")
        pane = client.get(f"/sessions/{story.store()}/events/{seqs[2]}/").content.decode()
        assert [pane.count(f'data-go="{seq}"') for seq in seqs] == [1, 1, 1]
        assert pane.count("<b>client got</b>") == 2

    @pytest.mark.parametrize(("more", "mark", "words"), [
        ({"data": {"withheld": "policy"}}, "withheld", "withheld: policy"),
        ({"data": {"withheld": "nobody"}}, "withheld", "withheld: nobody"),
        ({"data": {"refused": "event_not_allowed"}}, "refused", "refused: event_not_allowed"),
        ({"data": {"binary": 960}}, "binary", "binary 960 B"),
        ({"origin": "composer"}, "origin", "composer"), ({"origin": "browser"}, "origin", "page"),
        ({"origin": "tool"}, "origin", "tool"), ({"origin": "console"}, "origin", "console"),
    ])  # fmt: skip
    def test_what_became_of_it(self, client: Client, more: dict[str, Any], mark: str, words: str) -> None:
        """Withheld, refused and binary frames say so, and what is not the client's says whose it is."""
        story = RelayedStory()
        story.frame({"type": "rate_limits.updated"}, **more)
        sid = story.store()
        for path in ("rows", "events/1/"):
            text = client.get(f"/sessions/{sid}/{path}").content.decode()
            assert re.search(rf'data-mark="{mark}" title="[^"]+">{words}<', text)

    def test_the_page_s_own_frames_are_not_marked_in_its_own_session(self, client: Client) -> None:
        """Where all is the page's, nothing needs to say so."""
        story = Story()
        story.sent("session.update", session={})
        assert "data-mark" not in client.get(f"/sessions/{story.store()}/rows").content.decode()

    @pytest.mark.parametrize(("query", "found"), [
        ("is:changed", [1, 2]), ("leg:client", [1, 4]), ("is:withheld", [3]), ("-is:withheld", [1, 2, 4, 5]),
        ("is:refused", [4]), ("origin:composer", [5]), ("added:>50us leg:upstream", [2, 3, 5]), ("added:>1ms", []),
    ])  # fmt: skip
    def test_they_can_be_filtered(self, client: Client, query: str, found: list[int]) -> None:
        """The database understands the filter's words about the relay."""
        story = RelayedStory()
        story.sides(("client", {"type": "a"}), ("upstream", {"type": "b"}))
        story.frame({"type": "c"}, "received", "api", data={"withheld": "console"})
        story.frame({"type": "d"}, leg="client", data={"refused": "x"})
        story.frame({"type": "e"}, origin="composer")
        text = client.get(f"/sessions/{story.store()}/rows", {"q": query}).content.decode()
        assert [int(seq) for seq in re.findall(r'<tr id="row-(\d+)"', text)] == found


def test_it_can_be_handed_on(client: Client) -> None:
    """A relayed session's log, opened elsewhere, shows the same rows, whose session it was, and what it cost."""
    story = RelayedStory(label="kiosk", key_name="shop", dialect="beta")
    story.sides(("client", {"type": "a", "b": 1}), ("upstream", {"type": "a", "c": 2}))
    story.frame({"type": "c"}, origin="composer")
    story.note("meter", "added 0.07 ms")
    story.close()
    sid = story.store()
    log = b"".join(logfiles.pieces(Session.objects.get(pk=sid)))
    assert log.count(b'"added_us":70') == 3
    answer = client.post("/sessions/import", {"file": SimpleUploadedFile("log.jsonl", log)})
    assert answer.status_code == 303
    path = answer["Location"]
    assert client.get(f"{path}rows").content == client.get(f"/sessions/{sid}/rows").content
    text = client.get(path).content.decode()
    for shown in ("<dd>import</dd>", "<dd>OpenAI/Python 3.52.0</dd>", "<dd>shop</dd>", "added 0.07 ms</p>"):
        assert shown in text
    again = b"".join(logfiles.pieces(Session.objects.get(source="import")))
    assert again.split(b"\n")[1:] == log.split(b"\n")[1:]


class TestNotices:
    """What the page says in a sentence of its own"""

    async def test_only_what_is_about_the_page(self, stage: Stage) -> None:
        """What the API has against the client's events is a row; what it has against the page's is said."""
        async with program(stage) as client:
            await client.send({"type": "response.cancel", "event_id": "theirs"})
            await stage.post(client.session_id, "send", event='{"type": "response.cancel", "event_id": "mine"}')
            for about in ("theirs", "mine"):
                stage.api.say({"type": "error", "error": {"message": f"Not {about}.", "event_id": about}})
                await client.get()
            await flush()
            text = await sync_to_async(pushed)(client.session_id)
            said = "".join(re.findall(r'beforeend:#notices">(.*?)</ul>', text, re.DOTALL))
            assert "Not mine." in said
            assert "Not theirs." not in said


class TestActing:
    """Composer, text box, settings, switches, disconnect"""

    async def test_what_the_page_sends(self, stage: Stage) -> None:
        """Text, events and settings reach the API, and stand on the timeline as the page's, not the client's."""
        async with program(stage) as client:
            sid = client.session_id
            assert (await stage.post(sid, "say", text="Hello")).status_code == 204
            assert (await stage.post(sid, "send", event='{"type": "response.cancel"}')).status_code == 204
            form = {"instructions": "Be brief.", "turn_detection": "", "base": "{}"}
            assert (await stage.post(sid, "settings", **form)).status_code == 200
            await stage.api.expect("conversation.item.create", "response.create", "response.cancel", "session.update")
            await flush()
            sent = Entry.objects.of(sid).filter(direction="sent").order_by("seq").values_list("type", "origin")
            assert [one async for one in sent] == [
                ("conversation.item.create", "browser"), ("response.create", "browser"), ("response.cancel", "composer"),
                ("session.update", "browser"),
            ]  # fmt: skip

    async def test_answers_are_kept_from_the_client(self, stage: Stage) -> None:
        """With the switch on, answers to what the page sends stay here, and the client's own still reach it."""
        async with program(stage) as client:
            sid = client.session_id
            assert 'name="on" value="true">' in await page(stage, sid)
            assert (await stage.post(sid, "withhold", on="true")).status_code == 204
            assert 'name="on" value="true" checked>' in await page(stage, sid)
            await stage.post(sid, "send", event='{"type": "response.cancel", "event_id": "mine"}')
            stage.api.say({"type": "error", "error": {"message": "No.", "event_id": "mine"}})
            stage.api.say({"type": "rate_limits.updated"})
            assert (await client.get())["type"] == "rate_limits.updated"
            assert (await stage.post(sid, "withhold")).status_code == 204
            assert not client.runner.passage.withholds
            await flush()
            assert await Entry.objects.of(sid).filter(type="error", data__withheld="console").aexists()
            notes = Entry.objects.of(sid).filter(type="switch").order_by("seq").values_list("text", flat=True)
            assert [text[:32] async for text in notes] == ["Answers to what the page sends a", "Answers to what the page sends r"]

    async def test_tools_run_here_when_asked_to(self, stage: Stage) -> None:
        """Calls are the client's to answer, until somebody switches the console's tools on."""
        async with program(stage) as client:
            for event in CALLED:
                stage.api.say(event)
                await client.get()
            assert stage.api.sent == []
            assert (await stage.post(client.session_id, "answer-calls", on="true")).status_code == 204
            assert 'id="answering"' in await page(stage, client.session_id)
            done = {"type": "response.done", "response": {"id": "resp_2", "status": "completed"}}
            again = {**CALLED[1], "response_id": "resp_2", "item": {**CALLED[1]["item"], "id": "item_d", "call_id": "call_2"}}
            for event in (again, done):
                stage.api.say(event)
                await client.get()
            [answer] = await stage.api.expect("conversation.item.create")
            assert answer["item"]["call_id"] == "call_2"

    @pytest.mark.parametrize("what", ["withhold", "answer-calls"])
    async def test_where_there_is_nothing_to_switch(self, stage: Stage, what: str) -> None:
        """A session of the page's own has no client; one that is over nothing at all."""
        sid = await stage.start()
        assert "not a client&#x27;s" in await stage.refused(sid, what, on="true")
        await stage.stop(sid)
        assert "nothing was sent" in await stage.refused(sid, what, on="true")

    @pytest.mark.parametrize("what", ["withhold", "answer-calls"])
    async def test_only_the_console_s_own_page_switches(self, stage: Stage, what: str) -> None:
        """Without the CSRF token a switch is refused; reading the address does nothing."""
        async with program(stage) as client:
            strict = AsyncClient(enforce_csrf_checks=True)
            path = f"/sessions/{client.session_id}/{what}"
            assert (await strict.post(path, {"on": "true"})).status_code == 403
            assert (await stage.client.get(path)).status_code == 405
            assert not client.runner.passage.withholds
            assert not client.runner.answers_calls

    async def test_disconnect_closes_both_sides(self, stage: Stage) -> None:
        """Disconnect says goodbye to the API and to the client."""
        async with program(stage) as client:
            assert (await stage.post(client.session_id, "disconnect")).status_code == 204
            message = await client.socket.receive_output()
            assert (message["type"], message["code"]) == ("websocket.close", 1000)
            await flush()
            session = await Session.objects.aget(pk=client.session_id)
            assert (session.status, session.close_by) == ("closed", "console")
            assert live.find(client.session_id) is None


class TestTheMicrophone:
    """What the page must never do by itself"""

    async def test_there_is_none(self, stage: Stage) -> None:
        """A client's session shows neither talk button nor microphone, says why, and offers to listen in."""
        async with program(stage) as client:
            text = await page(stage, client.session_id)
        for name in ("<push-to-talk>", "<mute-microphone>", "<microphone-choice", '<form id="mode"', " data-url="):
            assert name not in text
        assert "Microphone off: the client’s session" in text
        assert f'data-listen-url="/ws/sessions/{client.session_id}/audio"' in text

    async def test_the_mode_is_not_pushed(self, stage: Stage) -> None:
        """Nor does it come with the first push, as it does for the page's own."""
        async with program(stage) as client:
            await flush()
            assert 'id="mode"' not in await sync_to_async(pushed)(client.session_id)


async def test_a_program_on_stage_is_carried(stage: Stage) -> None:
    """The stage is true: what the program sends is what the API gets."""
    async with program(stage) as client:
        assert isinstance(client, Program)
        await client.send({"type": "conversation.item.create", "item": ITEM})
        assert stage.api.sent == [{"type": "conversation.item.create", "item": ITEM}]
        response = await stage.client.get(f"/sessions/{client.session_id}/", headers=HTMX)
        assert response.status_code == 200
