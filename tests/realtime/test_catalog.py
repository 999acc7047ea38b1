"""The catalogue: everything the API defines has a meaning, fields and help."""

from __future__ import annotations

import pytest

from realtime import catalog, lines

EVENTS = catalog.events()
BY_TYPE = {info.type: info for info in EVENTS}


def test_every_event_is_there() -> None:
    """The 11 events of a client and the 46 of the API, a client's first, each side by name."""
    client = [info.type for info in EVENTS if info.side == "client"]
    server = [info.type for info in EVENTS if info.side == "server"]
    assert (len(client), len(server)) == (11, 46)
    assert [info.type for info in EVENTS] == sorted(client) + sorted(server)
    assert {"session.update", "input_audio_buffer.append", "response.create", "conversation.item.truncate"} <= set(client)
    assert {"session.created", "error", "response.done", "response.output_audio.delta", "rate_limits.updated"} <= set(server)


@pytest.mark.parametrize("info", EVENTS, ids=lambda info: info.type)
def test_every_event_is_explained(info: catalog.EventInfo) -> None:
    """An event says what it means; each of its fields has a type, and a sentence."""
    assert len(info.meaning) > 20
    names = [field.name for field in info.fields]
    assert "type" in names
    assert "event_id" in names or info.type == "input_audio_buffer.dtmf_event_received"  # a telephone's key has none
    assert len(names) == len(set(names))
    for field in info.fields:
        assert field.help, field.name
        assert field.type, field.name
        assert not any(python in field.type for python in ("typing.", "openai.", "<class", "Optional", "None")), field.type
    type_field = next(field for field in info.fields if field.name == "type")
    assert (type_field.type, type_field.required) == (f'"{info.type}"', True)
    assert catalog.event(info.type) is info
    assert lines.family(info.type) not in ("other", "console")


@pytest.mark.parametrize(
    ("type_", "field", "told", "required"),
    [
        ("conversation.item.truncate", "audio_end_ms", "integer", True),
        ("input_audio_buffer.append", "audio", "string", True),
        ("input_audio_buffer.append", "event_id", "string", False),
        ("response.output_audio.delta", "content_index", "integer", True),
        ("rate_limits.updated", "rate_limits", "[RateLimit]", True),
        ("conversation.item.added", "previous_item_id", "string", False),
    ],
)
def test_fields_are_told_as_people_read_them(type_: str, field: str, told: str, required: bool) -> None:
    """Types have plain names, and what must be given is marked."""
    found = next(one for one in BY_TYPE[type_].fields if one.name == field)
    assert (found.type, found.required) == (told, required)


@pytest.mark.parametrize(("ga", "beta"), catalog.BETA_NAMES.items())
def test_beta_names_lead_both_ways(ga: str, beta: str) -> None:
    """A name that differs in the beta finds the same event, unless the GA API has an event of that name, too."""
    assert BY_TYPE[ga].beta_name == beta
    assert catalog.GA_NAMES[beta] == ga
    found = catalog.event(beta)
    assert found is not None
    assert found.type == (beta if beta in BY_TYPE else ga)


def test_names_without_a_beta_are_their_own() -> None:
    """Most events kept their names."""
    for info in EVENTS:
        assert info.beta_name == catalog.BETA_NAMES.get(info.type, info.type)


@pytest.mark.parametrize("type_", ["", "ping", "response.unheard.of", "Session.update"])
def test_a_stranger_is_unknown(type_: str) -> None:
    """What the API does not define is not made up."""
    assert catalog.event(type_) is None


@pytest.mark.parametrize(
    "path",
    """model output_modalities instructions tools tool_choice max_output_tokens tracing truncation prompt include reasoning
    reasoning.effort audio.input.format audio.input.format.type audio.input.transcription audio.input.transcription.model
    audio.input.transcription.language audio.input.transcription.prompt audio.input.noise_reduction
    audio.input.noise_reduction.type audio.input.turn_detection audio.input.turn_detection.type
    audio.input.turn_detection.threshold audio.input.turn_detection.prefix_padding_ms
    audio.input.turn_detection.silence_duration_ms audio.input.turn_detection.idle_timeout_ms
    audio.input.turn_detection.eagerness audio.input.turn_detection.create_response
    audio.input.turn_detection.interrupt_response audio.output.format audio.output.voice audio.output.speed""".split(),
)
def test_settings_have_help(path: str) -> None:
    """Every setting of the form is explained in the API's words."""
    assert len(catalog.session_help(path)) > 20


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("output_modalities", ["text", "audio"]),
        ("tool_choice", ["none", "auto", "required"]),
        ("max_output_tokens", ["inf"]),
        ("truncation", ["auto", "disabled"]),
        ("reasoning.effort", ["minimal", "low", "medium", "high", "xhigh"]),
        ("audio.input.format.type", ["audio/pcm", "audio/pcmu", "audio/pcma"]),
        ("audio.input.noise_reduction.type", ["near_field", "far_field"]),
        ("audio.input.turn_detection.type", ["server_vad", "semantic_vad"]),
        ("audio.input.turn_detection.eagerness", ["low", "medium", "high", "auto"]),
        ("instructions", []),
        ("audio.output.speed", []),
    ],
)
def test_choices_are_the_apis(path: str, values: list[str]) -> None:
    """Where the API names values, these are the choices, in its order; where anything goes there are none."""
    assert catalog.choices(path) == values


def test_voices_and_models_are_among_the_choices() -> None:
    """What is picked most is offered."""
    assert {"alloy", "marin", "cedar"} <= set(catalog.choices("audio.output.voice"))
    assert {"gpt-realtime", "gpt-realtime-2"} <= set(catalog.choices("model"))
    assert "whisper-1" in catalog.choices("audio.input.transcription.model")


@pytest.mark.parametrize("path", ["", "nope", "audio.nope", "audio.output.voice.nope", ".", "audio..input"])
def test_an_unknown_setting_has_neither_help_nor_choices(path: str) -> None:
    """What is no setting is answered with nothing."""
    assert (catalog.session_help(path), catalog.choices(path)) == ("", [])
