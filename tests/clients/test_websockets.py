"""The plain websockets library: a client that is written by hand."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from realtime.simulator.server import SimulatorServer
from tests.clients.words import FORECAST, GET_WEATHER, GREETING, KEY, STORY, WEATHER, chunks
from tests.waiting import PATIENCE

Event = dict[str, Any]


@pytest.fixture
async def socket(api: SimulatorServer) -> AsyncIterator[ClientConnection]:
    """A connection as the documentation shows it."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with connect(f"{api.url}?model=gpt-realtime", additional_headers=headers) as connection:
        yield connection


async def send(socket: ClientConnection, type_: str, **fields: Any) -> None:
    """One event."""
    await socket.send(json.dumps({"type": type_, **fields}))


async def until(socket: ClientConnection, type_: str) -> list[Event]:
    """Events up to and with the first of a type."""
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        while not events or events[-1]["type"] != type_:
            events.append(json.loads(await socket.recv()))
    return events


async def ask(socket: ClientConnection, text: str, **response: Any) -> None:
    """A user's message, and the wish for an answer."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await send(socket, "conversation.item.create", item=item)
    await send(socket, "response.create", response=response)


async def speak(socket: ClientConnection, sound: bytes) -> None:
    """Sound, in a client's pieces."""
    for chunk in chunks(sound):
        await send(socket, "input_audio_buffer.append", audio=base64.b64encode(chunk).decode())


def joined(events: list[Event], type_: str) -> str:
    """The deltas of a type as one."""
    return "".join(event["delta"] for event in events if event["type"] == type_)


async def test_a_text_turn(socket: ClientConnection) -> None:
    """What is written is answered in writing."""
    await ask(socket, GREETING, output_modalities=["text"])
    events = await until(socket, "response.done")
    response = events[-1]["response"]
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == joined(events, "response.output_text.delta")


async def test_an_audio_turn(socket: ClientConnection, spoken: bytes) -> None:
    """What is said is heard, committed as announced, and answered aloud."""
    await speak(socket, spoken)
    events = await until(socket, "response.done")
    announced = next(event for event in events if event["type"] == "input_audio_buffer.speech_started")["item_id"]
    assert next(event for event in events if event["type"] == "input_audio_buffer.committed")["item_id"] == announced
    assert events[-1]["response"]["usage"]["output_token_details"]["audio_tokens"] > 0
    assert any(event["type"] == "response.output_audio.delta" for event in events)


async def test_a_tool_turn(socket: ClientConnection) -> None:
    """A call's arguments arrive whole; its output is in the answer."""
    await send(socket, "session.update", session={"type": "realtime", "tools": [GET_WEATHER], "output_modalities": ["text"]})
    await ask(socket, WEATHER)
    call = (await until(socket, "response.done"))[-1]["response"]["output"][0]
    assert (call["type"], json.loads(call["arguments"])["location"]) == ("function_call", "Lisbon")
    item = {"type": "function_call_output", "call_id": call["call_id"], "output": FORECAST}
    await send(socket, "conversation.item.create", item=item)
    await send(socket, "response.create")
    answer = (await until(socket, "response.done"))[-1]["response"]
    assert "21.5" in answer["output"][0]["content"][0]["text"]


async def test_an_interruption(socket: ClientConnection, spoken: bytes) -> None:
    """Speech cuts a story short; what was not heard is cut from it, and the interruption is answered."""
    await ask(socket, STORY)
    delta = (await until(socket, "response.output_audio.delta"))[-1]
    await speak(socket, spoken)
    response = (await until(socket, "response.done"))[-1]["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    await send(socket, "conversation.item.truncate", item_id=delta["item_id"], content_index=0, audio_end_ms=50)
    truncated = (await until(socket, "conversation.item.truncated"))[-1]
    assert (truncated["item_id"], truncated["audio_end_ms"]) == (delta["item_id"], 50)
    assert (await until(socket, "response.done"))[-1]["response"]["status"] == "completed"
