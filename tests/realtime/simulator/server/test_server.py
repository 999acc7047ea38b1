"""The simulator over a real socket: who is let in and who is not, whole turns, and clients of the beta."""

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
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from realtime.simulator.server import SimulatorServer
from realtime.simulator.shared.options import SimulatorOptions
from tests.realtime.simulator.dialling import QUICK, dial, drained, send, until
from tests.realtime.simulator.harness import (
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
from tests.waiting import PATIENCE

BETA_EVENT: TypeAdapter[Any] = TypeAdapter(
    Annotated[get_args(RealtimeServerEvent)[0], Field(discriminator="type")]  # type: ignore[misc]
)
"""The beta's server events as its makers published them, by ``type``."""


@pytest.fixture
async def simulator() -> AsyncIterator[SimulatorServer]:
    """A simulator that hurries."""
    async with SimulatorServer(port=0, options=QUICK) as running:
        yield running


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


UPGRADE = (
    b"Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
JUNK = {
    "without Upgrade": (b"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: a\r\n\r\n", 426),
    "HTTP/1.0": (b"GET /v1/realtime HTTP/1.0\r\n\r\n", 426),
    "another protocol": (b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 426),
    "without Connection": (b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE.replace(b"Connection: Upgrade\r\n", b"") + b"\r\n", 426),
    "another version": (b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE.replace(b"13", b"8") + b"\r\n", 400),
    "without a key": (b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE[: UPGRADE.index(b"Sec-WebSocket-Key")] + b"\r\n", 400),
    "with a body": (b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 1\r\n\r\na", 400),
    "many headers": (b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE + b"X: a\r\n" * 200 + b"\r\n", 400),
    "an address in brackets": (b"GET //[ HTTP/1.1\r\n" + UPGRADE + b"\r\n", 404),
    "another address": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "a proxy's": (b"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
    "TLS": (bytes.fromhex("1603010200010001fc0303") + bytes(506), 400),
    "half a line": (b"GET\r\n\r\n", 400),
    "letters beyond ASCII": ("GET /v1/realtime?model=é HTTP/1.1\r\n".encode() + UPGRADE + b"\r\n", 400),
    "huge headers": (b"GET /v1/realtime HTTP/1.1\r\nX: " + b"a" * 200_000, 431),
}
"""What comes to a port that is open, and the status it is answered with."""


@pytest.mark.parametrize(("data", "status"), JUNK.values(), ids=JUNK)
async def test_what_is_no_websocket(
    simulator: SimulatorServer, data: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever comes to the port is answered with a status and the API's error; it is no matter for the log."""
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(data)
    async with asyncio.timeout(PATIENCE):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"Upgrade: websocket" in head) is (status == 426)
    assert b"Content-Type: application/json" in head
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")]


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
    """Speech is detected, recognized where pocketsphinx is installed, and answered in audio."""
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


def test_a_scenario_that_is_none_is_refused_at_once() -> None:
    """A server whose ``options.scenario`` is a file's name says what it must be, before any client comes."""
    with pytest.raises(TypeError, match="must be a Scenario"):
        SimulatorServer(port=0, options=replace(QUICK, scenario="weather.yaml"))  # type: ignore[arg-type]
