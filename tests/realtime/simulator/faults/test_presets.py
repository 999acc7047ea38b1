"""Fault presets: what each does to a response, and over a real socket to its client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from realtime.simulator.faults.base import FaultError
from realtime.simulator.faults.presets import PRESETS, described
from realtime.simulator.server import SimulatorServer
from realtime.simulator.server.outgoing import OutgoingQueue
from realtime.simulator.shared.frames import Abort, Frame, Freeze, Shut
from realtime.simulator.shared.options import SimulatorOptions
from tests.waiting import PATIENCE

TYPES = [
    "session.created", "response.created", "response.output_item.added", "response.content_part.added",
    *["response.output_text.delta"] * 20, *["response.output_audio.delta"] * 5, "response.output_text.done",
    "response.output_item.done", "response.done", "rate_limits.updated",
]  # fmt: skip
EVENTS = [json.dumps({"type": type_, "event_id": type_[-12:]}) for type_ in TYPES]
DELTA, AUDIO, DONE = EVENTS[4], EVENTS[24], EVENTS[-2]
STEP = 0.01
"""Seconds between two events."""


def arrivals(*faults: str) -> list[tuple[float, Frame]]:
    """When what arrives of a session with one response."""
    line = OutgoingQueue(faults)
    for number, event in enumerate(EVENTS):
        line.send(event, number * STEP)
    arrived: list[tuple[float, Frame]] = []
    while (at := line.next_at()) is not None:
        arrived += [(at, frame) for frame in line.due(at)]
    return arrived


def sent(*faults: str) -> list[Frame]:
    """What arrives."""
    return [frame for _, frame in arrivals(*faults)]


def delays(*faults: str) -> list[float]:
    """By how many milliseconds each event is late, when all arrive in order."""
    arrived = arrivals(*faults)
    assert [frame for _, frame in arrived] == EVENTS
    return [round((at - number * STEP) * 1000) for number, (at, _) in enumerate(arrived)]


# ── Names ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_fault_says_what_it_does() -> None:
    """Each preset has a sentence of its own, and the name of its class."""
    for name, preset in PRESETS.items():
        assert preset.__name__.lower() == name.replace("_", "")
        assert preset.__doc__
    sentences = [sentence for _, sentence in described()]
    assert len(set(sentences)) == len(PRESETS)


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ("jiter", "there is no fault 'jiter'; there are slow_first_audio, jitter"),
        ("jitter:fast", "jitter:fast: the amount is a number, of ms"),
        ("jitter:nan", "jitter:nan: from 0 to 1e+09 ms"),
        ("lost_delta:101", "lost_delta:101: from 0 to 100 percent of deltas"),
        ("http_429:0", "http_429:0: from 1 to 1e+09 handshakes"),
        ("lost_done:5", "lost_done has no amount"),
    ],
)
def test_what_is_no_fault(spec: str, wrong: str) -> None:
    """A wrong name or amount is told with what there is; a server does not even start with it."""
    with pytest.raises(FaultError) as error:
        SimulatorServer(options=SimulatorOptions(faults=(spec,)))
    assert str(error.value).startswith(wrong)


# ── Time ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_slow_first_audio() -> None:
    """The first sound comes late, and what follows waits behind it."""
    late = delays("slow_first_audio:700")
    first = EVENTS.index(AUDIO)
    assert late[:first] == [0] * first
    assert late[first] == 700


def test_jitter() -> None:
    """Everything is late by chance, up to the amount, in order."""
    late = delays("jitter:50")
    assert 0 <= min(late) < 20 < max(late) <= 50


def test_bursts() -> None:
    """Events arrive together, at full intervals."""
    assert sorted({round(at, 6) for at, _ in arrivals("bursts:100")}) == [0.1, 0.2, 0.3, 0.4]
    assert sent("bursts:100") == EVENTS


def test_stalls() -> None:
    """Some event is held up, and all behind it; before that nothing is late."""
    late = delays("stalls:400")
    assert late[0] == 0
    assert max(late) == 400


def test_late_done() -> None:
    """The end of a response comes late, and the rate limits behind it."""
    late = delays("late_done:300")
    assert late == [0] * (len(EVENTS) - 2) + [300, 290]


# ── The connection ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("close_mid_response", Shut(1011, "The server had an error while processing your request")),
        ("drop_mid_response", Abort()),
        ("freezes", Freeze()),
    ],
)
def test_what_happens_in_the_middle_of_a_response(name: str, end: Frame) -> None:
    """Behind so many deltas comes the end of the connection, once."""
    frames = sent(f"{name}:3")
    assert frames[: frames.index(end)] == EVENTS[:7]
    assert frames.count(end) == 1


@asynccontextmanager
async def client_of(*faults: str) -> AsyncIterator[ClientConnection]:
    """A client of a simulator with these faults; its first event is read."""
    options = SimulatorOptions(latency_ms=1, pace=100, voice="tone", faults=faults)
    async with SimulatorServer(port=0, options=options) as server:
        async with connect(f"{server.url}?model=gpt-realtime", max_size=None, open_timeout=PATIENCE, close_timeout=0.2) as client:
            assert json.loads(await client.recv())["type"] == "session.created"
            yield client


async def events(client: ClientConnection, until: str) -> list[dict[str, Any]]:
    """Events up to one of this type."""
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while not seen or seen[-1]["type"] != until:
            seen.append(json.loads(await client.recv()))
    return seen


async def ask(client: ClientConnection) -> None:
    """The wish for an answer in writing."""
    await client.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))


@pytest.mark.parametrize(("name", "code", "reason"), [("close_mid_response", 1011, "The server had"), ("drop_mid_response", 1006, "")])
async def test_a_connection_that_ends_in_the_middle(name: str, code: int, reason: str) -> None:
    """The client reads so many deltas, then the close code, or that there is none."""
    async with client_of(f"{name}:2") as client:
        await ask(client)
        seen = []
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                while True:
                    seen.append(json.loads(await client.recv())["type"])
        assert seen.count("response.output_text.delta") == 2
        assert client.close_code == code
        assert (client.close_reason or "").startswith(reason)


async def test_a_server_that_freezes() -> None:
    """Nothing comes any more, not even a pong; the simulator stops promptly for all that."""
    async with client_of("freezes:1") as client:
        await ask(client)
        await events(client, "response.output_text.delta")
        pong = await client.ping()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.gather(client.recv(), pong)


async def test_no_pong() -> None:
    """Pings are not answered, events are."""
    async with client_of("no_pong") as client:
        pong = await client.ping()
        await ask(client)
        await events(client, "response.done")
        assert not pong.done()


@pytest.mark.parametrize("status", [429, 503])
async def test_handshakes_that_are_refused(status: int) -> None:
    """So many handshakes are refused with HTTP, the next one succeeds."""
    async with SimulatorServer(port=0, options=SimulatorOptions(faults=(f"http_{status}:2",))) as server:
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"{server.url}?model=gpt-realtime"):
                    pass
            assert refused.value.response.status_code == status
        async with connect(f"{server.url}?model=gpt-realtime") as client:
            assert json.loads(await client.recv())["type"] == "session.created"


async def test_a_session_that_expires() -> None:
    """A second after it began the session is over, with the API's error and close code."""
    async with client_of("session_expires:1") as client:
        assert (await events(client, "error"))[-1]["error"]["code"] == "session_expired"
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1001


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "code"), [("rate_limit", "rate_limit_exceeded"), ("server_error", "server_error")])
async def test_responses_that_fail(name: str, code: str) -> None:
    """Every second response fails, the others are as ever."""
    statuses = []
    async with client_of(f"{name}:2") as client:
        for _ in range(4):
            await ask(client)
            response = (await events(client, "response.done"))[-1]["response"]
            statuses.append(response["status"])
            if response["status"] == "failed":
                assert response["status_details"]["error"]["code"] == code
    assert statuses == ["completed", "failed"] * 2


async def test_updates_that_are_rejected() -> None:
    """An update is refused under its id, and nothing of it is in force."""
    async with client_of("reject_updates") as client:
        update = {"type": "session.update", "event_id": "mine", "session": {"type": "realtime", "output_modalities": ["text"]}}
        await client.send(json.dumps(update))
        error = (await events(client, "error"))[-1]["error"]
        assert (error["type"], error["event_id"]) == ("server_error", "mine")
        await client.send(json.dumps({"type": "response.create"}))
        assert (await events(client, "response.created"))[-1]["response"]["output_modalities"] == ["audio"]


async def test_a_microphone_that_is_never_heard() -> None:
    """Sound that was sent is not there when it is to be committed."""
    async with client_of("mute_uplink") as client:
        await client.send(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA" * 4800}))
        await client.send(json.dumps({"type": "input_audio_buffer.commit"}))
        assert (await events(client, "error"))[-1]["error"]["code"] == "input_audio_buffer_commit_empty"


async def test_lost_events_over_a_socket() -> None:
    """What is lost on the line never comes, though the session has said it."""
    async with client_of("lost_done", "lost_delta:100") as client:
        await ask(client)
        seen = {event["type"] for event in await events(client, "rate_limits.updated")}
        assert "response.output_text.done" in seen
        assert not {"response.done", "response.output_text.delta"} & seen
