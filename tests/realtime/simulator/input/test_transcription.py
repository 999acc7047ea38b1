"""Transcription sessions, and what is written down while it is being said."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import pytest
from websockets.asyncio.client import connect

from realtime.simulator.input.transcription import EVENT
from realtime.simulator.server import SimulatorServer
from realtime.simulator.server.handshake import Accepted, AcceptedThenClosed, check_handshake
from realtime.simulator.shared.options import SimulatorOptions
from tests.realtime.simulator.harness import (
    COMMITTED,
    Event,
    SimulatorHarness,
    check,
    chunks,
    encoded,
    errors,
    only,
    silence,
    types,
    user,
    utterance,
)
from tests.waiting import PATIENCE

DELTA, SEGMENT, COMPLETED, FAILED = (f"{EVENT}.{what}" for what in ("delta", "segment", "completed", "failed"))
SPEECH = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"]


def session(model: str = "gpt-4o-transcribe", heard: str | None = "The meeting is moved to Tuesday.", **fields: Any) -> SimulatorHarness:
    """A transcription session, set up; turns by hand unless said otherwise."""
    stage = SimulatorHarness("", heard=heard, kind="transcription")
    assert types(update(stage, transcription={"model": model}, **{"turn_detection": None, **fields})) == ["session.updated"]
    return stage


def update(stage: SimulatorHarness, **fields: Any) -> list[Event]:
    """A ``session.update`` of ``audio.input``."""
    return stage.send("session.update", session={"type": "transcription", "audio": {"input": fields}})


def turn(stage: SimulatorHarness, ms: float = 3000) -> list[Event]:
    """A turn that is committed by hand, and all that comes of it."""
    return stage.hear(silence(ms)) + stage.send("input_audio_buffer.commit") + stage.run(10)


def text(events: list[Event]) -> str:
    """The deltas among them."""
    return "".join(event["delta"] for event in events if event["type"] == DELTA)


def dialled(**query: str) -> object:
    """What a handshake comes to."""
    return check_handshake("/v1/realtime", query, {}, SimulatorOptions())


def test_the_session_as_it_begins() -> None:
    """No model, no output, nothing that answers."""
    stage = SimulatorHarness("", kind="transcription")
    created = only(stage.events, "session.created")["session"]
    assert list(created) == ["type", "object", "id", "expires_at", "audio", "include"]
    assert (created["type"], created["object"]) == ("transcription", "realtime.transcription_session")
    assert created["audio"] == {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000}, "transcription": None, "noise_reduction": None,
            "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200},
        }
    }  # fmt: skip


def test_who_gets_one() -> None:
    """Whoever says so and names no model; a model, or an intent nobody knows, is refused and the connection closed."""
    assert dialled(intent="transcription") == Accepted("", kind="transcription")
    assert dialled(intent="realtime", model="gpt-realtime") == Accepted("gpt-realtime")
    for query, code in (
        ({"intent": "transcription", "model": "gpt-4o-transcribe"}, "invalid_parameter"),
        ({"intent": "singing", "model": "gpt-realtime"}, "invalid_value"),
        ({"model": "gpt-4o-transcribe"}, "invalid_model"),
    ):
        refused = dialled(**query)
        assert isinstance(refused, AcceptedThenClosed)
        assert (refused.error["code"], refused.code) == (code, 4000)
    refused = dialled(model="gpt-realtime-whisper")
    assert isinstance(refused, AcceptedThenClosed)
    assert "cannot be the session's model" in refused.error["message"]


def test_updates_of_the_other_kind() -> None:
    """Neither kind of session takes the other's update."""
    for stage, kind in ((SimulatorHarness(), "transcription"), (SimulatorHarness("", kind="transcription"), "realtime")):
        error = only(stage.send("session.update", session={"type": kind}), "error")["error"]
        other = "realtime" if kind == "transcription" else "transcription"
        assert error["message"] == f"Passing a {kind} session update to a {other} session is not allowed."


@pytest.mark.parametrize(
    "given",
    [{"instructions": "Be brief."}, {"model": "gpt-realtime"}, {"tools": []}, {"output_modalities": ["text"]},
     {"audio": {"output": {"voice": "marin"}}}, {"parallel_tool_calls": True}, {"reasoning": {"effort": "low"}}],
)  # fmt: skip
def test_what_it_has_no_use_for(given: dict[str, Any]) -> None:
    """Settings of models that answer are unknown here."""
    stage = SimulatorHarness("", kind="transcription")
    ((code, param),) = errors(stage.send("session.update", session={"type": "transcription", **given}))
    assert (code, param) == ("unknown_parameter", "session.audio.output" if "audio" in given else f"session.{next(iter(given))}")


def test_what_is_in_force() -> None:
    """An update is merged and told whole; flags of answers are taken and not told."""
    stage = SimulatorHarness("", kind="transcription")
    detection = {"type": "server_vad", "silence_duration_ms": 400, "create_response": True}
    (updated,) = update(stage, transcription={"model": "gpt-4o-transcribe", "language": "en"}, turn_detection=detection)
    assert updated["session"]["audio"]["input"]["transcription"] == {
        "model": "gpt-4o-transcribe", "language": "en", "prompt": None,
    }  # fmt: skip
    assert updated["session"]["audio"]["input"]["turn_detection"] == {
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 400,
    }  # fmt: skip
    (updated,) = update(stage, turn_detection={"type": "semantic_vad"})
    assert updated["session"]["audio"]["input"]["turn_detection"] == {"type": "semantic_vad", "eagerness": "auto"}


@pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-live-transcribe"])
def test_streaming_models_take_no_turns_by_themselves(model: str) -> None:
    """With turn detection they are refused, and nothing has changed."""
    stage = SimulatorHarness("", kind="transcription")
    (error,) = errors(update(stage, transcription={"model": model}))
    assert error == ("invalid_value", "session.audio.input.turn_detection")
    assert stage.session.config.session["audio"]["input"]["transcription"] is None
    assert errors(update(stage, transcription={"model": model}, turn_detection=None)) == []


@pytest.mark.parametrize("type_", ["response.create", "response.cancel"])
def test_nobody_answers(type_: str) -> None:
    """Responses are refused, and no turn has one."""
    stage = session()
    assert len(errors(stage.send(type_))) == 1
    assert not [event for event in turn(stage) if event["type"].startswith("response.")]


def test_turns_by_voice_activity() -> None:
    """Found in the sound, committed, written down, and that is all."""
    stage = session(turn_detection={"type": "server_vad"})
    events = stage.hear(utterance("The meeting is moved to Tuesday.") + silence(600)) + stage.run(20)
    assert types(events) == [*SPEECH, *COMMITTED, DELTA, COMPLETED]
    assert text(events) == only(events, COMPLETED)["transcript"] == stage.heard


def test_without_a_model_nothing_is_written() -> None:
    """Turns are committed all the same."""
    stage = SimulatorHarness("", kind="transcription")
    update(stage, turn_detection=None)
    assert types(turn(stage)) == COMMITTED


def test_items_are_kept() -> None:
    """They can be fetched and deleted as in other sessions."""
    stage = session()
    item_id = only(turn(stage), "input_audio_buffer.committed")["item_id"]
    assert only(stage.send("conversation.item.retrieve", item_id=item_id), "conversation.item.retrieved")
    assert types(stage.send("conversation.item.delete", item_id=item_id)) == ["conversation.item.deleted"]
    assert types(stage.send("conversation.item.create", item=user("Hello."))) == COMMITTED[1:]


@pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-live-transcribe"])
def test_written_while_it_is_said(model: str) -> None:
    """What two hearings agree on comes before the turn is committed, for the item it will be; the deltas are the whole."""
    stage = session(model)
    events = turn(stage)
    assert types(events) == [DELTA, *COMMITTED, DELTA, COMPLETED]
    assert {event["item_id"] for event in events if "transcription" in event["type"]} == {stage.order[0]}
    completed = only(events, COMPLETED)
    assert completed["transcript"] == stage.heard
    assert text(events) == (" " if model == "gpt-realtime-whisper" else "") + completed["transcript"]


def test_how_eagerly_it_is_written() -> None:
    """With less delay the first words come sooner."""
    first = {}
    for delay in ("minimal", "xhigh"):
        stage = session("gpt-realtime-whisper")
        update(stage, transcription={"model": "gpt-realtime-whisper", "delay": delay})
        stage.hear(silence(5000))
        first[delay] = next(index for index, event in enumerate(stage.events) if event["type"] == DELTA), stage.hearings
    assert len(first["minimal"][1]) > 2 * len(first["xhigh"][1])


def test_what_was_told_stays() -> None:
    """The end of a sentence may be heard otherwise, its beginning is not taken back."""
    stage = session("gpt-live-transcribe", heard="What is")
    stage.hear(silence(2000))
    stage.heard = "That is my name."
    events = stage.send("input_audio_buffer.commit") + stage.run(5)
    assert text(stage.events) == only(events, COMPLETED)["transcript"] == "What is my name."


@pytest.mark.parametrize(("heard", "written"), [("(3.0 s of speech)", "What is"), ("What is it?", "What is it?")])
def test_how_a_sentence_goes_on(heard: str, written: str) -> None:
    """When nothing can be made of it in the end, what was told is all there is."""
    stage = session("gpt-live-transcribe", heard="What is")
    stage.hear(silence(2000))
    stage.heard = heard
    stage.send("input_audio_buffer.commit")
    assert only(stage.run(5), COMPLETED)["transcript"] == written


def test_speech_that_is_not_understood_waits() -> None:
    """Its length is told when it is over."""
    events = turn(session("gpt-live-transcribe", heard=None))
    assert types(events) == [*COMMITTED, DELTA, COMPLETED]
    assert only(events, COMPLETED)["transcript"] == "(3.0 s of speech)"


def test_a_turn_that_is_cleared_is_not_written_on() -> None:
    """The next one begins afresh, as another item."""
    stage = session("gpt-live-transcribe")
    stage.hear(silence(2000))
    told = {event["item_id"] for event in stage.all(DELTA)}
    stage.send("input_audio_buffer.clear")
    events = turn(stage)
    assert text(events) == stage.heard
    assert told.isdisjoint(event["item_id"] for event in events if event["type"] == DELTA)


def test_an_update_does_not_break_a_turn() -> None:
    """A setting that changes while somebody speaks leaves the item its id."""
    stage = session("gpt-live-transcribe")
    stage.hear(silence(2000))
    update(stage, noise_reduction={"type": "near_field"})
    turn(stage)
    assert {event["item_id"] for event in stage.all(DELTA)} == set(stage.order)


def test_speakers_are_told_apart() -> None:
    """Each sentence is a segment with its time, in order, within the turn."""
    stage = session("gpt-4o-transcribe-diarize", heard="Good morning. How are you?")
    events = turn(stage)
    assert types(events) == [*COMMITTED, DELTA, SEGMENT, COMPLETED]
    first, second = (event for event in events if event["type"] == SEGMENT)
    assert (first["text"], second["text"], first["speaker"]) == ("Good morning.", "How are you?", "A")
    assert 0 == first["start"] < first["end"] < second["start"] < second["end"] == 3.0
    assert first["id"] != second["id"]


def test_it_can_be_made_to_fail() -> None:
    """A prompt that asks for it makes what was said unintelligible; no error event comes."""
    stage = session()
    update(stage, transcription={"model": "gpt-4o-transcribe", "prompt": "Please fail."})
    events = turn(stage)
    assert types(events) == [*COMMITTED, FAILED]
    error = only(events, FAILED)["error"]
    assert (error["type"], error["code"]) == ("transcription_error", "audio_unintelligible")


@pytest.mark.parametrize("ears", ["auto", "off"])
async def test_over_the_wire(ears: Literal["auto", "off"]) -> None:
    """A client that connects for transcription has its speech written down, where ears there are and where there are none."""
    spoken = utterance("What is the weather in Lisbon?") + silence(600)
    async with SimulatorServer(port=0, options=SimulatorOptions(ears=ears)) as simulator:
        async with connect(f"{simulator.url}?intent=transcription", compression=None) as client, asyncio.timeout(PATIENCE):
            setting = {"transcription": {"model": "gpt-realtime-whisper"}, "turn_detection": None}
            frames = [{"type": "session.update", "session": {"type": "transcription", "audio": {"input": setting}}}]
            frames += [{"type": "input_audio_buffer.append", "audio": encoded(chunk)} for chunk in chunks(spoken, 9600)]
            for frame in [*frames, {"type": "input_audio_buffer.commit"}]:
                await client.send(json.dumps(frame))
            events: list[Event] = []
            while not events or events[-1]["type"] != COMPLETED:
                events.append(json.loads(await client.recv()))
                check(events[-1])
    assert events[0]["session"]["type"] == "transcription"
    assert text(events).strip() == events[-1]["transcript"]
    assert ("s of speech" in events[-1]["transcript"]) >= (ears == "off")
