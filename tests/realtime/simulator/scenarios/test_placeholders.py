"""Placeholders: what they stand for, what there is none for, and how fields are compared."""

from __future__ import annotations

from typing import Any

import pytest

from realtime.simulator.scenarios.placeholders import Known, Unfilled, check, fill, look_up, matches


@pytest.fixture
def known() -> Known:
    """A session that has told a few things."""
    count = iter(range(9))
    known = Known(lambda prefix: f"{prefix}_{next(count)}", lambda: {"voice": "alloy"}, {"session_id": "sess_1"})
    known.event = {"event_id": "mine", "item": {"content": [{"text": "Hello."}]}}
    known.learn({"type": "x", "item": {"id": "item_1", "call_id": "call_1"}, "previous_item_id": None})
    known.learn({"type": "x", "response": {"id": "resp_1"}})
    return known


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{item_id}", "item_1"),
        ("{item_id} and {response_id}, {call_id}", "item_1 and resp_1, call_1"),
        ({"a": ["{session_id}", 5, None]}, {"a": ["sess_1", 5, None]}),
        ("{session}", {"voice": "alloy"}),
        ("{event_id}", "mine"),
        ("You said: {event.item.content.0.text}", "You said: Hello."),
        ("{event.item.content}", [{"text": "Hello."}]),
        ("{new.item.a} {new.item.b} {new.item.a}", "item_0 item_1 item_0"),
        ("{{item_id}} {not a name} {}", "{item_id} {not a name} {}"),
        (b"{item_id}", b"{item_id}"),
    ],
)
def test_filling(known: Known, template: Any, filled: Any) -> None:
    """A placeholder becomes what it stands for, JSON where it stands alone; what is doubled or no name stays."""
    assert check(template) is None
    assert fill(template, known.value_of) == filled


@pytest.mark.parametrize("name", ["previous_item_id", "event.item.role", "event.item.content.1"])
def test_nothing_to_stand_for(known: Known, name: str) -> None:
    """What has not been told yet is named."""
    with pytest.raises(Unfilled, match=name):
        fill(f"a {{{name}}}", known.value_of)


@pytest.mark.parametrize(
    ("value", "unknown"),
    [("{itm}", "itm"), ({"a": [{"b": "{x.y}"}]}, "x.y"), ({"{k}": 1}, "k"), ("{event}", "event"), ("{new.item}", "new.item")],
)
def test_unknown_names(value: Any, unknown: str) -> None:
    """A name there is not is found, however deep."""
    assert check(value) == unknown


@pytest.mark.parametrize(
    ("wanted", "value", "same"),
    [
        ({"item.role": "user"}, {"item": {"role": "user", "id": "x"}}, True),
        ({"item": {"role": "user"}}, {"item": {"role": "user", "id": "x"}}, True),
        ({"item.role": "user"}, {"item": {}}, False),
        ({"item.content.1.text": "*"}, {"item": {"content": [{}, {"text": None}]}}, True),
        ({"item.content.2.text": "*"}, {"item": {"content": [{}, {"text": None}]}}, False),
        ({"list": [1, "*"]}, {"list": [1.0, {}]}, True),
        ({"list": [1]}, {"list": [1, 2]}, False),
        ({"flag": 1}, {"flag": True}, False),
        ({"metadata": {"a.b": "c"}}, {"metadata": {"a.b": "c"}}, True),
    ],
)
def test_matching(wanted: Any, value: Any, same: bool) -> None:
    """Fields are compared by name or path, others do not count; lists one by one; a star takes anything that is there."""
    assert matches(wanted, value) is same


def test_looking_up() -> None:
    """A path leads through objects and lists."""
    assert look_up({"a": [{"b": 5}]}, "a.0.b") == 5
