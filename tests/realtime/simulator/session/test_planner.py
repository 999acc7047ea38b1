"""Planner: plans of responses with restricted tool calls."""

from __future__ import annotations

import json

from tests.realtime.simulator.harness import (
    GET_WEATHER,
    SimulatorHarness,
    done,
    spoken_words,
)


def test_one_call_at_a_time() -> None:
    """With parallel tool calls off, a question that needs two calls has them in two responses, then its answer."""
    stage = SimulatorHarness("gpt-realtime-2.1")
    stage.update(output_modalities=["text"], tools=[GET_WEATHER], parallel_tool_calls=False)
    stage.write("What is the weather in Lisbon and in Oslo?")
    places = []
    for _ in range(2):
        (call,) = (item for item in done(stage.respond())["output"] if item["type"] == "function_call")
        places.append(json.loads(call["arguments"])["location"])
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"temperature": {"value": 7}}'}
        stage.send("conversation.item.create", item=output)
    assert places == ["Lisbon", "Oslo"]
    told = spoken_words(stage.respond())
    assert "In Lisbon" in told
    assert "In Oslo" in told
