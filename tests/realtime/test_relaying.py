"""One relayed session between a client and an API that say what the test wants."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime import tools
from realtime.errors import HandshakeRefused, NotConnected, Unreachable
from realtime.limits import Limits
from realtime.passage import Passage
from realtime.policy import Guard, Policy
from realtime.relaying import EARLY_LIMIT, RelayRunner
from realtime.spending import Account, Spending
from realtime.testing import RecordingTap, ScriptedUpstream
from tests.waiting import PATIENCE

CREATED = {"type": "session.created", "event_id": "event_1", "session": {"type": "realtime", "id": "sess_1", "model": "gpt-realtime"}}
ODD = '{ "type" : "response.create" , "n":1.0e2, "s":"\\u00e9" }'
"""A frame that nobody who parses and writes again would write like this."""


class Program:
    """A client that notes what it is sent; it can stop reading."""

    def __init__(self) -> None:
        self.got: list[str | bytes] = []
        self.ended: tuple[int | None, str] | str | None = None
        """Close code and reason, or ``dropped``."""
        self.reads = asyncio.Event()
        self.reads.set()
        self.news = asyncio.Event()

    async def send(self, frame: str | bytes) -> None:
        """Take one frame."""
        await self.reads.wait()
        if self.ended is not None:
            raise NotConnected("gone")
        self.got.append(frame)
        self.news.set()

    async def close(self, code: int | None, reason: str) -> None:
        """The relay says goodbye."""
        self.ended = (code, reason)

    async def drop(self) -> None:
        """The relay ends it without a word."""
        self.ended = "dropped"
        self.reads.set()

    abort = drop

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it got, read."""
        return [json.loads(frame) for frame in self.got]

    @property
    def types(self) -> list[str]:
        """The types of what it got."""
        return [event["type"] for event in self.events]

    async def until(self, count: int) -> None:
        """Wait until it has got so many frames."""
        async with asyncio.timeout(PATIENCE):
            while len(self.got) < count:
                self.news.clear()
                await self.news.wait()


class Tap(RecordingTap):
    """Also keeps what is told late."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[Any] = []

    def forwarded(self, entry: Any) -> None:
        """Keep it."""
        self.late.append(entry)

    def notes(self, kind: str) -> list[str]:
        """The sentences of one kind of note."""
        return [entry.text for entry in self.entries if entry.note == kind]

    @property
    def frames(self) -> list[tuple[str, str, str, str]]:
        """Direction, leg, origin and text of every frame."""
        return [(e.direction, e.leg, e.origin, e.event.raw) for e in self.entries if e.event is not None]


class Stage:
    """A relayed session on stage."""

    def __init__(self, api: ScriptedUpstream, program: Program, runner: RelayRunner, tap: Tap, task: Any) -> None:
        self.api, self.program, self.runner, self.tap, self.task = api, program, runner, tap, task

    async def over(self) -> None:
        """Wait for the end of the session."""
        await asyncio.wait_for(asyncio.shield(self.task), PATIENCE)

    @property
    def close(self) -> dict[str, Any]:
        """How the log says it ended."""
        entry = self.tap.entries[-1]
        assert entry.kind == "close"
        return {**entry.data, "reason": entry.text}


@asynccontextmanager
async def stage(*events: Any, dialled: bool = True, fails: Exception | None = None, **options: Any) -> AsyncIterator[Stage]:
    """A running relayed session whose API begins with these events."""
    api, program, tap = ScriptedUpstream(*events), Program(), Tap()
    answers = asyncio.Event()
    if dialled:
        answers.set()

    async def dial() -> ScriptedUpstream:
        await answers.wait()
        if fails is not None:
            raise fails
        return api

    context = tools.ToolContext(memory={}, remember=lambda *_: None, weather_url="http://127.0.0.1:9/")
    runner = RelayRunner(dial, tap, context, program, **options)
    task = asyncio.create_task(runner.run())
    stage = Stage(api, program, runner, tap, task)
    stage.answers = answers  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    try:
        yield stage
    finally:
        answers.set()
        api.hang_up()
        program.reads.set()
        await asyncio.wait_for(task, PATIENCE)


async def settled(seconds: float = 0.02) -> None:
    """Let everything happen that is going to."""
    await asyncio.sleep(seconds)
    for _ in range(100):  # turns of the loop: on a busy machine the time may be over before the first one
        await asyncio.sleep(0)


# ── Frames ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_frames_pass_as_they_are_both_ways() -> None:
    """What the client sends reaches the API byte for byte, what the API sends the client: also what is no event at all."""
    odd_answer = '{"type":"new.thing",  "x":[1,2.50]}'
    async with stage(CREATED) as on:
        await on.program.until(1)
        for frame in (ODD, "not json", "", '{"no":"type"}'):
            on.runner.forward(frame)
        for answer in (odd_answer, "nonsense", b"\x00\xff"):
            on.api.say(answer)
        await on.program.until(4)
        assert on.api.raw_sent == [ODD, "not json", "", '{"no":"type"}']
        assert on.program.got[1:] == [odd_answer, "nonsense", b"\x00\xff"]
    assert [raw for direction, _, _, raw in on.tap.frames if direction == "sent"] == on.api.raw_sent
    assert [leg for _, leg, _, _ in on.tap.frames] == ["upstream"] + ["client"] * 4 + ["upstream"] * 3
    assert {origin for direction, _, origin, _ in on.tap.frames if direction == "sent"} == {"app"}


async def test_a_frame_is_recorded_before_it_is_sent_on() -> None:
    """Whoever looks at the log finds a frame there at the latest when the other side has it."""
    async with stage() as on:
        await settled()
        seen: list[int] = []
        send = on.api.send
        on.api.send = lambda raw: (seen.append(len(on.tap.frames)), send(raw))  # type: ignore[method-assign, func-returns-value]
        on.runner.forward(ODD)
        assert seen == [1]


async def test_binary_sound_becomes_an_append() -> None:
    """A binary frame of the client is PCM16 24 kHz mono and goes upstream as input_audio_buffer.append."""
    async with stage() as on:
        await settled()
        on.runner.forward(b"\x01\x02" * 480)
        assert on.api.sent == [{"type": "input_audio_buffer.append", "audio": base64.b64encode(b"\x01\x02" * 480).decode()}]
        assert next(e for e in on.tap.entries if e.event).data == {"binary": 960}
        assert on.runner.meter.changed_frames == 1


async def test_what_comes_before_the_api_has_answered_keeps_its_order() -> None:
    """A client may talk at once: its frames wait, in order, and go out as soon as there is a connection."""
    async with stage(CREATED, dialled=False) as on:
        for number in range(5):
            on.runner.forward(f'{{"type":"n{number}"}}')
        assert on.api.sent == []
        assert not on.runner.full
        on.runner.forward("x" * EARLY_LIMIT)
        on.runner.forward("y")
        assert on.runner.full
        on.answers.set()  # type: ignore[attr-defined]
        await on.runner.room()
        assert [frame.get("type") for frame in on.api.sent] == ["n0", "n1", "n2", "n3", "n4", None, None]
        assert not on.runner.full


async def test_a_client_that_does_not_read_holds_up_the_api() -> None:
    """Back-pressure: while the client takes nothing, nothing more is taken from the API."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        on.program.reads.clear()
        for number in range(100):
            on.api.say({"type": "response.output_text.delta", "delta": str(number)})
        await settled()
        assert on.api.waiting == 99
        on.program.reads.set()
        await on.program.until(101)
        assert on.program.types[0] == "session.created"
        assert [event["delta"] for event in on.program.events[1:]] == [str(number) for number in range(100)]


async def test_both_ends_wait_while_more_is_told_than_can_be_stored() -> None:
    """Nothing is carried that memory would have to hold until it is written: the API's frames stay with it, the client waits."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        on.tap.behind = True
        for number in range(3):
            on.api.say(f'{{"type":"n{number}"}}')
        await on.program.until(2)  # one is on its way when it begins
        await settled()
        assert len(on.program.got) == 2
        assert on.runner.full
        room = asyncio.create_task(on.runner.room())
        await settled()
        assert not room.done()
        on.tap.behind = False
        await asyncio.wait_for(room, PATIENCE)
        await on.program.until(4)
        assert not on.runner.full


async def test_an_api_that_does_not_read_makes_the_client_wait() -> None:
    """Back-pressure the other way: ``full`` says so, and ``room`` returns when the API reads on."""
    async with stage() as on:
        await settled()
        on.api.stop_reading()
        assert on.runner.full
        waiting = asyncio.create_task(on.runner.room())
        await settled()
        assert not waiting.done()
        on.api.read_on()
        await asyncio.wait_for(waiting, PATIENCE)
        assert not on.runner.full


# ── The end ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        (1000, "", (1000, "")),
        (3000, "invalid_request_error.invalid_api_key", (3000, "invalid_request_error.invalid_api_key")),
        (1001, "Your session hit the maximum duration of 60 minutes.", (1001, "Your session hit the maximum duration of 60 minutes.")),
        (1005, "", (None, "")),
        (None, "", "dropped"),
    ],
)
async def test_how_the_api_ends_it_the_client_is_told(code: int | None, reason: str, told: Any) -> None:
    """Close code and reason travel on; a close frame without a code stays one, a broken line is broken off."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        on.api.hang_up(code, reason)
        await on.over()
        assert on.program.ended == told
        assert on.close["by"] == "server"


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (4711, "own code"), (1001, "")])
async def test_how_the_client_ends_it_the_api_is_told(code: int, reason: str) -> None:
    """The client's close code and reason reach the API, and the log names the client."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        await on.runner.client_left(code, reason)
        await on.over()
        assert (on.api.close_code, on.api.close_reason) == (code, reason)
        assert on.close == {"by": "client", "code": code, "reason": reason}
        assert on.program.ended is None


async def test_a_client_that_vanishes_drops_the_api() -> None:
    """No close frame in, none out: the other side's line is broken, too."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        await on.runner.client_left(1006, "")
        await on.over()
        assert on.api.close_code is None
        assert on.close["by"] == "client"


async def test_a_client_that_leaves_in_the_moment_of_the_answer() -> None:
    """What it said reaches the API, and then its goodbye: nobody is left behind, however the two cross."""
    async with stage(dialled=False) as on:
        on.runner.forward(ODD)
        on.answers.set()  # type: ignore[attr-defined]
        while on.runner.upstream is None:
            await asyncio.sleep(0)
        await on.runner.client_left(1001, "done")
        await on.over()
        assert on.api.raw_sent == [ODD]
        assert (on.api.close_code, on.api.close_reason) == (1001, "done")
        assert on.close["by"] == "client"


async def test_a_client_that_leaves_before_anything_has_begun() -> None:
    """The API is not dialled for somebody who is gone."""
    dials: list[int] = []

    async def dial() -> ScriptedUpstream:
        dials.append(1)
        return ScriptedUpstream()

    context = tools.ToolContext(memory={}, remember=lambda *_: None, weather_url="http://127.0.0.1:9/")
    tap = Tap()
    runner = RelayRunner(dial, tap, context, Program())
    await runner.client_left(1006, "")
    await asyncio.wait_for(runner.run(), PATIENCE)
    assert not dials
    assert (tap.entries[-1].kind, tap.entries[-1].data["by"]) == ("close", "client")


async def test_what_comes_after_the_end() -> None:
    """A client that has not heard of the end yet adds nothing to the log, which ends with its close."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        on.api.hang_up(1000, "")
        await on.over()
        on.runner.forward(ODD)
        assert on.tap.entries[-1].kind == "close"


async def test_a_client_that_leaves_before_the_api_has_answered() -> None:
    """The dialling is given up: no connection is left open, billed and without an owner."""
    async with stage(dialled=False) as on:
        on.runner.forward(ODD)
        await on.runner.client_left(1001, "changed my mind")
        await on.over()
        assert on.runner.upstream is None
        assert on.close["by"] == "client"


@pytest.mark.parametrize(
    "failure", [Unreachable("ws://api/v1/realtime", "the connection was refused"), HandshakeRefused("ws://api", 403, "no access")]
)
async def test_an_api_that_cannot_be_reached_is_told_to_the_client(failure: Exception) -> None:
    """The client gets an error event in the API's shape with the reason in it, and close 1011."""
    async with stage(fails=failure) as on:
        await on.over()
        (error,) = on.program.events
        assert error["type"] == "error"
        said = str(failure).replace(failure.args[0], "The provider")  # whose address is for the console's page alone
        assert error["error"]["message"] == said
        assert on.program.ended == (1011, said)
        assert (on.close["by"], on.close["reason"]) == ("server", str(failure))


async def test_the_page_ends_it() -> None:
    """Disconnect on the page closes both sides, and the log says that it was the console."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        await on.runner.close()
        await on.over()
        assert on.program.ended == (1000, "closed on the console's page")
        assert (on.api.close_code, on.close["by"]) == (1000, "console")


async def test_a_relay_that_stops_says_that_it_will_be_back() -> None:
    """Clients get 1012, service restart, after which they connect again by themselves."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        await on.runner.close(1012)
        await on.over()
        assert on.program.ended == (1012, "the console is stopping")


async def test_a_client_that_does_not_read_can_be_closed_all_the_same() -> None:
    """Ending a session whose client is stalled does not wait for the client."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        on.program.reads.clear()
        on.api.say(CREATED)
        await settled()
        await on.runner.close()
        await on.over()
        assert on.program.ended is not None
        assert on.close["by"] == "console"


async def test_there_is_no_limit_unless_one_is_set() -> None:
    """An idle limit ends a session with an error event that says so; each frame puts it off."""
    async with stage(CREATED, limits=Limits(idle=1.5)) as on:
        for _ in range(4):
            await asyncio.sleep(0.5)
            on.runner.forward(ODD)
        assert not on.task.done()
        await on.over()
        assert on.program.events[-1]["error"]["code"] == "idle_timeout"
        assert on.program.ended == (1001, "Nothing was said for 1.5 s.")
        assert on.close["by"] == "console"


async def test_a_session_may_have_a_longest_time() -> None:
    """The total limit ends it however much is said."""
    async with stage(CREATED, limits=Limits(total=0.05)) as on:
        await on.over()
        assert on.program.events[-1]["error"]["code"] == "session_time_limit"


# ── Dialects ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_beta_client_is_served_by_a_ga_api() -> None:
    """Its frames are translated both ways; the log has what each side saw, as pairs."""
    async with stage(CREATED, passage=Passage("beta", "ga")) as on:
        await on.program.until(2)
        assert on.program.types == ["session.created", "conversation.created"]
        on.runner.forward('{"type":"session.update","session":{"modalities":["text"],"temperature":0.9}}')
        asked = {"type": "realtime", "output_modalities": ["text"], "audio": {"output": {"voice": "alloy"}}}
        assert on.api.sent == [{"type": "session.update", "session": asked}]
        on.api.say({"type": "response.output_audio.delta", "delta": "AAAA", "item_id": "i", "response_id": "r"})
        await on.program.until(3)
        assert on.program.types[-1] == "response.audio.delta"
    entries = [entry for entry in on.tap.entries if entry.event is not None]
    assert [(e.direction, e.leg, e.type) for e in entries[3:]] == [
        ("sent", "client", "session.update"),
        ("sent", "upstream", "session.update"),
        ("received", "upstream", "response.output_audio.delta"),
        ("received", "client", "response.audio.delta"),
    ]
    assert entries[3].pair == entries[4].pair == entries[3].seq
    assert entries[5].pair == entries[6].pair == entries[5].seq
    assert [e.counts for e in entries[3:]] == [False, True, True, False]
    assert "temperature 0.9" in on.tap.notes("translation")[0]


async def test_a_client_is_known_by_its_first_frames() -> None:
    """A beta client that did not say so when it connected is understood from its first session.update on."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        on.runner.forward('{"type":"session.update","session":{"input_audio_format":"pcm16"}}')
        on.api.say({"type": "response.output_text.delta", "delta": "x"})
        await on.program.until(2)
        assert on.program.types[-1] == "response.text.delta"
        assert on.tap.notes("dialect") == ["The client speaks the beta dialect by its frames."]


async def test_a_ga_client_in_front_of_a_beta_api() -> None:
    """The other way round: the API is spoken to in the beta, the console's own events too."""
    beta_created = {"type": "session.created", "session": {"id": "sess_1", "modalities": ["text"], "voice": "alloy"}}
    async with stage(beta_created, passage=Passage("ga", "beta")) as on:
        await on.program.until(1)
        assert on.program.events[0]["session"]["output_modalities"] == ["text"]
        await on.runner.update_session({"output_modalities": ["text"]})
        assert on.api.sent[-1]["session"] == {"modalities": ["text"]}
        assert on.runner.protocol.session is not None
        assert on.runner.protocol.session["audio"]["output"]["voice"] == "alloy"


async def test_same_dialects_change_nothing() -> None:
    """Between two of the same dialect not one byte changes, and the meter says so."""
    async with stage(CREATED, passage=Passage("beta", "beta")) as on:
        on.runner.forward('{"type":"session.update","session":{"modalities":["text"]}}')
        await on.program.until(1)
        assert on.runner.meter.changed_frames == 0


# ── Policy ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_policy_refuses_with_an_error_and_a_note() -> None:
    """What a policy does not allow never reaches the API; the client is told in the API's shape, the reader in a note."""
    policy = Policy.read({"client_events": ["session.update", "response.*"]})
    async with stage(CREATED, passage=Passage(guard=Guard(policy))) as on:
        await on.program.until(1)
        on.runner.forward('{"type":"conversation.item.create","event_id":"mine","item":{}}')
        await on.program.until(2)
        error = on.program.events[-1]
        assert (error["type"], error["error"]["event_id"]) == ("error", "mine")
        assert on.api.sent == []
        assert len(on.tap.notes("policy")) == 1
        on.runner.forward(ODD)
        assert on.api.raw_sent == [ODD]


async def test_fixed_fields_are_set_first_and_cannot_be_read() -> None:
    """The server's instructions go out before anything of the client's; what tells of them is taken out of the answers."""
    policy = Policy.read({"session": {"instructions": "Our secret."}, "withhold": ["rate_limits.updated"]})
    async with stage(dialled=False, passage=Passage(guard=Guard(policy))) as on:
        on.runner.forward(ODD)
        on.answers.set()  # type: ignore[attr-defined]
        await settled()
        assert [frame["type"] for frame in on.api.sent] == ["session.update", "response.create"]
        assert on.api.sent[0]["session"]["instructions"] == "Our secret."
        told = {"type": "session.updated", "session": {"type": "realtime", "instructions": "Our secret.", "model": "m"}}
        on.api.say(told)  # the answer to what the relay asked for
        on.api.say(told)
        on.api.say({"type": "rate_limits.updated", "rate_limits": []})
        on.api.say({"type": "response.created", "response": {"id": "r"}})
        await on.program.until(2)
        assert on.program.types == ["session.updated", "response.created"]
        assert on.program.events[0]["session"] == {"type": "realtime", "model": "m"}
    withheld = [entry for entry in on.tap.entries if entry.data.get("withheld")]
    assert [(entry.type, entry.data["withheld"]) for entry in withheld] == [
        ("session.updated", "console"),
        ("rate_limits.updated", "policy"),
    ]


async def test_money_that_is_spent_ends_the_session() -> None:
    """A key's dollars are counted by each response's usage; when they are gone, so is the session, and it says why."""
    account = Account(0.0001)
    policy = Policy.read({"dollars": 0.0001})
    usage = {
        "total_tokens": 200, "input_tokens": 100, "output_tokens": 100,
        "input_token_details": {"text_tokens": 100, "audio_tokens": 0, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 100, "audio_tokens": 0},
    }  # fmt: skip
    async with stage(CREATED, passage=Passage(guard=Guard(policy)), spending=Spending(account)) as on:
        on.api.say({"type": "response.done", "response": {"id": "r", "status": "completed", "usage": usage}})
        await on.over()
        assert account.spent == pytest.approx((100 * 4 + 100 * 16) / 1e6)
        assert on.program.types == ["session.created", "response.done", "error"]
        assert on.program.events[-1]["error"]["code"] == "insufficient_quota"


# ── The console's own part ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reader_may_act_in_somebody_elses_session() -> None:
    """What the page sends is marked as its own, with ids no client's can be the same as; the client sees the answers."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        await on.runner.send_event({"type": "response.create"})
        (sent,) = on.api.sent
        assert sent["event_id"].startswith("console_")
        assert (on.tap.frames[-1][1], on.tap.frames[-1][2]) == ("upstream", "composer")
        on.api.say({"type": "response.created", "response": {"id": "r"}})
        await on.program.until(2)


async def test_answers_to_ours_can_be_kept_from_the_client() -> None:
    """When the reader wants it, nothing of what the console caused reaches the client; what the client caused does."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        on.runner.passage.withholds = True
        await on.runner.send_event({"type": "response.create"})
        metadata = on.api.sent[-1]["response"]["metadata"]
        on.runner.forward(ODD)
        for event in (
            {"type": "response.created", "response": {"id": "ours", "metadata": metadata}},
            {"type": "response.output_text.delta", "response_id": "ours", "delta": "secret"},
            {"type": "response.created", "response": {"id": "theirs"}},
            {"type": "response.done", "response": {"id": "ours", "metadata": metadata}},
            {"type": "response.done", "response": {"id": "theirs"}},
        ):
            on.api.say(event)
        await on.program.until(3)
        await settled()
        assert [e["response"]["id"] for e in on.program.events[1:]] == ["theirs", "theirs"]
    assert [e.data["withheld"] for e in on.tap.entries if "withheld" in e.data] == ["console"] * 3


async def test_the_clients_calls_are_the_clients() -> None:
    """Function calls of a relayed session are not run here, unless the reader asks for it."""
    call = {"id": "i", "type": "function_call", "status": "completed", "name": "set_memory", "call_id": "c",
            "arguments": '{"key":"a","value":"b"}'}  # fmt: skip
    done = {"type": "response.output_item.done", "response_id": "r", "item": call}
    async with stage(CREATED, done) as on:
        on.api.say({"type": "response.done", "response": {"id": "r", "status": "completed", "output": [call]}})
        await on.program.until(3)
        await settled()
        assert on.api.sent == []


# ── Measuring ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_frame_says_what_its_way_cost() -> None:
    """Each relayed frame's entry has the microseconds from received to forwarded; the log ends with one line of them."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        on.runner.forward(ODD)
        await on.over() if on.api.hang_up() else None
        await on.over()
    frames = [entry for entry in on.tap.entries if entry.event is not None]
    assert all(entry.transit is not None and entry.transit.added_us is not None for entry in frames)
    (line,) = on.tap.notes("meter")
    assert line.startswith("added ")
    assert "changed 0 bytes in 0 frames" in line


async def test_a_frame_that_waits_is_told_late() -> None:
    """What a stalled client cost its frame becomes known when it reads on; the recorder is told then."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        on.program.reads.clear()
        on.api.say({"type": "response.created", "response": {"id": "r"}})
        await asyncio.sleep(0.05)
        on.program.reads.set()
        await on.program.until(2)
        await settled()
        (late,) = [entry for entry in on.tap.late if entry.type == "response.created"]
        assert late.transit.added_us >= 40_000


async def test_a_client_that_leaves_during_the_handshake() -> None:
    """Nobody is dialled for a client that was gone before the session began; the log says whose end it was."""
    dialled: list[bool] = []

    async def dial() -> ScriptedUpstream:
        dialled.append(True)
        return ScriptedUpstream()

    tap = Tap()
    context = tools.ToolContext(memory={}, remember=lambda *_: None, weather_url="http://127.0.0.1:9/")
    runner = RelayRunner(dial, tap, context, Program())
    await runner.client_left(1006, "")
    await runner.run()
    assert not dialled
    assert [entry.type for entry in tap.entries] == ["meter", "close"]
    assert tap.entries[-1].data["by"] == "client"


async def test_an_end_while_dialling_is_told() -> None:
    """A session that is ended before the API has answered is ended for its client, too, in the same words."""
    async with stage(dialled=False, passage=Passage(guard=Guard(Policy(dollars=1.0))), spending=Spending(Account(1.0, spent=2.0))) as on:
        await on.over()
        assert on.program.types == ["error"]
        assert on.program.events[0]["error"]["code"] == "insufficient_quota"
        assert isinstance(on.program.ended, tuple) and on.program.ended[0] == 1008
    assert on.close["by"] == "console"
