"""Tools of a session or response, and the choice among them."""

from __future__ import annotations

from typing import Any

from realtime.simulator.validation.api_errors import expect, missing, wrong_type
from realtime.simulator.validation.field_checks import kind_of, one_of, typed

_FUNCTION_FIELDS = {"type": "", "name": "a string", "description": "a string", "parameters": "an object"}
_MCP_FIELDS = {
    "type": "", "server_label": "a string", "server_url": "a string", "connector_id": "a string", "tunnel_id": "a string",
    "authorization": "a string", "headers": "an object", "server_description": "a string", "allowed_tools": "",
    "require_approval": "", "defer_loading": "a boolean", "allowed_callers": "an array",
}  # fmt: skip
_CHOICES = {
    "function": {"name": "a string", "type": ""},
    "mcp": {"server_label": "a string", "name": "a string", "type": ""},
}
"""Fields of the objects allowed in ``tool_choice``, the required field first."""


def tools(path: str, value: Any) -> list[dict[str, Any]]:
    """Check ``tools``: functions and MCP servers (protocol 3.3). Raises Refusal, like all checks here."""
    if not isinstance(value, list):
        raise wrong_type(path, "an array of objects", value)
    for index, tool in enumerate(value):
        here = f"{path}[{index}]"
        expect(here, tool, "an object")
        function = kind_of(here, tool, ("function", "mcp")) == "function"
        typed(here, tool, _FUNCTION_FIELDS if function else _MCP_FIELDS, "name" if function else "server_label")
        if not function:
            _check_mcp(here, tool)
    return value


def tool_choice(path: str, value: Any) -> Any:
    """Check ``tool_choice``: a word, a function or a server."""
    if not isinstance(value, dict):
        return one_of(path, value, ("none", "auto", "required"))
    known = _CHOICES[kind_of(path, value, tuple(_CHOICES))]
    typed(path, value, known, next(iter(known)))
    return value


def _check_mcp(path: str, tool: dict[str, Any]) -> None:
    """Raise Refusal unless an MCP tool names its server, its allowed tools and its approval correctly."""
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
