"""One response's life: a script of events and waits, that can be cut short at any point."""

from __future__ import annotations

import base64
import copy
import random
import re
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from realtime.audio import duration_ms, from_pcm24
from realtime.simulator import brain, usage
from realtime.simulator.config import Config, reasons
from realtime.simulator.ids import Ids
from realtime.simulator.items import Items, Stored

if TYPE_CHECKING:
    from realtime.simulator.playback import Playback

DELTA_BYTES = 12_000
"""PCM16 bytes in an audio delta: 250 ms, as derived from the API's usage; the first ones of an answer are smaller."""
FIRST_DELTAS = (4_800, 9_600)
AHEAD = 4
"""Tokens of transcript that run ahead of the sound."""
TEXT_TOKEN_SECONDS = 0.02
"""Between two deltas of written text."""
ARGUMENTS_TOKEN = re.compile(r"[^\W\d]+|-?\d+|\s+|[^\w\s]{1,2}")
"""A function's arguments in pieces of about the size the API streams; together they are the arguments again."""


@dataclass(frozen=True, slots=True)
class Speak:
    """Work for a thread: say this sentence. The result is PCM16 24 kHz."""

    text: str
    voice: str
    speed: float


@dataclass(frozen=True, slots=True)
class Hear:
    """Work for a thread: write down what was said in this item. The result is a sentence."""

    item_id: str
    pcm: bytes = field(repr=False)
    partial: bool = False
    """More is being said: the result is what can be made out so far, and may be empty."""


@dataclass(frozen=True, slots=True)
class Think:
    """Work for whoever has staged the session: what a response is to say. The result is a plan, or None for the brain's own."""


class WorkFailed(Exception):
    """Raised inside a script when a thread could not do its work; ``str()`` says why."""

    def error(self) -> dict[str, Any]:
        """As the API tells of its own failures."""
        return {"type": "server_error", "code": "server_error", "message": str(self), "param": None}


Script = Generator["float | Speak | Hear | Think", Any, None]
"""Yields seconds to wait, or work whose result it is then sent."""


class World(Protocol):
    """What a response needs of its session."""

    ids: Ids
    items: Items
    chance: random.Random
    config: Config
    playback: Playback | None

    def emit(self, type_: str, **fields: Any) -> None:
        """Send one event."""


@dataclass(slots=True)
class Output:
    """One output item while it is being made."""

    item: dict[str, Any]
    index: int
    part: str = ""
    """audio or text; empty for a function call."""
    said: str = ""
    """Transcript, text or arguments sent so far."""
    pcm: bytearray = field(default_factory=bytearray)
    """Sound sent so far."""
    stored: Stored | None = None
    """Its form in the conversation; None out of band."""


class Response:
    """A response from its creation to ``response.done``. ``script()`` runs it; ``finish()`` ends it, early or not."""

    def __init__(
        self,
        world: World,
        session: dict[str, Any],
        context: list[Stored],
        conversation_id: str | None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """``session`` is the settings as this response sees them, ``context`` what it reads; without a
        ``conversation_id`` it is out of band and writes nothing into the conversation."""
        self.world = world
        self.context = context
        self.session = session
        self.id = world.ids.make("resp")
        self.conversation_id = conversation_id
        self.metadata = metadata
        self.outputs: list[Output] = []
        self.calls: list[Output] = []
        """Calls of MCP servers that are to be made now that it has ended."""
        self.done = False
        self.cost_nothing = False
        """It failed before the model ran."""
        self.audio = session["output_modalities"] == ["audio"]
        self.deltas = 0

    # ── The script ─────────────────────────────────────────────────────────────────────────────────────────────────

    def script(self, make_plan: Callable[[], brain.Plan], latency: float, pace: float) -> Script:
        """Think for ``latency`` seconds, then stream what the plan says, sound ``pace`` times as fast as it plays."""
        yield latency
        for step in make_plan():
            if isinstance(step, brain.Say):
                yield from self._say(step, latency, pace)
            elif isinstance(step, brain.BreakOff):
                self.finish("incomplete", {"type": "incomplete", "reason": "content_filter"})
                return
            elif isinstance(step, brain.Fail):
                self.finish("failed", {"type": "failed", "error": step.error})
                return
            elif isinstance(step, brain.CallServer) and step.ask:
                self._ask(step)
            else:
                yield from self._call(step)
            if self._over_limit():
                self.finish("incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
                return
        self.finish("completed", None)

    def _say(self, step: brain.Say, latency: float, pace: float) -> Script:
        item: dict[str, Any] = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
        if reasons(self.session["model"]):
            item["phase"] = step.phase
        output = self._open(item, "audio" if self.audio else "text")
        for sentence in sentences(step.text):
            tokens = usage.text_tokens(sentence)
            if not self.audio:
                for token in tokens:
                    yield TEXT_TOKEN_SECONDS
                    self._text_delta(output, token)
                    if self._over_limit():
                        return
                continue
            if not output.said:  # the words come first, while the voice is still being made
                for token in tokens[:AHEAD]:
                    self._text_delta(output, token)
                tokens = tokens[AHEAD:]
            speaker = self.session["audio"]["output"]
            pcm = yield Speak(sentence, speaker["voice"], speaker["speed"])
            yield from self._stream(output, pcm, tokens, pace)
            if self._over_limit():
                return

    def _stream(self, output: Output, pcm: bytes, tokens: list[str], pace: float) -> Script:
        """Words and sound of one sentence, interleaved, the words ahead."""
        total, sent, position = len(tokens), 0, 0
        while position < len(pcm):
            wanted = min(total, AHEAD + round(total * position / len(pcm)))
            while sent < wanted:
                self._text_delta(output, tokens[sent])
                sent += 1
            size = FIRST_DELTAS[self.deltas] if self.deltas < len(FIRST_DELTAS) else DELTA_BYTES
            chunk = pcm[position : position + size]
            self._audio_delta(output, chunk)
            position += len(chunk)
            yield duration_ms(chunk) / 1000 / pace
            if self._over_limit():
                return
        for token in tokens[sent:]:
            self._text_delta(output, token)

    def _call(self, step: brain.CallTool | brain.CallServer) -> Script:
        item: dict[str, Any]
        if isinstance(step, brain.CallServer):
            item = {
                "id": self.world.ids.make("mcp"), "type": "mcp_call", "server_label": step.server_label, "name": step.name,
                "arguments": "", "approval_request_id": step.approval_request_id, "output": None, "error": None,
            }  # fmt: skip
        else:
            item = {
                "type": "function_call", "status": "in_progress", "name": step.name, "call_id": self.world.ids.call(),
                "arguments": "",
            }  # fmt: skip
        output = self._open(item, "")
        call = {"call_id": item["call_id"]} if "call_id" in item else {}
        for token in ARGUMENTS_TOKEN.findall(step.arguments):
            yield TEXT_TOKEN_SECONDS / 2
            self._emit_for(output, f"response.{item['type']}_arguments.delta", **call, **self._padded(token))
            output.said += token

    def _ask(self, step: brain.CallServer) -> None:
        """Ask whether a tool of a server may be called: an item that is complete at once."""
        item = {
            "id": self.world.ids.make("mcpr"), "type": "mcp_approval_request", "server_label": step.server_label,
            "name": step.name, "arguments": step.arguments,
        }  # fmt: skip
        self._open(item, "").said = step.arguments

    # ── Events ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def created(self) -> None:
        """Announce the response."""
        self.world.emit("response.created", response=self.as_object("in_progress", None, None))

    def _open(self, item: dict[str, Any], part: str) -> Output:
        output = Output({"id": self.world.ids.make("item"), **item}, len(self.outputs), part)
        self.outputs.append(output)
        self.world.emit("response.output_item.added", response_id=self.id, output_index=output.index, item=output.item)
        if self.conversation_id:
            output.stored = Stored(copy.deepcopy(output.item), generated=True)
            self.world.items.add(output.stored)
            before = self.world.items.predecessor(output.item["id"])
            self.world.emit("conversation.item.added", previous_item_id=before, item=output.item)
        if part:
            self._emit_for(output, "response.content_part.added", content_index=0, part=_part(part, ""))
        return output

    def _text_delta(self, output: Output, token: str) -> None:
        type_ = "response.output_audio_transcript.delta" if output.part == "audio" else "response.output_text.delta"
        self._emit_for(output, type_, content_index=0, **self._padded(token))
        output.said += token

    def _audio_delta(self, output: Output, pcm: bytes) -> None:
        if self.world.playback is None:
            sound = from_pcm24(pcm, self.session["audio"]["output"]["format"]["type"])
            delta = base64.b64encode(sound).decode()
            self._emit_for(output, "response.output_audio.delta", content_index=0, delta=delta)
        else:
            self.world.playback.play(self.id, output.item["id"], pcm)
        output.pcm += pcm
        self.deltas += 1
        self.world.config.audio_spoken = True

    def _emit_for(self, output: Output, type_: str, **fields: Any) -> None:
        ids = {"response_id": self.id, "item_id": output.item["id"], "output_index": output.index}
        self.world.emit(type_, **ids, **fields)

    def _padded(self, delta: str) -> dict[str, str]:
        """A textual delta and its ``obfuscation``: together a multiple of 16 characters, so that nobody can guess the
        words from the sizes on the wire."""
        return {"delta": delta, "obfuscation": self.world.ids.random(16 - len(delta) % 16 if len(delta) % 16 else 0)}

    # ── The end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, status: str, details: dict[str, Any] | None) -> None:
        """Close what is open, in the API's fixed order, and say how it ended. Does nothing the second time."""
        if self.done:
            return
        self.done = True
        whole = status == "completed"
        for output in self.outputs:
            self._close(output, "completed" if whole else "incomplete")
        self.cost_nothing = status == "failed" and not self.outputs
        used = None if self.cost_nothing else self._usage()
        self.world.emit("response.done", response=self.as_object(status, details, used))

    def _close(self, output: Output, status: str) -> None:
        item = output.item
        if output.part:
            key = "transcript" if output.part == "audio" else "text"
            if output.part == "audio":
                self._emit_for(output, "response.output_audio.done", content_index=0)
            done = "response.output_audio_transcript.done" if output.part == "audio" else "response.output_text.done"
            self._emit_for(output, done, content_index=0, **{key: output.said})
            self._emit_for(output, "response.content_part.done", content_index=0, part=_part(output.part, output.said))
            item["content"] = [{"type": f"output_{output.part}", key: output.said}]
        elif item["type"] != "mcp_approval_request":
            item["arguments"] = output.said
            # Also for a call that was interrupted (reference of this event): the item's status tells the two apart.
            call = {"call_id": item["call_id"], "name": item["name"]} if "call_id" in item else {}
            self._emit_for(output, f"response.{item['type']}_arguments.done", **call, arguments=output.said)
        if item["type"].startswith("mcp_"):
            self._close_of_server(output, status)
            return
        item["status"] = status
        self._tell_done(output)
        self.world.emit("response.output_item.done", response_id=self.id, output_index=output.index, item=item)

    def _close_of_server(self, output: Output, status: str) -> None:
        """Items of MCP servers have no status. A call that was made ends in the conversation when the server has
        answered, after the response; one that was cut is never made."""
        item = output.item
        if item["type"] == "mcp_call" and status == "completed":
            self.world.emit("response.mcp_call.in_progress", output_index=output.index, item_id=item["id"])
            self.calls.append(output)
        else:
            self._tell_done(output)
        self.world.emit("response.output_item.done", response_id=self.id, output_index=output.index, item=item)

    def _tell_done(self, output: Output) -> None:
        """The item is complete in the conversation, too."""
        item, stored = output.item, output.stored
        if stored is not None and self.world.items.get(item["id"]) is stored:  # the client may have deleted or replaced it
            stored.item, stored.audio = copy.deepcopy(item), bytes(output.pcm)
            stored.audio_ms = duration_ms(output.pcm)
            before = self.world.items.predecessor_when_done(item["id"])
            self.world.emit("conversation.item.done", previous_item_id=before, item=item)

    def tell_called(self, output: Output, outcome: dict[str, Any]) -> None:
        """A server has answered a call, or failed to: ``outcome`` is the item's ``output`` or its ``error``."""
        output.item.update(outcome)
        self._tell_done(output)
        how = "failed" if outcome.get("error") else "completed"
        self.world.emit(f"response.mcp_call.{how}", output_index=output.index, item_id=output.item["id"])

    def as_object(self, status: str, details: dict[str, Any] | None, used: dict[str, Any] | None) -> dict[str, Any]:
        """The ``response`` object, its keys in the order of the wire."""
        output = self.session["audio"]["output"]
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [output.item for output in self.outputs] if status != "in_progress" else [],
            "conversation_id": self.conversation_id,
            "output_modalities": self.session["output_modalities"],
            "max_output_tokens": self.session["max_output_tokens"],
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "usage": used,
            "metadata": self.metadata,
        }

    def _made(self) -> list[dict[str, int]]:
        return [
            {
                "text": usage.count(output.said) + (0 if output.part else usage.count(output.item["name"])),
                "audio": int(duration_ms(output.pcm) / usage.ASSISTANT_AUDIO_MS),
            }
            for output in self.outputs
        ]

    def _usage(self) -> dict[str, Any]:
        instructions = usage.count(self.session["instructions"]) + usage.count(str(self.session["tools"] or ""))
        cached = sum(sum(stored.tokens.values()) for stored in self.context if stored.cached)
        cached += instructions if cached else 0
        for stored in self.context:
            stored.cached = True
        read = [stored.tokens for stored in self.context]
        return usage.response_usage(read, instructions, self._made(), cached)

    def _over_limit(self) -> bool:
        limit = self.session["max_output_tokens"]
        return limit != "inf" and int(limit) <= sum(made["text"] + made["audio"] for made in self._made())


def _part(kind: str, said: str) -> dict[str, Any]:
    """A content part of the events; they say "audio" and "text" where the item says "output_audio" and "output_text"."""
    return {"type": "audio", "transcript": said} if kind == "audio" else {"type": "text", "text": said}


def sentences(text: str) -> Iterable[str]:
    """A text in sentences, each with the space before it: what is spoken at once."""
    return [piece for piece in re.findall(r".+?(?:[.!?]+(?=\s|$)|$)", text, re.DOTALL) if piece.strip()] or [text]
