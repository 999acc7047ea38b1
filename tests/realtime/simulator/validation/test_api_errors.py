"""The words in which the API refuses."""

from __future__ import annotations

import pytest

from realtime.simulator.validation import api_errors
from realtime.simulator.validation.api_errors import Refusal


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (api_errors.unknown_parameter("session.foo"), "Unknown parameter: 'session.foo'."),
        (api_errors.missing("session.type"), "Missing required parameter: 'session.type'."),
        (api_errors.wrong_type("a.b", "a string", [1]), "Invalid type for 'a.b': expected a string, but got an array instead."),
        (api_errors.wrong_type("a", "an integer", True), "Invalid type for 'a': expected an integer, but got a boolean instead."),
        (api_errors.wrong_type("a", "an object", None), "Invalid type for 'a': expected an object, but got null instead."),
        (api_errors.invalid_value("a", "x", ("y", "z")), "Invalid value: 'x'. Supported values are: 'y' and 'z'."),
        (api_errors.invalid_value("a", "x", ("w", "y", "z")), "Invalid value: 'x'. Supported values are: 'w', 'y', and 'z'."),
        (api_errors.invalid_value("a", "x", ("y",)), "Invalid value: 'x'. Supported values are: 'y'."),
        (
            api_errors.out_of_range("a", 2, 0, 1.5, "decimal"),
            "Invalid 'a': decimal above maximum value. Expected a value <= 1.5, but got 2 instead.",
        ),
        (api_errors.out_of_range("a", -1, 0, 9), "Invalid 'a': integer below minimum value. Expected a value >= 0, but got -1 instead."),
        (
            api_errors.too_long("a", "xyz", 2),
            "Invalid 'a': string too long. Expected a string with maximum length 2, but got a string with length 3 instead.",
        ),
        (api_errors.no_item("retrieve", "x"), "Error retrieving item: the item with id 'x' does not exist."),
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
