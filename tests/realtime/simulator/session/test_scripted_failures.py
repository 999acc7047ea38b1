"""Responses that fail because a test wants them to."""

from __future__ import annotations

import pytest

from realtime.simulator.session.scripted_failures import ERRORS
from tests.realtime.simulator.harness import AUDIO_CLOSED, SimulatorHarness, done, silence, types

FAILED = ["response.created", "response.done"]


@pytest.mark.parametrize("name", ERRORS)
def test_metadata_makes_a_response_fail(name: str) -> None:
    """It is created and done, with the API's error, no output, and no usage; the next one is well."""
    stage = SimulatorHarness()
    stage.write("Hello.")
    events = stage.send("response.create", response={"metadata": {"simulator": name}}) + stage.run(5)
    assert types(events) == FAILED
    response = done(events)
    assert (response["status"], response["output"], response["usage"]) == ("failed", [], None)
    assert response["status_details"] == {"type": "failed", "error": ERRORS[name]}
    assert response["metadata"] == {"simulator": name}
    assert done(stage.respond())["status"] == "completed"


@pytest.mark.parametrize(
    ("text", "code"),
    [("Please fail.", "server_error"), ("please fail with insufficient_quota", "insufficient_quota"),
     ("Would you please fail with a rate_limit_exceeded?", "rate_limit_exceeded"), ("please fail with style", "server_error")],
)  # fmt: skip
@pytest.mark.parametrize("where", ["message", "session", "response"])
def test_words_make_a_response_fail(text: str, code: str, where: str) -> None:
    """The user may ask for it, and so may the instructions of the session or of the response."""
    stage = SimulatorHarness()
    stage.write(text if where == "message" else "Hello.")
    if where == "session":
        stage.update(instructions=text)
    own = {"response": {"instructions": text}} if where == "response" else {}
    events = stage.send("response.create", **own) + stage.run(5)
    assert done(events)["status_details"]["error"]["code"] == code


def test_spoken_words_count() -> None:
    """Recognized speech counts as the user's message."""
    stage = SimulatorHarness(heard="Please fail with server_error.")
    stage.update(audio={"input": {"turn_detection": None}})
    stage.hear(silence(500))
    stage.send("input_audio_buffer.commit")
    assert done(stage.send("response.create") + stage.run(5))["status_details"]["error"]["code"] == "server_error"


def test_what_was_asked_before_is_over() -> None:
    """Only the last message counts."""
    stage = SimulatorHarness()
    stage.write("Please fail.")
    stage.write("Hello.")
    assert done(stage.respond())["status"] == "completed"


def test_a_filter_breaks_an_answer_off() -> None:
    """What was said so far is kept, incomplete, and paid."""
    stage = SimulatorHarness()
    stage.write("Please fail with content_filter.")
    events = stage.respond()
    response = done(events)
    assert response["status_details"] == {"type": "incomplete", "reason": "content_filter"}
    assert (response["status"], response["output"][0]["status"]) == ("incomplete", "incomplete")
    assert response["usage"]["output_tokens"] > 0
    assert types(events)[-7:-2] == AUDIO_CLOSED


def test_other_metadata_is_the_clients() -> None:
    """A name that is none of the failures means nothing."""
    stage = SimulatorHarness()
    stage.write("Hello.")
    assert done(stage.respond(metadata={"simulator": "yes"}))["status"] == "completed"
