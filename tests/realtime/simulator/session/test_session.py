"""One session as a conversation: what is sent, what is answered, in which order; no clock runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.simulator.session.session import _FIELDS
from tests.realtime.simulator.harness import (
    ENDED,
    ITEM,
    START,
    TEXT_ANSWER,
    SimulatorHarness,
    done,
    errors,
    only,
    types,
    user,
)


def test_a_session_begins_with_all_its_settings() -> None:
    """The first event is session.created, before the client has said anything; its keys stand as on the wire."""
    stage = SimulatorHarness("gpt-realtime")
    created = only(stage.events, "session.created")["session"]
    assert list(created) == [
        "type", "object", "id", "model", "output_modalities", "instructions", "tools", "tool_choice",
        "max_output_tokens", "tracing", "truncation", "prompt", "expires_at", "audio", "include",
    ]  # fmt: skip
    assert created["expires_at"] == START + 3600
    assert types(stage.events) == ["session.created"]


@pytest.mark.parametrize(
    ("model", "silence_ms", "voice"), [("gpt-realtime", 200, "alloy"), ("gpt-realtime-2.1", 500, "marin")]
)
def test_defaults_follow_the_model(model: str, silence_ms: int, voice: str) -> None:
    """The two families differ in how long they wait for more words and in their voice."""
    audio = only(SimulatorHarness(model).events, "session.created")["session"]["audio"]
    assert audio["input"]["turn_detection"]["silence_duration_ms"] == silence_ms
    assert audio["output"]["voice"] == voice


def test_a_text_turn() -> None:
    """A message and a wish for a response give the events of a text turn, in their order, each time."""
    stage = SimulatorHarness()
    assert types(stage.update(output_modalities=["text"])) == ["session.updated"]
    assert types(stage.ask("Hello.")) == [*ITEM, *TEXT_ANSWER]
    assert types(stage.ask("What can you do?")) == [*ITEM, *TEXT_ANSWER]


def test_a_text_turn_hangs_together() -> None:
    """Deltas add up to the text that every closing event repeats, and all of them name the same ids."""
    stage = SimulatorHarness()
    events = stage.ask("Hello.", output_modalities=["text"])
    written = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert only(events, "response.output_text.done")["text"] == written
    assert only(events, "response.content_part.done")["part"] == {"type": "text", "text": written}
    item = only(events, "response.output_item.done")["item"]
    assert item["content"] == [{"type": "output_text", "text": written}]
    assert done(events)["output"] == [item]
    assert {event["response_id"] for event in events if "response_id" in event} == {done(events)["id"]}
    assert {event["item_id"] for event in events if "item_id" in event} == {item["id"]}


def test_a_wish_without_a_question_is_greeted() -> None:
    """On an empty conversation the model begins to talk by itself, and does not read its instructions aloud."""
    stage = SimulatorHarness()
    stage.update(instructions="You are a pirate.", output_modalities=["text"])
    item = done(stage.respond())["output"][0]
    assert item["content"][0]["text"].startswith("Hello")


def test_binary_frames_are_refused_and_nothing_else_happens() -> None:
    """A binary frame is answered by an error that does not end the session."""
    stage = SimulatorHarness()
    assert errors(stage.send_binary(b"\0\1")) == [("invalid_event", None)]
    assert stage.session.close is None
    assert types(stage.ask("Hello.", output_modalities=["text"])) == [*ITEM, *TEXT_ANSWER]


@pytest.mark.parametrize(
    ("raw", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("", "invalid_json", None),
        ('{"type":"response.create","n":NaN}', "invalid_json", None),
        (f'{{"type":"response.create","response":{"[" * 5000}{"]" * 5000}}}', "invalid_json", None),
        ('{"type":"session.update","session":{"type":"realtime","instructions":"\\ud800"}}', "invalid_json", None),
        ("[]", "invalid_event", None),
        ('"text"', "invalid_event", None),
        ("{}", "invalid_event", None),
        ('{"type":"nope"}', "invalid_value", "type"),
        ('{"type":null}', "invalid_value", "type"),
        ('{"type":{}}', "invalid_value", "type"),
        ('{"type":["response.create"]}', "invalid_value", "type"),
        ('{"type":"response.cancel","nope":1}', "unknown_parameter", "nope"),
        ('{"type":"session.update"}', "missing_required_parameter", "session"),
        ('{"type":"input_audio_buffer.append"}', "missing_required_parameter", "audio"),
        ('{"type":"input_audio_buffer.append","audio":7}', "invalid_type", "audio"),
        ('{"type":"conversation.item.delete"}', "missing_required_parameter", "item_id"),
        ('{"type":"conversation.item.retrieve","item_id":{}}', "invalid_type", "item_id"),
        ('{"type":"conversation.item.create"}', "missing_required_parameter", "item"),
        ('{"type":"response.create","response":[]}', "invalid_type", "response"),
    ],
)
def test_a_frame_that_is_no_event_is_refused(raw: str, code: str, param: str | None) -> None:
    """Each kind of nonsense has its code and names the field; the session goes on."""
    stage = SimulatorHarness()
    assert errors(stage.send_raw(raw)) == [(code, param)]
    assert types(stage.write("Hello.")) == ITEM


def test_an_unknown_type_is_told_the_known_ones() -> None:
    """The error for an unknown event lists those there are, and two of the translation protocol, but none of WebRTC's."""
    message = only(SimulatorHarness().send("nope", event_id="mine"), "error")["error"]["message"]
    assert message.startswith("Invalid value: 'nope'. Supported values are: 'session.update', 'input_audio_buffer.append', ")
    assert message.endswith("'response.cancel', 'session.close', and 'session.input_audio_buffer.append'.")
    assert "output_audio_buffer.clear" not in message


def test_errors_name_the_event_they_answer() -> None:
    """The client's event id comes back in its error, and only there."""
    stage = SimulatorHarness()
    assert only(stage.send("response.cancel", event_id="mine"), "error")["error"]["event_id"] == "mine"
    assert only(stage.send("response.cancel"), "error")["error"]["event_id"] is None


def test_what_a_client_may_call_its_events() -> None:
    """An event id is a string of at most 512 characters; the error for another cannot repeat it, and nothing happens."""
    stage = SimulatorHarness()
    for event_id, code in ((7, "invalid_type"), ("x" * 513, "string_above_max_length")):
        error = only(stage.send("conversation.item.create", item=user("Hello."), event_id=event_id), "error")["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, "event_id", None)
    assert stage.order == []
    assert types(stage.write("Hello.", event_id="x" * 512)) == ITEM


@pytest.mark.parametrize("type_", ["session.close", "session.input_audio_buffer.append"])
def test_translation_events_have_no_place_here(type_: str) -> None:
    """They are listed among the types there are, but are refused in other sessions."""
    assert errors(SimulatorHarness().send(type_)) == [(None, None)]


def test_an_item_is_stored_as_it_came() -> None:
    """A client's own id is kept; added and done tell the same complete item."""
    stage = SimulatorHarness()
    added, finished = stage.write("Hello.")
    assert added["item"] == finished["item"]
    assert list(added["item"]) == ["id", "type", "status", "role", "content"]
    assert stage.send("conversation.item.create", item=user("Hi.", id="mine"))[0]["item"]["id"] == "mine"


def test_a_function_output_has_no_status() -> None:
    """The echo of a function's output carries no status, as in recorded traffic."""
    stage = SimulatorHarness()
    stage.send("conversation.item.create", item={"type": "function_call", "name": "f", "call_id": "call_1", "arguments": "{}"})
    item = {"type": "function_call_output", "output": "{}", "call_id": "call_1"}
    added = stage.send("conversation.item.create", item=item)[0]
    assert list(added["item"]) == ["id", "type", "call_id", "output"]


def test_an_output_answers_a_call() -> None:
    """What a function gave is refused when nobody called it; the message is the API's."""
    stage = SimulatorHarness()
    item = {"type": "function_call_output", "call_id": "call_x", "output": "{}"}
    error = only(stage.send("conversation.item.create", item=item), "error")["error"]
    assert (error["code"], error["message"]) == ("invalid_tool_call_id", "Tool call ID 'call_x' not found in conversation.")
    assert stage.order == []


def test_delete() -> None:
    """A deleted item is gone: told once, and then unknown."""
    stage = SimulatorHarness()
    item_id = stage.write("Hello.")[0]["item"]["id"]
    assert stage.send("conversation.item.delete", item_id=item_id)[0]["item_id"] == item_id
    assert stage.order == []
    assert errors(stage.send("conversation.item.delete", item_id=item_id)) == [("item_delete_invalid_item_id", None)]


def test_a_session_expires() -> None:
    """After its time a session says so and closes with 1001 and the same sentence; nothing comes after that."""
    stage = SimulatorHarness(session_seconds=1800)
    assert stage.run(1799) == []
    events = stage.run(2)
    sentence = "Your session hit the maximum duration of 30 minutes."
    assert errors(events) == [("session_expired", None)]
    assert events[0]["error"]["message"] == sentence
    assert stage.session.close == (1001, sentence)


def test_expiry_cuts_a_response() -> None:
    """A response in progress does not outlive its session."""
    stage = SimulatorHarness(session_seconds=60)
    stage.run(59.8)
    stage.write("Tell me a story.")
    stage.send("response.create")
    events = stage.run(10)
    assert events[-1]["type"] == "error"
    assert done_types(stage) == []


def done_types(stage: SimulatorHarness) -> list[str]:
    """Of the responses that have ended, how."""
    return [event["response"]["status"] for event in stage.all("response.done")]


def test_the_same_seed_tells_the_same_story() -> None:
    """Ids, delays and words are the same each time with one seed, and others with another."""

    def story(seed: int) -> list[dict[str, Any]]:
        stage = SimulatorHarness("gpt-realtime-2.1", seed=seed, latency_ms=None)
        stage.ask("What is the weather in Lisbon?", output_modalities=["text"])
        return stage.events

    assert story(1) == story(1)
    assert story(1) != story(2)


def test_a_late_machine_does_not_slow_the_voice_down() -> None:
    """A wait counts from when it was due: late by less than half a second, the next event comes at its time."""
    stage, late = SimulatorHarness(), SimulatorHarness()
    for each in (stage, late):
        each.write("Tell me a story.")
        each.send("response.create")
        each.run(0.3)
    late.time += 0.2
    assert types(late.run(5)) == types(stage.run(5.2))
    assert len(late.all("response.output_audio.delta")) == len(stage.all("response.output_audio.delta"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "function_call", "function_call_output", "item_reference"]) | JSON},
    optional={
        "id": JSON, "role": st.sampled_from(["user", "system", "assistant"]) | JSON, "name": JSON, "call_id": JSON,
        "arguments": JSON, "output": JSON,
        "content": JSON | st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["input_text", "input_audio", "input_image", "output_text", "output_audio"]) | JSON},
                optional={"text": JSON, "audio": JSON, "transcript": JSON, "image_url": JSON},
            ),
            max_size=2,
        ),
    },
)  # fmt: skip
SETTINGS = st.fixed_dictionaries(
    {"type": st.just("realtime")},
    optional={
        **dict.fromkeys(("instructions", "tool_choice", "tracing", "prompt", "include", "reasoning", "truncation"), JSON),
        "output_modalities": st.just(["text"]) | JSON,
        "max_output_tokens": st.integers(1, 20) | JSON,
        "tools": st.lists(
            st.fixed_dictionaries({"type": st.sampled_from(["function", "mcp"]) | JSON}, optional={"name": JSON, "parameters": JSON}),
            max_size=2,
        ) | JSON,
        "audio": JSON | st.fixed_dictionaries({}, optional={"input": JSON, "output": JSON}) | st.fixed_dictionaries({
            "input": st.fixed_dictionaries({}, optional={
                "format": JSON | st.fixed_dictionaries({"type": JSON}), "transcription": JSON | st.fixed_dictionaries({"model": JSON}),
                "turn_detection": JSON | st.fixed_dictionaries({"type": JSON}), "noise_reduction": JSON,
            }),
            "output": st.fixed_dictionaries({}, optional={
                "voice": JSON | st.fixed_dictionaries({"id": JSON}), "speed": JSON, "format": JSON,
            }),
        }),
    },
)  # fmt: skip


@st.composite
def client_events(draw: st.DrawFn) -> dict[str, Any]:
    """A client event whose fields are mostly of the right name and of any value."""
    type_ = draw(st.sampled_from(sorted(_FIELDS)))
    fields = {
        "item": ITEMS | JSON,
        "session": SETTINGS | JSON,
        "response": JSON
        | st.fixed_dictionaries(
            {}, optional={"conversation": JSON, "input": JSON | st.lists(ITEMS, max_size=2), "metadata": JSON, "tools": JSON}
        ),
    }
    event: dict[str, Any] = {"type": type_}
    for name in _FIELDS[type_]:
        if draw(st.integers(0, 9)):
            event[name] = draw(fields.get(name, JSON))
    return event


@settings(max_examples=60, deadline=None)
@given(st.lists(client_events(), max_size=6))
def test_nothing_a_client_sends_breaks_a_session(events: list[dict[str, Any]]) -> None:
    """Whatever is sent is answered by events of the API; afterwards the session still holds a conversation."""
    stage = SimulatorHarness("gpt-realtime-2.1")
    for event in events:
        stage.send_raw(json.dumps(event))
        stage.run(1)
    stage.run(60)
    stage.update(output_modalities=["text"], tools=[], tool_choice="auto", max_output_tokens="inf")
    stage.run(60)
    assert types(stage.ask("Hello."))[-len(ENDED) :] == ENDED
