"""Item validation: checks the client's items and completes them to the API's form."""

from __future__ import annotations

from typing import Any

from realtime.simulator.shared.ids import Ids
from realtime.simulator.validation import images
from realtime.simulator.validation.api_errors import Refusal, expect, missing, too_long, unknown_parameter, wrong_type
from realtime.simulator.validation.field_checks import kind_of, one_of

LONGEST_CALL_ID = 32
"""Characters of a ``call_id``."""
_CONTENT = {
    "user": ("input_text", "input_audio", "input_image"),
    "system": ("input_text",),
    "assistant": ("output_text", "output_audio"),
}
_PART_FIELDS = {
    "input_text": {"text": "a string"},
    "input_audio": {"audio": "a string", "transcript": "a string"},
    "input_image": {"image_url": "a string", "detail": "a string"},
    "output_text": {"text": "a string"},
    "output_audio": {"transcript": "a string"},
}
_FIELDS = {
    "message": {"role": "a string", "content": "an array", "phase?": "a string"},
    "function_call": {"name": "a string", "call_id?": "a string", "arguments": "a string"},
    "function_call_output": {"call_id": "a string", "output": "a string"},
    "mcp_approval_response": {"approval_request_id": "a string", "approve": "a boolean", "reason?": "a string"},
    "mcp_list_tools": {"server_label": "a string", "tools": "an array"},
    "mcp_call": {
        "server_label": "a string", "name": "a string", "arguments": "a string", "approval_request_id?": "a string",
        "output?": "a string", "error?": "an object",
    },
    "mcp_approval_request": {"server_label": "a string", "name": "a string", "arguments": "a string"},
}  # fmt: skip
"""Fields of each item type in the API's order, with their JSON types; a question mark means optional."""
_ALWAYS_ALLOWED = {"type": "a string", "id": "a string", "object": "a string", "status": "a string"}
_VALUES = {
    "object": ("realtime.item",), "status": ("completed", "incomplete", "in_progress"), "phase": ("commentary", "final_answer"),
}  # fmt: skip
"""Fields of items with a fixed set of values."""
_NULL = {"mcp_approval_response": ("reason",), "mcp_call": ("approval_request_id", "output", "error")}
"""Fields that are null when not given."""


def checked(item: Any, path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Check a client's item and return it for storing, with the base64 texts of its audio by their paths.

    Raises Refusal, naming the field.
    """
    if item is None:
        raise missing(path)
    kind = kind_of(path, item, tuple(_FIELDS))
    known = {name.rstrip("?"): wanted for name, wanted in _FIELDS[kind].items()}
    _check_fields(item, path, {**_ALWAYS_ALLOWED, **known}, tuple(name for name in known if name in _FIELDS[kind]))
    for name, values in _VALUES.items():
        if item.get(name) is not None:
            one_of(f"{path}.{name}", item[name], values)
    if len(call_id := item.get("call_id") or "") > LONGEST_CALL_ID:
        raise too_long(f"{path}.call_id", call_id, LONGEST_CALL_ID)
    if kind == "mcp_list_tools":
        for index, tool in enumerate(item["tools"]):
            expect(f"{path}.tools[{index}]", tool, "an object")
            for name, wanted in (("name", "a string"), ("input_schema", "an object")):
                expect(f"{path}.tools[{index}].{name}", tool.get(name), wanted)
    if kind != "message":
        return item, {}
    role = one_of(f"{path}.role", item["role"], tuple(_CONTENT))
    audio = {}
    for index, part in enumerate(item["content"]):
        here = f"{path}.content[{index}]"
        _check_part(part, role, here)
        if part.get("audio"):
            audio[f"{here}.audio"] = part["audio"]
    return {**item, "content": [_without_audio(part) for part in item["content"]]}, audio


def completed(item: dict[str, Any], ids: Ids) -> dict[str, Any]:
    """Complete a checked item to the API's form: with an id, all fields in the API's order."""
    kind = item["type"]
    given = {key: value for key, value in item.items() if key not in ("id", "type", "object", "status")}
    # A function's output is echoed without a status, as the items of MCP servers are; everything else is complete at once.
    status = {} if kind.startswith(("mcp_", "function_call_output")) else {"status": "completed"}
    if kind == "function_call" and not given.get("call_id"):
        given["call_id"] = ids.call()
    order = [name.rstrip("?") for name in _FIELDS[kind]]
    ordered = {name: given.get(name) for name in order if name in given or name in _NULL.get(kind, ())}
    return {"id": item.get("id") or ids.make("item"), "type": kind, **status, **ordered}


def _without_audio(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part without audio, which only ``retrieve`` returns; unknown words are null."""
    kept = {"type": part["type"], **({"transcript": None} if part["type"] == "input_audio" else {}), **part}
    return {key: value for key, value in kept.items() if key != "audio"}


def _check_part(part: Any, role: str, path: str) -> None:
    kind = kind_of(path, part, _CONTENT[role])
    if kind == "output_audio" and "audio" in part:
        raise Refusal("invalid_value", "Assistant audio cannot be seeded, only text.", f"{path}.audio")
    needed = {"input_text": ("text",), "output_text": ("text",), "input_image": ("image_url",)}.get(kind, ())
    _check_fields(part, path, {"type": "a string", **_PART_FIELDS[kind]}, needed)
    if part.get("detail") is not None:
        one_of(f"{path}.detail", part["detail"], ("auto", "low", "high"))
    if kind == "input_image" and not images.is_image(part["image_url"]):
        message = f"Invalid '{path}.image_url'. Expected a base64-encoded data URI of a PNG or JPEG image."
        raise Refusal("invalid_value", message, f"{path}.image_url")


def _check_fields(value: dict[str, Any], path: str, known: dict[str, str], needed: tuple[str, ...]) -> None:
    """Raise Refusal unless the value has these fields; null counts as absent."""
    for key in value:
        if key not in known:
            raise unknown_parameter(f"{path}.{key}")
    for key, wanted in known.items():
        if value.get(key) is not None:
            expect(f"{path}.{key}", value[key], wanted)
        elif key in needed:
            raise missing(f"{path}.{key}") if key not in value else wrong_type(f"{path}.{key}", wanted, None)
