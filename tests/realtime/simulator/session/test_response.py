"""One response's life: words before sound, calls after commentary, the fixed order of the end, and its price."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.simulator.session.response import ARGUMENTS_TOKEN, sentences
from tests.realtime.simulator.harness import (
    AUDIO_CLOSED,
    CLOSED,
    ENDED,
    GET_WEATHER,
    ITEM,
    OPENED,
    SET_MEMORY,
    TEXT_ANSWER,
    SimulatorHarness,
    done,
    only,
    sound,
    spoken_words,
    types,
)

CALL_OPENED = ["response.output_item.added", "conversation.item.added", "response.function_call_arguments.delta"]
CALL_CLOSED = ["response.function_call_arguments.done", "conversation.item.done", "response.output_item.done"]
TEXT_CLOSED = ["response.output_text.done", *CLOSED]
ORDER = {
    "type": "function",
    "name": "lookup_order",
    "description": "Find an order by its number.",
    "parameters": {"type": "object", "properties": {"order_number": {"type": "string"}}, "required": ["order_number"]},
}


def test_a_spoken_answer() -> None:
    """Words come first and stay ahead of the sound; the end has its fixed order."""
    stage = SimulatorHarness()
    events = stage.ask("Tell me a story.")
    body = [event for event in events if event["type"].endswith("delta")]
    assert types(events)[: len(ITEM + OPENED) + 1] == [*ITEM, *OPENED, "response.output_audio_transcript.delta"]
    assert types(events)[-len(AUDIO_CLOSED + ENDED) :] == AUDIO_CLOSED + ENDED
    assert {event["type"] for event in body} == {"response.output_audio_transcript.delta", "response.output_audio.delta"}
    words = "".join(event["delta"] for event in body if "transcript" in event["type"])
    assert only(events, "response.output_audio_transcript.done")["transcript"] == words == spoken_words(events)
    ahead = [index for index, event in enumerate(body) if event["type"] == "response.output_audio.delta"]
    assert ahead[0] >= 2


def test_parts_and_items_are_named_differently() -> None:
    """Parts say audio and text, items output_audio and output_text; no event but the deltas carries sound."""
    events = SimulatorHarness().ask("Hello.")
    assert only(events, "response.content_part.added")["part"] == {"type": "audio", "transcript": ""}
    assert only(events, "response.content_part.done")["part"]["type"] == "audio"
    content = only(events, "response.output_item.done")["item"]["content"]
    assert [list(part) for part in content] == [["type", "transcript"]]
    assert content[0]["type"] == "output_audio"


def test_sound_comes_in_quarters_of_a_second() -> None:
    """A delta of sound has 250 ms, the first less, the last of a sentence what is left; none has obfuscation."""
    deltas = [event for event in SimulatorHarness().ask("Tell me a story.") if event["type"] == "response.output_audio.delta"]
    sizes = [len(base64.b64decode(event["delta"])) for event in deltas]
    assert sizes[:2] == [9600, 12_000]
    assert max(sizes) == 12_000
    assert sum(size == 12_000 for size in sizes) > len(sizes) / 2
    assert not any("obfuscation" in event for event in deltas)


@pytest.mark.parametrize("pace", [3.0, 12.0])
def test_sound_comes_faster_than_it_plays(pace: float) -> None:
    """All sound has arrived after a fraction of its playing time, as the pace says."""
    stage = SimulatorHarness(pace=pace)
    events = stage.ask("Tell me a long story.")
    seconds = len(sound(events)) / 48_000
    assert seconds > 30
    assert stage.time == pytest.approx(0.1 + seconds / pace + 0.04, abs=0.05)


def test_thinking_takes_its_time() -> None:
    """Without a given latency an answer begins after 120 to 220 ms, each time a little different."""
    stage = SimulatorHarness(latency_ms=None)
    waits = []
    for _ in range(4):
        stage.write("Hello.")
        began = stage.time
        stage.send("response.create")
        stage.run(until="response.output_item.added")
        waits.append(stage.time - began)
        stage.run(until="rate_limits.updated")
    assert all(0.12 <= wait <= 0.22 for wait in waits)
    assert len(set(waits)) == 4


def test_speed_shortens_the_sound() -> None:
    """Twice the speed is about half the sound."""
    lengths = []
    for speed in (0.75, 1.5):
        stage = SimulatorHarness()
        stage.update(audio={"output": {"speed": speed}})
        lengths.append(len(sound(stage.ask("Tell me a story."))))
    assert lengths[1] == pytest.approx(lengths[0] / 2, rel=0.1)


def test_the_response_object() -> None:
    """Its keys stand as on the wire; while in progress it has neither output nor usage."""
    events = SimulatorHarness().ask("Hello.")
    created, ended = only(events, "response.created")["response"], done(events)
    keys = [
        "object", "id", "status", "status_details", "output", "conversation_id", "output_modalities", "max_output_tokens",
        "audio", "usage", "metadata",
    ]  # fmt: skip
    assert list(created) == list(ended) == keys
    assert (created["status"], created["output"], created["usage"]) == ("in_progress", [], None)
    assert (ended["status"], ended["status_details"]) == ("completed", None)
    assert ended["audio"] == {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"}}


def test_a_function_call_as_it_was_recorded() -> None:
    """A reasoning model comments, calls, and answers from the result, in the order of the recorded session."""
    stage = SimulatorHarness("gpt-realtime-2.1")
    stage.update(output_modalities=["text"], tools=[ORDER])
    events = stage.ask("Use lookup_order with 7731.")
    assert types(events) == [
        *ITEM, *OPENED, "response.output_text.delta", *CALL_OPENED, *TEXT_CLOSED, *CALL_CLOSED, *ENDED,
    ]  # fmt: skip
    comment, call = done(events)["output"]
    assert (comment["type"], comment["phase"]) == ("message", "commentary")
    assert (call["type"], call["name"], json.loads(call["arguments"])) == ("function_call", "lookup_order", {"order_number": "7731"})
    assert list(call) == ["id", "type", "status", "name", "call_id", "arguments"]
    deltas = [event for event in events if event["type"] == "response.function_call_arguments.delta"]
    assert "".join(event["delta"] for event in deltas) == call["arguments"]
    assert {event["call_id"] for event in deltas} == {call["call_id"]}
    finished = only(events, "response.function_call_arguments.done")
    assert {key: finished[key] for key in ("name", "call_id", "arguments")} == {key: call[key] for key in ("name", "call_id", "arguments")}
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"status": "shipped"}'}
    assert types(stage.send("conversation.item.create", item=output)) == ITEM
    answer = stage.respond()
    assert types(answer) == TEXT_ANSWER
    assert done(answer)["output"][0]["phase"] == "final_answer"
    assert "shipped" in spoken_words(answer)


def test_two_places_are_two_calls() -> None:
    """Asked for two places, a model calls twice in one response; the one that does not reason does not comment."""
    stage = SimulatorHarness("gpt-realtime")
    stage.update(tools=[GET_WEATHER])
    events = stage.ask("What is the weather in Lisbon and in Oslo?")
    assert types(events) == [*ITEM, "response.created", *CALL_OPENED, *CALL_OPENED, *CALL_CLOSED, *CALL_CLOSED, *ENDED]
    calls = done(events)["output"]
    assert [json.loads(call["arguments"])["location"] for call in calls] == ["Lisbon", "Oslo"]
    assert len({call["call_id"] for call in calls}) == 2
    assert [event["output_index"] for event in events if event["type"] == "response.output_item.done"] == [0, 1]
    for call, degrees in zip(calls, (21, 9), strict=True):
        output = {"temperature": {"value": degrees, "unit": "°C"}, "location": json.loads(call["arguments"])["location"]}
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": json.dumps(output)}
        stage.send("conversation.item.create", item=item)
    said = spoken_words(stage.respond())
    assert "In Lisbon it is 21 degrees" in said
    assert "In Oslo it is 9 degrees" in said


@pytest.mark.parametrize(
    ("model", "kinds"),
    [("gpt-realtime", ["function_call"] * 2), ("gpt-realtime-2.1", ["message", "function_call", "function_call"])],
)
def test_who_comments_before_calling(model: str, kinds: list[str]) -> None:
    """Only the reasoning models say something before they call; only their items have a phase."""
    stage = SimulatorHarness(model)
    stage.update(tools=[GET_WEATHER])
    output = done(stage.ask("What is the weather in Lisbon and in Oslo?"))["output"]
    assert [item["type"] for item in output] == kinds
    assert any("phase" in item for item in output) is (model == "gpt-realtime-2.1")


@pytest.mark.parametrize(
    ("choice", "question", "called"),
    [
        ("none", "What is the weather in Lisbon?", []),
        ("auto", "Hello.", []),
        ("required", "Hello.", ["get_weather"]),
        ({"type": "function", "name": "set_memory"}, "Hello.", ["set_memory"]),
        ({"type": "function", "name": "nobody_offers"}, "Hello.", []),
    ],
)
def test_the_choice_of_tools(choice: Any, question: str, called: list[str]) -> None:
    """What ``tool_choice`` forbids is not called, what it demands is."""
    stage = SimulatorHarness()
    stage.update(tools=[GET_WEATHER, SET_MEMORY])
    output = done(stage.ask(question, tool_choice=choice))["output"]
    assert [item["name"] for item in output if item["type"] == "function_call"] == called


def test_letters_of_all_kinds_reach_the_function() -> None:
    """Arguments are streamed to the last letter, also where it is none of the English ones."""
    stage = SimulatorHarness()
    stage.update(tools=[SET_MEMORY])
    call = done(stage.ask("Grüße an Zoë 東京", tool_choice="required"))["output"][0]
    assert json.loads(call["arguments"])["value"] == "Grüße an Zoë 東京"


@given(st.text())
def test_pieces_of_arguments_are_the_arguments(text: str) -> None:
    """Whatever the arguments, their pieces put together are them."""
    assert "".join(ARGUMENTS_TOKEN.findall(text)) == text


@given(st.text(alphabet=st.sampled_from("ab. !?\n…")))
def test_sentences_are_the_text(text: str) -> None:
    """A text's sentences put together are the text, but for space at its end."""
    assert "".join(sentences(text)).rstrip() == text.rstrip()


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_a_limit_cuts_the_answer(modality: str) -> None:
    """With few tokens to spend, an answer ends incomplete, close to the limit, and says why."""
    stage = SimulatorHarness()
    events = stage.ask("Tell me a long story.", max_output_tokens=40, output_modalities=[modality])
    response = done(events)
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["max_output_tokens"] == 40
    assert [item["status"] for item in response["output"]] == ["incomplete"]
    assert 40 <= response["usage"]["output_tokens"] <= 52
    assert types(stage.ask("Hello.", output_modalities=["text"])) == [*ITEM, *TEXT_ANSWER]


def test_a_limit_cuts_a_call() -> None:
    """A call that is cut off is incomplete: its arguments end as they are, and its item says that there was more."""
    stage = SimulatorHarness()
    stage.update(tools=[GET_WEATHER], max_output_tokens=5)
    events = stage.ask("What is the weather in Lisbon?")
    assert done(events)["output"][0]["status"] == "incomplete"
    assert types(events).index("response.function_call_arguments.done") < types(events).index("response.output_item.done")


def test_what_an_answer_costs() -> None:
    """Sound costs a token each 50 ms beside those of its words, and is read again for as many."""
    stage = SimulatorHarness()
    first = stage.ask("Hello.")
    made = done(first)["usage"]["output_token_details"]
    assert made["audio_tokens"] == len(sound(first)) // 48 // 50
    assert made["text_tokens"] > 10
    second = done(stage.ask("Thank you."))["usage"]["input_token_details"]
    assert second["audio_tokens"] == made["audio_tokens"]


def test_what_was_read_before_is_cached() -> None:
    """The first response has nothing cached; later ones have what was read before, in steps of 64."""
    stage = SimulatorHarness()
    stage.update(output_modalities=["text"], instructions="Be brief. " * 60)
    cached = [done(stage.ask("Tell me a long story."))["usage"]["input_token_details"]["cached_tokens"] for _ in range(3)]
    assert cached[0] == 0
    assert 0 < cached[1] < cached[2]


def test_a_users_sound_is_paid_by_the_tenth() -> None:
    """Speech costs a token for each whole tenth of a second."""
    stage = SimulatorHarness()
    stage.update(audio={"input": {"turn_detection": None}})
    stage.hear(bytes(2796 * 48))
    stage.send("input_audio_buffer.commit")
    assert done(stage.respond())["usage"]["input_token_details"]["audio_tokens"] == 27


def test_an_image_is_read_too() -> None:
    """An image has tokens of its own kind."""
    stage = SimulatorHarness()
    part = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    stage.send("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
    assert done(stage.respond())["usage"]["input_token_details"]["image_tokens"] > 0


def test_the_cache_ends_where_the_conversation_was_changed() -> None:
    """Behind an item that is deleted nothing is cached, and nothing at all under other instructions."""
    stage = SimulatorHarness()
    stage.update(output_modalities=["text"])
    first = stage.write("word " * 200)[0]["item"]["id"]
    stage.ask("Hello.")
    before = done(stage.ask("Hello."))["usage"]["input_token_details"]["cached_tokens"]
    stage.send("conversation.item.delete", item_id=first)
    after = done(stage.ask("Hello."))["usage"]["input_token_details"]["cached_tokens"]
    assert before > 200
    assert after < 64  # no more than the instructions
    assert done(stage.respond(instructions="Be somebody else."))["usage"]["input_token_details"]["cached_tokens"] == 0


def test_thinking_is_a_part_of_the_text() -> None:
    """A reasoning model thinks before it calls a function, as long as its effort says; others do not, nor for an answer."""

    def thought(model: str, **session: Any) -> list[int | None]:
        stage = SimulatorHarness(model)
        stage.update(output_modalities=["text"], tools=[GET_WEATHER], **session)
        asked = [stage.ask("What is the weather in Lisbon?"), stage.ask("Hello.")]
        return [done(events)["usage"]["output_token_details"].get("reasoning_tokens") for events in asked]

    assert thought("gpt-realtime-2.1") == [17, None]
    assert thought("gpt-realtime-2.1", reasoning={"effort": "high"}) == [128, None]
    assert thought("gpt-realtime") == [None, None]
