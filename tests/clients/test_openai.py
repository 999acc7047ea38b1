"""OpenAI's Python SDK (``realtime.connect``), pointed at the simulator by its base URL alone."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent

from realtime.simulator.server import SimulatorServer
from tests.clients.words import FORECAST, GET_WEATHER, GREETING, KEY, STORY, WEATHER, chunks
from tests.waiting import PATIENCE


@pytest.fixture
async def connection(api: SimulatorServer) -> AsyncIterator[AsyncRealtimeConnection]:
    """A connection of the SDK."""
    base = f"http://{api.host}:{api.port}/v1"
    async with AsyncOpenAI(api_key=KEY, base_url=base) as client, client.realtime.connect(model="gpt-realtime") as connection:
        yield connection


async def until(connection: AsyncRealtimeConnection, type_: str) -> list[Any]:
    """Events up to and with the first of a type, as the SDK types them."""
    events: list[RealtimeServerEvent] = []
    async with asyncio.timeout(PATIENCE):
        while not events or events[-1].type != type_:
            events.append(await connection.recv())
    return events


async def ask(connection: AsyncRealtimeConnection, text: str) -> None:
    """A user's message, and the wish for an answer."""
    content: list[Any] = [{"type": "input_text", "text": text}]
    await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
    await connection.response.create()


async def speak(connection: AsyncRealtimeConnection, sound: bytes) -> None:
    """Sound, in a client's pieces."""
    for chunk in chunks(sound):
        await connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())


async def test_a_text_turn(connection: AsyncRealtimeConnection) -> None:
    """What is written is answered in writing, once the session says so."""
    await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
    assert (await until(connection, "session.updated"))[-1].session.output_modalities == ["text"]
    await ask(connection, GREETING)
    events = await until(connection, "response.done")
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text
    assert events[-1].response.output[0].content[0].text == text


async def test_an_audio_turn(connection: AsyncRealtimeConnection, spoken: bytes) -> None:
    """What is said is heard, and answered aloud."""
    await speak(connection, spoken)
    events = await until(connection, "response.done")
    sound = b"".join(base64.b64decode(event.delta) for event in events if event.type == "response.output_audio.delta")
    assert events[-1].response.usage.output_token_details.audio_tokens == len(sound) // 48 // 50


async def test_a_tool_turn(connection: AsyncRealtimeConnection) -> None:
    """A call's arguments arrive whole; its output is in the answer."""
    session: Any = {"type": "realtime", "tools": [GET_WEATHER], "output_modalities": ["text"]}
    await connection.session.update(session=session)
    await ask(connection, WEATHER)
    call = (await until(connection, "response.done"))[-1].response.output[0]
    assert (call.type, json.loads(call.arguments)["location"]) == ("function_call", "Lisbon")
    await connection.conversation.item.create(
        item={"type": "function_call_output", "call_id": call.call_id, "output": FORECAST}
    )
    await connection.response.create()
    assert "21.5" in (await until(connection, "response.done"))[-1].response.output[0].content[0].text


async def test_an_interruption(connection: AsyncRealtimeConnection, spoken: bytes) -> None:
    """Speech cuts a story short; what was not heard is cut from it, and the interruption is answered."""
    await ask(connection, STORY)
    item_id = (await until(connection, "response.output_audio.delta"))[-1].item_id
    await speak(connection, spoken)
    response = (await until(connection, "response.done"))[-1].response
    assert (response.status, response.status_details.reason) == ("cancelled", "turn_detected")
    await connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=50)
    assert (await until(connection, "conversation.item.truncated"))[-1].item_id == item_id
    assert (await until(connection, "response.done"))[-1].response.status == "completed"
