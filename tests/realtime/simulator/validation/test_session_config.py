"""The session's settings: a deep merge of what is named, everything or nothing, each mistake with its code and place."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from realtime.simulator.validation.session_config import INSTRUCTIONS, SessionConfig, reasons
from tests.realtime.simulator.harness import GET_WEATHER, SimulatorHarness, done, errors, only, types


def settings_of(stage: SimulatorHarness) -> dict[str, Any]:
    """The settings in force, as last told."""
    told = [event for event in stage.events if event["type"] in ("session.created", "session.updated")]
    session: dict[str, Any] = told[-1]["session"]
    return session


def with_input(**fields: Any) -> dict[str, Any]:
    """Settings of the sound that is heard."""
    return {"audio": {"input": fields}}


def with_output(**fields: Any) -> dict[str, Any]:
    """Settings of the sound that is spoken."""
    return {"audio": {"output": fields}}


def detection(**fields: Any) -> dict[str, Any]:
    """Settings of turn detection."""
    return with_input(turn_detection={"type": "server_vad", **fields})


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-realtime-2", True),
        ("gpt-realtime-2.1", True),
        ("gpt-realtime-2.1-mini", True),
        ("gpt-realtime-2-2026-05-07", True),
        ("gpt-realtime", False),
        ("gpt-realtime-2025-08-28", False),
        ("gpt-realtime-1.5", False),
        ("gpt-realtime-mini-2025-10-06", False),
    ],
)
def test_the_models_that_reason(model: str, expected: bool) -> None:
    """The -2 family reasons; a date of this century in a name is no family."""
    assert reasons(model) is expected


def test_what_is_not_named_stays() -> None:
    """An update changes what it names, however deep, and answers with all settings in force."""
    stage = SimulatorHarness()
    before = settings_of(stage)
    after = only(stage.update(**detection(threshold=0.7), instructions="Be brief."), "session.updated")["session"]
    expected = copy.deepcopy(before)
    expected["instructions"] = "Be brief."
    expected["audio"]["input"]["turn_detection"]["threshold"] = 0.7
    assert after == expected
    assert list(after) == list(before)


def test_null_and_empty_clear() -> None:
    """Null turns detection off, an empty list takes the tools away, empty instructions bring the default back."""
    stage = SimulatorHarness()
    stage.update(tools=[GET_WEATHER], instructions="Be brief.", **with_input(transcription={"model": "whisper-1"}))
    stage.update(tools=[], instructions="", **with_input(turn_detection=None, transcription=None))
    now = settings_of(stage)
    assert (now["tools"], now["instructions"]) == ([], INSTRUCTIONS)
    assert (now["audio"]["input"]["turn_detection"], now["audio"]["input"]["transcription"]) == (None, None)


def test_detection_is_filled_with_the_defaults() -> None:
    """Turned on with its type alone, or changed to the other kind, detection has the model's defaults elsewhere."""
    stage = SimulatorHarness("gpt-realtime-2.1")
    stage.update(**with_input(turn_detection=None))
    stage.update(**detection(create_response=False))
    assert settings_of(stage)["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": False,
        "interrupt_response": True,
    }
    stage.update(**with_input(turn_detection={"type": "semantic_vad"}))
    assert settings_of(stage)["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }


@pytest.mark.parametrize(
    ("given", "path", "expected"),
    [
        (with_input(transcription={"model": "whisper-1"}), "input.transcription",
         {"language": None, "prompt": None, "model": "whisper-1"}),
        (with_input(noise_reduction={"type": "far_field"}), "input.noise_reduction", {"type": "far_field", "strength": 1}),
        (with_input(format={"type": "audio/pcm"}), "input.format", {"type": "audio/pcm", "rate": 24000}),
        (with_input(format={"type": "audio/pcmu"}), "input.format", {"type": "audio/pcmu"}),
        (with_output(format={"type": "audio/pcma"}), "output.format", {"type": "audio/pcma"}),
        (with_output(voice="cedar"), "output.voice", "cedar"),
        (with_output(voice={"id": "voice_1"}), "output.voice", "voice_1"),
        (with_output(speed=1), "output.speed", 1.0),
    ],
)  # fmt: skip
def test_sound_as_it_is_in_force(given: dict[str, Any], path: str, expected: Any) -> None:
    """What is left out of a setting is told with its default."""
    stage = SimulatorHarness()
    stage.update(**given)
    place, name = path.split(".")
    assert settings_of(stage)["audio"][place][name] == expected


def test_the_words_of_ranges_and_modalities() -> None:
    """A number beyond its limits is told the nearer one; modalities that do not go together are told those that do."""
    stage = SimulatorHarness()
    told = [
        only(stage.update(**given), "error")["error"]["message"]
        for given in (detection(threshold=2), {"max_output_tokens": 0}, {"output_modalities": ["audio", "text"]})
    ]
    assert told == [
        "Invalid 'session.audio.input.turn_detection.threshold': decimal above maximum value. Expected a value <= 1, but got 2 instead.",
        "Invalid 'session.max_output_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        "Invalid modalities: ['audio', 'text']. Supported combinations are: ['text'] and ['audio'].",
    ]


def test_the_merge_is_deep() -> None:
    """Transcription, formats and noise reduction keep what an update does not name, in the API's order of keys."""
    stage = SimulatorHarness()
    stage.update(**with_input(transcription={"prompt": "Names.", "model": "whisper-1"}, noise_reduction={"type": "far_field"}))
    stage.update(**with_input(transcription={"language": "de"}, noise_reduction={"strength": 0.5}, format={"rate": 24000}))
    heard = settings_of(stage)["audio"]["input"]
    assert list(heard["transcription"].items()) == [("model", "whisper-1"), ("language", "de"), ("prompt", "Names.")]
    assert heard["noise_reduction"] == {"type": "far_field", "strength": 0.5}
    assert heard["format"] == {"type": "audio/pcm", "rate": 24000}


def test_tracing_is_set_once() -> None:
    """Once enabled, tracing can be told the same, or be ended, but not be changed."""
    stage = SimulatorHarness()
    assert types(stage.update(tracing="auto") + stage.update(tracing="auto")) == ["session.updated"]
    assert errors(stage.update(tracing={"workflow_name": "w"})) == [("cannot_update_tracing", "session.tracing")]
    stage.update(tracing=None)
    assert types(stage.update(tracing={"workflow_name": "w"})) == ["session.updated"]


def test_strength_is_kept() -> None:
    """Noise reduction keeps its strength when only its type changes."""
    stage = SimulatorHarness()
    stage.update(**with_input(noise_reduction={"type": "far_field", "strength": 0.4}))
    stage.update(**with_input(noise_reduction={"type": "near_field"}))
    assert settings_of(stage)["audio"]["input"]["noise_reduction"] == {"type": "near_field", "strength": 0.4}


ACCEPTED: list[dict[str, Any]] = [
    {"model": "gpt-realtime-1.5"},
    {"output_modalities": ["text"]},
    {"tool_choice": "required"},
    {"tool_choice": {"type": "function", "name": "f"}},
    {"tool_choice": {"type": "mcp", "server_label": "s"}},
    {"parallel_tool_calls": False},
    {"max_output_tokens": 1},
    {"max_output_tokens": 4096},
    {"tracing": "auto"},
    {"tracing": {"workflow_name": "w"}},
    {"truncation": "disabled"},
    {"truncation": {"type": "retention_ratio", "retention_ratio": 0.5, "token_limits": {"post_instructions": 100}}},
    {"prompt": {"id": "pmpt_1", "variables": {"name": "Ada"}}},
    {"include": ["item.input_audio_transcription.logprobs"]},
    {"tools": [{"type": "mcp", "server_label": "s", "server_url": "https://example.com/", "require_approval": "never"}]},
    with_input(transcription={"model": "gpt-transcribe", "languages": ["de"], "keywords": ["Ada"]}),
    with_input(transcription={"model": "gpt-realtime-whisper", "delay": "low"}),
    detection(idle_timeout_ms=5000, silence_duration_ms=0, prefix_padding_ms=0, threshold=1),
    with_input(turn_detection={"type": "semantic_vad", "eagerness": "high"}),
]


@pytest.mark.parametrize("given", ACCEPTED)
def test_what_is_accepted(given: dict[str, Any]) -> None:
    """Every setting of the API can be given; another model is ignored without a word."""
    stage = SimulatorHarness()
    assert types(stage.update(**given))[0] == "session.updated"
    assert settings_of(stage)["model"] == "gpt-realtime"


UNKNOWN, MISSING, TYPE, VALUE = "unknown_parameter", "missing_required_parameter", "invalid_type", "invalid_value"
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"foo": 1}, UNKNOWN, "session.foo"),
    ({"temperature": 0.8}, UNKNOWN, "session.temperature"),
    ({"voice": "marin"}, UNKNOWN, "session.voice"),
    ({"audio": {"foo": 1}}, UNKNOWN, "session.audio.foo"),
    (with_input(foo=1), UNKNOWN, "session.audio.input.foo"),
    (detection(foo=1), UNKNOWN, "session.audio.input.turn_detection.foo"),
    (detection(eagerness="low"), UNKNOWN, "session.audio.input.turn_detection.eagerness"),
    ({"tools": [{"type": "function", "name": "f", "strict": True}]}, UNKNOWN, "session.tools[0].strict"),
    ({"id": "sess_1"}, UNKNOWN, "session.id"),
    ({"expires_at": 1}, UNKNOWN, "session.expires_at"),
    ({"model": 3}, TYPE, "session.model"),
    ({"tool_choice": 5}, TYPE, "session.tool_choice"),
    ({"output_modalities": "text"}, TYPE, "session.output_modalities"),
    ({"output_modalities": ["image"]}, VALUE, "session.output_modalities[0]"),
    ({"tools": [{}]}, MISSING, "session.tools[0].type"),
    ({"tool_choice": {"name": "f"}}, MISSING, "session.tool_choice.type"),
    (with_input(noise_reduction={}), MISSING, "session.audio.input.noise_reduction.type"),
    (with_input(transcription={"model": "gpt-transcribe", "languages": []}), "empty_array", "session.audio.input.transcription.languages"),
    ({"tools": [{"type": "function"}]}, MISSING, "session.tools[0].name"),
    ({"tools": [{"type": "mcp"}]}, MISSING, "session.tools[0].server_label"),
    ({"tool_choice": {"type": "function"}}, MISSING, "session.tool_choice.name"),
    ({"prompt": {}}, MISSING, "session.prompt.id"),
    (with_input(transcription={}), MISSING, "session.audio.input.transcription.model"),
    (with_output(voice={}), MISSING, "session.audio.output.voice.id"),
    ({"truncation": {"type": "retention_ratio"}}, MISSING, "session.truncation.retention_ratio"),
    ({"instructions": None}, TYPE, "session.instructions"),
    ({"instructions": 7}, TYPE, "session.instructions"),
    ({"audio": None}, TYPE, "session.audio"),
    ({"tools": {}}, TYPE, "session.tools"),
    ({"tools": ["f"]}, TYPE, "session.tools[0]"),
    ({"tools": [{"type": "function", "name": 7}]}, TYPE, "session.tools[0].name"),
    ({"tools": [{"type": "function", "name": "f", "parameters": "none"}]}, TYPE, "session.tools[0].parameters"),
    ({"tool_choice": {"type": "function", "name": []}}, TYPE, "session.tool_choice.name"),
    ({"parallel_tool_calls": "yes"}, TYPE, "session.parallel_tool_calls"),
    ({"max_output_tokens": "many"}, TYPE, "session.max_output_tokens"),
    ({"max_output_tokens": True}, TYPE, "session.max_output_tokens"),
    ({"max_output_tokens": 2.5}, TYPE, "session.max_output_tokens"),
    ({"include": "logprobs"}, TYPE, "session.include"),
    (detection(create_response="yes"), TYPE, "session.audio.input.turn_detection.create_response"),
    (detection(prefix_padding_ms=1.5), TYPE, "session.audio.input.turn_detection.prefix_padding_ms"),
    (with_output(speed="fast"), TYPE, "session.audio.output.speed"),
    ({"output_modalities": ["audio", "text"]}, VALUE, "session.output_modalities"),
    ({"output_modalities": []}, VALUE, "session.output_modalities"),
    ({"tool_choice": "sometimes"}, VALUE, "session.tool_choice"),
    ({"tool_choice": {"type": "nope"}}, VALUE, "session.tool_choice.type"),
    ({"tools": [{"type": "nope"}]}, VALUE, "session.tools[0].type"),
    ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens"),
    ({"max_output_tokens": 4097}, "integer_above_max_value", "session.max_output_tokens"),
    ({"tracing": "always"}, VALUE, "session.tracing"),
    ({"truncation": "never"}, VALUE, "session.truncation"),
    ({"truncation": {"type": "retention_ratio", "retention_ratio": 2}}, "decimal_above_max_value", "session.truncation.retention_ratio"),
    ({"include": ["nope"]}, VALUE, "session.include[0]"),
    (with_input(format={"type": "pcm16"}), VALUE, "session.audio.input.format.type"),
    (with_input(format={"type": "audio/pcm", "rate": 16000}), VALUE, "session.audio.input.format.rate"),
    (with_input(transcription={"model": "gpt-realtime"}), VALUE, "session.audio.input.transcription.model"),
    (with_input(noise_reduction={"type": "loud"}), VALUE, "session.audio.input.noise_reduction.type"),
    (with_input(turn_detection={"type": "nope"}), VALUE, "session.audio.input.turn_detection.type"),
    (detection(threshold=1.1), "decimal_above_max_value", "session.audio.input.turn_detection.threshold"),
    (detection(idle_timeout_ms=4999), "integer_below_min_value", "session.audio.input.turn_detection.idle_timeout_ms"),
    (detection(idle_timeout_ms=30001), "integer_above_max_value", "session.audio.input.turn_detection.idle_timeout_ms"),
    (with_input(turn_detection={"type": "semantic_vad", "eagerness": "x"}), VALUE, "session.audio.input.turn_detection.eagerness"),
    (with_output(voice="nobody"), VALUE, "session.audio.output.voice"),
    (with_output(speed=1.6), "decimal_above_max_value", "session.audio.output.speed"),
    (with_output(speed=0.2), "decimal_below_min_value", "session.audio.output.speed"),
]


@pytest.mark.parametrize(("given", "code", "param"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_everything_or_nothing(given: dict[str, Any], code: str, param: str) -> None:
    """A mistake has the API's code and names its place; what stood before it in the same update is not in force."""
    stage = SimulatorHarness()
    before = settings_of(stage)
    event = stage.send("session.update", session={"type": "realtime", "tracing": "auto", **given})
    assert errors(event) == [(code, param)]
    stage.update()
    assert settings_of(stage) == before


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, MISSING, "session.type"),
        ({"type": "nope"}, VALUE, "session.type"),
        ({"type": "transcription"}, None, None),
        ([], TYPE, "session"),
        (None, MISSING, "session"),
    ],
)
def test_the_kind_of_session(session: Any, code: str | None, param: str | None) -> None:
    """An update says which kind of session it is for, and that cannot change."""
    assert errors(SimulatorHarness().send("session.update", session=session)) == [(code, param)]


def test_reasoning_is_for_models_that_reason() -> None:
    """The effort of thinking can be set on the -2 family; another model refuses the whole update, without a code."""
    able, unable = SimulatorHarness("gpt-realtime-2.1"), SimulatorHarness("gpt-realtime")
    assert types(able.update(reasoning={"effort": "high"}, max_output_tokens=32_000)) == ["session.updated"]
    assert settings_of(able)["reasoning"] == {"effort": "high"}
    assert errors(able.update(reasoning={"effort": "enormous"})) == [(VALUE, "session.reasoning.effort")]
    assert errors(unable.update(instructions="Be brief.", reasoning={"effort": "high"})) == [(None, None)]
    assert settings_of(unable)["instructions"] == INSTRUCTIONS


def test_the_voice_is_locked_by_the_first_sound() -> None:
    """Until the model has made sound its voice may change, from then on only to itself; text locks nothing."""
    stage = SimulatorHarness()
    stage.ask("Hello.", output_modalities=["text"])
    assert types(stage.update(**with_output(voice="cedar"))) == ["session.updated"]
    stage.write("Tell me a story.")
    stage.send("response.create")
    stage.run(until="response.output_audio.delta")
    assert errors(stage.update(**with_output(voice="marin"))) == [("cannot_update_voice", None)]
    stage.run(until="response.done")
    assert errors(stage.update(**with_output(voice="marin"))) == [("cannot_update_voice", None)]
    assert types(stage.update(**with_output(voice="cedar", speed=1.5))) == ["session.updated"]
    assert errors(stage.send("response.create", response=with_output(voice="marin"))) == [("cannot_update_voice", None)]


def test_settings_of_one_response_are_its_own() -> None:
    """What a response is made with leaves the session as it was."""
    config = SessionConfig("sess_1", "gpt-realtime", 0)
    merged = config.merged({"output_modalities": ["text"], **with_output(voice="cedar")}, "response")
    assert (merged["output_modalities"], merged["audio"]["output"]["voice"]) == (["text"], "cedar")
    assert (config.session["output_modalities"], config.session["audio"]["output"]["voice"]) == (["audio"], "alloy")


def test_a_response_without_instructions_of_its_own() -> None:
    """Null in a response's instructions means the session's, as LiveKit's client has it; in a session's it is refused."""
    stage = SimulatorHarness()
    stage.update(output_modalities=["text"], instructions="Be brief.")
    assert done(stage.ask("Hello.", instructions=None))["status"] == "completed"
    assert errors(stage.update(instructions=None)) == [(TYPE, "session.instructions")]
