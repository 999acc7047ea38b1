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
        (refusals.invalid_value("a", "x", ("y", "z")), "Invalid value: 'x'. Supported values are: 'y', and 'z'."),
        (refusals.invalid_value("a", "x", ("y",)), "Invalid value: 'x'. Supported values are: 'y'."),
        (refusals.out_of_range("a", 2, 0, 1.5), "Invalid value: 2. 'a' must be between 0 and 1.5."),
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
