"""set_memory: what the model wants to keep about the user, per session."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from realtime.errors import ToolError
from realtime.timeline import Entry
from realtime.tools.base import Tool, ToolContext

KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
LONGEST_VALUE = 2000
"""Characters."""
MOST_KEYS = 200


def check_key(key: str) -> None:
    """Raise ToolError unless the key is lower case words joined by underscores."""
    if not KEY.fullmatch(key):
        raise ToolError(f'"{key[:80]}" is not a key: use lower case letters, digits and underscores, at most 64.')


def check_value(value: str) -> None:
    """Raise ToolError when the value is too long to keep."""
    if len(value) > LONGEST_VALUE:
        raise ToolError(f"The value has {len(value):,} characters; at most {LONGEST_VALUE:,} are kept.")


async def _run(arguments: dict[str, Any], context: ToolContext) -> dict[str, Any]:
    key, value = arguments["key"], arguments["value"]
    check_key(key)
    check_value(value)
    if key not in context.memory and len(context.memory) >= MOST_KEYS:
        raise ToolError(f"The memory is full: it holds {MOST_KEYS} keys.")
    context.memory[key] = value
    context.remember(key, value)
    return {"ok": True}


set_memory = Tool(
    "set_memory",
    "Saves important data about the user into memory.",
    {
        "type": "object",
        "properties": {
            "key": {
                "type": "string",
                "description": "What the value is, in lower case with underscores, e.g. favourite_colour.",
            },
            "value": {"type": "string", "description": "What to remember, as text."},
        },
        "required": ["key", "value"],
    },
    _run,
)


def memory_of(entries: Iterable[Entry]) -> dict[str, str]:
    """The memory after these entries: its notes folded in order; a value of null forgets the key."""
    memory: dict[str, str] = {}
    for entry in entries:
        if entry.note != "memory" or not isinstance(entry.data.get("key"), str):
            continue
        key, value = entry.data["key"], entry.data.get("value")
        if value is None:
            memory.pop(key, None)
        else:
            memory[key] = str(value)
    return memory
