"""One session from dialling to its close, against an API that says what the test wants."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime import tools
from realtime.dialects import Dialect
from realtime.errors import HandshakeRefused, NotConnected, ToolError, Unreachable
from realtime.protocol import Played
from realtime.runner import SessionRunner
from realtime.testing import RecordingTap, ScriptedUpstream
from tests.waiting import PATIENCE

CREATED = {"type": "session.created", "session": {"type": "realtime", "model": "m"}}


class Loudspeaker:
    """A player that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def play(self, item_id: str, content_index: int, response_id: str, raw: str) -> None:
        """Sound."""
        self.told.append(("play", item_id))

    def end(self, item_id: str) -> None:
        """No more sound."""
        self.told.append(("end", item_id))

    def stop(self, why: str) -> None:
        """Cut."""
        self.told.append(("stop", why))


class Stage:
    """A session on stage: the runner, its API and its tap."""

    def __init__(self, upstream: ScriptedUpstream, runner: SessionRunner, tap: RecordingTap) -> None:
        self.upstream, self.runner, self.tap = upstream, runner, tap
        self.memory: dict[str, str] = runner.context.memory

    def notes(self, kind: str) -> list[str]:
        """The sentences of one kind of note."""
        return [entry.text for entry in self.tap.entries if entry.note == kind]

    async def until(self, type_: str, timeout: float = PATIENCE) -> None:
        """Wait until an entry of this type was recorded."""
        async with asyncio.timeout(timeout):
            while type_ not in [entry.type for entry in self.tap.entries]:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def stage(
    *events: dict[str, Any] | str, session: dict[str, Any] | None = None, dialect: Dialect = "ga"
) -> AsyncIterator[Stage]:
    """A running session whose API begins with these events."""
    upstream, tap = ScriptedUpstream(*events), RecordingTap()
    memory: dict[str, str] = {}
    context = tools.ToolContext(memory=memory, remember=memory.__setitem__, weather_url="http://127.0.0.1:9/")

    async def dial() -> ScriptedUpstream:
        return upstream

    runner = SessionRunner(dial, tap, context, session=session, dialect=dialect)
    task = asyncio.create_task(runner.run())
    try:
        yield Stage(upstream, runner, tap)
    finally:
        upstream.hang_up()
        await asyncio.wait_for(task, PATIENCE)


async def test_a_session_from_start_to_end() -> None:
    """Connecting, session.created, ready, the opening update, the close: all recorded, in order."""
    async with stage(CREATED, session={"instructions": "Be brief."}) as play:
        update = (await play.upstream.expect("session.update"))[0]
        assert update["session"] == {"type": "realtime", "instructions": "Be brief."}
        play.upstream.hang_up(1001, "Your session hit the maximum duration of 60 minutes.")
        await play.until("close")
    assert play.tap.types == ["= state", "← session.created", "= state", "→ session.update", "= close"]
    close = play.tap.entries[-1]
    assert (close.data, close.text[:12]) == ({"by": "server", "code": 1001}, "Your session")
    assert [entry.seq for entry in play.tap.entries] == [1, 2, 3, 4, 5]


async def test_nothing_is_said_that_the_user_did_not_say() -> None:
    """Without settings to ask for, connecting sends nothing at all: no greeting, no update."""
    async with stage(CREATED) as play:
        await play.until("session.created")
        await asyncio.sleep(0)
    assert play.upstream.sent == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Unreachable("ws://127.0.0.1:9", "the connection was refused; is a server running there?"), "could not be reached"),
        (HandshakeRefused("ws://x", 401, '{"error":{}}'), "HTTP 401"),
    ],
)
async def test_a_connection_that_fails_is_told(error: Exception, sentence: str) -> None:
    """A refused or unreachable upstream is a close with the reason; run() does not raise."""
    tap = RecordingTap()

    async def dial() -> ScriptedUpstream:
        raise error

    await SessionRunner(dial, tap, tools.ToolContext({}, {}.__setitem__, "")).run()
    assert tap.types == ["= state", "= close"]
    assert sentence in tap.entries[1].text


async def test_frames_are_recorded_as_they_came() -> None:
    """Malformed, unknown and binary frames are recorded byte for byte and end nothing."""
    odd = ["not json", '{"type" : "something.new",  "x":1}', '{"no":"type"}']
    async with stage(CREATED, *odd) as play:
        play.upstream.say(b"\x00\xff")
        play.upstream.say({"type": "last"})
        await play.until("last")
    raws = [entry.event.raw for entry in play.tap.entries if entry.event is not None]
    assert raws[1:5] == [*odd, "\x00\xff"]


async def test_closing_says_goodbye() -> None:
    """close() records closing, closes the upstream, and the close row says it was the console."""
    async with stage(CREATED) as play:
        await play.until("session.created")
        await play.runner.close()
        assert play.tap.entries[-1].data == {"by": "console", "code": 1000}
        with pytest.raises(NotConnected):
            await play.runner.send_text("too late", None)


async def test_a_line_that_breaks_is_told() -> None:
    """An upstream that vanishes mid-session ends the session with a sentence instead of a code."""
    async with stage(CREATED) as play:
        play.upstream.hang_up(None)
        await play.until("close")
    assert play.tap.entries[-1].data["code"] is None
    assert "vanished" in play.tap.entries[-1].text


def calling(name: str, arguments: str) -> list[dict[str, Any]]:
    """A response that consists of one function call."""
    item = {"id": "item_1", "type": "function_call", "name": name, "call_id": "call_1", "arguments": arguments}
    return [
        CREATED,
        {"type": "response.created", "response": {"id": "resp_1", "conversation_id": "conv_1"}},
        {"type": "response.output_item.done", "response_id": "resp_1", "item": item},
        {"type": "response.done", "response": {"id": "resp_1", "status": "completed"}},
    ]


class TestTools:
    """The one tool runner."""

    async def test_a_tool_is_run_and_answered(self) -> None:
        """set_memory is run, answered with its output, and followed by one response.create."""
        async with stage(*calling("set_memory", '{"key":"name","value":"Ada"}')) as play:
            output, _ = await play.upstream.expect("conversation.item.create", "response.create")
            assert output["item"] == {"type": "function_call_output", "call_id": "call_1", "output": '{"ok": true}'}
            assert play.memory == {"name": "Ada"}
            await play.until("tool")
        assert play.notes("problem") == []

    @pytest.mark.parametrize("arguments", ["{", "[1]", '{"key":"Bad Key","value":"x"}', '{"key":"name"}', "{}"])
    async def test_bad_arguments_are_answered_and_shown(self, arguments: str) -> None:
        """Bad JSON and missing or wrong arguments are answered with an error the model can act on, and shown."""
        async with stage(*calling("set_memory", arguments)) as play:
            output, _ = await play.upstream.expect("conversation.item.create", "response.create")
            assert "error" in json.loads(output["item"]["output"])
            assert play.notes("tool")[0].startswith("set_memory: ")

    async def test_a_failing_tool_does_not_end_the_session(self) -> None:
        """A defect inside a tool is answered, shown, and the session goes on."""

        async def broken(arguments: dict[str, Any], context: tools.ToolContext) -> dict[str, Any]:
            raise RuntimeError("a defect")

        async with stage(CREATED) as play:
            play.runner.tools["broken"] = tools.Tool("broken", "", {"type": "object", "properties": {}}, broken)
            for event in calling("broken", "{}")[1:]:
                play.upstream.say(event)
            output, _ = await play.upstream.expect("conversation.item.create", "response.create")
            assert "failed inside the console" in output["item"]["output"]

    async def test_an_unknown_tool_is_left_to_the_user(self) -> None:
        """A call to a tool the console does not have is shown and not answered."""
        async with stage(*calling("order_pizza", "{}")) as play:
            await play.until("problem")
            assert "order_pizza" in play.notes("problem")[0]
        assert play.upstream.sent == []

    async def test_running_tools_end_with_the_session(self) -> None:
        """A tool still at work when the session ends is cancelled; nothing is left running."""
        started = asyncio.Event()

        async def endless(arguments: dict[str, Any], context: tools.ToolContext) -> dict[str, Any]:
            started.set()
            await asyncio.sleep(3600)
            raise ToolError("never")

        async with stage(CREATED) as play:
            play.runner.tools["endless"] = tools.Tool("endless", "", {"type": "object", "properties": {}}, endless)
            for event in calling("endless", "{}")[1:]:
                play.upstream.say(event)
            await asyncio.wait_for(started.wait(), PATIENCE)
        assert not play.runner._tasks


class TestSound:
    """What the loudspeaker is told."""

    async def test_sound_is_played_and_cut(self) -> None:
        """Deltas go to the player; speech stops it; its answer becomes a truncation and a note of what was heard."""
        audio = {"input": {"turn_detection": {"type": "server_vad"}}}
        delta = base64.b64encode(bytes(48_000)).decode()
        async with stage() as play:
            play.runner.player = speaker = Loudspeaker()
            for event in (
                {"type": "session.created", "session": {"audio": audio}},
                {"type": "response.created", "response": {"id": "resp_1", "conversation_id": "c"}},
                {"type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_1", "delta": delta},
                {"type": "response.output_audio.done", "response_id": "resp_1", "item_id": "item_1"},
                {"type": "input_audio_buffer.speech_started", "item_id": "item_2"},
            ):
                play.upstream.say(event)
            await play.until("input_audio_buffer.speech_started")
            assert speaker.told == [("play", "item_1"), ("end", "item_1"), ("stop", "speech")]
            await play.runner.stopped(Played("item_1", 512))
            truncate = (await play.upstream.expect("conversation.item.truncate"))[0]
            assert truncate["audio_end_ms"] == 512
            assert play.notes("heard") == ["Playback was cut after 512 ms."]

    async def test_too_short_a_press_is_explained(self) -> None:
        """A press too short for the API gets a sentence on the page, and nothing is committed."""
        async with stage(CREATED) as play:
            await play.until("session.created")
            await play.runner.talk_start(None)
            await play.runner.send_audio(bytes(960))
            await play.runner.talk_end()
            assert "Too short" in play.notes("problem")[0]
        assert [frame["type"] for frame in play.upstream.sent][-1] == "input_audio_buffer.clear"


async def test_an_api_that_speaks_only_the_beta() -> None:
    """It is spoken to in the beta and understood; the log has the frames as they travelled."""
    created = {"type": "session.created", "session": {"id": "sess_1", "modalities": ["text"], "voice": "alloy"}}
    async with stage(created, session={"output_modalities": ["text"]}, dialect="beta") as on:
        (update,) = await on.upstream.expect("session.update")
        assert update["session"] == {"modalities": ["text"]}
        on.upstream.say({"type": "response.audio.delta", "delta": "AAAA", "item_id": "i", "response_id": "r"})
        await on.until("response.audio.delta")
        assert on.runner.protocol.received_ms == {"i": pytest.approx(1.5 / 24)}
        assert on.runner.protocol.session is not None
        assert on.runner.protocol.session["audio"]["output"]["voice"] == "alloy"
