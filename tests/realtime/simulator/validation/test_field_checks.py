"""Checks of single values: what passes comes back, what does not is refused by its path."""

from __future__ import annotations

from typing import Any

import pytest

from realtime.simulator.validation.api_errors import Refusal
from realtime.simulator.validation.field_checks import boolean, number, one_of, string, typed, whole


def test_what_passes_comes_back() -> None:
    """Limits are included, and a whole number is a number."""
    assert (string("x", ""), boolean("x", False), number("x", 1, 0, 1), whole("x", 0, 0, 1)) == ("", False, 1, 0)
    assert one_of("x", None, ("auto", None)) is None


@pytest.mark.parametrize(
    ("check", "value", "code"),
    [(string, 7, "invalid_type"), (boolean, 1, "invalid_type"),
     (lambda path, value: number(path, value, 0, 1), True, "invalid_type"),
     (lambda path, value: number(path, value, 0, 1), 1.1, "decimal_above_max_value"),
     (lambda path, value: whole(path, value, 0, 9), 1.0, "invalid_type"),
     (lambda path, value: one_of(path, value, ("a", "b")), [], "invalid_type")],
)  # fmt: skip
def test_what_does_not_pass(check: Any, value: Any, code: str) -> None:
    """The refusal has the API's code and the path; true is no number."""
    with pytest.raises(Refusal) as refused:
        check("session.x", value)
    assert (refused.value.code, refused.value.param) == (code, "session.x")


@pytest.mark.parametrize(
    ("value", "param"),
    [([], "tool"), ({"name": "n", "nope": 1}, "tool.nope"), ({}, "tool.name"), ({"name": None}, "tool.name"),
     ({"name": 7}, "tool.name"), ({"name": "n", "strict": "yes"}, "tool.strict")],
)  # fmt: skip
def test_objects_are_checked_field_by_field(value: Any, param: str) -> None:
    """Unknown fields, missing ones, and those of another type."""
    typed("tool", {"name": "n", "strict": None, "any": [1]}, {"name": "a string", "strict": "a boolean", "any": ""}, "name")
    with pytest.raises(Refusal) as refused:
        typed("tool", value, {"name": "a string", "strict": "a boolean", "any": ""}, "name")
    assert refused.value.param == param
