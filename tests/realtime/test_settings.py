"""Settings: the smallest update, what was granted, what is locked."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.settings import MODEL_LOCK, VOICE_LOCK, changes, compare, locks, with_cleared

VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500, "idle_timeout_ms": None}
BASE: dict[str, Any] = {
    "type": "realtime",
    "id": "sess_1",
    "model": "gpt-realtime-2",
    "output_modalities": ["audio"],
    "instructions": "Be brief.",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": VAD,
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
    },
}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def at(path: str, value: Any) -> dict[str, Any]:
    """A session that names one setting."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def merge(into: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """What session.update does: objects field by field, everything else replaced."""
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = merge(dict(into[key]), value)
        else:
            into[key] = value
    return into


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("instructions", "Be long."),
        ("instructions", ""),
        ("output_modalities", ["text"]),
        ("max_output_tokens", 200),
        ("tool_choice", {"type": "function", "name": "f"}),
        ("tools", [TOOL]),
        ("tracing", "auto"),
        ("audio.output.voice", "cedar"),
        ("audio.output.speed", 1.2),
        ("audio.output.format", {"type": "audio/pcmu"}),
        ("audio.input.transcription", {"model": "whisper-1"}),
        ("audio.input.noise_reduction", {"type": "near_field"}),
        ("audio.input.turn_detection", None),
        ("audio.input.turn_detection", {"type": "semantic_vad", "eagerness": "high"}),
        ("prompt", {"id": "pmpt_1"}),
    ],
)
def test_a_changed_setting_travels_alone(path: str, value: Any) -> None:
    """Of all settings only the changed one is sent, whole, at its place."""
    wanted = copy.deepcopy(BASE)
    *parents, name = path.split(".")
    functools.reduce(dict.__getitem__, parents, wanted)[name] = value
    assert changes(wanted, BASE) == at(path, value)
    assert changes(at(path, value), BASE) == at(path, value)


def test_of_a_detector_only_changed_parameters_travel() -> None:
    """A parameter goes with the detector's type, which the API requires; the others stay at home."""
    wanted = at("audio.input.turn_detection", {**VAD, "threshold": 0.7})
    assert changes(wanted, BASE) == at("audio.input.turn_detection", {"type": "server_vad", "threshold": 0.7})
    fewer = at("audio.input.turn_detection", {"type": "server_vad", "silence_duration_ms": 500})
    assert changes(fewer, BASE) == {}
    from_nothing = {"audio": {"input": {"turn_detection": None}}}
    assert changes(at("audio.input.turn_detection", VAD), from_nothing) == at("audio.input.turn_detection", VAD)


@pytest.mark.parametrize(
    "wanted",
    [
        BASE,
        {},
        {"audio": {}},
        {"audio": {"input": {}, "output": {}}},
        at("audio.input.format", {"type": "audio/pcm"}),
        at("audio.input.turn_detection", {"type": "server_vad"}),
        {"prompt": None},
        at("audio.input.turn_detection", {**VAD, "create_response": None}),
    ],
)
def test_what_is_in_force_does_not_travel(wanted: dict[str, Any]) -> None:
    """Nothing is sent when nothing differs: a part of what is in force is no difference, nor is null for nothing."""
    assert changes(wanted, BASE) == {}


def test_switching_off_travels_as_null() -> None:
    """What is in force and not wanted any more is sent as null or empty."""
    base = merge(dict(BASE), {"tools": [TOOL], "audio": {"input": {"transcription": {"model": "whisper-1"}}}})
    wanted = {"tools": [], "audio": {"input": {"transcription": None, "turn_detection": None}}}
    assert changes(wanted, base) == wanted


@pytest.mark.parametrize("base", [{}, {"audio": None}, {"audio": {"output": "odd"}}, {"audio": ["odd"]}])
def test_an_odd_base_differs(base: dict[str, Any]) -> None:
    """Against a server that shows its session in another form, everything wanted is sent."""
    wanted = at("audio.output.voice", "cedar")
    assert changes(wanted, base) == wanted
    assert [difference.in_force for difference in compare(wanted, base)] == [None]


def test_an_odd_wish_is_sent_as_it_is() -> None:
    """What the API will refuse is for the API to refuse."""
    assert changes({"audio": None}, BASE) == {"audio": None}


scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"])
leaves = scalars | st.lists(scalars, max_size=2)
detections = st.none() | st.fixed_dictionaries(
    {"type": st.sampled_from(["server_vad", "semantic_vad"])}, optional={"threshold": st.integers(0, 3), "x": st.integers(0, 3)}
)
sessions = st.fixed_dictionaries(
    {},
    optional={
        "instructions": leaves, "tools": leaves,
        "audio": st.fixed_dictionaries({}, optional={
            "input": st.fixed_dictionaries({}, optional={"turn_detection": detections, "transcription": leaves}),
            "output": st.fixed_dictionaries({}, optional={"voice": leaves, "speed": leaves}),
        }),
    },
)  # fmt: skip


@given(sessions, sessions)
def test_an_update_leads_where_it_should(wanted: dict[str, Any], base: dict[str, Any]) -> None:
    """Once the API has merged the update, all that was wanted is in force and nothing is left to send."""
    update = changes(wanted, base)
    after = merge(dict(base), update)
    assert changes(wanted, after) == {}
    assert all(difference.granted for difference in compare(wanted, after))
    assert compare(wanted, base) == [] or bool(update) != all(d.granted for d in compare(wanted, base))


def test_what_was_asked_stands_beside_what_is_in_force() -> None:
    """Each setting that was asked for is told with its place, what the API made of it, and whether that is the same."""
    asked = {
        "type": "realtime",
        "model": "another",
        "instructions": "Be brief.",
        "tools": [TOOL],
        "audio": {"output": {"voice": "cedar", "format": {"type": "audio/pcm"}}, "input": {"turn_detection": None}},
    }
    told = [(d.path, d.granted, d.asked_text, d.in_force_text) for d in compare(asked, BASE)]
    vad = '{"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500, "idle_timeout_ms": null}'
    assert told == [
        ("instructions", True, "Be brief.", "Be brief."),
        ("tools", False, '[{"type": "function", "name": "f", "parameters": {"type": "object"}}]', "[]"),
        ("audio.output.voice", False, "cedar", "marin"),
        ("audio.output.format", True, '{"type": "audio/pcm"}', '{"type": "audio/pcm", "rate": 24000}'),
        ("audio.input.turn_detection", False, "null", vad),
    ]


def test_lists_are_granted_member_by_member() -> None:
    """A tool the API shows with fields of its own is the one that was asked for; one more or fewer is not."""
    shown = {**TOOL, "description": None}
    for in_force, granted in (([shown], True), ([shown, shown], False), ([{**shown, "name": "g"}], False), ("odd", False)):
        assert [d.granted for d in compare({"tools": [TOOL]}, {"tools": in_force})] == [granted]


def test_a_tool_that_lost_a_field_travels() -> None:
    """Lists are replaced as a whole: leaving out a field of a tool is a change."""
    assert changes({"tools": [TOOL]}, {"tools": [{**TOOL, "description": "old"}]}) == {"tools": [TOOL]}


def test_before_the_api_spoke_nothing_is_granted() -> None:
    """Without a session object nothing is in force."""
    assert [(d.path, d.in_force, d.granted) for d in compare({"instructions": "x"}, None)] == [("instructions", None, False)]


@pytest.mark.parametrize(
    ("spoken", "locked"),
    [(False, {"model": MODEL_LOCK}), (True, {"model": MODEL_LOCK, "audio.output.voice": VOICE_LOCK})],
)
def test_locks(spoken: bool, locked: dict[str, str]) -> None:
    """The model never changes in a session, the voice not once it was heard."""
    assert locks(spoken) == locked


class TestClearing:
    """What a form had and has no longer."""

    def test_an_emptied_field_is_sent_as_null(self) -> None:
        """A language taken out of the transcription is switched off, not merely left out."""
        shown = at("audio.input.transcription", {"model": "whisper-1", "language": "en"})
        wanted = at("audio.input.transcription", {"model": "whisper-1"})
        assert changes(with_cleared(wanted, shown), shown) == at(
            "audio.input.transcription", {"model": "whisper-1", "language": None}
        )

    def test_an_emptied_idle_timeout_is_sent_beside_its_type(self) -> None:
        """Of a turn detection only the cleared parameter is named."""
        shown = at("audio.input.turn_detection", {**VAD, "idle_timeout_ms": 6000})
        wanted = at("audio.input.turn_detection", {k: v for k, v in VAD.items() if k != "idle_timeout_ms"})
        assert changes(with_cleared(wanted, shown), shown) == at(
            "audio.input.turn_detection", {"type": "server_vad", "idle_timeout_ms": None}
        )

    def test_other_fields_stay_left_to_the_api(self) -> None:
        """Numbers that cannot be null, and objects of another type, are not cleared."""
        shown = at("audio.input.turn_detection", VAD)
        for value in ({"type": "server_vad"}, {"type": "semantic_vad"}, None):
            wanted = at("audio.input.turn_detection", value)
            assert with_cleared(wanted, shown) == wanted
