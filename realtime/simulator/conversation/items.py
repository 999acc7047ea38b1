"""The conversation: items in order, within limits of number, text and audio."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from realtime.audio import duration_ms
from realtime.simulator.conversation import usage
from realtime.simulator.validation.api_errors import Refusal, no_item, out_of_range

MOST_ITEMS = 10_000
"""Items a conversation holds."""
MOST_CHARACTERS = 64 * 1024 * 1024
"""Characters of text in all items; a data URI of an image is text, and one frame holds up to 32 MiB.

Beyond either limit the oldest items are removed without an event, as the API drops the oldest from the model's context
(``truncation`` auto). Limits of the API's own conversation are unconfirmed.
"""
READ_WITH = 32
"""Number of beginnings that the model's cache holds."""
KEPT_AUDIO = 32 * 1024 * 1024
"""Bytes of sound a session keeps for ``conversation.item.retrieve``; the oldest goes first."""


@dataclass(slots=True)
class StoredItem:
    """An item with facts that the API knows but does not send."""

    item: dict[str, Any]
    generated: bool = False
    audio: bytes = b""
    """PCM16 24 kHz; empty once the item is too old for its audio to be kept."""
    audio_ms: float = 0.0
    recognized: str | None = None
    """The words of a user's speech; None before speech recognition has returned."""
    cached: bool = False
    """A response has read the item before, in this form and at this place."""
    cut_ms: int | None = None
    """Milliseconds after which the client cut the item while it was being spoken."""
    left_out: bool = False
    """The item no longer fits into the context window; the model does not read it again."""
    characters: int = 0
    """Characters of text, as counted against MOST_CHARACTERS."""
    _tokens: dict[str, int] | None = field(default=None, repr=False)

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens for reading the item, once it has its final form."""
        if self._tokens is None:
            self._tokens = usage.item_tokens(self.item, self.audio_ms)
        return self._tokens

    def changed(self) -> None:
        """Forget the token count and the cache mark after a change of the item."""
        self.cached, self._tokens = False, None

    @property
    def text(self) -> str:
        """The item's text, written or spoken."""
        parts = self.item.get("content") or []
        said = [str(part.get("text") or part.get("transcript") or "") for part in parts]
        return " ".join(text for text in said if text) or self.recognized or ""


class Items:
    """The items of one conversation in order."""

    def __init__(self) -> None:
        self._items: dict[str, StoredItem] = {}
        self._order: list[str] = []
        self.read_with: deque[int] = deque(maxlen=READ_WITH)
        """Hashes of the instructions and tools read so far: the beginnings in the model's cache."""
        self._audio_bytes = 0
        self._characters = 0
        self.first = ""
        """Id of the conversation's very first item, for a quirk: see ``predecessor_when_done``."""

    def __iter__(self) -> Iterator[StoredItem]:
        return (self._items[item_id] for item_id in self._order)

    def get(self, item_id: str) -> StoredItem | None:
        """Return an item, or None."""
        return self._items.get(item_id)

    def holds_call(self, call_id: str) -> bool:
        """Return True if a function was called with this id."""
        return any(s.item.get("call_id") == call_id and s.item["type"] == "function_call" for s in self._items.values())

    @property
    def last(self) -> str | None:
        """Id of the last item, the predecessor of the next."""
        return self._order[-1] if self._order else None

    def predecessor(self, item_id: str) -> str | None:
        """The item before; None for the first."""
        index = len(self._order) - 1 if self._order[-1] == item_id else self._order.index(item_id)
        return self._order[index - 1] if index else None

    def predecessor_when_done(self, item_id: str) -> str | None:
        """Return the predecessor for ``conversation.item.done``.

        In all recorded traffic an item made by the model whose predecessor is the conversation's very first item has null here,
        although ``added`` named the predecessor.
        """
        before = self.predecessor(item_id)
        return None if before == self.first and self._items[item_id].generated else before

    def add(self, stored: StoredItem, previous_item_id: str | None = None) -> None:
        """Insert an item after the named one, at the beginning for ``root``, else at the end. Raises Refusal."""
        item_id = stored.item["id"]
        taken = item_id in self._items  # duplicate ids are reportedly not refused: the new item takes the old one's place
        others = [other for other in self._order if other != item_id] if taken else self._order
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
        if taken:
            self.delete(item_id)
        self._items[item_id] = stored
        self._order.insert(index, item_id)
        self.first = self.first or item_id
        self._weigh(stored)
        while len(self._order) > MOST_ITEMS or (self._characters > MOST_CHARACTERS and len(self._order) > 1):
            self.delete(self._order[0] if self._order[0] != item_id else self._order[1])

    def complete(self, stored: StoredItem, item: dict[str, Any], audio: bytes) -> None:
        """Give a generated item its final form."""
        self._audio_bytes -= len(stored.audio)
        stored.item, stored.audio, stored.audio_ms = item, audio, duration_ms(audio)
        stored.changed()
        self._weigh(stored)
        if stored.cut_ms is not None:
            self._cut(stored, stored.cut_ms)

    def _weigh(self, stored: StoredItem) -> None:
        """Count an item's text and audio, and drop old audio above the limit."""
        characters = _characters(stored.item)
        self._characters += characters - stored.characters
        stored.characters = characters
        self._audio_bytes += len(stored.audio)
        if self._audio_bytes > KEPT_AUDIO:
            self._forget_old_audio()

    def delete(self, item_id: str) -> None:
        """Remove an item. Raises Refusal."""
        if item_id not in self._items:
            raise no_item("delete", item_id)
        stored, index = self._items.pop(item_id), self._order.index(item_id)
        del self._order[index]
        self._characters -= stored.characters
        self._audio_bytes -= len(stored.audio)
        stored.characters = 0
        for behind in self._order[index:]:  # from here on the order is new to the model
            self._items[behind].cached = False

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cut an assistant's speech at the playback position; its transcript leaves the context. Raises Refusal."""
        stored = self._items.get(item_id)
        if stored is None:
            raise no_item("truncate", item_id)
        content = stored.item.get("content") or []
        part = content[content_index] if 0 <= content_index < len(content) else {}
        being_spoken = stored.generated and not content and stored.audio_ms > 0 and content_index == 0
        if stored.item.get("role") != "assistant" or not (part.get("type") == "output_audio" or being_spoken):
            raise Refusal("unsupported_content_type", "Only model output audio messages can be truncated")
        if audio_end_ms < 0:
            raise out_of_range("audio_end_ms", audio_end_ms, 0, stored.audio_ms)
        if audio_end_ms > stored.audio_ms:
            message = f"Audio content of {stored.audio_ms:.0f}ms is already shorter than {audio_end_ms}ms"
            raise Refusal("invalid_value", message)
        if being_spoken:  # later audio was not played either: many clients truncate first, then cancel
            stored.cut_ms = audio_end_ms
        else:
            self._cut(stored, audio_end_ms)

    def _cut(self, stored: StoredItem, end_ms: int) -> None:
        self._audio_bytes -= len(stored.audio)
        stored.audio_ms = min(end_ms, stored.audio_ms)
        stored.audio = stored.audio[: end_ms * 48]
        for part in stored.item["content"]:
            part["transcript"] = ""
        stored.changed()
        self._weigh(stored)

    def retrieve(self, item_id: str, encode: Callable[[bytes], str]) -> dict[str, Any]:
        """Return a copy of an item, with its audio if kept. Raises Refusal."""
        stored = self._items.get(item_id)
        if stored is None:
            raise no_item("retrieve", item_id)
        item = copy.deepcopy(stored.item)
        for part in item.get("content") or []:
            if part.get("type") in ("input_audio", "output_audio") and stored.audio:
                part["audio"] = encode(stored.audio)
        return item

    def _forget_old_audio(self) -> None:
        for stored in self:
            if self._audio_bytes <= KEPT_AUDIO:
                return
            self._audio_bytes -= len(stored.audio)
            stored.audio = b""


def _characters(value: Any) -> int:
    """Of all strings in a JSON value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(name) + _characters(inner) for name, inner in value.items())
    return sum(map(_characters, value)) if isinstance(value, list) else 0


def user_speech(item_id: str, pcm: bytes) -> StoredItem:
    """The item of a committed stretch of speech. Its transcript stays null: the words come in events of their own."""
    item = {
        "id": item_id,
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }
    return StoredItem(item, audio=pcm, audio_ms=duration_ms(pcm))
