"""The conversation: its items, their order, and what of them is kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from realtime.audio import duration_ms
from realtime.simulator import images, usage
from realtime.simulator.refusals import Refusal, expect, invalid_value, missing, no_item, unknown_parameter, wrong_type

KEPT_AUDIO = 32 * 1024 * 1024
"""Bytes of sound a session keeps for ``conversation.item.retrieve``; the oldest goes first."""
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
_CALL = {"name": "a string", "arguments": "a string"}
_MCP_CALL = {"server_label": "a string", **_CALL}
_NEEDED = {
    "message": {"role": "a string", "content": "an array"},
    "function_call": _CALL,
    "function_call_output": {"call_id": "a string", "output": "a string"},
    "mcp_approval_response": {"approval_request_id": "a string", "approve": "a boolean"},
    "mcp_list_tools": {"server_label": "a string", "tools": "an array"},
    "mcp_call": _MCP_CALL,
    "mcp_approval_request": _MCP_CALL,
}
_ALLOWED = {
    "message": {"phase": "a string"},
    "function_call": {"call_id": "a string"},
    "mcp_approval_response": {"reason": "a string"},
    "mcp_call": {"approval_request_id": "a string", "output": "a string", "error": "an object"},
}
_ALWAYS_ALLOWED = {"type": "a string", "id": "a string", "object": "a string", "status": "a string"}
"""Fields of each type of item, and their JSON types."""


@dataclass(slots=True)
class Stored:
    """An item and what the API knows of it beyond what it tells."""

    item: dict[str, Any]
    generated: bool = False
    audio: bytes = b""
    """Its sound, PCM16 24 kHz; empty once it is too old to be kept."""
    audio_ms: float = 0.0
    heard: str | None = None
    """Of a user's speech: the words, once the ears have made them out."""
    cached: bool = field(default=False)
    """A response has read it before."""

    @property
    def tokens(self) -> dict[str, int]:
        """What reading it costs."""
        return usage.item_tokens(self.item, self.audio_ms)

    @property
    def text(self) -> str:
        """What it says, written or spoken."""
        parts = self.item.get("content") or []
        said = [str(part.get("text") or part.get("transcript") or "") for part in parts]
        return " ".join(text for text in said if text) or self.heard or ""


class Items:
    """One conversation's items in order."""

    def __init__(self) -> None:
        self._items: dict[str, Stored] = {}
        self._order: list[str] = []
        self.first = ""
        """Id of the conversation's very first item; it matters for a quirk, see ``predecessor_when_done``."""

    def __iter__(self) -> Iterator[Stored]:
        return (self._items[item_id] for item_id in self._order)

    def get(self, item_id: str) -> Stored | None:
        """One item, or None."""
        return self._items.get(item_id)

    @property
    def last(self) -> str | None:
        """Id of the last item, which the next one follows."""
        return self._order[-1] if self._order else None

    def predecessor(self, item_id: str) -> str | None:
        """The item before; None for the first."""
        index = self._order.index(item_id)
        return self._order[index - 1] if index else None

    def predecessor_when_done(self, item_id: str) -> str | None:
        """As ``conversation.item.done`` tells it.

        Without exception in recorded traffic: for an item the model made whose predecessor is the conversation's very
        first, it is null, although ``added`` named it.
        """
        before = self.predecessor(item_id)
        return None if before == self.first and self._items[item_id].generated else before

    def add(self, stored: Stored, previous_item_id: str | None = None) -> None:
        """Place an item: after the one named, at the beginning for ``root``, else at the end. Raises Refusal."""
        item_id = stored.item["id"]
        others = [other for other in self._order if other != item_id]  # duplicate ids are reportedly not refused
        if previous_item_id == "root":
            index = 0
        elif previous_item_id is None:
            index = len(others)
        elif previous_item_id in others:
            index = others.index(previous_item_id) + 1
        else:
            raise Refusal(
                "item_create_invalid_previous_item_id",
                f"Error adding item: the previous item with id '{previous_item_id}' does not exist.",
            )
        self._order = others
        self._items[item_id] = stored
        self._order.insert(index, item_id)
        self.first = self.first or item_id
        self._forget_old_audio()

    def delete(self, item_id: str) -> None:
        """Take an item out. Raises Refusal."""
        if item_id not in self._items:
            raise no_item("delete", item_id)
        del self._items[item_id]
        self._order.remove(item_id)

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cut an assistant's speech to what was heard; its transcript leaves the context. Raises Refusal."""
        stored = self._items.get(item_id)
        if stored is None:
            raise no_item("truncate", item_id)
        content = stored.item.get("content") or []
        part = content[content_index] if 0 <= content_index < len(content) else {}
        if stored.item.get("role") != "assistant" or part.get("type") != "output_audio":
            raise Refusal("unsupported_content_type", "Only model output audio messages can be truncated")
        if audio_end_ms < 0:
            raise Refusal("invalid_value", f"Invalid value: {audio_end_ms}. 'audio_end_ms' must be 0 or more.", "audio_end_ms")
        if audio_end_ms > stored.audio_ms:
            message = f"Audio content of {stored.audio_ms:.0f}ms is already shorter than {audio_end_ms}ms"
            raise Refusal("invalid_value", message)
        stored.audio_ms = audio_end_ms
        stored.audio = stored.audio[: audio_end_ms * 48]
        part["transcript"] = ""

    def retrieve(self, item_id: str, encode: Callable[[bytes], str]) -> dict[str, Any]:
        """The stored form, with its sound while that is kept. Raises Refusal."""
        stored = self._items.get(item_id)
        if stored is None:
            raise no_item("retrieve", item_id)
        item = copy.deepcopy(stored.item)
        for part in item.get("content") or []:
            if part.get("type") in ("input_audio", "output_audio") and stored.audio:
                part["audio"] = encode(stored.audio)
        return item

    def _forget_old_audio(self) -> None:
        spare = sum(len(stored.audio) for stored in self) - KEPT_AUDIO
        for stored in self:
            if spare <= 0:
                return
            spare -= len(stored.audio)
            stored.audio = b""


def check(item: Any, path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A client's item as it will be stored, and the base64 texts of its sound by their paths.

    Raises Refusal, naming the field.
    """
    if item is None:
        raise missing(path)
    expect(path, item, "an object")
    kind = item.get("type")
    if kind is None:
        raise missing(f"{path}.type")
    if not isinstance(kind, str) or kind not in _NEEDED:
        raise invalid_value(f"{path}.type", kind, _NEEDED)
    _check_fields(item, path, {**_ALWAYS_ALLOWED, **_NEEDED[kind], **_ALLOWED.get(kind, {})}, tuple(_NEEDED[kind]))
    if kind == "mcp_list_tools":
        for index, tool in enumerate(item["tools"]):
            expect(f"{path}.tools[{index}]", tool, "an object")
            for name, wanted in (("name", "a string"), ("input_schema", "an object")):
                expect(f"{path}.tools[{index}].{name}", tool.get(name), wanted)
    if kind != "message":
        return item, {}
    role = item["role"]
    if role not in _CONTENT:
        raise invalid_value(f"{path}.role", role, _CONTENT)
    if item.get("phase") not in (None, "commentary", "final_answer"):
        raise invalid_value(f"{path}.phase", item["phase"], ("commentary", "final_answer"))
    audio = {}
    for index, part in enumerate(item["content"]):
        here = f"{path}.content[{index}]"
        _check_part(part, role, here)
        if part.get("audio"):
            audio[f"{here}.audio"] = part["audio"]
    return {**item, "content": [{k: v for k, v in part.items() if k != "audio"} for part in item["content"]]}, audio


def _check_part(part: Any, role: str, path: str) -> None:
    expect(path, part, "an object")
    kind = part.get("type")
    if kind not in _CONTENT[role]:
        raise invalid_value(f"{path}.type", kind, _CONTENT[role])
    if kind == "output_audio" and "audio" in part:
        raise Refusal("invalid_value", "Assistant audio cannot be seeded, only text.", f"{path}.audio")
    needed = {"input_text": ("text",), "output_text": ("text",), "input_image": ("image_url",)}.get(str(kind), ())
    _check_fields(part, path, {"type": "a string", **_PART_FIELDS[kind]}, needed)
    if part.get("detail") not in (None, "auto", "low", "high"):
        raise invalid_value(f"{path}.detail", part["detail"], ("auto", "low", "high"))
    if kind == "input_image" and not images.is_image(part["image_url"]):
        message = f"Invalid '{path}.image_url'. Expected a base64-encoded data URI of a PNG or JPEG image."
        raise Refusal("invalid_value", message, f"{path}.image_url")


def _check_fields(value: dict[str, Any], path: str, known: dict[str, str], needed: tuple[str, ...]) -> None:
    """Raise Refusal unless these are the value's fields; null stands for one that is absent."""
    for key in value:
        if key not in known:
            raise unknown_parameter(f"{path}.{key}")
    for key, wanted in known.items():
        if value.get(key) is not None:
            expect(f"{path}.{key}", value[key], wanted)
        elif key in needed:
            raise missing(f"{path}.{key}") if key not in value else wrong_type(f"{path}.{key}", wanted, None)


def user_speech(item_id: str, pcm: bytes) -> Stored:
    """The item of a committed stretch of speech. Its transcript stays null: the words come in events of their own."""
    item = {
        "id": item_id,
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }
    return Stored(item, audio=pcm, audio_ms=duration_ms(pcm))
