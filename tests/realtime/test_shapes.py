"""Settings and items, flat and nested: what becomes what, and that there is a way back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import shapes
from realtime.shapes import (
    RESPONSE_NAMES,
    item_to_beta,
    item_to_ga,
    renamed_path,
    secret_to_beta,
    secret_wish_to_ga,
    settings_to_beta,
    settings_to_ga,
    told_item_to_beta,
    with_items,
)
from tests.realtime.frames import values

PCM = {"type": "audio/pcm", "rate": 24000}
FLAT = {
    "modalities": ["text", "audio"], "instructions": "Be brief.", "voice": "alloy", "speed": 1.0,
    "input_audio_format": "pcm16", "output_audio_format": "g711_ulaw", "input_audio_transcription": {"model": "whisper-1"},
    "input_audio_noise_reduction": None, "turn_detection": {"type": "server_vad", "threshold": 0.5},
    "tools": [], "tool_choice": "auto", "max_response_output_tokens": 200, "tracing": None,
}  # fmt: skip
NESTED = {
    "output_modalities": ["audio"], "instructions": "Be brief.", "tools": [], "tool_choice": "auto",
    "max_output_tokens": 200, "tracing": None,
    "audio": {
        "input": {
            "format": PCM, "transcription": {"model": "whisper-1"}, "noise_reduction": None,
            "turn_detection": {"type": "server_vad", "threshold": 0.5},
        },
        "output": {"voice": "alloy", "speed": 1.0, "format": {"type": "audio/pcmu"}},
    },
}  # fmt: skip

formats = st.sampled_from(sorted(shapes.FORMATS))
flat_settings = st.fixed_dictionaries(
    {},
    optional={
        "modalities": st.sampled_from([["text", "audio"], ["text"]]), "voice": st.text(), "speed": st.floats(0.25, 1.5),
        "input_audio_format": formats, "output_audio_format": formats, "turn_detection": values,
        "input_audio_transcription": values, "input_audio_noise_reduction": values, "instructions": st.text(),
        "max_response_output_tokens": st.integers() | st.just("inf"), "tools": values, "x": values,
    },
)  # fmt: skip
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "audio"])}, optional={"text": st.text(), "transcript": values, "audio": st.text()}
)
model_items = st.fixed_dictionaries(
    {"id": st.text(), "type": st.just("message"), "role": st.just("assistant"), "content": st.lists(parts, max_size=3)},
    optional={"status": st.text(), "phase": st.text()},
)


def same(one: Any, other: Any) -> bool:
    """Equal, NaN too, which equals nothing."""
    return repr(one) == repr(other)


def test_every_setting_has_its_place() -> None:
    """The flat shape becomes the nested one, and the other way round, field by field."""
    assert settings_to_ga(FLAT) == NESTED
    assert settings_to_beta(NESTED) == FLAT


@given(flat_settings)
def test_settings_come_back(settings: dict[str, Any]) -> None:
    """Flat settings to GA and back are the same again; what was given is left alone."""
    before = copy.deepcopy(settings)
    back = settings_to_beta(settings_to_ga(settings))
    assert same(sorted(back.items()), sorted(before.items()))
    assert same(settings, before)


@given(st.dictionaries(st.text(), values, max_size=4) | flat_settings, st.booleans())
def test_anything_can_be_translated(settings: dict[str, Any], response: bool) -> None:
    """Whatever settings hold, they are translated both ways, by either table of names."""
    names = RESPONSE_NAMES if response else shapes.SESSION_NAMES
    assert isinstance(settings_to_ga(settings, names), dict)
    assert isinstance(settings_to_beta(settings, names), dict)


@pytest.mark.parametrize(
    ("beta", "ga"),
    [
        ({"modalities": ["audio", "text"]}, {"output_modalities": ["audio"]}),
        ({"modalities": ["text"]}, {"output_modalities": ["text"]}),
        ({"modalities": 7}, {"output_modalities": 7}),
        ({"input_audio_format": "pcm"}, {"audio": {"input": {"format": "pcm"}}}),
        ({"input_audio_format": ["pcm16"]}, {"audio": {"input": {"format": ["pcm16"]}}}),
        ({"voice": "ash", "audio": {"output": {"x": 1}}}, {"audio": {"output": {"x": 1, "voice": "ash"}}}),
        ({"audio": {"output": {"x": 1}}, "voice": "ash"}, {"audio": {"output": {"x": 1, "voice": "ash"}}}),
        ({"voice": "ash", "audio": {"output": 7}}, {"audio": {"output": {"voice": "ash"}}}),
        ({"audio": None}, {"audio": None}),
    ],
)
def test_odd_flat_settings(beta: dict[str, Any], ga: dict[str, Any]) -> None:
    """Values nobody knows keep their place, and GA's own fields among flat ones are kept."""
    assert settings_to_ga(beta) == ga


@pytest.mark.parametrize(
    ("ga", "beta"),
    [
        ({"audio": {"input": {"format": {"type": "audio/pcm"}}}}, {"input_audio_format": "pcm16"}),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
         {"input_audio_format": {"type": "audio/pcm", "rate": 16000}}),
        ({"audio": {"input": {"x": 1}, "output": {"voice": "ash"}}}, {"voice": "ash", "audio": {"input": {"x": 1}}}),
        ({"audio": {"input": 7}}, {"audio": {"input": 7}}),
        ({"audio": 7}, {"audio": 7}),
        ({"truncation": "auto", "prompt": None, "include": None}, {"truncation": "auto", "prompt": None, "include": None}),
    ],
)  # fmt: skip
def test_odd_nested_settings(ga: dict[str, Any], beta: dict[str, Any]) -> None:
    """What the beta has no flat name for stays where it was."""
    assert settings_to_beta(ga) == beta


def test_a_response_keeps_the_name_of_its_limit() -> None:
    """A response object has ``max_output_tokens`` in both; only a session's is renamed."""
    assert settings_to_beta({"max_output_tokens": 7}, RESPONSE_NAMES) == {"max_output_tokens": 7}
    assert settings_to_ga({"max_output_tokens": 7}, RESPONSE_NAMES) == {"max_output_tokens": 7}


@given(model_items)
def test_items_come_back(item: dict[str, Any]) -> None:
    """What the model said, to GA and back, is the same again; told by a server it names its object as well."""
    assert same(item_to_beta(item_to_ga(item)), item)
    told = told_item_to_beta(item_to_ga(item))
    assert list(told)[:2] == ["id", "object"]
    assert same({**told, "object": None}, {"id": item["id"], "object": None, **item})


def test_content_of_a_model() -> None:
    """Text and sound of the model have other types; unknown ones, and a user's, keep theirs."""
    content = [{"type": "text", "text": "a"}, {"type": "audio"}, {"type": "x"}, {"type": []}, 7]
    assert item_to_ga({"role": "assistant", "content": content})["content"] == [
        {"type": "output_text", "text": "a"}, {"type": "output_audio"}, {"type": "x"}, {"type": []}, 7,
    ]  # fmt: skip
    assert item_to_ga({"role": "user", "content": content})["content"] == content


@given(values)
def test_anything_may_stand_for_an_item(value: Any) -> None:
    """Nothing that stands where an item should be raises."""
    if not isinstance(value, dict):
        assert item_to_ga(value) is item_to_beta(value) is told_item_to_beta(value) is value
    with_items({"output": value}, "output", told_item_to_beta)
    with_items({"output": [value]}, "output", item_to_ga)


@pytest.mark.parametrize(
    ("ga", "beta"),
    [
        ("audio.output.voice", "voice"),
        ("audio.input.turn_detection.threshold", "turn_detection.threshold"),
        ("output_modalities[0]", "modalities[0]"),
        ("tools[0].name", "tools[0].name"),
        ("audio.output.voices", "audio.output.voices"),
    ],
)
def test_paths(ga: str, beta: str) -> None:
    """A setting's path has a counterpart of the same depth below it."""
    assert renamed_path(ga, to="beta") == beta
    assert renamed_path(beta, to="ga") == ga


def test_a_beta_session_s_wish() -> None:
    """What is posted for a beta's session is a GA client secret's wish; what has no place there is left out."""
    body = {"model": "m", "voice": "marin", "temperature": 0.8, "client_secret": {"expires_after": {"seconds": 30}}}
    assert secret_wish_to_ga(body, "realtime") == {
        "expires_after": {"seconds": 30},
        "session": {"type": "realtime", "model": "m", "audio": {"output": {"voice": "marin"}}},
    }
    for odd in (None, 5, {}, {"expires_at": None}):
        wish = secret_wish_to_ga({"client_secret": odd, "modalities": ["text"]}, "transcription")
        assert wish == {"expires_after": {"anchor": "created_at", "seconds": 60}, "session": {"type": "transcription"}}


def test_a_client_secret_for_the_beta() -> None:
    """A GA client secret becomes a flat session that holds it, whatever the answer lacks."""
    answer = {"value": "ek_1", "expires_at": 5, "session": {"type": "realtime", "output_modalities": ["audio"]}}
    assert secret_to_beta(answer) == {"modalities": ["text", "audio"], "client_secret": {"value": "ek_1", "expires_at": 5}}
    assert secret_to_beta({"session": 5}) == {"client_secret": {"value": None, "expires_at": None}}
