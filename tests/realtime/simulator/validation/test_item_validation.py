"""Items as clients give them: every type there is, what is wrong with one, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest

from realtime.pcm import to_g711
from tests.realtime.simulator.harness import ITEM, SimulatorHarness, encoded, errors, silence, types


def message(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """A message of these parts."""
    return {"type": "message", "role": role, "content": list(parts)}


TEXT = {"type": "input_text", "text": "Hello."}


@pytest.mark.parametrize(
    "item",
    [
        message("system", TEXT),
        message("user", TEXT, {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}),
        message("user", {"type": "input_audio", "audio": encoded(silence(10)), "transcript": "Hello."}),
        message("assistant", {"type": "output_text", "text": "Hello."}) | {"phase": "final_answer", "status": "completed"},
        {"type": "function_call", "name": "f", "call_id": "call_1", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_0", "output": ""},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True, "id": "i"},
        {"type": "mcp_list_tools", "server_label": "s", "tools": [{"name": "t", "input_schema": {}}], "id": "i"},
        {"type": "mcp_call", "server_label": "s", "name": "t", "arguments": "{}", "id": "i"},
        {"type": "mcp_approval_request", "server_label": "s", "name": "t", "arguments": "{}", "id": "i"},
    ],
    ids=lambda item: item["type"],
)
def test_every_type_of_item(item: dict[str, Any]) -> None:
    """A client can place every type of item there is; sound is taken and not repeated."""
    stage = SimulatorHarness()
    stage.send("conversation.item.create", item={"type": "function_call", "name": "f", "call_id": "call_0", "arguments": "{}"})
    events = stage.send("conversation.item.create", item=item)
    assert types(events) == ITEM
    assert "audio" not in str(events[0]["item"].get("content", [{}])[-1].keys())


MISSING, TYPE, VALUE, UNKNOWN = "missing_required_parameter", "invalid_type", "invalid_value", "unknown_parameter"


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (7, TYPE, "item"),
        ({}, MISSING, "item.type"),
        ({"type": "nope"}, VALUE, "item.type"),
        ({"type": []}, TYPE, "item.type"),
        (message("user", TEXT) | {"status": "done"}, VALUE, "item.status"),
        (message("user", TEXT) | {"object": "item"}, VALUE, "item.object"),
        (message("user", {"text": ""}), MISSING, "item.content[0].type"),
        ({"type": "function_call_output", "call_id": "c" * 33, "output": ""}, "string_above_max_length", "item.call_id"),
        ({"type": "message", "role": "user"}, MISSING, "item.content"),
        ({"type": "message", "role": [], "content": []}, TYPE, "item.role"),
        (message("nobody", TEXT), VALUE, "item.role"),
        (message("user", TEXT) | {"id": {}}, TYPE, "item.id"),
        (message("user", TEXT) | {"colour": "red"}, UNKNOWN, "item.colour"),
        (message("user", TEXT) | {"phase": "late"}, VALUE, "item.phase"),
        ({"type": "message", "role": "user", "content": "Hello."}, TYPE, "item.content"),
        ({"type": "message", "role": "user", "content": ["Hello."]}, TYPE, "item.content[0]"),
        (message("user", TEXT, {"type": "output_text", "text": ""}), VALUE, "item.content[1].type"),
        (message("system", {"type": "input_audio"}), VALUE, "item.content[0].type"),
        (message("user", {"type": "input_text"}), MISSING, "item.content[0].text"),
        (message("user", {"type": "input_text", "text": 7}), TYPE, "item.content[0].text"),
        (message("user", {"type": "input_text", "text": "", "audio": ""}), UNKNOWN, "item.content[0].audio"),
        (message("user", TEXT, {"type": "input_audio", "audio": "?"}), VALUE, "item.content[1].audio"),
        (message("user", {"type": "input_image", "image_url": "data:", "detail": "x"}), VALUE, "item.content[0].detail"),
        (message("assistant", {"type": "output_audio", "audio": ""}), VALUE, "item.content[0].audio"),
        ({"type": "function_call_output", "call_id": "call_1"}, MISSING, "item.output"),
        ({"type": "function_call_output", "call_id": "call_1", "output": {}}, TYPE, "item.output"),
        ({"type": "function_call", "name": "f", "arguments": {}}, TYPE, "item.arguments"),
        ({"type": "mcp_list_tools", "server_label": "s", "tools": [{}]}, TYPE, "item.tools[0].name"),
    ],
)
def test_an_item_that_is_none(item: Any, code: str, param: str) -> None:
    """What is wrong with an item is named, and nothing is added."""
    stage = SimulatorHarness()
    assert errors(stage.send("conversation.item.create", item=item)) == [(code, param)]
    assert stage.order == []


def test_sound_in_parts() -> None:
    """The sound of several parts is one after the other, in the session's format."""
    stage = SimulatorHarness()
    stage.update(audio={"input": {"format": {"type": "audio/pcmu"}}})
    half = to_g711(bytes(1600), "audio/pcmu")
    parts = [{"type": "input_audio", "audio": encoded(half)} for _ in range(2)]
    item = stage.send("conversation.item.create", item=message("user", *parts))[0]["item"]
    stored = stage.session.items.get(item["id"])
    assert (stored.audio_ms, len(stored.audio)) == (200, 200 * 48)


def test_an_item_is_told_in_the_order_of_the_api() -> None:
    """However a client orders the fields of an item, the API tells them in its own order, null where it says so."""
    stage = SimulatorHarness()
    items = [
        {"content": [{"audio": encoded(silence(10)), "type": "input_audio"}], "role": "user", "type": "message"},
        {"arguments": "{}", "name": "f", "type": "function_call"},
        {"approve": False, "approval_request_id": "mcpr_1", "type": "mcp_approval_response"},
    ]
    said, call, answer = (stage.send("conversation.item.create", item=item)[0]["item"] for item in items)
    assert list(said) == ["id", "type", "status", "role", "content"]
    assert said["content"] == [{"type": "input_audio", "transcript": None}]
    assert list(call) == ["id", "type", "status", "name", "call_id", "arguments"]
    assert call["call_id"].startswith("call_")
    assert list(answer)[2:] == ["approval_request_id", "approve", "reason"]
