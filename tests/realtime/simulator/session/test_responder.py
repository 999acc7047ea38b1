"""Who may answer when: one response at a time, beside it others out of band; cancelled, prompted, limited."""

from __future__ import annotations

from typing import Any

import pytest

from tests.realtime.simulator.harness import (
    AUDIO_CLOSED,
    ENDED,
    ITEM,
    OPENED,
    TEXT_ANSWER,
    SimulatorHarness,
    done,
    encoded,
    errors,
    only,
    silence,
    spoken_words,
    types,
    user,
)

APART = [event for event in TEXT_ANSWER if not event.startswith("conversation.item.")]
"""A written answer out of band: without the two item events."""


def telling(stage: SimulatorHarness) -> str:
    """A long answer is being spoken; its response's id."""
    stage.write("Tell me a story.")
    created = only(stage.send("response.create"), "response.created")
    stage.run(until="response.output_audio.delta")
    return str(created["response"]["id"])


def test_one_at_a_time() -> None:
    """While an answer is on its way, another is refused by naming it, and the first goes on."""
    stage = SimulatorHarness()
    response_id = telling(stage)
    error = only(stage.send("response.create"), "error")["error"]
    assert error["code"] == "conversation_already_has_active_response"
    assert error["message"] == (
        f"Conversation already has an active response in progress: {response_id}. Wait until the response is finished "
        "before creating a new one."
    )
    assert done(stage.run(until="rate_limits.updated"))["status"] == "completed"
    assert types(stage.respond(output_modalities=["text"])) == TEXT_ANSWER


@pytest.mark.parametrize("named", [True, False])
def test_cancel(named: bool) -> None:
    """A cancelled answer closes what is open, in the fixed order, as incomplete, and then the limits are told."""
    stage = SimulatorHarness()
    response_id = telling(stage)
    cut = stage.send("response.cancel", **({"response_id": response_id} if named else {}))
    assert types(cut) == [*AUDIO_CLOSED, "response.done"]
    response = done(cut)
    assert (response["id"], response["status"]) == (response_id, "cancelled")
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert [item["status"] for item in response["output"]] == ["incomplete"]
    said = "".join(event["delta"] for event in stage.all("response.output_audio_transcript.delta"))
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": said}]
    assert types(stage.run(60)) == ["rate_limits.updated"]
    assert types(stage.respond(output_modalities=["text"])) == TEXT_ANSWER


def test_cancel_before_anything_was_said() -> None:
    """An answer still being thought of ends without output, but with what was read for it."""
    stage = SimulatorHarness()
    stage.write("Hello.")
    stage.send("response.create")
    response = done(stage.send("response.cancel"))
    assert (response["output"], response["usage"]["output_tokens"]) == ([], 0)
    assert response["usage"]["input_tokens"] > 0


@pytest.mark.parametrize("fields", [{}, {"response_id": "nope"}])
def test_nothing_to_cancel(fields: dict[str, Any]) -> None:
    """Without an active response, and a second time, cancelling fails."""
    stage = SimulatorHarness()
    assert errors(stage.send("response.cancel", **fields)) == [("response_cancel_not_active", None)]
    telling(stage)
    stage.send("response.cancel")
    assert errors(stage.send("response.cancel", **fields)) == [("response_cancel_not_active", None)]


def test_cancelling_another_leaves_this_one() -> None:
    """An unknown id cancels nobody."""
    stage = SimulatorHarness()
    telling(stage)
    assert errors(stage.send("response.cancel", response_id="nope")) == [("response_cancel_not_active", None)]
    assert done(stage.run(until="response.done"))["status"] == "completed"


def test_out_of_band() -> None:
    """A response apart writes nothing into the conversation, belongs to none, and brings its metadata back twice."""
    stage = SimulatorHarness()
    stage.write("Hello.")
    before = stage.order
    events = stage.respond(conversation="none", metadata={"topic": "greeting"}, output_modalities=["text"])
    assert types(events) == APART
    for type_ in ("response.created", "response.done"):
        response = only(events, type_)["response"]
        assert (response["conversation_id"], response["metadata"]) == (None, {"topic": "greeting"})
    assert stage.order == before


def test_out_of_band_beside_another() -> None:
    """Responses apart run beside the conversation's own; only their id cancels them."""
    stage = SimulatorHarness()
    own = telling(stage)
    begun = [stage.send("response.create", response={"conversation": "none"}) for _ in range(2)]
    apart = [only(events, "response.created")["response"]["id"] for events in begun]
    assert done(stage.send("response.cancel", response_id=apart[0]))["id"] == apart[0]
    assert done(stage.send("response.cancel"))["id"] == own
    assert done(stage.run(60))["id"] == apart[1]
    assert {event["response"]["conversation_id"] for event in stage.all("response.done")} == {
        None,
        stage.session.conversation_id,
    }


def test_a_response_may_have_its_own_input() -> None:
    """Given items, and items of the conversation by reference, replace what a response reads."""
    stage = SimulatorHarness()
    item_id = stage.write("Spell Ada.")[0]["item"]["id"]
    stage.write("Hello.")
    plain = {"conversation": "none", "output_modalities": ["text"]}
    assert spoken_words(stage.respond(**plain)).startswith("Hello, ")
    assert spoken_words(stage.respond(**plain, input=[user("Count to three.")])) == "One, two, three."
    referred = stage.respond(**plain, input=[user("Hello."), {"type": "item_reference", "id": item_id}])
    assert spoken_words(referred) == "Ada: A, D, A."
    spoken = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": encoded(silence(1200))}]}
    assert spoken_words(stage.respond(**plain, input=[spoken])).startswith("I heard 1.2 seconds of speech")
    assert spoken_words(stage.respond(**plain, input=[], instructions="Count to two.")) == "One, two."


def test_instructions_of_a_response_are_its_own() -> None:
    """They count for what it costs to read, and the session keeps its own."""
    stage = SimulatorHarness()
    stage.update(output_modalities=["text"])
    stage.write("Hello.")
    long = done(stage.respond(instructions="Be very brief. " * 100))["usage"]
    short = done(stage.respond(instructions="Be brief."))["usage"]
    assert long["input_token_details"]["text_tokens"] > short["input_token_details"]["text_tokens"] + 300


@pytest.mark.parametrize(
    ("response", "code", "param"),
    [
        ({"nope": 1}, "unknown_parameter", "response.nope"),
        ({"model": "gpt-realtime"}, "unknown_parameter", "response.model"),
        ({"modalities": ["text"]}, "unknown_parameter", "response.modalities"),
        ({"conversation": "other"}, "invalid_value", "response.conversation"),
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "response.output_modalities"),
        ({"max_output_tokens": -1}, "integer_below_min_value", "response.max_output_tokens"),
        ({"audio": {"output": {"voice": "nobody"}}}, "invalid_value", "response.audio.output.voice"),
        ({"input": {}}, "invalid_type", "response.input"),
        ({"input": [7]}, "invalid_type", "response.input[0]"),
        ({"input": [{"type": "item_reference"}]}, "missing_required_parameter", "response.input[0].id"),
        ({"input": [{"type": "item_reference", "id": "nope"}]}, "invalid_value", "response.input[0].id"),
        ({"input": [user("Hello."), {"type": "nope"}]}, "invalid_value", "response.input[1].type"),
        ({"metadata": []}, "invalid_type", "response.metadata"),
        ({"metadata": {"n": 1}}, "invalid_type", "response.metadata.n"),
        ({"metadata": {"n": "x" * 513}}, "string_above_max_length", "response.metadata.n"),
        ({"metadata": {str(n): "" for n in range(17)}}, "object_above_max_properties", "response.metadata"),
        ({"metadata": {"n" * 65: ""}}, "property_name_above_max_length", "response.metadata"),
        ({"conversation": {}}, "invalid_type", "response.conversation"),
        ({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, "unknown_parameter", "response.audio.input"),
        ({"audio": {"output": {"speed": 1.0}}}, "unknown_parameter", "response.audio.output.speed"),
        ({"truncation": "auto"}, "unknown_parameter", "response.truncation"),
    ],
)
def test_a_response_that_cannot_be(response: dict[str, Any], code: str, param: str) -> None:
    """A wrong wish is refused with its place, and nothing has begun."""
    stage = SimulatorHarness()
    assert errors(stage.send("response.create", response=response)) == [(code, param)]
    assert stage.run(60) == []
    assert types(stage.ask("Hello.", output_modalities=["text"])) == [*ITEM, *TEXT_ANSWER]


def test_the_end_of_an_answer_is_the_end() -> None:
    """Events of an answer come between its created and its done, and all of them are closed there."""
    stage = SimulatorHarness()
    events = stage.ask("Hello.")
    assert types(events)[:6] == [*ITEM, *OPENED]
    assert types(events)[-len(AUDIO_CLOSED + ENDED) :] == AUDIO_CLOSED + ENDED


def test_the_conversation_by_its_id() -> None:
    """A response may name the conversation it belongs to."""
    stage = SimulatorHarness()
    answer = done(stage.ask("Hello.", conversation=stage.session.conversation_id, output_modalities=["text"]))
    assert answer["conversation_id"] == stage.session.conversation_id


def test_what_is_cancelled_is_named_by_a_string() -> None:
    """An id of another type is refused as such, and nothing is cancelled."""
    stage = SimulatorHarness()
    stage.write("Tell me a story.")
    stage.send("response.create")
    assert errors(stage.send("response.cancel", response_id={})) == [("invalid_type", "response_id")]
    assert stage.session.responder.active is not None
