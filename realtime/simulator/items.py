"""The conversation: its items, their order, and what of them is kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from realtime.audio import duration_ms
from realtime.simulator import usage
from realtime.simulator.refusals import Refusal, invalid_value, missing, no_item, wrong_type

KEPT_AUDIO = 32 * 1024 * 1024
"""Bytes of sound a session keeps for ``conversation.item.retrieve``; the oldest goes first."""
_CONTENT = {
    "user": ("input_text", "input_audio", "input_image"),
    "system": ("input_text",),
    "assistant": ("output_text", "output_audio"),
}
_NEEDED: dict[str, tuple[str, ...]] = {
    "message": ("role", "content"),
    "function_call": ("name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "mcp_approval_response": ("approval_request_id", "approve"),
    "mcp_list_tools": ("server_label", "tools"),
    "mcp_call": ("server_label", "name", "arguments"),
    "mcp_approval_request": ("server_label", "name", "arguments"),
}


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
        if previous_item_id == "root":
            index = 0
        elif previous_item_id is None:
            index = len(self._order)
        elif previous_item_id in self._items:
            index = self._order.index(previous_item_id) + 1
        else:
            raise Refusal(
                "item_create_invalid_previous_item_id",
                f"Error adding item: the previous item with id '{previous_item_id}' does not exist.",
            )
        if item_id in self._items:  # taken as it is: duplicate ids are reportedly not refused
            self._order.remove(item_id)
            index = min(index, len(self._order))
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


def check(item: Any, path: str) -> tuple[dict[str, Any], bytes]:
    """A client's item as it will be stored, and the base64 text of its sound. Raises Refusal, naming the field."""
    if not isinstance(item, dict):
        raise missing(path) if item is None else wrong_type(path, "an object", item)
    kind = item.get("type")
    if kind is None:
        raise missing(f"{path}.type")
    if kind not in _NEEDED:
        raise invalid_value(f"{path}.type", kind, _NEEDED)
    for field_name in _NEEDED[kind]:
        if field_name not in item:
            raise missing(f"{path}.{field_name}")
    audio = b""
    if kind == "message":
        role = item["role"]
        if role not in _CONTENT:
            raise invalid_value(f"{path}.role", role, _CONTENT)
        if not isinstance(item["content"], list):
            raise wrong_type(f"{path}.content", "an array of objects", item["content"])
        for index, part in enumerate(item["content"]):
            audio += _check_part(part, role, f"{path}.content[{index}]")
        item = {**item, "content": [{k: v for k, v in part.items() if k != "audio"} for part in item["content"]]}
    elif kind == "function_call_output" and not isinstance(item["output"], str):
        raise wrong_type(f"{path}.output", "a string", item["output"])
    return item, audio


def _check_part(part: Any, role: str, path: str) -> bytes:
    if not isinstance(part, dict):
        raise wrong_type(path, "an object", part)
    if part.get("type") not in _CONTENT[role]:
        raise invalid_value(f"{path}.type", part.get("type"), _CONTENT[role])
    if part["type"] in ("input_text", "output_text") and not isinstance(part.get("text"), str):
        raise missing(f"{path}.text") if "text" not in part else wrong_type(f"{path}.text", "a string", part["text"])
    if part["type"] == "output_audio" and "audio" in part:
        raise Refusal("invalid_value", "Assistant audio cannot be seeded, only text.", f"{path}.audio")
    return str(part.get("audio") or "").encode() if part["type"] == "input_audio" else b""


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
