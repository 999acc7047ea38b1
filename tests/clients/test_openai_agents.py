"""The ``openai-agents`` package: an agent whose model's address is the simulator's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession, RealtimeSessionEvent

from realtime.simulator.server import SimulatorServer
from tests.clients.words import GREETING, KEY, STORY, WEATHER, chunks
from tests.waiting import PATIENCE

asked: list[str] = []


@function_tool
def get_weather(location: str, lat: float = 0.0, lng: float = 0.0) -> dict[str, Any]:
    """The weather at a place."""
    asked.append(location)
    return {"temperature": 21.5, "conditions": "partly cloudy"}


@pytest.fixture
async def session(api: SimulatorServer, request: pytest.FixtureRequest) -> AsyncIterator[RealtimeSession]:
    """A running agent; the modality it answers in is the fixture's parameter, audio without one."""
    agent = RealtimeAgent(name="Forecaster", instructions="Be brief.", tools=[get_weather])
    settings: Any = {
        "model_name": "gpt-realtime",
        "output_modalities": [getattr(request, "param", "audio")],
        "turn_detection": {"type": "server_vad", "interrupt_response": True},
        "input_audio_transcription": {"model": "gpt-4o-mini-transcribe"},
    }
    config: Any = {"url": f"{api.url}?model=gpt-realtime", "api_key": KEY, "initial_model_settings": settings}
    async with await RealtimeRunner(agent).run(model_config=config) as running:
        yield running


async def until(session: RealtimeSession, type_: str) -> list[RealtimeSessionEvent]:
    """What the agent tells up to and with the first event of a type; nothing of it is an error."""
    events: list[RealtimeSessionEvent] = []
    async with asyncio.timeout(PATIENCE):
        async for event in session:
            assert event.type != "error", event
            events.append(event)
            if event.type == type_:
                return events
    raise AssertionError(f"closed before {type_}")


async def answered(session: RealtimeSession, words: str) -> None:
    """Wait until the assistant's last message in the history that the agent keeps is there and contains these words."""
    said = ""
    while words not in said or not said:
        history = next(event.history for event in reversed(await until(session, "history_updated")) if event.type == "history_updated")
        messages = [item for item in history if getattr(item, "role", "") == "assistant"]
        parts = messages[-1].content if messages else []
        said = " ".join(str(getattr(part, "text", None) or getattr(part, "transcript", None) or "") for part in parts)


@pytest.mark.parametrize("session", ["text"], indirect=True)
async def test_a_text_turn(session: RealtimeSession) -> None:
    """What is written is answered in writing."""
    await session.send_message(GREETING)
    await answered(session, "")


async def test_an_audio_turn(session: RealtimeSession, spoken: bytes) -> None:
    """What is said is heard and understood, and answered aloud."""
    asked.clear()
    for chunk in chunks(spoken):
        await session.send_audio(chunk)
    await until(session, "tool_end")
    assert asked == ["Lisbon"]
    events = await until(session, "audio_end")
    assert sum(len(event.audio.data) for event in events if event.type == "audio") > 0


async def test_a_tool_turn(session: RealtimeSession) -> None:
    """The tool is run with the arguments that came, and its output is in the answer."""
    asked.clear()
    await session.send_message(WEATHER)
    await until(session, "tool_end")
    assert asked == ["Lisbon"]
    await answered(session, "21.5")


async def test_an_interruption(session: RealtimeSession, spoken: bytes) -> None:
    """Speech cuts a story short: the agent hears of it and truncates what was not heard, and the interruption is answered."""
    await session.send_message(STORY)
    await until(session, "audio")
    for chunk in chunks(spoken):
        await session.send_audio(chunk)
    events = await until(session, "audio_interrupted")
    events += await until(session, "tool_end")  # what was asked instead
    events += await until(session, "audio_end")
    raw = [event.data.data for event in events if event.type == "raw_model_event" and event.data.type == "raw_server_event"]
    ended = [event["response"]["status_details"] for event in raw if event["type"] == "response.done"]
    assert ended[0] == {"type": "cancelled", "reason": "turn_detected"}
    assert "conversation.item.truncated" in [event["type"] for event in raw]
