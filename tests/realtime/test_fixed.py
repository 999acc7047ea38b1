"""Fixed fields: named by either dialect's name, taken out without their neighbours, put in over nobody's."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import InvalidPolicy
from realtime.fixed import Fixed, checked, leaves
from realtime.shapes import settings_to_beta
from tests.realtime.frames import values

SESSION = {
    "type": "realtime", "id": "sess_1", "model": "gpt-realtime", "instructions": "Be brief.", "tools": [],
    "audio": {"input": {"turn_detection": None}, "output": {"voice": "marin", "speed": 1.0}},
}  # fmt: skip

small = st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["auto", "marin", ""])


def some(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


sessions = some({
    "instructions": small, "tools": st.just([]), "tool_choice": small, "max_output_tokens": small, "reasoning": some({"effort": small}),
    "audio": some({
        "input": some({"turn_detection": small | some({"threshold": small}), "transcription": small}),
        "output": some({"voice": small, "speed": small}),
    }),
})  # fmt: skip
"""Partial GA sessions."""


def at(settings: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path."""
    for name in path:
        settings = settings[name]
    return settings


# ── Which are named ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settings", [
    {"audio": {"output": {"voice": "cedar"}}},
    {"audio": {"output": {"voice": "marin"}}},
    {"audio": {"output": {"voice": None}}},
    {"audio": {"output": None}},
    {"audio": None},
    {"voice": "cedar"},
])  # fmt: skip
def test_a_voice_is_named(settings: dict[str, Any]) -> None:
    """By GA's name or the beta's, with its own value too, and by whoever replaces the object it stands in."""
    assert Fixed({"audio": {"output": {"voice": "marin"}}}).named_in(settings)


@pytest.mark.parametrize("settings", [{}, {"audio": {}}, {"audio": {"output": {"speed": 1}, "input": None}}, {"type": "realtime"}])
def test_its_neighbours_are_free(settings: dict[str, Any]) -> None:
    """What stands beside a fixed field can be set."""
    assert not Fixed({"audio": {"output": {"voice": "marin"}}}).named_in(settings)


def test_any_other_object_is_fixed_as_a_whole() -> None:
    """Of a turn detection that is fixed, no part can be set."""
    fixed = Fixed({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
    assert fixed.named_in({"audio": {"input": {"turn_detection": {"threshold": 0.9}}}}) == ["audio.input.turn_detection"]
    assert fixed.named_in({"turn_detection": None}) == ["turn_detection"]


def test_a_prompt_brings_instructions() -> None:
    """A stored prompt is instructions and tools by another name; a policy with a prompt of its own fixes that."""
    prompt = {"prompt": {"id": "pmpt_1"}}
    assert Fixed({"instructions": "Be brief."}).named_in(prompt) == ["prompt"]
    assert Fixed({"tools": []}).named_in(prompt) == ["prompt"]
    assert Fixed(prompt).named_in(prompt) == ["prompt"]
    assert not Fixed({"audio": {"output": {"voice": "marin"}}}).named_in(prompt)


def test_type_and_model_are_not_fields_to_fix() -> None:
    """One says what a session is, the other is chosen in dialling: neither makes anything fixed."""
    assert not Fixed({"type": "realtime", "model": "gpt-realtime"})


# ── Without, with ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_session_without_them() -> None:
    """They are gone, what stood beside them is not, and the given session is as it was."""
    before = copy.deepcopy(SESSION)
    fixed = Fixed({"instructions": "Be brief.", "audio": {"output": {"voice": "marin"}}})
    left = fixed.without(SESSION)
    assert left == {
        "type": "realtime", "id": "sess_1", "model": "gpt-realtime", "tools": [],
        "audio": {"input": {"turn_detection": None}, "output": {"speed": 1.0}},
    }  # fmt: skip
    assert before == SESSION


@given(sessions, sessions)
def test_without_them_nothing_of_them_is_left(fixed: dict[str, Any], settings: dict[str, Any]) -> None:
    """Nothing fixed is in what is left, in either dialect, and everything else is, with its value."""
    rule = Fixed(fixed)
    left = rule.without(settings)
    hidden = set(leaves(fixed))
    assert set(leaves(left)) & hidden == set()
    assert all(at(left, path) == at(settings, path) for path in set(leaves(settings)) - hidden if at(settings, path) != {})
    assert (left is settings) == (not set(leaves(settings)) & hidden)
    flat = rule.without(settings_to_beta(settings))
    assert not set(leaves(flat)) & set(rule.paths)


@given(sessions, sessions)
def test_with_them_they_are_in_force(fixed: dict[str, Any], settings: dict[str, Any]) -> None:
    """Put into settings that name none of them they have their values there, and the others keep theirs."""
    rule = Fixed(fixed)
    free = rule.without(settings)
    assert not rule.named_in(free)
    both = rule.put_into(free)
    assert all(at(both, path) == at(fixed, path) for path in leaves(fixed))
    assert all(at(both, path) == at(free, path) for path in leaves(free) if at(free, path) != {})


@given(sessions, values)
def test_whatever_a_client_writes(fixed: dict[str, Any], settings: Any) -> None:
    """Any JSON in the place of settings is judged without a fault, and hidden from without one."""
    if isinstance(settings, dict):
        Fixed(fixed).named_in(settings)
        Fixed(fixed).without(settings)


def test_told_in_the_beta() -> None:
    """For an API that speaks the beta the fixed fields are flat."""
    fixed = Fixed({"type": "realtime", "audio": {"output": {"voice": "marin"}}, "output_modalities": ["audio"]})
    assert fixed.told("beta") == {"voice": "marin", "modalities": ["text", "audio"]}


# ── What can be fixed ──────────────────────────────────────────────────────────────────────────────────────────────


@given(sessions)
def test_a_partial_session_is_taken_as_it_is(session: dict[str, Any]) -> None:
    """What is given back is a copy: changing it later changes nothing that is fixed."""
    taken = checked(session, "session")
    assert taken == session
    assert taken is not session


@pytest.mark.parametrize(("session", "sentence"), [
    ("marin", 'session: a partial session object is wanted, not "marin".'),
    ({"voice": "marin"}, "session.voice: this is the beta's name; write it as GA does: audio.output.voice."),
    ({"id": "sess_1"}, "session.id: the API sets this field; it cannot be fixed."),
    ({"audio": "loud"}, 'session.audio: an object is wanted, not "loud".'),
    ({"audio": {"output": None}}, "session.audio.output: an object is wanted, not null."),
    ({"type": "live"}, 'session.type: realtime or transcription is wanted, not "live".'),
    ({"model": 2}, "session.model: a model's name is wanted, not 2."),
    ({"model": ""}, "session.model: a model's name is wanted, not \"\"."),
])  # fmt: skip
def test_what_cannot_be_fixed(session: Any, sentence: str) -> None:
    """A mistake is said with its field, and with what to write instead."""
    with pytest.raises(InvalidPolicy) as raised:
        checked(session, "session")
    assert str(raised.value) == sentence


def test_what_is_no_json_cannot_be_fixed() -> None:
    """NaN is no JSON, and a long value is cut in the sentence that names it."""
    with pytest.raises(InvalidPolicy, match="cannot be written as JSON"):
        checked({"reasoning": float("nan")}, "session")
    with pytest.raises(InvalidPolicy) as raised:
        checked(["x" * 5000], "session")
    assert len(str(raised.value)) < 150


@given(values)
def test_any_json_is_read_or_refused(value: Any) -> None:
    """Whatever stands where a session should, it is taken or InvalidPolicy says why not."""
    try:
        json.dumps(checked(value, "session"))
    except InvalidPolicy as error:
        assert error.field.startswith("session")
