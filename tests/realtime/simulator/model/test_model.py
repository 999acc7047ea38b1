"""What the simulated model makes of a sentence: words, or a call of a function it was offered."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from realtime.simulator.model.model import STORY, plan
from realtime.simulator.shared.response_plan import CallTool, ModelInput, ModelItem, Plan, Say
from tests.realtime.simulator.harness import GET_WEATHER, SET_MEMORY

TOOLS = {"get_weather": GET_WEATHER, "set_memory": SET_MEMORY}
MORNING = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)


def heard(*said: str | ModelItem, tools: dict[str, Any] | None = None, forced: str = "") -> Plan:
    """The plan after these; a text is the user's."""
    conversation = [ModelItem("user", one) if isinstance(one, str) else one for one in said]
    return plan(ModelInput(conversation, TOOLS if tools is None else tools, forced, MORNING))


def says(made: Plan) -> str:
    """The one thing that is said."""
    (step,) = made
    assert isinstance(step, Say)
    assert step.phase == "final_answer"
    return step.text


def calls(made: Plan) -> list[tuple[str, dict[str, Any]]]:
    """Functions and arguments; before the first something is said."""
    assert isinstance(made[0], Say)
    assert made[0].phase == "commentary"
    return [(step.name, json.loads(step.arguments)) for step in made[1:] if isinstance(step, CallTool)]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("Hello.", "Hello, this is the built-in simulator."),
        ("good morning", "Hello, this is the built-in simulator."),
        ("How are you?", "Very well"),
        ("Who are you?", "I am the simulator built into this console."),
        ("What can you do?", "Ask me for the weather in a city"),
        ("Thank you!", "You are welcome."),
        ("Goodbye.", "Goodbye."),
        ("Please stop.", "All right, I am quiet."),
        ("Tell me a long story.", STORY),
        ("What time is it?", "It is 09:05 on this machine."),
        ("Count to three.", "One, two, three."),
        ("count up to 5", "One, two, three, four, five."),
        ("Count to a googol.", "One, two, three, four, five, six, seven, eight, nine, ten."),
        ("count to ²", "One, two, three, four, five, six, seven, eight, nine, ten."),
        ("Spell Ada.", "Ada: A, D, A."),
        ("Repeat after me: red lorry, yellow lorry", "red lorry, yellow lorry"),
        ("Tell me your password.", "I am sorry, I cannot help with that."),
        ("What is my name?", "You have not told me your name yet."),
        ("What do you know about me?", "You have not told me anything yet."),
        ("What is the weather?", "Which city do you mean?"),
        ("How warm is it in Nowhere?", "Which city do you mean?"),
        ("(1.8 s of speech)", "I heard 1.8 seconds of speech, but I only understand a few sentences."),
        ("Bananas are curved", "You said: Bananas are curved. I am a simulator, so I have no opinion on that."),
        ("", "Hello."),
    ],
)
def test_what_it_says(asked: str, answer: str) -> None:
    """Small talk has its answers; where it understands nothing it says so, and what it can do."""
    assert says(heard(asked)).startswith(answer)


@pytest.mark.parametrize(
    ("asked", "called"),
    [
        ("What's the weather in Lisbon?", [("get_weather", {"lat": 38.72, "lng": -9.14, "location": "Lisbon"})]),
        ("How cold is it in Zürich?", [("get_weather", {"lat": 47.37, "lng": 8.54, "location": "Zurich"})]),
        ("temperature, Oslo and New York",
         [("get_weather", {"lat": 59.91, "lng": 10.75, "location": "Oslo"}),
          ("get_weather", {"lat": 40.71, "lng": -74.01, "location": "New York"})]),
        ("Remember that my name is Ada.", [("set_memory", {"key": "name", "value": "Ada"})]),
        ("My favourite colour is green!", [("set_memory", {"key": "favourite_colour", "value": "green"})]),
        ("Please remember the milk.", [("set_memory", {"key": "note", "value": "the milk"})]),
        ("Use set_memory.", [("set_memory", {"key": "Use set_memory.", "value": "Use set_memory."})]),
    ],
)  # fmt: skip
def test_what_it_calls(asked: str, called: list[tuple[str, dict[str, Any]]]) -> None:
    """It calls the function a sentence needs, once for each place, with arguments that fit."""
    assert calls(heard(asked)) == called


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("What's the weather in Lisbon?", "I would need the function get_weather for that"),
        ("How warm is it in Lisbon?", "I would need the function get_weather for that"),
        ("My name is Ada.", "Your name is Ada. I will keep that in mind while we talk."),
    ],
)
def test_what_it_does_without_tools(asked: str, answer: str) -> None:
    """A function that is not offered is not called."""
    assert says(heard(asked, tools={})).startswith(answer)


def test_it_remembers() -> None:
    """What was said or noted earlier in the conversation is known; the last word counts."""
    noted = ModelItem("call", name="set_memory", arguments='{"key": "name", "value": "Ada"}', call_id="call_1")
    assert says(heard(noted, "What is my name?")) == "Your name is Ada."
    assert says(heard("My dog is called Rex.", ModelItem("assistant", "Fine."), "What is my dog?")) == "Your dog is Rex."
    assert says(heard(noted, "My name is Eve.", "What's my name?")) == "Your name is Eve."
    assert says(heard(noted, "What do you know about me?")) == "I know that your name is Ada."


@pytest.mark.parametrize("arguments", ["", "{", "[]", "null", '{"key": 1}', "[" * 100_000])
def test_a_memory_that_cannot_be_read(arguments: str) -> None:
    """Arguments of any form are taken as they come."""
    noted = ModelItem("call", name="set_memory", arguments=arguments, call_id="call_1")
    assert says(heard(noted, "What is my name?")) == "You have not told me your name yet."


def told(output: str, name: str = "get_weather", arguments: str = '{"location": "Lisbon"}') -> str:
    """What is said of a function's output."""
    call = ModelItem("call", name=name, arguments=arguments, call_id="call_1")
    return says(heard("Please.", call, ModelItem("output", output, call_id="call_1")))


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ({"temperature": {"value": 21.5, "unit": "°C"}, "wind": {"value": 12, "unit": "km/h"}, "conditions": "clear"},
         "In Lisbon it is 21.5 degrees Celsius with a wind of 12 kilometres an hour. It is clear."),
        ({"temperature": {"value": 70, "unit": "°F"}, "location": "Boston"}, "In Boston it is 70 degrees Fahrenheit."),
        ({"error": "The service is down."}, "That did not work. The service is down."),
        ({"sky": "blue"}, 'The weather in Lisbon: {"sky": "blue"}'),
        ([1, 2], "get_weather answered: [1, 2]"),
    ],
)  # fmt: skip
def test_it_tells_what_a_function_found(output: Any, answer: str) -> None:
    """A result is told in words, a failure as one, an unknown form as it is."""
    assert told(json.dumps(output)) == answer


def test_it_tells_of_other_functions() -> None:
    """Output that is no JSON is quoted; a noted fact is confirmed."""
    assert told("plain", name="f") == "f answered: plain"
    assert told("[" * 100_000, name="f").startswith("f answered: [[[")
    memory = told('{"ok": true}', name="set_memory", arguments='{"key": "favourite_colour", "value": "green"}')
    assert memory == "I will remember that your favourite colour is green."


def test_several_results_are_told_together() -> None:
    """Outputs of all calls since the last word are told in one answer, in the order of the calls' outputs."""
    made = heard(
        "Both, please.",
        *(ModelItem("call", name="f", arguments="{}", call_id=f"call_{n}") for n in range(2)),
        *(ModelItem("output", str(n), call_id=f"call_{n}") for n in range(2)),
    )
    assert says(made) == "f answered: 0 f answered: 1"


def test_an_old_result_is_not_told_again() -> None:
    """After the next question the results before it are history."""
    call, output = ModelItem("call", name="f", arguments="{}", call_id="call_1"), ModelItem("output", "old", call_id="call_1")
    assert says(heard("Please.", call, output, ModelItem("assistant", "It is old."), "Thank you.")) == "You are welcome."


def test_a_demanded_function_gets_arguments_that_fit() -> None:
    """Each field of the schema has a value of its type, from the question where it holds one."""
    properties = {
        "n": {"type": "integer"},
        "x": {"type": "number"},
        "unit": {"enum": ["C", "F"]},
        "yes": {"type": "boolean"},
        "all": {"type": "array"},
        "more": {"type": "object"},
        "text": {"type": "string"},
        "any": True,
    }
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": properties}}
    asked = "Take 7 and 2.5, please"
    made = heard(asked, tools={"f": tool}, forced="f")
    fitting = {"n": 7, "x": 2.5, "unit": "C", "yes": True, "all": [], "more": {}, "text": asked, "any": asked}
    assert calls(made) == [("f", fitting)]


@pytest.mark.parametrize("parameters", [None, {}, {"properties": []}, {"properties": {"a": {"enum": {}, "type": "integer"}}}])
def test_odd_schemas(parameters: Any) -> None:
    """A schema of any form gives arguments that are JSON."""
    made = heard("Hello " + "9" * 400, tools={"f": {"name": "f", "parameters": parameters}}, forced="*")
    ((name, arguments),) = calls(made)
    assert (name, set(arguments) <= {"a"}) == ("f", True)


def test_the_same_conversation_gives_the_same_plan() -> None:
    """There is no chance in it."""
    assert heard("What is the weather in Rome?") == heard("What is the weather in Rome?")
