"""Errors of the API, with its codes and wording (guide "Realtime API", errors)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

JSON_TYPES = {"a string": str, "a boolean": bool, "an object": dict, "an array": list}
"""JSON types, with the article, and their Python types."""


class Refusal(Exception):
    """Raised inside the simulator when a client's event is refused; becomes an ``error`` event, nothing else happens."""

    def __init__(self, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def error(self, event_id: str | None, type_: str = "invalid_request_error") -> dict[str, Any]:
        """The ``error`` object of the event; all five keys are always there."""
        return {"type": type_, "code": self.code, "message": self.message, "param": self.param, "event_id": event_id}


def unknown_parameter(path: str) -> Refusal:
    """A field the API does not know."""
    return Refusal("unknown_parameter", f"Unknown parameter: '{path}'.", path)


def missing(path: str) -> Refusal:
    """Return the error for a missing field."""
    return Refusal("missing_required_parameter", f"Missing required parameter: '{path}'.", path)


def expect(path: str, value: object, wanted: str) -> None:
    """Raise Refusal unless a value has the JSON type ``wanted``, one of ``JSON_TYPES``."""
    if not isinstance(value, JSON_TYPES[wanted]):
        raise wrong_type(path, wanted, value)


def wrong_type(path: str, wanted: str, value: object) -> Refusal:
    """A field of another JSON type."""
    return Refusal("invalid_type", f"Invalid type for '{path}': expected {wanted}, but got {json_type(value)} instead.", path)


def invalid_value(path: str, value: object, supported: Iterable[object]) -> Refusal:
    """Return the error for a value outside the supported ones."""
    return Refusal("invalid_value", f"Invalid value: {_shown(value)}. Supported values are: {listed(supported)}.", path)


def listed(values: Iterable[object]) -> str:
    """Join values as the API lists them: 'a', 'b', and 'c'; 'a' and 'b'."""
    *names, last = map(_shown, values)
    if len(names) > 1:
        names = [f"{', '.join(names)},"]
    return " and ".join([*names, last])


def out_of_range(path: str, value: float, low: float, high: float, kind: str = "integer") -> Refusal:
    """Return the error for a number beyond its limits; ``kind`` is ``integer`` or ``decimal``, by the field's type."""
    side, limit, sign = ("above_max", high, "<=") if value > high else ("below_min", low, ">=")
    where = "above maximum" if value > high else "below minimum"
    message = f"Invalid '{path}': {kind} {where} value. Expected a value {sign} {limit:.15g}, but got {value} instead."
    return Refusal(f"{kind}_{side}_value", message, path)


def too_long(path: str, text: str, most: int) -> Refusal:
    """A string of too many characters."""
    wanted = f"Expected a string with maximum length {most}, but got a string with length {len(text)} instead."
    return Refusal("string_above_max_length", f"Invalid '{path}': string too long. {wanted}", path)


def no_item(doing: str, item_id: str) -> Refusal:
    """Return the error for a missing item; ``doing`` is retrieve, delete or truncate."""
    verb = {"retrieve": "retrieving", "delete": "deleting", "truncate": "truncating"}[doing]
    return Refusal(f"item_{doing}_invalid_item_id", f"Error {verb} item: the item with id '{item_id}' does not exist.")


def json_type(value: object) -> str:
    """Return a value's JSON type, with its article."""
    for kind, name in ((bool, "a boolean"), (int, "an integer"), (float, "a decimal"), (str, "a string"), (list, "an array"),
                       (dict, "an object")):  # fmt: skip
        if isinstance(value, kind):
            return name
    return "null"


def _shown(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)
