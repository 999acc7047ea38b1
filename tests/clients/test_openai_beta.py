"""OpenAI's Python SDK as it spoke the beta (``client.beta.realtime``), with a simulator that allows the beta."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.beta.realtime.realtime import AsyncRealtimeConnection

from realtime.simulator.server import SimulatorServer
from tests.clients.words import FORECAST, GET_WEATHER, GREETING, KEY, STORY, WEATHER, chunks
from tests.waiting import PATIENCE


@pytest.fixture
async def connection(beta_api: SimulatorServer) -> AsyncIterator[AsyncRealtimeConnection]:
    """A connection of the SDK, which is told both addresses: without the second its beta dials wss:// whatever the first."""
    base = f"{beta_api.host}:{beta_api.port}/v1"
    async with AsyncOpenAI(api_key=KEY, base_url=f"http://{base}", websocket_base_url=f"ws://{base}") as client:
        async with client.beta.realtime.connect(model="gpt-4o-realtime-preview") as connection:
            yield connection


async def until(connection: AsyncRealtimeConnection, type_: str) -> list[Any]:
    """Events up to and with the first of a type, as the SDK types them; none of them is an error."""
    events: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        while not events or events[-1].type != type_:
            events.append(await connection.recv())
            assert events[-1].type != "error", events[-1]
    return events


async def ask(connection: AsyncRealtimeConnection, text: str) -> None:
    """A user's message, and the wish for an answer."""
    await connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    )
    await connection.response.create()


async def speak(connection: AsyncRealtimeConnection, sound: bytes) -> None:
    """Sound, in a client's pieces."""
    for chunk in chunks(sound):
        await connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())


async def test_a_text_turn(connection: AsyncRealtimeConnection) -> None:
    """What is written is answered in writing, once the session says so, and told in the beta's events."""
    await connection.session.update(session={"modalities": ["text"], "temperature": 0.8})
    events = await until(connection, "session.updated")
    assert [event.type for event in events] == ["session.created", "conversation.created", "session.updated"]
    assert events[-1].session.modalities == ["text"]
    await ask(connection, GREETING)
    events = await until(connection, "response.done")
    text = "".join(event.delta for event in events if event.type == "response.text.delta")
    part = events[-1].response.output[0].content[0]
    assert text
    assert (events[-1].response.status, part.type, part.text) == ("completed", "text", text)


async def test_an_audio_turn(connection: AsyncRealtimeConnection, spoken: bytes) -> None:
    """What is said is heard and written down, and answered aloud."""
    session: Any = {"input_audio_transcription": {"model": "whisper-1"}, "voice": "verse", "output_audio_format": "g711_ulaw"}
    await connection.session.update(session=session)
    assert (await until(connection, "session.updated"))[-1].session.output_audio_format == "g711_ulaw"
    await speak(connection, spoken)
    events = await until(connection, "response.done")
    sound = b"".join(base64.b64decode(event.delta) for event in events if event.type == "response.audio.delta")
    said = "".join(event.delta for event in events if event.type == "response.audio_transcript.delta")
    assert events[-1].response.usage.output_token_details.audio_tokens == len(sound) // 8 // 50  # eight bytes a millisecond
    assert (events[-1].response.output[0].content[0].type, events[-1].response.output[0].content[0].transcript) == ("audio", said)
    heard = [event for event in events if event.type == "conversation.item.input_audio_transcription.completed"]
    heard = heard or await until(connection, "conversation.item.input_audio_transcription.completed")
    assert "Lisbon" in heard[-1].transcript


async def test_a_tool_turn(connection: AsyncRealtimeConnection) -> None:
    """A call's arguments arrive whole; its output is in the answer."""
    session: Any = {"tools": [GET_WEATHER], "tool_choice": "auto", "modalities": ["text"]}
    await connection.session.update(session=session)
    await ask(connection, WEATHER)
    call = (await until(connection, "response.done"))[-1].response.output[0]
    assert (call.type, json.loads(call.arguments)["location"]) == ("function_call", "Lisbon")
    await connection.conversation.item.create(item={"type": "function_call_output", "call_id": call.call_id, "output": FORECAST})
    await connection.response.create()
    assert "21.5" in (await until(connection, "response.done"))[-1].response.output[0].content[0].text


async def test_an_interruption(connection: AsyncRealtimeConnection, spoken: bytes) -> None:
    """Speech cuts a story short; what was not heard is cut from it, and the interruption is answered."""
    await ask(connection, STORY)
    item_id = (await until(connection, "response.audio.delta"))[-1].item_id
    await speak(connection, spoken)
    response = (await until(connection, "response.done"))[-1].response
    assert (response.status, response.status_details.reason) == ("cancelled", "turn_detected")
    await connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=50)
    truncated = (await until(connection, "conversation.item.truncated"))[-1]
    assert (truncated.item_id, truncated.audio_end_ms) == (item_id, 50)
    assert (await until(connection, "response.done"))[-1].response.status == "completed"


async def test_an_answer_that_is_cancelled(connection: AsyncRealtimeConnection) -> None:
    """An answer that the client cancels ends as cancelled by it."""
    await ask(connection, STORY)
    await until(connection, "response.audio.delta")
    await connection.response.cancel()
    response = (await until(connection, "response.done"))[-1].response
    assert (response.status, response.status_details.reason) == ("cancelled", "client_cancelled")
