"""Turn detection: the two kinds, their fields and defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime.simulator.validation.api_errors import unknown_parameter
from realtime.simulator.validation.field_checks import boolean, fields, kind_of, number, one_of, whole

KINDS = ("server_vad", "semantic_vad")
_OF_RESPONSES = ("idle_timeout_ms", "create_response", "interrupt_response")
"""Fields about responses."""
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "threshold": lambda path, value: number(path, value, 0, 1),
    "prefix_padding_ms": lambda path, value: whole(path, value, 0, 10_000),
    "silence_duration_ms": lambda path, value: whole(path, value, 0, 30_000),
    "idle_timeout_ms": lambda path, value: None if value is None else whole(path, value, 5_000, 30_000),
    "eagerness": lambda path, value: one_of(path, value, ("low", "medium", "high", "auto")),
    "create_response": boolean,
    "interrupt_response": boolean,
}


def defaults(kind: str, silence_ms: int, answers: bool) -> dict[str, Any]:
    """Return the defaults of one kind; without the fields about responses unless ``answers``."""
    create = {"create_response": True, "interrupt_response": True} if answers else {}
    if kind == "semantic_vad":
        return {"type": kind, "eagerness": "auto", **create}
    own = {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": silence_ms}
    return {"type": kind, **own, **({"idle_timeout_ms": None} if answers else {}), **create}


def merged(path: str, value: Any, before: dict[str, Any] | None, silence_ms: int, answers: bool) -> dict[str, Any] | None:
    """Return the settings in force after an update: fields not named keep their value, or the kind's default.

    Null means manual turns. Raises Refusal.
    """
    if value is None:
        return None
    fields(path, value, ("type", *_CHECKS))
    kind = kind_of(path, {"type": before["type"], **value} if before else value, KINDS)
    usual = defaults(kind, silence_ms, answers)
    found = {**usual, **(before if before and before["type"] == kind else {})}
    for key, given in value.items():
        if not answers and key in _OF_RESPONSES:
            _CHECKS[key](f"{path}.{key}", given)
            continue  # part of the schema here too; without responses it has no effect and is not sent
        if key not in usual:
            raise unknown_parameter(f"{path}.{key}")
        found[key] = given if key == "type" else _CHECKS[key](f"{path}.{key}", given)
    return found
