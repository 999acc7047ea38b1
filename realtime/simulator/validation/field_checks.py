"""Field checks: each returns the client's value, or refuses it with the API's error."""

from __future__ import annotations

from typing import Any

from realtime.simulator.validation.api_errors import (
    expect,
    invalid_value,
    missing,
    out_of_range,
    unknown_parameter,
    wrong_type,
)


def string(path: str, value: Any) -> str:
    """Check a string. Raises Refusal, like all checks here."""
    if not isinstance(value, str):
        raise wrong_type(path, "a string", value)
    return value


def boolean(path: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong_type(path, "a boolean", value)
    return value


def number(path: str, value: Any, low: float, high: float) -> float:
    """A number between two limits, both included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(path, "a decimal", value)
    if not low <= value <= high:
        raise out_of_range(path, value, low, high, "decimal")
    return value


def whole(path: str, value: Any, low: int, high: int) -> int:
    """A whole number between two limits, both included."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(path, "an integer", value)
    if not low <= value <= high:
        raise out_of_range(path, value, low, high)
    return value


def one_of(path: str, value: Any, supported: tuple[Any, ...]) -> Any:
    """Check one of the supported values: strings, and null if listed."""
    if value not in supported or isinstance(value, bool):
        raise invalid_value(path, value, supported) if isinstance(value, str) else wrong_type(path, "a string", value)
    return value


def kind_of(path: str, value: Any, kinds: tuple[str, ...]) -> str:
    """Check the ``type`` of an object against the supported kinds."""
    expect(path, value, "an object")
    if "type" not in value:
        raise missing(f"{path}.type")
    return str(one_of(f"{path}.type", value["type"], kinds))


def fields(path: str, value: Any, known: tuple[str, ...]) -> None:
    """Raise Refusal unless the value is an object with no fields beyond the known."""
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    for key in value:
        if key not in known:
            raise unknown_parameter(f"{path}.{key}")


def typed(path: str, value: Any, known: dict[str, str], needed: str = "") -> None:
    """Raise unless the value is an object of these fields and their JSON types (``""``: any); null stands for absent."""
    fields(path, value, tuple(known))
    if needed and value.get(needed) is None:
        raise missing(f"{path}.{needed}")
    for key, wanted in known.items():
        if wanted and value.get(key) is not None:
            expect(f"{path}.{key}", value[key], wanted)
