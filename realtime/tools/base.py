"""What a tool is, what it is given, and how a model's arguments are read and checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from realtime.errors import ToolError
from realtime.events import load

JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "object": dict,
    "array": list,
}


@dataclass(frozen=True)
class ToolContext:
    """What a tool may use of the session it runs in."""

    memory: dict[str, str]
    """What set_memory has stored, by key."""
    remember: Callable[[str, str], None]
    """Tells the log of a change of the memory."""
    weather_url: str
    """Address of open-meteo's forecast, or of a server that answers like it."""


@dataclass(frozen=True)
class Tool:
    """A function the model may call. ``run`` raises ToolError when it cannot do its work."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of an object."""
    run: Callable[[dict[str, Any], ToolContext], Awaitable[dict[str, Any]]]


def schemas(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """The tools as a session.update names them (session field ``tools``, type function)."""
    return [
        {"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters} for t in tools
    ]


def parse_arguments(text: str) -> dict[str, Any]:
    """A call's arguments. Empty text is no arguments. Raises ToolError, saying where the JSON breaks off."""
    if not text.strip():
        return {}
    try:
        arguments = load(text)
    except (ValueError, RecursionError) as error:
        raise ToolError(f"The arguments are not valid JSON: {error}.") from None
    if not isinstance(arguments, dict):
        raise ToolError("The arguments must be a JSON object.")
    return arguments


def check_arguments(tool: Tool, arguments: dict[str, Any]) -> None:
    """Check names and types against the tool's schema. Raises ToolError, naming every fault at once."""
    properties: dict[str, Any] = tool.parameters.get("properties", {})
    faults = [f'"{name}" is missing' for name in tool.parameters.get("required", []) if name not in arguments]
    faults += [f'"{name}" is not a parameter' for name in arguments if name not in properties]
    for name, schema in properties.items():
        wanted = JSON_TYPES.get(schema.get("type", ""))
        if name not in arguments or wanted is None:
            continue
        value = arguments[name]
        # In JSON true is no number, though Python says bool is an int.
        if not isinstance(value, wanted) or (isinstance(value, bool) and schema["type"] != "boolean"):
            article = "an" if schema["type"][0] in "aio" else "a"
            faults.append(f'"{name}" must be {article} {schema["type"]}')
    if faults:
        raise ToolError(f"{tool.name}: {'; '.join(faults)}.")
