"""Tools: what the model is told of them, and how its arguments are read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import tools
from realtime.errors import ToolError
from realtime.tools import Tool, ToolContext, check_arguments, parse_arguments, schemas
from tests.realtime.frames import frames, values


async def nothing(arguments: dict[str, Any], context: ToolContext) -> dict[str, Any]:
    """A tool's work."""
    return {}


EVERY_TYPE = Tool(
    "measure",
    "Measures.",
    {
        "type": "object",
        "properties": {
            "name": {"type": "string"}, "length": {"type": "number"}, "count": {"type": "integer"},
            "exact": {"type": "boolean"}, "more": {"type": "object"}, "parts": {"type": "array"}, "any": {},
        },
        "required": ["name", "length"],
    },
    nothing,
)  # fmt: skip


def test_the_model_is_told_of_every_tool() -> None:
    """A session's tools are functions with name, description and a schema that requires only what it describes."""
    told = schemas(tools.DEFAULT)
    assert [tool["name"] for tool in told] == ["get_weather", "set_memory"]
    for tool in told:
        assert set(tool) == {"type", "name", "description", "parameters"}
        assert tool["type"] == "function"
        assert tool["description"]
        assert tool["parameters"]["type"] == "object"
        assert set(tool["parameters"]["required"]) <= set(tool["parameters"]["properties"])
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("text", ["", "  \n", "{}"])
def test_no_arguments_are_an_empty_object(text: str) -> None:
    """A model that gives no arguments writes nothing, or an empty object."""
    assert parse_arguments(text) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"lat": 1', "The arguments are not valid JSON: .* line 1 column 10"),
        ("[" * 100_000, "The arguments are not valid JSON: "),
        ("1" * 5000, "The arguments must be a JSON object."),
        ("[1]", "The arguments must be a JSON object."),
        ("null", "The arguments must be a JSON object."),
    ],
)
def test_broken_arguments_say_where(text: str, reason: str) -> None:
    """Arguments that cannot be read are answered with a sentence the model can act on."""
    with pytest.raises(ToolError, match=reason):
        parse_arguments(text)


@given(frames)
def test_any_arguments_are_read_or_refused(text: str) -> None:
    """Whatever a model writes is an object, which a log can keep, or a ToolError."""
    try:
        arguments = parse_arguments(text)
    except ToolError as error:
        assert str(error).endswith(".")
    else:
        json.dumps(arguments, ensure_ascii=False).encode()


GOOD: dict[str, Any] = {"name": "x", "length": 1.5}


@pytest.mark.parametrize(
    "more",
    [{}, {"length": 2}, {"count": 3}, {"exact": False}, {"more": {}}, {"parts": []}, {"any": None}, {"any": [1]}],
)
def test_good_arguments_pass(more: dict[str, Any]) -> None:
    """Every type of JSON where the schema wants it; an integer is a number."""
    check_arguments(EVERY_TYPE, GOOD | more)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, 'measure: "name" is missing; "length" is missing.'),
        ({"name": "x"}, 'measure: "length" is missing.'),
        (GOOD | {"size": 1}, 'measure: "size" is not a parameter.'),
        (GOOD | {"name": None}, 'measure: "name" must be a string.'),
        (GOOD | {"length": "1"}, 'measure: "length" must be a number.'),
        (GOOD | {"length": True}, 'measure: "length" must be a number.'),
        (GOOD | {"count": 1.5}, 'measure: "count" must be an integer.'),
        (GOOD | {"count": False}, 'measure: "count" must be an integer.'),
        (GOOD | {"exact": 0}, 'measure: "exact" must be a boolean.'),
        (GOOD | {"more": []}, 'measure: "more" must be an object.'),
        (GOOD | {"parts": {}}, 'measure: "parts" must be an array.'),
        ({"nam": 1, "length": []}, 'measure: "name" is missing; "nam" is not a parameter; "length" must be a number.'),
    ],
)
def test_every_fault_is_named_at_once(arguments: dict[str, Any], told: str) -> None:
    """A model that makes three mistakes hears of three."""
    with pytest.raises(ToolError) as caught:
        check_arguments(EVERY_TYPE, arguments)
    assert str(caught.value) == told


@given(st.dictionaries(st.sampled_from(["name", "length", "count", "exact", "more", "parts", "any", "else"]), values))
def test_any_arguments_are_checked(arguments: dict[str, Any]) -> None:
    """Any object passes or is refused; what passes has what is required and nothing else."""
    try:
        check_arguments(EVERY_TYPE, arguments)
    except ToolError:
        return
    assert {"name", "length"} <= set(arguments) <= set(EVERY_TYPE.parameters["properties"])
