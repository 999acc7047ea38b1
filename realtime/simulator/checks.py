"""Checks of single values that a client gives: each returns the value, or refuses it with the API's words."""

from __future__ import annotations

from typing import Any

from realtime.simulator.refusals import expect, invalid_value, missing, out_of_range, unknown_parameter, wrong_type


def string(path: str, value: Any) -> str:
    """A string. Raises Refusal, as all of these do."""
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
        raise out_of_range(path, value, low, high)
    return value


def whole(path: str, value: Any, low: int, high: int) -> int:
    """A whole number between two limits, both included."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(path, "an integer", value)
    return int(number(path, value, low, high))


def one_of(path: str, value: Any, supported: tuple[Any, ...]) -> Any:
    """One of the values there are."""
    if value not in supported:
        raise invalid_value(path, value, supported)
    return value


def fields(path: str, value: Any, known: tuple[str, ...]) -> None:
    """Raise unless the value is an object of these fields."""
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


def mcp_tool(path: str, tool: dict[str, Any]) -> None:
    """Raise unless an MCP tool says where its server is, and which of its tools may be used, and how."""
    if not any(tool.get(name) for name in ("server_url", "connector_id", "tunnel_id")):
        raise missing(f"{path}.server_url")
    approval, allowed = tool.get("require_approval"), tool.get("allowed_tools")
    if isinstance(approval, dict):
        typed(f"{path}.require_approval", approval, {"always": "an object", "never": "an object"})
        for when, wanted in approval.items():
            _filter(f"{path}.require_approval.{when}", wanted)
    elif approval is not None:
        one_of(f"{path}.require_approval", approval, ("always", "never"))
    if isinstance(allowed, list):
        allowed = {"tool_names": allowed}
    elif allowed is not None:
        expect(f"{path}.allowed_tools", allowed, "an object")
    _filter(f"{path}.allowed_tools", allowed)


def _filter(path: str, value: dict[str, Any] | None) -> None:
    if value is None:
        return
    typed(path, value, {"tool_names": "an array", "read_only": "a boolean"})
    for index, name in enumerate(value.get("tool_names") or []):
        expect(f"{path}.tool_names[{index}]", name, "a string")
