"""Conversation: a fold over entries: the items in their order, what was generated of each, and what was heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime.audio import AUDIO_FIELDS, encoded_length_ms
from realtime.events import Event
from realtime.items import Item
from realtime.timeline import Entry


def types_read() -> frozenset[str]:
    """Types of events a conversation is made from; all others may be left out when a log is fed."""
    return frozenset(type_ for _, type_ in _RULES) | frozenset(AUDIO_FIELDS)


class Conversation:
    """Feed it entries in order; ``items`` is the conversation as it stands. Nothing any provider sends raises."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._order: list[str] = []
        self._pending: dict[str, str] = {}
        """Event id of a client's item.create → id of the item that stands for it until the API confirms."""
        self._speech: dict[str, float] = {}
        """Item id → where its speech started, in milliseconds of input."""
        self._input_ms = 0.0
        """Sound appended since the last commit or clear."""
        self._last_seq = 0

    @property
    def items(self) -> list[Item]:
        """The items in conversation order; an output stands with its call, not as an item of its own."""
        shown = (self._items[item_id] for item_id in self._order)
        calls = {item.call_id for item in self._items.values() if item.kind == "function_call" and item.call_id}
        return [item for item in shown if not (item.kind == "function_call_output" and item.call_id in calls)]

    def get(self, item_id: str) -> Item | None:
        """One item."""
        return self._items.get(item_id)

    def feed(self, entry: Entry, audio_ms: float = 0.0) -> set[str]:
        """Take one entry; returns the ids of the items that changed.

        ``audio_ms`` is the sound the entry carries, when the caller knows it and the frame comes without its sound.
        An entry fed before is ignored.
        """
        event = entry.event
        if entry.seq <= self._last_seq or event is None:
            return set()
        self._last_seq = entry.seq
        if not entry.counts:
            return set()
        if event.type in AUDIO_FIELDS:
            ms = audio_ms or encoded_length_ms(event.raw, AUDIO_FIELDS[event.type], "audio/pcm")
            return self._sound(entry, event, ms)
        rule = _RULES.get((entry.direction, event.type))
        if rule is None or not (event.item_id or event.type in _WITHOUT_ITEM):
            return set()
        try:
            return rule(self, entry, event, event.data)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            # Another provider's idea of this event: its row shows it, the conversation has what could be read.
            return {event.item_id} & self._items.keys()

    # ── What the rules below have in common ────────────────────────────────────────────────────────────────────────

    def _item(self, item_id: str, seq: int, after: Any = "") -> Item:
        """The item of that id, made and placed when it is new."""
        if (item := self._items.get(item_id)) is None:
            item = self._items[item_id] = Item(item_id, seq_first=seq)
            self._order.append(item_id)
            self._place(item_id, after)
        return item

    def _place(self, item_id: str, after: Any) -> None:
        """Put an item behind its predecessor, or first of all for ``root``.

        Without a known predecessor it stays: null is the first of all, but also every item of providers that name none.
        """
        if after == "root" or (isinstance(after, str) and after != item_id and after in self._items):
            self._order.remove(item_id)
            self._order.insert(0 if after == "root" else self._order.index(after) + 1, item_id)

    def _fill(self, item: Item, data: dict[str, Any]) -> set[str]:
        """Take over what an item object says; what it leaves out stays as it was."""
        item.kind = str(data.get("type") or item.kind)
        item.role = str(data.get("role") or item.role)
        item.status = str(data.get("status") or ("completed" if item.kind == "function_call_output" else item.status))
        item.phase = str(data.get("phase") or item.phase)
        item.name = str(data.get("name") or item.name)
        item.call_id = str(data.get("call_id") or item.call_id)
        item.arguments = _text(data.get("arguments")) or item.arguments
        changed = {item.id}
        if item.kind == "function_call_output":
            item.output = _text(data.get("output"))
            changed |= self._answer(item)
        elif item.kind == "function_call" and item.output is None:
            self._find_answer(item)
        content = data.get("content")
        for index, part in enumerate(content if isinstance(content, list) else []):
            if isinstance(part, dict):
                self._part(item, index, part)
        return changed

    def _part(self, item: Item, index: int, part: dict[str, Any]) -> None:
        kind = str(part.get("type") or "")
        item.has_audio = item.has_audio or "audio" in kind
        if text := _text(part.get("text")):
            item.parts[index] = text
        if transcript := _text(part.get("transcript")):
            item.transcripts[index] = transcript
        if kind == "input_image":
            item.parts[index] = "(image)"

    def _answer(self, output: Item) -> set[str]:
        """Give a call its output, or the reason why the API refused it."""
        for item in self._items.values():
            if output.call_id and item.kind == "function_call" and item.call_id == output.call_id:
                item.output, item.failure = output.output, output.failure or item.failure
                return {item.id}
        return set()

    def _find_answer(self, call: Item) -> None:
        """Give a call the output that came before it."""
        for item in self._items.values():
            if call.call_id and item.kind == "function_call_output" and item.call_id == call.call_id:
                call.output = item.output

    # ── Rules, one per event ───────────────────────────────────────────────────────────────────────────────────────

    def _sound(self, entry: Entry, event: Event, ms: float) -> set[str]:
        if entry.direction == "sent":
            self._input_ms += ms
        if entry.direction == "sent" or not event.item_id:
            return set()
        item = self._item(event.item_id, entry.seq)
        item.role, item.has_audio = item.role or "assistant", True
        item.audio_ms += ms
        return {item.id}

    def _created_by_client(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        item_id = event.item_id or f"pending-{entry.seq}"
        if item_id in self._items or not isinstance(data.get("item"), dict):
            return set()  # the id is taken; whether the API minds is for the API to say
        item = self._item(item_id, entry.seq, data.get("previous_item_id", ""))
        self._pending[event.event_id or item_id] = item_id
        changed = self._fill(item, data["item"])
        item.status = "pending"
        return changed

    def _added(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        changed = self._confirm(event, entry.seq, data["item"])
        item = self._item(event.item_id, entry.seq)
        self._place(item.id, data.get("previous_item_id"))
        return changed | self._fill(item, data["item"])

    def _confirm(self, event: Event, seq: int, data: dict[str, Any]) -> set[str]:
        """A client's item without an id of its own has been taken: its stand-in gives it its place and leaves."""
        for key, item_id in list(self._pending.items()):
            stand_in = self._items.get(item_id)
            same = stand_in is not None and (stand_in.kind, stand_in.role) == (data.get("type"), data.get("role") or "")
            if item_id == event.item_id:
                del self._pending[key]
                return set()
            if same and item_id.startswith("pending-") and event.item_id not in self._items:
                del self._pending[key]
                self._order[self._order.index(item_id)] = event.item_id
                self._items[event.item_id] = Item(event.item_id, seq_first=seq)
                del self._items[item_id]
                return {item_id}
        return set()

    def _refused(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        """An error about an item the client sent: it is not part of the conversation."""
        if (item_id := self._pending.pop(event.about, "")) and item_id in self._items:
            item = self._items[item_id]
            item.status, item.failure = "refused", _text(data["error"].get("message"))
            return {item_id} | self._answer(item)
        return set()

    def _told(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        """The item in a later form: done, retrieved, or as a response's output."""
        return self._fill(self._item(event.item_id, entry.seq, data.get("previous_item_id", "")), data["item"])

    def _deleted(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        if event.item_id not in self._items:
            return set()
        self._items[event.item_id].removed = True
        return {event.item_id}

    def _truncated(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        heard_ms = max(0, int(data["audio_end_ms"]))
        item = self._item(event.item_id, entry.seq)
        item.heard_ms = heard_ms
        return {item.id}

    def _text_delta(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        item, index = self._item(event.item_id, entry.seq), event.content_index or 0
        item.role = item.role or "assistant"
        item.parts[index] = item.parts.get(index, "") + _text(data.get("delta"))
        return {item.id}

    def _text_done(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        item = self._item(event.item_id, entry.seq)
        item.role = item.role or "assistant"
        item.parts[event.content_index or 0] = _text(data.get("text"))
        return {item.id}

    def _transcript_delta(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        item, index = self._item(event.item_id, entry.seq), event.content_index or 0
        item.role, item.has_audio = item.role or "assistant", True
        item.transcripts[index] = item.transcripts.get(index, "") + _text(data.get("delta"))
        return {item.id}

    def _transcript_done(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        item = self._item(event.item_id, entry.seq)
        item.role, item.has_audio = item.role or "assistant", True
        item.transcripts[event.content_index or 0] = _text(data.get("transcript"))
        return {item.id}

    def _arguments_delta(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        item = self._item(event.item_id, entry.seq)
        item.kind, item.call_id = "function_call", event.call_id or item.call_id
        item.arguments += _text(data.get("delta"))
        return {item.id}

    def _arguments_done(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        item = self._item(event.item_id, entry.seq)
        item.kind, item.call_id = "function_call", event.call_id or item.call_id
        item.arguments = _text(data.get("arguments"))
        item.name = _text(data.get("name")) or item.name
        return {item.id}

    def _transcription_delta(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        # Streaming models transcribe while the user still speaks: the item is not there yet (protocol 4.5).
        item, index = self._item(event.item_id, entry.seq), event.content_index or 0
        item.role, item.has_audio = item.role or "user", True
        item.transcripts[index] = item.transcripts.get(index, "") + _text(data.get("delta"))
        return {item.id}

    def _transcription_done(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        item = self._item(event.item_id, entry.seq)
        item.role = item.role or "user"
        return self._transcript_done(entry, event, data)

    def _transcription_failed(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        item = self._item(event.item_id, entry.seq)
        item.role = item.role or "user"
        item.failure = _text(data["error"].get("message")) or "The transcription failed."
        return {item.id}

    def _speech_started(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        self._speech[event.item_id] = float(data["audio_start_ms"])
        return set()

    def _speech_stopped(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        if (start := self._speech.pop(event.item_id, None)) is None:
            return set()
        item = self._item(event.item_id, entry.seq)
        item.role, item.has_audio = "user", True
        item.audio_ms = max(0.0, float(data["audio_end_ms"]) - start)
        return {item.id}

    def _committed(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        item = self._item(event.item_id, entry.seq)
        self._place(item.id, data.get("previous_item_id"))
        item.role, item.has_audio = "user", True
        # Speech that a detector found has its stretch already; else everything appended was committed.
        item.audio_ms = item.audio_ms or self._input_ms
        self._input_ms = 0.0
        return {item.id}

    def _cleared(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        self._input_ms = 0.0
        return set()

    def _response_done(self, entry: Entry, event: Event, data: dict[str, Any]) -> set[str]:
        """A response that failed says why in its items, if it has any."""
        response = data["response"]
        details = response.get("status_details") if response.get("status") == "failed" else None
        error = details.get("error") if isinstance(details, dict) else None
        changed: set[str] = set()
        for output in response.get("output") or []:
            if (item := self._items.get(str(output.get("id")))) is not None:
                changed |= self._fill(item, output)
                item.failure = _text(error.get("message") if isinstance(error, dict) else "") or item.failure
        return changed


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


Rule = Callable[[Conversation, Entry, Event, dict[str, Any]], set[str]]
_C = Conversation
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
_RECEIVED: dict[str, Rule] = {
    "conversation.item.added": _C._added,
    "conversation.item.created": _C._added,
    "conversation.item.done": _C._told,
    "conversation.item.retrieved": _C._told,
    "conversation.item.deleted": _C._deleted,
    "conversation.item.truncated": _C._truncated,
    f"{_TRANSCRIPTION}.delta": _C._transcription_delta,
    f"{_TRANSCRIPTION}.completed": _C._transcription_done,
    f"{_TRANSCRIPTION}.failed": _C._transcription_failed,
    "input_audio_buffer.speech_started": _C._speech_started,
    "input_audio_buffer.speech_stopped": _C._speech_stopped,
    "input_audio_buffer.committed": _C._committed,
    "input_audio_buffer.cleared": _C._cleared,
    "response.output_item.added": _C._told,
    "response.output_item.done": _C._told,
    "response.output_text.delta": _C._text_delta,
    "response.output_text.done": _C._text_done,
    "response.text.delta": _C._text_delta,
    "response.text.done": _C._text_done,
    "response.output_audio_transcript.delta": _C._transcript_delta,
    "response.output_audio_transcript.done": _C._transcript_done,
    "response.audio_transcript.delta": _C._transcript_delta,
    "response.audio_transcript.done": _C._transcript_done,
    "response.function_call_arguments.delta": _C._arguments_delta,
    "response.function_call_arguments.done": _C._arguments_done,
    "response.done": _C._response_done,
    "error": _C._refused,
}
_WITHOUT_ITEM = ("conversation.item.create", "input_audio_buffer.cleared", "response.done", "error")
"""Events with a rule that need not name an item."""
_RULES: dict[tuple[str, str], Rule] = {
    **{("received", type_): rule for type_, rule in _RECEIVED.items()},
    ("sent", "conversation.item.create"): _C._created_by_client,
}
