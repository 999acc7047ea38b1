"""A beta client at an API that speaks GA: in the twelve situations it is told what the beta's documentation promises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args

from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import Field, TypeAdapter

from realtime.events import parse
from realtime.passage import Passage
from tests.realtime.simulator.harness import (
    GET_WEATHER,
    Event,
    SimulatorHarness,
    done,
    errors,
    silence,
    spoken_words,
    utterance,
)
from tests.realtime.test_simulator import WRITTEN, order, say, written

BETA_EVENT: TypeAdapter[Any] = TypeAdapter(
    Annotated[get_args(RealtimeServerEvent)[0], Field(discriminator="type")]  # type: ignore[misc]
)
"""The beta's server events as its makers published them, by ``type``."""
UNTYPED = ("transcription_session.created", "input_audio_buffer.timeout_triggered")
"""What the makers' types leave out: the first frame of a transcription session, and what is newer than the beta."""
UNWRITTEN = {"model": "gpt-realtime", "client_secret": {"value": "", "expires_at": 0}}
"""What the types want of every session: one of the models of that time, and a secret, of which they say that it is "only
present when the session is created on the server via REST API"."""
STARTED = ["session.created", "conversation.created"]
UPDATED = "session.updated"
ITEM = "conversation.item.created"
SPEECH = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"]
COMMITTED = ["input_audio_buffer.committed", ITEM]
OPENED = ["response.created", "response.output_item.added", ITEM, "response.content_part.added"]
CLOSED = ["response.content_part.done", "response.output_item.done"]
ENDED = ["response.done", "rate_limits.updated"]
TEXT_ANSWER = [*OPENED, "response.text.delta", "response.text.done", *CLOSED, *ENDED]
SPOKEN = ["response.audio_transcript.delta", "response.audio.delta"]
AUDIO_CLOSED = ["response.audio.done", "response.audio_transcript.done", *CLOSED]
AUDIO_ANSWER = [*OPENED, *SPOKEN, *AUDIO_CLOSED, *ENDED]
FLAT = {
    "id", "object", "model", "modalities", "instructions", "voice", "speed", "input_audio_format", "output_audio_format",
    "input_audio_transcription", "input_audio_noise_reduction", "turn_detection", "tools", "tool_choice",
    "max_response_output_tokens", "tracing", "temperature",
}  # fmt: skip
"""What a beta client may read in its session."""


class BetaStage(SimulatorHarness):
    """A session with the relay's passage in between: what is sent and told is the beta's."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.passage = Passage("beta", "ga")
        self.ga: list[Event] = []
        """What the API said."""
        super().__init__(*arguments, **options)

    def update(self, **session: Any) -> list[Event]:
        """A ``session.update`` as the beta had it, flat."""
        return self.send("session.update", session=session)

    def send_raw(self, raw: str) -> list[Event]:
        """One frame of the client."""
        passed = self.passage.from_client(parse(raw))
        return [event for frame in passed.frames for event in super(BetaStage, self).send_raw(frame)]

    def _collect(self) -> list[Event]:
        before = len(self.events)
        super()._collect()
        new = self.events[before:]
        del self.events[before:]
        self.ga += new
        told = [json.loads(raw) for event in new for raw in self.passage.from_api(parse(json.dumps(event))).frames]
        for event in told:
            check(event)
        self.events += told
        return told


def check(event: Event) -> None:
    """What is true of every event a beta client is told: the makers' type fits, and nothing of GA's names is in it."""
    if "mcp" not in json.dumps(event) and event["type"] not in UNTYPED:
        BETA_EVENT.validate_python({**event, "session": {**event["session"], **UNWRITTEN}} if "session" in event else event)
    names = set(keys(event))
    assert not names & {"output_modalities", "max_output_tokens"} or "response" in event
    assert not names & {"output_modalities"}
    assert not [part for part in parts(event) if str(part.get("type", "")).startswith("output_")]
    if "session" in event:
        assert "audio" not in event["session"]
        assert "type" not in event["session"]
        if event["type"].startswith("session."):
            assert set(event["session"]) >= FLAT
    if "response" in event:
        assert "audio" not in event["response"]
        assert event["response"]["object"] == "realtime.response"
    for item in items(event):
        assert item["object"] == "realtime.item"


def keys(value: Any) -> Iterator[str]:
    """The names of every object in it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            if name != "parameters":
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def items(event: Event) -> list[Event]:
    """The items an event tells."""
    told = [event["item"]] if isinstance(event.get("item"), dict) else []
    return told + event.get("response", {}).get("output", [])


def parts(event: Event) -> list[Event]:
    """The parts of content an event tells."""
    told = [event["part"]] if isinstance(event.get("part"), dict) else []
    return told + [part for item in items(event) for part in item.get("content", []) or []]


def test_01_a_text_turn() -> None:
    """Two questions and their written answers."""
    stage = BetaStage()
    stage.update(modalities=["text"], temperature=0.7, instructions="Be brief.", max_response_output_tokens=200)
    assert stage.events[-1]["session"]["modalities"] == ["text"]
    assert stage.events[-1]["session"]["max_response_output_tokens"] == 200
    stage.ask("Hello.")
    stage.ask("Thank you.")
    assert order(stage.events) == [*STARTED, UPDATED, ITEM, *TEXT_ANSWER, ITEM, *TEXT_ANSWER]
    assert any("temperature 0.7" in sentence for _, sentence, _ in stage.passage.notes_to_tell())
    answer = stage.all("response.done")[-1]["response"]
    assert answer["output"][0]["content"][0]["type"] == "text"
    assert "".join(event["delta"] for event in stage.all("response.text.delta")).endswith(answer["output"][0]["content"][0]["text"])


def test_02_a_manual_audio_turn() -> None:
    """A turn that is committed by hand, written down and answered."""
    stage = BetaStage(heard="What time is it?")
    stage.update(turn_detection=None, input_audio_transcription={"model": "whisper-1"}, input_audio_format="pcm16", voice="ash")
    session = stage.events[-1]["session"]
    assert (session["turn_detection"], session["voice"], session["input_audio_format"]) == (None, "ash", "pcm16")
    stage.hear(silence(2000))
    stage.send("input_audio_buffer.commit")
    stage.respond(modalities=["text", "audio"])
    assert order(stage.events) == [*STARTED, UPDATED, *COMMITTED, *AUDIO_ANSWER]
    assert written(stage.events)[-1] == f"{WRITTEN}.completed"
    response = stage.all("response.done")[0]["response"]
    assert (response["modalities"], response["voice"], response["output_audio_format"]) == (["text", "audio"], "ash", "pcm16")
    assert response["output"][0]["content"][0]["type"] == "audio"


def test_03_a_turn_by_voice_activity() -> None:
    """A turn that is found in the sound, written down, and answered."""
    stage = BetaStage(heard="What time is it?")
    stage.update(input_audio_transcription={"model": "gpt-4o-transcribe"}, turn_detection={"type": "server_vad"})
    say(stage, "What time is it, if I may ask you this?")
    stage.run(10)
    assert order(stage.events) == [*STARTED, UPDATED, *SPEECH, *COMMITTED, *AUDIO_ANSWER]
    assert written(stage.events) == [f"{WRITTEN}.delta", f"{WRITTEN}.completed"]


def test_04_an_interruption() -> None:
    """A long answer that is interrupted, cut to what was heard, and followed by another."""
    stage = BetaStage(heard="Tell me a long story.")
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
        *STARTED, *SPEECH, *COMMITTED, *OPENED, *SPOKEN,
        SPEECH[0], *AUDIO_CLOSED, *ENDED, "conversation.item.truncated", SPEECH[1], *COMMITTED, *AUDIO_ANSWER,
    ]  # fmt: skip
    ends = [(event["response"]["status"], event["response"]["status_details"]) for event in stage.all("response.done")]
    assert ends == [("cancelled", {"type": "cancelled", "reason": "turn_detected"}), ("completed", None)]


def test_05_cancel_and_truncate_by_hand() -> None:
    """An answer that is cancelled and cut; what cannot be cancelled again; an item that is deleted."""
    stage = BetaStage()
    stage.update(turn_detection=None)
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
        *STARTED, UPDATED, ITEM, *OPENED, *SPOKEN, *AUDIO_CLOSED, *ENDED,
        "conversation.item.truncated", "error", "conversation.item.deleted",
    ]  # fmt: skip


def test_06_a_function_call() -> None:
    """Words before a call, the call, its output, and the answer."""
    stage = BetaStage("gpt-realtime-2.1")
    stage.update(modalities=["text"], tools=[GET_WEATHER], tool_choice="auto")
    events = stage.ask("What is the weather in Lisbon?")
    call = done(events)["output"][1]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"temperature": {"value": 20}}'}
    stage.send("conversation.item.create", item=output)
    stage.respond()
    assert order(stage.events) == [
        *STARTED, UPDATED, ITEM, *OPENED, "response.text.delta",
        "response.output_item.added", ITEM, "response.function_call_arguments.delta",
        "response.text.done", *CLOSED, "response.function_call_arguments.done", "response.output_item.done",
        *ENDED, ITEM, *TEXT_ANSWER,
    ]  # fmt: skip


def test_07_a_response_out_of_band() -> None:
    """Beside the conversation, an answer leaves no items in it; a said answer of the assistant's can be given as input."""
    stage = BetaStage()
    stage.write("Hello.")
    said = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Good day."}]}
    stage.respond(conversation="none", metadata={"topic": "mood"}, modalities=["text"], input=[said])
    stage.respond(modalities=["text"])
    apart = [type_ for type_ in TEXT_ANSWER if type_ != ITEM]
    assert order(stage.events) == [*STARTED, ITEM, *apart, *TEXT_ANSWER]
    assert errors(stage.events) == []


def test_08_a_transcription_session() -> None:
    """Turns are written down, or not when that fails, and never answered; the events have the beta's own names."""
    stage = BetaStage("", heard="Meeting moved to Tuesday.", kind="transcription")
    setting = {"input_audio_transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": {"type": "server_vad"}}
    stage.send("transcription_session.update", session=setting)
    say(stage, "Meeting moved to Tuesday.")
    stage.run(2)
    stage.broken = "The ears hurt."
    say(stage, "And one more thing.")
    stage.run(2)
    session = [f"transcription_session.{word}" for word in ("created", "updated")]
    assert order(stage.events) == [*session, *SPEECH, *COMMITTED, *SPEECH, *COMMITTED]
    assert written(stage.events) == [f"{WRITTEN}.delta", f"{WRITTEN}.completed", f"{WRITTEN}.failed"]
    assert stage.all(session[1])[0]["session"]["input_audio_transcription"]["model"] == "gpt-4o-transcribe"


def test_09_errors() -> None:
    """What is refused, what fails, and the end of a session's time; a setting is named as the beta names it."""
    stage = BetaStage(session_seconds=600)
    stage.send("nope")
    stage.update(voice=7)
    stage.send("input_audio_buffer.commit")
    stage.send("conversation.item.delete", item_id="item_does_not_exist")
    stage.write("Spell simulator.")
    stage.send("response.create")
    stage.run(until="response.audio.delta")
    stage.send("response.create")
    stage.run(until="rate_limits.updated")
    stage.update(voice="cedar")
    item_id = done(stage.events)["output"][0]["id"]
    stage.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=90_000)
    stage.send("response.create", response={"metadata": {"simulator": "insufficient_quota"}})
    stage.run(700)
    assert order(stage.events) == [
        *STARTED, "error", "error", "error", "error", ITEM, *OPENED, *SPOKEN, "error",
        *AUDIO_CLOSED, *ENDED, "error", "error", "response.created", "response.done", "error",
    ]  # fmt: skip
    told = errors(stage.events)
    assert [code for code, _ in told] == [
        "invalid_value", "invalid_type", "input_audio_buffer_commit_empty", "item_delete_invalid_item_id",
        "conversation_already_has_active_response", "cannot_update_voice", "invalid_value", "session_expired",
    ]  # fmt: skip
    assert told[1][1] == "session.voice"
    assert not [param for _, param in told if param and "audio." in param]


def test_10_playback_over_webrtc() -> None:
    """Where sound travels beside the events, its playback is told: begun, ended, or cleared and cut."""
    stage = BetaStage(media="webrtc")
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
        *STARTED, ITEM, *OPENED, *told, *AUDIO_CLOSED, *ENDED, "output_audio_buffer.stopped",
        ITEM, *OPENED, *told, *AUDIO_CLOSED, *ENDED, "output_audio_buffer.cleared", "conversation.item.truncated",
    ]  # fmt: skip


def test_11_an_idle_timeout() -> None:
    """What is newer than the beta passes to a client that has asked for it: the silence becomes a turn."""
    stage = BetaStage()
    stage.update(turn_detection={"type": "server_vad", "idle_timeout_ms": 6000})
    stage.ask("Hello.")
    while not stage.all("input_audio_buffer.timeout_triggered"):
        stage.hear(silence(500))
    stage.run(10)
    assert order(stage.events) == [
        *STARTED, UPDATED, ITEM, *AUDIO_ANSWER, "input_audio_buffer.timeout_triggered", *COMMITTED, *AUDIO_ANSWER,
    ]  # fmt: skip


def test_12_an_mcp_server_and_its_approval() -> None:
    """So do MCP servers, which the beta never had: their items are told once, as all of its items are."""
    stage = BetaStage("gpt-realtime-2.1")
    server = {"type": "mcp", "server_label": "dice", "server_url": "simulator://dice", "require_approval": "always"}
    stage.update(modalities=["text"], tools=[server])
    stage.run(1)
    events = stage.ask("Roll 2d6")
    response = {"type": "mcp_approval_response", "approval_request_id": done(events)["output"][0]["id"], "approve": True}
    stage.send("conversation.item.create", item={"id": "appr_local_1", **response})
    stage.respond()
    stage.run(1)
    told = stage.respond()
    assert order(stage.events) == [
        *STARTED, UPDATED, ITEM, "mcp_list_tools.in_progress", "mcp_list_tools.completed",
        ITEM, "response.created", "response.output_item.added", ITEM, "response.output_item.done", *ENDED,
        ITEM, "response.created", "response.output_item.added", ITEM,
        "response.mcp_call_arguments.delta", "response.mcp_call_arguments.done", "response.mcp_call.in_progress",
        "response.output_item.done", *ENDED, "response.mcp_call.completed", *TEXT_ANSWER,
    ]  # fmt: skip
    assert re.fullmatch(r"You rolled (?:[2-9]|1[0-2])\.", spoken_words(told))
