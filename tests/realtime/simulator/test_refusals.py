"""The words in which the API refuses."""

from __future__ import annotations

import pytest

from realtime.simulator import refusals
from realtime.simulator.refusals import Refusal


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (refusals.unknown_parameter("session.foo"), "Unknown parameter: 'session.foo'."),
        (refusals.missing("session.type"), "Missing required parameter: 'session.type'."),
        (refusals.wrong_type("a.b", "a string", [1]), "Invalid type for 'a.b': expected a string, but got an array instead."),
        (refusals.wrong_type("a", "an integer", True), "Invalid type for 'a': expected an integer, but got a boolean instead."),
        (refusals.wrong_type("a", "an object", None), "Invalid type for 'a': expected an object, but got null instead."),
        (refusals.invalid_value("a", "x", ("y", "z")), "Invalid value: 'x'. Supported values are: 'y' and 'z'."),
        (refusals.invalid_value("a", "x", ("w", "y", "z")), "Invalid value: 'x'. Supported values are: 'w', 'y', and 'z'."),
        (refusals.invalid_value("a", "x", ("y",)), "Invalid value: 'x'. Supported values are: 'y'."),
        (
            refusals.out_of_range("a", 2, 0, 1.5, "decimal"),
            "Invalid 'a': decimal above maximum value. Expected a value <= 1.5, but got 2 instead.",
        ),
        (refusals.out_of_range("a", -1, 0, 9), "Invalid 'a': integer below minimum value. Expected a value >= 0, but got -1 instead."),
        (
            refusals.too_long("a", "xyz", 2),
            "Invalid 'a': string too long. Expected a string with maximum length 2, but got a string with length 3 instead.",
        ),
        (refusals.no_item("retrieve", "x"), "Error retrieving item: the item with id 'x' does not exist."),
    ],
)
def test_the_words(refusal: Refusal, message: str) -> None:
    """A refusal is a sentence with the values in it."""
    assert str(refusal) == refusal.message == message


def test_all_five_keys_are_always_there() -> None:
    """An error tells null where it knows nothing."""
    assert Refusal(None, "No.").error(None) == {
        "type": "invalid_request_error",
        "code": None,
        "message": "No.",
        "param": None,
        "event_id": None,
    }
