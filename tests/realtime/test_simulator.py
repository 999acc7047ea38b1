"""The simulator as a whole: in twelve situations its events come in the same order as the API's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pytest

from tests.realtime.simulator.harness import (
    AUDIO_CLOSED,
    CLOSED,
    COMMITTED,
    ENDED,
    GET_WEATHER,
    ITEM,
    OPENED,
    TEXT_ANSWER,
    Event,
    SimulatorHarness,
    done,
    errors,
    silence,
    spoken_words,
    utterance,
)
from tests.realtime.simulator.watch import watched

CREATED, UPDATED = "session.created", "session.updated"
SPEECH = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"]
WRITTEN = "conversation.item.input_audio_transcription"
SPOKEN = ["response.output_audio_transcript.delta", "response.output_audio.delta"]
AUDIO_ANSWER = [*OPENED, *SPOKEN, *AUDIO_CLOSED, *ENDED]
AMIDST = ("error", "output_audio_buffer.started")
"""What may come while an answer streams, and does not end it."""
TEXT = {"output_modalities": ["text"]}


@pytest.fixture(autouse=True)
def orderly(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each session also keeps the API's other rules, but where the sound is not among its events they cannot be read."""
    if "webrtc" in request.node.name:
        yield
        return
    with watched():
        yield


def order(events: Iterable[Event]) -> list[str]:
    """Their types; of deltas that are streamed side by side each counts once, whatever comes between them, and what is
    written down, which runs beside all else, does not count."""
    found: list[str] = []
    streamed: set[str] = set()
    for event in events:
        type_ = event["type"]
        if type_.startswith(WRITTEN) or type_ in streamed:
            continue
        if type_.endswith(".delta"):
            streamed.add(type_)
        elif type_ not in AMIDST:
            streamed.clear()
        found.append(type_)
    return found


def written(events: Iterable[Event]) -> list[str]:
    """How what was said is written down."""
    found: list[str] = []
    for event in events:
        type_ = event["type"]
        if type_.startswith(WRITTEN) and type_ not in found[-1:]:
            found.append(type_)
    return found


def say(stage: SimulatorHarness, text: str) -> list[Event]:
    """Somebody says this and falls silent."""
    return stage.hear(utterance(text) + silence(1000))


def test_01_a_text_turn() -> None:
    """Two questions and their written answers."""
    stage = SimulatorHarness("gpt-realtime-2.1")
    stage.update(**TEXT)
    stage.ask("Hello.")
    stage.ask("Thank you.")
    assert order(stage.events) == [CREATED, UPDATED, *ITEM, *TEXT_ANSWER, *ITEM, *TEXT_ANSWER]


def test_02_a_manual_audio_turn() -> None:
    """A turn that is committed by hand, written down and answered."""
    stage = SimulatorHarness(heard="What time is it?")
    stage.update(audio={"input": {"turn_detection": None, "transcription": {"model": "gpt-4o-mini-transcribe"}}})
    stage.hear(silence(2000))
    stage.send("input_audio_buffer.commit")
    stage.respond()
    assert order(stage.events) == [CREATED, UPDATED, *COMMITTED, *AUDIO_ANSWER]
    assert written(stage.events) == [f"{WRITTEN}.delta", f"{WRITTEN}.completed"]


def test_03_a_turn_by_voice_activity() -> None:
    """A turn that is found in the sound, written down while it is being spoken, and answered."""
    stage = SimulatorHarness("gpt-realtime-2.1", heard="What time is it?")
    stage.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    say(stage, "What time is it, if I may ask you this?")
    stage.run(10)
    assert order(stage.events) == [CREATED, UPDATED, *SPEECH, *COMMITTED, *AUDIO_ANSWER]
    assert written(stage.events) == [f"{WRITTEN}.delta", f"{WRITTEN}.completed"]
    types = [event["type"] for event in stage.events]
    assert types.index(f"{WRITTEN}.delta") < types.index(SPEECH[1])


def test_04_an_interruption() -> None:
    """A long answer that is interrupted, cut to what was heard, and followed by another."""
    stage = SimulatorHarness(heard="Tell me a long story.")
    say(stage, "Tell me a long story.")
    stage.run(1)
    stage.heard = "Stop."
    spoken = utterance("Stop, please, that is enough now.")
    half = len(spoken) // 4 * 2
    stage.hear(spoken[:half])
    item_id = done(stage.events)["output"][0]["id"]
    stage.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=500)
    stage.hear(spoken[half:] + silence(600))
    stage.run(10)
    assert order(stage.events) == [
        CREATED, *SPEECH, *COMMITTED, *OPENED, *SPOKEN,
        SPEECH[0], *AUDIO_CLOSED, *ENDED, "conversation.item.truncated", SPEECH[1], *COMMITTED, *AUDIO_ANSWER,
    ]  # fmt: skip
    ends = [(event["response"]["status"], event["response"]["status_details"]) for event in stage.all("response.done")]
    assert ends == [("cancelled", {"type": "cancelled", "reason": "turn_detected"}), ("completed", None)]


def test_05_cancel_and_truncate_by_hand() -> None:
    """An answer that is cancelled and cut; what cannot be cancelled again; an item that is deleted."""
    stage = SimulatorHarness()
    stage.update(audio={"input": {"turn_detection": None}})
    stage.write("Tell me a long story.")
    stage.send("response.create")
    stage.run(1)
    stage.send("response.cancel")
    stage.run(1)
    item_id = done(stage.events)["output"][0]["id"]
    stage.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=300)
    stage.send("response.cancel")
    stage.send("conversation.item.delete", item_id=item_id)
    assert order(stage.events) == [
        CREATED, UPDATED, *ITEM, *OPENED, *SPOKEN, *AUDIO_CLOSED, *ENDED,
        "conversation.item.truncated", "error", "conversation.item.deleted",
    ]  # fmt: skip


def test_06_a_function_call() -> None:
    """Words before a call, the call, its output, and the answer."""
    stage = SimulatorHarness("gpt-realtime-2.1")
    stage.update(**TEXT, tools=[GET_WEATHER])
    events = stage.ask("What is the weather in Lisbon?")
    call = done(events)["output"][1]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"temperature": {"value": 20}}'}
    stage.send("conversation.item.create", item=output)
    stage.respond()
    assert order(stage.events) == [
        CREATED, UPDATED, *ITEM, *OPENED, "response.output_text.delta",
        "response.output_item.added", "conversation.item.added", "response.function_call_arguments.delta",
        "response.output_text.done", *CLOSED,
        "response.function_call_arguments.done", "conversation.item.done", "response.output_item.done",
        *ENDED, *ITEM, *TEXT_ANSWER,
    ]  # fmt: skip


def test_07_a_response_out_of_band() -> None:
    """Beside the conversation, an answer leaves no items in it."""
    stage = SimulatorHarness()
    stage.write("Hello.")
    stage.respond(conversation="none", metadata={"topic": "mood"}, **TEXT)
    stage.respond(**TEXT)
    apart = [type_ for type_ in TEXT_ANSWER if not type_.startswith("conversation.item")]
    assert order(stage.events) == [CREATED, *ITEM, *apart, *TEXT_ANSWER]


def test_08_a_transcription_session() -> None:
    """Turns are written down, or not when that fails, and never answered."""
    stage = SimulatorHarness("", heard="Meeting moved to Tuesday.", kind="transcription")
    setting = {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": {"type": "server_vad"}}
    stage.send("session.update", session={"type": "transcription", "audio": {"input": setting}})
    say(stage, "Meeting moved to Tuesday.")
    stage.run(2)
    stage.broken = "The ears hurt."
    say(stage, "And one more thing.")
    stage.run(2)
    assert order(stage.events) == [CREATED, UPDATED, *SPEECH, *COMMITTED, *SPEECH, *COMMITTED]
    assert written(stage.events) == [f"{WRITTEN}.delta", f"{WRITTEN}.completed", f"{WRITTEN}.failed"]
    assert [event["type"] for event in stage.events].index(f"{WRITTEN}.delta") == len([CREATED, UPDATED, *SPEECH, *COMMITTED])


def test_09_errors() -> None:
    """What is refused, what fails, and the end of a session's time."""
    stage = SimulatorHarness(session_seconds=600)
    stage.send("nope")
    stage.send("session.update", session={})
    stage.send("input_audio_buffer.commit")
    stage.send("conversation.item.delete", item_id="item_does_not_exist")
    stage.write("Spell simulator.")
    stage.send("response.create")
    stage.run(until="response.output_audio.delta")
    stage.send("response.create")
    stage.run(until="rate_limits.updated")
    stage.update(audio={"output": {"voice": "cedar"}})
    item_id = done(stage.events)["output"][0]["id"]
    stage.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=90_000)
    stage.send("response.create", response={"metadata": {"simulator": "insufficient_quota"}})
    stage.run(700)
    assert order(stage.events) == [
        CREATED, "error", "error", "error", "error", *ITEM, *OPENED, *SPOKEN, "error",
        *AUDIO_CLOSED, *ENDED, "error", "error", "response.created", "response.done", "error",
    ]  # fmt: skip
    assert [code for code, _ in errors(stage.events)] == [
        "invalid_value", "missing_required_parameter", "input_audio_buffer_commit_empty", "item_delete_invalid_item_id",
        "conversation_already_has_active_response", "cannot_update_voice", "invalid_value", "session_expired",
    ]  # fmt: skip


def test_10_playback_over_webrtc() -> None:
    """Where sound travels beside the events, its playback is told: begun, ended, or cleared and cut."""
    stage = SimulatorHarness(media="webrtc")
    stage.ask("Hello.")
    stage.run(60)
    stage.write("Tell me a long story.")
    stage.send("response.create")
    stage.run(2)
    stage.send("response.cancel")
    stage.send("output_audio_buffer.clear")
    stage.run(5)
    told = [SPOKEN[0], "output_audio_buffer.started"]
    assert order(stage.events) == [
        CREATED, *ITEM, *OPENED, *told, *AUDIO_CLOSED, *ENDED, "output_audio_buffer.stopped",
        *ITEM, *OPENED, *told, *AUDIO_CLOSED, *ENDED, "output_audio_buffer.cleared", "conversation.item.truncated",
    ]  # fmt: skip
    assert errors(stage.events) == []


def test_11_an_idle_timeout() -> None:
    """Nobody speaks after an answer: the silence becomes a turn, and is answered."""
    stage = SimulatorHarness()
    stage.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}}})
    stage.ask("Hello.")
    while not stage.all("input_audio_buffer.timeout_triggered"):
        stage.hear(silence(500))
    stage.run(10)
    assert order(stage.events) == [
        CREATED, UPDATED, *ITEM, *AUDIO_ANSWER, "input_audio_buffer.timeout_triggered", *COMMITTED, *AUDIO_ANSWER,
    ]  # fmt: skip


def test_12_an_mcp_server_and_its_approval() -> None:
    """A server's tools are listed, one is wanted, allowed and called, and its result is told when asked for."""
    stage = SimulatorHarness("gpt-realtime-2.1")
    server = {"type": "mcp", "server_label": "dice", "server_url": "simulator://dice", "require_approval": "always"}
    stage.update(**TEXT, tools=[server])
    stage.run(1)
    events = stage.ask("Roll 2d6")
    response = {"type": "mcp_approval_response", "approval_request_id": done(events)["output"][0]["id"], "approve": True}
    stage.send("conversation.item.create", item={"id": "appr_local_1", **response})
    stage.respond()
    stage.run(1)
    told = stage.respond()
    assert order(stage.events) == [
        CREATED, UPDATED,
        "conversation.item.added", "mcp_list_tools.in_progress", "mcp_list_tools.completed", "conversation.item.done",
        *ITEM, "response.created", "response.output_item.added", *ITEM, "response.output_item.done", *ENDED,
        *ITEM, "response.created", "response.output_item.added", "conversation.item.added",
        "response.mcp_call_arguments.delta", "response.mcp_call_arguments.done", "response.mcp_call.in_progress",
        "response.output_item.done", *ENDED, "conversation.item.done", "response.mcp_call.completed", *TEXT_ANSWER,
    ]  # fmt: skip
    assert re.fullmatch(r"You rolled (?:[2-9]|1[0-2])\.", spoken_words(told))
