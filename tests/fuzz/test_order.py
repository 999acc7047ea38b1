"""The checker of orders itself: it is silent about a true session, and notices what is missing, doubled or changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from realtime.simulator.input import vad
from realtime.simulator.session.session import SimulatedSession
from realtime.simulator.shared.options import SimulatorOptions
from tests.fuzz.clients import TURN, Client
from tests.realtime.simulator.harness import GET_WEATHER, chunks, encoded
from tests.realtime.simulator.order import violations
from tests.realtime.simulator.watch import watched

STRANGE: list[tuple[str, dict[str, Any]]] = [
    ("response.mood.changed", {"mood": "curious"}),
    ("conversation.item.deleted", {}),
    ("input_audio_buffer.speech_started", {"audio_start_ms": "soon", "item_id": "item_1"}),
    ("error", {"error": {"type": "invalid_request_error", "message": "No.", "code": None}}),
    ("response.output_text.delta", {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0, "delta": "a",
                                    "obfuscation": ""}),
]  # fmt: skip
"""Events that are none of the API's, by an unknown type, a missing field, one of another type, a key, or padding."""
NEVER_MISSED = {
    "session.updated", "rate_limits.updated", "error", "conversation.item.retrieved", "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "conversation.item.input_audio_transcription.completed", "response.content_part.added",
}  # fmt: skip
"""Types whose absence breaks no order: nothing is announced by them alone, or a client could not tell."""


@pytest.fixture(scope="module")
def log() -> list[tuple[str, dict[str, Any]]]:
    """A session with speech, an answer aloud, a call, its output, and an error."""
    with mock.patch.object(vad, "make_detector", lambda: vad.by_energy):
        client = Client("gpt-realtime")
        client.update(tools=[GET_WEATHER], audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
        for chunk in chunks(TURN, 4800):
            client.say("input_audio_buffer.append", audio=encoded(chunk))
        client.run(30)
        client.ask("What is the weather in Lisbon?", output_modalities=["text"])
        client.say("response.cancel")
        client.ask("Hello.", output_modalities=["text"])
    return [("sent" if frame[0] == "→" else "received", json.loads(frame[2:])) for frame in client.log]


@pytest.mark.parametrize(("type_", "fields"), STRANGE)
def test_what_is_no_event_of_the_api_is_noticed(type_: str, fields: dict[str, Any]) -> None:
    """The watch on sessions fails for an event its makers' types do not know, also one that was never drained."""
    with pytest.raises(AssertionError, match=type_), watched():
        session = SimulatedSession("gpt-realtime", SimulatorOptions(), lambda: 0.0, lambda: 1_795_000_000.0)
        session.emit(type_, **fields)


def test_a_true_session_breaks_no_order(log: list[tuple[str, dict[str, Any]]]) -> None:
    """Nothing is wrong with what the simulator says."""
    assert violations(log) == []


def test_what_is_missing_is_noticed(log: list[tuple[str, dict[str, Any]]]) -> None:
    """Without any one of its events the session is out of order."""
    missed = {
        event["type"]
        for number, (direction, event) in enumerate(log)
        if direction == "received" and not violations(log[:number] + log[number + 1 :])
    }
    assert missed <= NEVER_MISSED | {"response.done"}  # the last one may still be to come


def test_what_comes_twice_is_noticed(log: list[tuple[str, dict[str, Any]]]) -> None:
    """Events that come a second time, under another id, break an order."""
    for number, (direction, event) in enumerate(log):
        if direction == "received" and event["type"] not in NEVER_MISSED | {"conversation.item.added"}:
            again = [*log[: number + 1], ("received", {**event, "event_id": "event_again"}), *log[number + 1 :]]
            assert violations(again), event["type"]


CHANGES: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("response.output_audio.delta", lambda event: event.update(delta="AAAA")),
    ("response.output_text.done", lambda event: event.update(text="other")),
    ("response.function_call_arguments.done", lambda event: event.update(arguments="{}")),
    ("response.function_call_arguments.delta", lambda event: event.update(obfuscation="")),
    ("response.content_part.added", lambda event: event.update(content_index=1)),
    ("response.output_item.added", lambda event: event.update(output_index=3)),
    ("response.done", lambda event: event["response"]["usage"].update(total_tokens=1)),
    ("response.done", lambda event: event["response"].update(status="cancelled")),
    ("conversation.item.added", lambda event: event.update(previous_item_id="item_nobody")),
    ("input_audio_buffer.committed", lambda event: event.update(item_id="item_other")),
    ("input_audio_buffer.speech_stopped", lambda event: event.update(audio_end_ms=1001)),
    ("error", lambda event: event["error"].update(event_id="nobodys")),
    ("conversation.item.input_audio_transcription.completed", lambda event: event.update(transcript="other")),
]


@pytest.mark.parametrize(("type_", "change"), CHANGES)
def test_what_is_changed_is_noticed(
    log: list[tuple[str, dict[str, Any]]], type_: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    """One wrong value in one event breaks an order."""
    changed = copy.deepcopy(log)
    found = [event for _, event in changed if event["type"] == type_]
    if not found:
        pytest.fail(f"the session has no {type_}")
    change(found[0])
    assert violations(changed)
