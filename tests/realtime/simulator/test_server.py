"""The simulator over a real socket: handshakes, whole turns, and clients that misbehave or vanish."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any, get_args

import pytest
from openai import AsyncOpenAI
from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import Field, TypeAdapter
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from realtime.simulator import server as server_module
from realtime.simulator.options import SimulatorOptions
from realtime.simulator.server import SimulatorServer
from tests.realtime.simulator.stage import (
    AUDIO_CLOSED,
    COMMITTED,
    ENDED,
    ITEM,
    OPENED,
    TEXT_ANSWER,
    Event,
    check,
    chunks,
    encoded,
    errors,
    types,
    user,
    utterance,
)

QUICK = SimulatorOptions(latency_ms=5, pace=60, voice="tone")
BETA_EVENT: TypeAdapter[Any] = TypeAdapter(
    Annotated[get_args(RealtimeServerEvent)[0], Field(discriminator="type")]  # type: ignore[misc]
)
"""The beta's server events as its makers published them, by ``type``."""
PATIENCE = 20  # seconds; a busy machine may take its time, a broken one never comes


@pytest.fixture
async def simulator() -> AsyncIterator[SimulatorServer]:
    """A simulator that hurries."""
    async with SimulatorServer(port=0, options=QUICK) as running:
        yield running


def dial(simulator: SimulatorServer, model: str = "gpt-realtime", **arguments: Any) -> connect:
    """Connect as a client does; ``model`` empty: without one."""
    query = f"?model={model}" if model else ""
    return connect(simulator.url + query, max_size=None, compression=None, open_timeout=PATIENCE, **arguments)


async def send(client: ClientConnection, type_: str, **fields: Any) -> None:
    """One client event."""
    await client.send(json.dumps({"type": type_, **fields}))


async def until(client: ClientConnection, type_: str) -> list[Event]:
    """Events up to and with the first of a type; each is one of the API's."""
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async for raw in client:
            events.append(json.loads(raw))
            check(events[-1])
            if events[-1]["type"] == type_:
                return events
    raise AssertionError(f"closed before {type_}: {types(events)}")


@pytest.mark.parametrize(
    ("model", "headers", "code", "close"),
    [
        ("gpt-realtime", {"Authorization": "Bearer sk-bad"}, "invalid_api_key", 3000),
        ("", {}, "missing_model", 4000),
        ("gpt-nope", {}, "invalid_model", 4000),
        ("gpt-realtime", {"OpenAI-Beta": "realtime=v1"}, "beta_api_shape_disabled", 4000),
    ],
)
async def test_who_is_turned_away(simulator: SimulatorServer, model: str, headers: dict[str, str], code: str, close: int) -> None:
    """The upgrade succeeds, one error comes and nothing else, then the close with the error's type and code."""
    async with dial(simulator, model, additional_headers=headers) as client:
        events = [json.loads(raw) for raw in await drained(client)]
    assert [event["type"] for event in events] == ["error"]
    check(events[0])
    assert errors(events) == [(code, None)]
    assert (client.close_code, client.close_reason) == (close, f"invalid_request_error.{code}")


@pytest.mark.parametrize(("model", "status"), [("gpt-http-401", 401), ("gpt-http-429", 429), ("gpt-http-500", 500), ("gpt-http-499", 500)])
async def test_who_is_refused(simulator: SimulatorServer, model: str, status: int) -> None:
    """The upgrade fails with the status that was asked for, and the API's error as its body."""
    with pytest.raises(InvalidStatus) as refused:
        async with dial(simulator, model):
            pass
    response = refused.value.response
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.body is not None
    assert set(json.loads(response.body)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        (["realtime", "openai-insecure-api-key.sk-test"], "realtime"),
        (["openai-insecure-api-key.sk-test", "realtime"], "realtime"),
        (["openai-insecure-api-key.sk-test"], None),
        (None, None),
    ],
)
async def test_subprotocols(simulator: SimulatorServer, offered: list[str] | None, selected: str | None) -> None:
    """The realtime subprotocol is selected when offered; the one that bears the key never comes back."""
    subprotocols = [Subprotocol(name) for name in offered] if offered else None
    async with dial(simulator, subprotocols=subprotocols) as client:
        assert client.subprotocol == selected
        assert client.response is not None
        assert "sk-test" not in str(client.response.headers)
        assert types(await until(client, "session.created")) == ["session.created"]


async def test_a_connection_that_breaks_off(simulator: SimulatorServer) -> None:
    """gpt-drop vanishes without a close frame after the first response.created."""
    async with dial(simulator, "gpt-drop") as client:
        await send(client, "response.create")
        events = [json.loads(raw) for raw in await drained(client)]
    assert types(events) == ["session.created", "response.created"]
    assert client.close_code == 1006


async def drained(client: ClientConnection) -> list[str]:
    """Everything until the connection is over, however it ends."""
    frames: list[str] = []
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                frames.append(str(await client.recv()))
        except ConnectionClosed:
            return frames


async def test_a_text_turn(simulator: SimulatorServer) -> None:
    """A text turn over the socket has its events in their order; the tap has seen every frame as it travelled."""
    seen: list[tuple[str, str]] = []
    simulator.wire = lambda direction, raw: seen.append((direction, raw))
    async with dial(simulator) as client:
        await until(client, "session.created")
        await send(client, "conversation.item.create", item=user("Hello."))
        await send(client, "response.create", response={"output_modalities": ["text"]})
        events = await until(client, "rate_limits.updated")
    assert types(events) == [*ITEM, *TEXT_ANSWER]
    assert [json.loads(raw)["type"] for direction, raw in seen if direction == "sent"] == ["conversation.item.create", "response.create"]
    assert [json.loads(raw) for direction, raw in seen if direction == "received"][1:] == events


async def test_a_spoken_turn() -> None:
    """Speech is found, understood where the ears are, and answered in sound."""
    sound = utterance("Tell me a story.") + bytes(48 * 1000)
    async with SimulatorServer(port=0, options=QUICK) as simulator, dial(simulator) as client:
        await until(client, "session.created")
        for chunk in chunks(sound, 4800):
            await send(client, "input_audio_buffer.append", audio=encoded(chunk))
        events = await until(client, "rate_limits.updated")
    assert types(events)[:6] == ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", *COMMITTED, OPENED[0]]
    assert types(events)[-len(AUDIO_CLOSED + ENDED) :] == AUDIO_CLOSED + ENDED


async def test_ears_can_be_turned_off() -> None:
    """Without ears a turn is known by its length alone."""
    async with SimulatorServer(port=0, options=replace(QUICK, ears="off")) as simulator, dial(simulator) as client:
        settings = {"turn_detection": None, "transcription": {"model": "whisper-1"}}
        await send(client, "session.update", session={"type": "realtime", "audio": {"input": settings}})
        await send(client, "input_audio_buffer.append", audio=encoded(bytes(48 * 1800)))
        await send(client, "input_audio_buffer.commit")
        events = await until(client, "conversation.item.input_audio_transcription.completed")
    assert events[-1]["transcript"] == "(1.8 s of speech)"


async def test_frames_that_are_no_events(simulator: SimulatorServer) -> None:
    """Binary frames and broken JSON are answered by errors, and the session goes on."""
    async with dial(simulator) as client:
        await until(client, "session.created")
        for frame, code in ((b"\0\1", "invalid_event"), ("{", "invalid_json"), ("", "invalid_json"), ("[]", "invalid_event")):
            await client.send(frame)
            assert errors(await until(client, "error")) == [(code, None)]
        await send(client, "input_audio_buffer.clear")
        assert types(await until(client, "input_audio_buffer.cleared")) == ["input_audio_buffer.cleared"]


async def test_a_session_ends_with_its_time() -> None:
    """The last event says that the session has expired, and the close repeats it."""
    async with SimulatorServer(port=0, options=SimulatorOptions(session_seconds=0)) as simulator, dial(simulator) as client:
        events = [json.loads(raw) for raw in await drained(client)]
    assert types(events) == ["session.created", "error"]
    assert errors(events) == [("session_expired", None)]
    assert (client.close_code, client.close_reason) == (1001, events[1]["error"]["message"])


async def test_a_voice_that_fails(simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the voice cannot be used a response fails and says why, instead of waiting for ever."""

    def broken(*words: object) -> bytes:
        raise OSError("no voice today")

    monkeypatch.setattr(server_module, "speak", broken)
    async with dial(simulator) as client:
        await send(client, "conversation.item.create", item=user("Hello."))
        await send(client, "response.create")
        response = (await until(client, "response.done"))[-1]["response"]
    assert response["status"] == "failed"
    assert "no voice today" in response["status_details"]["error"]["message"]


async def test_many_sessions_at_once(simulator: SimulatorServer) -> None:
    """Clients beside each other do not meet: each hears its own answer."""

    async def converse(number: int) -> str:
        async with dial(simulator) as client:
            await send(client, "conversation.item.create", item=user(f"Say number {number}"))
            await send(client, "response.create", response={"output_modalities": ["text"]})
            return str((await until(client, "response.done"))[-1]["response"]["output"][0]["content"][0]["text"])

    assert await asyncio.gather(*map(converse, range(8))) == [f"number {number}" for number in range(8)]


async def test_a_stopped_simulator_says_goodbye() -> None:
    """Stopping closes every session with 1001 and frees the port."""
    simulator = SimulatorServer(port=0, options=SimulatorOptions())
    await simulator.start()
    async with dial(simulator) as client:
        await until(client, "session.created")
        await simulator.stop()
        await drained(client)
    assert client.close_code == 1001
    again = SimulatorServer(port=simulator.port)
    await again.start()
    with pytest.raises(OSError, match=str(simulator.port)):
        await SimulatorServer(port=simulator.port).start()
    await again.stop()


async def test_a_client_may_leave_amid_an_answer(simulator: SimulatorServer) -> None:
    """A client that goes away leaves nothing running."""
    async with dial(simulator) as client:
        await send(client, "conversation.item.create", item=user("Tell me a long story."))
        await send(client, "response.create")
        await until(client, "response.output_audio.delta")
    async with asyncio.timeout(PATIENCE):
        while any(task.get_name().startswith("simulator") for task in asyncio.all_tasks()):
            await asyncio.sleep(0)


async def test_the_makers_own_client(simulator: SimulatorServer) -> None:
    """The openai package holds a text turn with it, as with the real API."""
    base_url = simulator.url.replace("ws:", "http:").removesuffix("/realtime")
    async with AsyncOpenAI(base_url=base_url, api_key="sk-test") as openai:
        async with openai.realtime.connect(model="gpt-realtime-2.1") as connection:
            await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
            )
            await connection.response.create()
            events, written = [], ""
            async with asyncio.timeout(PATIENCE):
                async for event in connection:
                    events.append(event.type)
                    if event.type == "response.output_text.delta":
                        written += event.delta
                    elif event.type == "response.done":
                        break
    assert events[:2] == ["session.created", "session.updated"]
    assert written.startswith("Hello, this is the built-in simulator.")
    assert event.response.output[0].content[0].text == written
    assert event.response.usage.total_tokens > 0


# ── Clients of the beta ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def lenient() -> AsyncIterator[SimulatorServer]:
    """A simulator that allows the beta."""
    async with SimulatorServer(port=0, options=replace(QUICK, allow_beta=True)) as running:
        yield running


async def until_of_the_beta(client: ClientConnection, type_: str) -> list[Event]:
    """Events up to and with the first of a type; each is one of the beta's."""
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async for raw in client:
            events.append(BETA_EVENT.validate_json(raw).model_dump(exclude_unset=True))
            if events[-1]["type"] == type_:
                return events
    raise AssertionError(f"closed before {type_}: {types(events)}")


@pytest.mark.parametrize(
    "asking",
    [
        {"additional_headers": {"OpenAI-Beta": "realtime=v1"}},
        {"subprotocols": [Subprotocol("realtime"), Subprotocol("openai-beta.realtime-v1")]},
    ],
)
async def test_a_spoken_answer_in_the_beta(lenient: SimulatorServer, asking: dict[str, Any]) -> None:
    """Who asks for the beta is understood in it and answered in it, from the session to the sound; the tap sees the same."""
    seen: list[tuple[str, str]] = []
    lenient.wire = lambda direction, raw: seen.append((direction, json.loads(raw)["type"]))
    async with dial(lenient, **asking) as client:
        assert types(await until_of_the_beta(client, "conversation.created")) == ["session.created", "conversation.created"]
        session = {"modalities": ["audio", "text"], "voice": "ash", "turn_detection": None, "temperature": 0.8}
        await send(client, "session.update", session=session)
        [updated] = await until_of_the_beta(client, "session.updated")
        assert (updated["session"]["modalities"], updated["session"]["voice"]) == (["text", "audio"], "ash")
        await send(client, "conversation.item.create", item=user("Hello."))
        await send(client, "response.create")
        events = await until_of_the_beta(client, "rate_limits.updated")
    assert types(events)[:5] == [
        "conversation.item.created", "response.created", "response.output_item.added", "conversation.item.created",
        "response.content_part.added",
    ]  # fmt: skip
    assert types(events)[-6:] == [
        "response.audio.done", "response.audio_transcript.done", "response.content_part.done", "response.output_item.done",
        "response.done", "rate_limits.updated",
    ]  # fmt: skip
    assert {"response.audio.delta", "response.audio_transcript.delta"} <= set(types(events))
    assert ("sent", "session.update") in seen
    assert ("received", "response.audio.delta") in seen


async def test_ga_clients_beside_the_beta(lenient: SimulatorServer) -> None:
    """Where the beta is allowed, those who do not ask for it are answered in GA as ever."""
    async with dial(lenient) as client:
        await send(client, "conversation.item.create", item=user("Hello."))
        await send(client, "response.create", response={"output_modalities": ["text"]})
        assert types(await until(client, "rate_limits.updated")) == ["session.created", *ITEM, *TEXT_ANSWER]


async def test_mistakes_in_the_beta(lenient: SimulatorServer) -> None:
    """A mistake is named in the beta's words, and frames that are no events are refused as ever."""
    async with dial(lenient, additional_headers={"OpenAI-Beta": "realtime=v1"}) as client:
        await until_of_the_beta(client, "conversation.created")
        await send(client, "session.update", session={"voice": "nobody"}, event_id="mine")
        [error] = await until_of_the_beta(client, "error")
        assert (error["error"]["param"], error["error"]["event_id"]) == ("session.voice", "mine")
        for frame, code in (("{", "invalid_json"), ("[]", "invalid_event"), (b"\0", "invalid_event")):
            await client.send(frame)
            assert errors(await until_of_the_beta(client, "error")) == [(code, None)]


async def test_the_makers_own_client_of_the_beta(lenient: SimulatorServer) -> None:
    """The openai package's beta client holds a tool turn and a text turn with it."""
    base_url = lenient.url.removesuffix("/realtime")
    tool = {
        "type": "function", "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    }  # fmt: skip
    async with AsyncOpenAI(base_url=base_url, websocket_base_url=base_url, api_key="sk-test") as openai:
        async with openai.beta.realtime.connect(model="gpt-realtime") as connection, asyncio.timeout(PATIENCE):
            await connection.session.update(session={"modalities": ["text"], "tools": [tool], "temperature": 0.7})
            await connection.conversation.item.create(item=user("What is the weather in Lisbon?"))
            await connection.response.create()
            written, told = "", []
            async for event in connection:
                told.append(event.type)
                if event.type == "response.text.delta":
                    written += event.delta
                elif event.type == "response.done":
                    calls = [item for item in event.response.output if item.type == "function_call"]
                    if not calls:
                        break
                    output = {"type": "function_call_output", "call_id": calls[0].call_id, "output": '{"temperature": 20}'}
                    await connection.conversation.item.create(item=output)
                    await connection.response.create()
    assert told[:3] == ["session.created", "conversation.created", "session.updated"]
    assert told.count("response.done") == 2
    assert event.response.output[0].content[0].type == "text"
    assert event.response.output[0].content[0].text == written
    assert "conversation.item.done" not in told
