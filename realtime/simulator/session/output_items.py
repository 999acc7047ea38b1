"""Output items: the items made by a response, with their events from beginning to end."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from realtime.audio import duration_ms
from realtime.pcm import from_pcm24
from realtime.simulator.conversation import usage
from realtime.simulator.conversation.items import StoredItem
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.session.output_audio_buffer import OutputAudioBuffer


@dataclass(slots=True)
class OutputItem:
    """An output item in progress."""

    item: dict[str, Any]
    index: int
    part: str = ""
    """audio or text; empty for a function call."""
    text: str = ""
    """Transcript, text or arguments sent so far."""
    pcm: bytearray = field(default_factory=bytearray)
    """PCM16 24 kHz sent so far."""
    stored: StoredItem | None = None
    """The item in the conversation; None out of band."""


class OutputItems:
    """The items of one response."""

    def __init__(
        self, context: SessionContext, output_audio_buffer: OutputAudioBuffer | None, response_id: str, format_: str, apart: bool
    ) -> None:
        """``format_`` is the audio format; ``apart`` writes nothing into the conversation. With an ``output_audio_buffer`` the
        audio travels beside the events."""
        self.context = context
        self.output_audio_buffer = output_audio_buffer
        self.response_id = response_id
        self.format = format_
        self.apart = apart
        self.calls: list[OutputItem] = []
        """Calls of MCP servers to be made after the response."""
        self.deltas = 0
        """Of sound, in all items."""
        self._made: list[OutputItem] = []

    def __iter__(self) -> Iterator[OutputItem]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def open(self, item: dict[str, Any], part: str = "") -> OutputItem:
        """Begin an item; ``part`` is ``audio`` or ``text``, empty for items without content."""
        output = OutputItem({"id": self.context.ids.make("item"), **item}, len(self), part)
        self._made.append(output)
        self.context.emit("response.output_item.added", response_id=self.response_id, output_index=output.index, item=output.item)
        if not self.apart:
            output.stored = StoredItem(copy.deepcopy(output.item), generated=True)
            self.context.items.add(output.stored)
            before = self.context.items.predecessor(output.item["id"])
            self.context.emit("conversation.item.added", previous_item_id=before, item=output.item)
        if part:
            self._emit_for(output, "response.content_part.added", content_index=0, part=_part(part, ""))
        return output

    def write(self, output: OutputItem, token: str) -> None:
        """Send the next token of a message, written or spoken."""
        type_ = "response.output_audio_transcript.delta" if output.part == "audio" else "response.output_text.delta"
        self._emit_for(output, type_, content_index=0, delta=token, obfuscation=self.context.ids.padding(token))
        output.text += token

    def write_arguments(self, output: OutputItem, token: str) -> None:
        """A little more of a call's arguments."""
        call = {"call_id": output.item["call_id"]} if "call_id" in output.item else {}
        padding = self.context.ids.padding(token)
        self._emit_for(output, f"response.{output.item['type']}_arguments.delta", **call, delta=token, obfuscation=padding)
        output.text += token

    def write_audio(self, output: OutputItem, pcm: bytes) -> None:
        """Send the next audio of a message, PCM16 24 kHz."""
        if self.output_audio_buffer is None:
            sound = from_pcm24(pcm, self.format)
            delta = base64.b64encode(sound).decode()
            self._emit_for(output, "response.output_audio.delta", content_index=0, delta=delta)
        else:
            self.output_audio_buffer.play(self.response_id, output.item["id"], pcm)
        output.pcm += pcm
        if output.stored is not None:
            output.stored.audio_ms = duration_ms(output.pcm)
        self.deltas += 1
        self.context.config.audio_spoken = True

    def _emit_for(self, output: OutputItem, type_: str, **fields: Any) -> None:
        ids = {"response_id": self.response_id, "item_id": output.item["id"], "output_index": output.index}
        self.context.emit(type_, **ids, **fields)

    def close(self, output: OutputItem, status: str) -> None:
        """An item ends, in the API's fixed order of events; ``status`` is ``completed`` or ``incomplete``."""
        item = output.item
        if output.part:
            key = "transcript" if output.part == "audio" else "text"
            if output.part == "audio":
                self._emit_for(output, "response.output_audio.done", content_index=0)
            done = "response.output_audio_transcript.done" if output.part == "audio" else "response.output_text.done"
            self._emit_for(output, done, content_index=0, **{key: output.text})
            self._emit_for(output, "response.content_part.done", content_index=0, part=_part(output.part, output.text))
            item["content"] = [{"type": f"output_{output.part}", key: output.text}]
        elif item["type"] != "mcp_approval_request":
            item["arguments"] = output.text
            # Also for a call that was interrupted (reference of this event): the item's status tells the two apart.
            call = {"call_id": item["call_id"], "name": item["name"]} if "call_id" in item else {}
            self._emit_for(output, f"response.{item['type']}_arguments.done", **call, arguments=output.text)
        if item["type"].startswith("mcp_"):
            self._close_server_item(output, status)
            return
        item["status"] = status
        self._announce_done(output)
        self.context.emit("response.output_item.done", response_id=self.response_id, output_index=output.index, item=item)

    def _close_server_item(self, output: OutputItem, status: str) -> None:
        """Close an item of an MCP server. Those items have no status. A completed call ends in the conversation after the
        server's answer, after the response; an interrupted call is never made."""
        item = output.item
        if item["type"] == "mcp_call" and status == "completed":
            self.context.emit("response.mcp_call.in_progress", output_index=output.index, item_id=item["id"])
            self.calls.append(output)
        else:
            self._announce_done(output)
        self.context.emit("response.output_item.done", response_id=self.response_id, output_index=output.index, item=item)

    def _announce_done(self, output: OutputItem) -> None:
        """The item is complete in the conversation, too."""
        item, stored = output.item, output.stored
        if stored is not None and self.context.items.get(item["id"]) is stored:  # the client may have deleted or replaced it
            self.context.items.complete(stored, copy.deepcopy(item), bytes(output.pcm))
            before = self.context.items.predecessor_when_done(item["id"])
            self.context.emit("conversation.item.done", previous_item_id=before, item=item)

    def complete_call(self, output: OutputItem, outcome: dict[str, Any]) -> None:
        """Complete a call after its server's answer; ``outcome`` is the item's ``output`` or its ``error``."""
        output.item.update(outcome)
        self._announce_done(output)
        how = "failed" if outcome.get("error") else "completed"
        self.context.emit(f"response.mcp_call.{how}", output_index=output.index, item_id=output.item["id"])

    def tokens(self) -> list[dict[str, int]]:
        """Return the tokens of each item so far."""
        return [
            {
                "text": usage.count(output.text) + (0 if output.part else usage.count(output.item["name"])),
                "audio": int(duration_ms(output.pcm) / usage.ASSISTANT_AUDIO_MS),
            }
            for output in self
        ]


def _part(kind: str, text: str) -> dict[str, Any]:
    """Return a content part for events: "audio" or "text", in contrast to "output_audio" and "output_text" in items."""
    return {"type": "audio", "transcript": text} if kind == "audio" else {"type": "text", "text": text}
