"""A response: streams its plan as events, and can be ended at any point."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any

from realtime.audio import duration_ms
from realtime.simulator.conversation import usage
from realtime.simulator.conversation.context_window import fixed_tokens
from realtime.simulator.conversation.items import StoredItem
from realtime.simulator.conversation.jobs import Script, Synthesize
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.session.output_audio_buffer import OutputAudioBuffer
from realtime.simulator.session.output_items import OutputItem, OutputItems
from realtime.simulator.shared import response_plan
from realtime.simulator.validation.session_config import reasons

DELTA_BYTES = 12_000
"""PCM16 bytes in an audio delta: 250 ms, as derived from the API's usage."""
FIRST_DELTA = 9_600
"""Bytes of the first delta: 200 ms. The ramp is unconfirmed; a player needs the second delta in time."""
AHEAD = 4
"""Tokens of transcript sent ahead of the audio."""
TEXT_TOKEN_SECONDS = 0.02
"""Between two deltas of written text."""
ARGUMENTS_TOKEN = re.compile(r"[^\W\d]+|-?\d+|\s+|[^\w\s]{1,2}")
"""Splits a function's arguments into pieces close in size to the API's deltas."""


REASONING_TOKENS = {"minimal": 0, "low": 17, "medium": 48, "high": 128, "xhigh": 320}
"""Tokens of reasoning before a call, by effort; 17 were recorded."""


class Response:
    """A response from its creation to ``response.done``. ``script()`` runs the response; ``finish()`` ends it, early or not."""

    def __init__(
        self,
        context: SessionContext,
        settings: dict[str, Any],
        input_: list[StoredItem],
        conversation_id: str | None,
        metadata: dict[str, str] | None = None,
        output_audio_buffer: OutputAudioBuffer | None = None,
    ) -> None:
        """``settings`` are the session's, with the response's own on top; ``input_`` are the items to read. A response without
        ``conversation_id`` is out of band and writes nothing into the conversation."""
        self.context = context
        self.input = input_
        self.settings = settings
        self.id = context.ids.make("resp")
        self.conversation_id = conversation_id
        self.metadata = metadata
        audio_format = settings["audio"]["output"]["format"]["type"]
        self.outputs = OutputItems(context, output_audio_buffer, self.id, audio_format, apart=not conversation_id)
        self.done = False
        self.cost_nothing = False
        """The response failed before the model ran."""
        self.audio = settings["output_modalities"] == ["audio"]
        self.reasoning_tokens = 0
        """Tokens of reasoning."""

    # ── The script ─────────────────────────────────────────────────────────────────────────────────────────────────

    def script(self, make_plan: Callable[[], response_plan.Plan], latency: float, pace: float) -> Script:
        """Wait for ``latency`` seconds, then stream the plan, with audio ``pace`` times faster than real time."""
        yield latency
        for step in make_plan():
            if isinstance(step, response_plan.Say):
                yield from self._say(step, latency, pace)
            elif isinstance(step, response_plan.BreakOff):
                self.finish("incomplete", {"type": "incomplete", "reason": "content_filter"})
                return
            elif isinstance(step, response_plan.Fail):
                self.finish("failed", {"type": "failed", "error": step.error})
                return
            elif isinstance(step, response_plan.CallServer) and step.ask:
                self._ask(step)
            else:
                yield from self._call(step)
            if self._over_limit():
                self.finish("incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
                return
        self.finish("completed", None)

    def _say(self, step: response_plan.Say, latency: float, pace: float) -> Script:
        item: dict[str, Any] = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
        if reasons(self.settings["model"]):
            item["phase"] = step.phase
        output = self.outputs.open(item, "audio" if self.audio else "text")
        for sentence in sentences(step.text):
            tokens = usage.text_tokens(sentence)
            if not self.audio:
                for token in tokens:
                    yield TEXT_TOKEN_SECONDS
                    self.outputs.write(output, token)
                    if self._over_limit():
                        return
                continue
            if not output.text:  # words are sent during speech synthesis
                for token in tokens[:AHEAD]:
                    self.outputs.write(output, token)
                tokens = tokens[AHEAD:]
            speaker = self.settings["audio"]["output"]
            pcm = yield Synthesize(sentence, speaker["voice"], speaker["speed"])
            yield from self._stream(output, pcm, tokens, pace)
            if self._over_limit():
                return

    def _stream(self, output: OutputItem, pcm: bytes, tokens: list[str], pace: float) -> Script:
        """Stream one sentence: words and audio interleaved, the words ahead."""
        total, sent, position = len(tokens), 0, 0
        while position < len(pcm):
            wanted = min(total, AHEAD + round(total * position / len(pcm)))
            while sent < wanted:
                self.outputs.write(output, tokens[sent])
                sent += 1
            size = DELTA_BYTES if self.outputs.deltas else FIRST_DELTA
            chunk = pcm[position : position + size]
            self.outputs.write_audio(output, chunk)
            position += len(chunk)
            yield duration_ms(chunk) / 1000 / pace
            if self._over_limit():
                return
        for token in tokens[sent:]:
            self.outputs.write(output, token)

    def _call(self, step: response_plan.CallTool | response_plan.CallServer) -> Script:
        if reasons(self.settings["model"]):  # they think before they act; how long is unconfirmed
            self.reasoning_tokens = REASONING_TOKENS[self.settings.get("reasoning", {}).get("effort", "low")]
        item: dict[str, Any]
        if isinstance(step, response_plan.CallServer):
            item = {
                "id": self.context.ids.make("mcp"), "type": "mcp_call", "server_label": step.server_label, "name": step.name,
                "arguments": "", "approval_request_id": step.approval_request_id, "output": None, "error": None,
            }  # fmt: skip
        else:
            item = {
                "type": "function_call", "status": "in_progress", "name": step.name, "call_id": self.context.ids.call(),
                "arguments": "",
            }  # fmt: skip
        output = self.outputs.open(item)
        for token in ARGUMENTS_TOKEN.findall(step.arguments):
            yield TEXT_TOKEN_SECONDS / 2
            self.outputs.write_arguments(output, token)

    def _ask(self, step: response_plan.CallServer) -> None:
        """Add the request for approval of a server's tool, an item complete at once."""
        item = {
            "id": self.context.ids.make("mcpr"), "type": "mcp_approval_request", "server_label": step.server_label,
            "name": step.name, "arguments": step.arguments,
        }  # fmt: skip
        self.outputs.open(item).text = step.arguments

    # ── Events ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def created(self) -> None:
        """Announce the response."""
        self.context.emit("response.created", response=self.as_object("in_progress", None, None))

    # ── The end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, status: str, details: dict[str, Any] | None) -> None:
        """Close open items in the API's fixed order and send ``response.done``. Does nothing on a second call."""
        if self.done:
            return
        self.done = True
        whole = status == "completed"
        for output in self.outputs:
            self.outputs.close(output, "completed" if whole else "incomplete")
        self.cost_nothing = status == "failed" and not self.outputs
        used = None if self.cost_nothing else self._usage()
        self.context.emit("response.done", response=self.as_object(status, details, used))

    def as_object(self, status: str, details: dict[str, Any] | None, used: dict[str, Any] | None) -> dict[str, Any]:
        """Return the ``response`` object, its keys in the API's order."""
        output = self.settings["audio"]["output"]
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [output.item for output in self.outputs] if status != "in_progress" else [],
            "conversation_id": self.conversation_id,
            "output_modalities": self.settings["output_modalities"],
            "max_output_tokens": self.settings["max_output_tokens"],
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "usage": used,
            "metadata": self.metadata,
        }

    def _usage(self) -> dict[str, Any]:
        instructions, read_with = fixed_tokens(self.settings), self.context.items.read_with
        beginning = hash((self.settings["instructions"], str(self.settings["tools"])))
        known = itertools.takewhile(lambda stored: stored.cached, self.input)
        cached = instructions + sum(sum(stored.tokens.values()) for stored in known) if beginning in read_with else 0
        if beginning not in read_with:
            read_with.append(beginning)
        for stored in self.input:
            stored.cached = True
        read = [stored.tokens for stored in self.input]
        return usage.response_usage(read, instructions, self.outputs.tokens(), cached, self.reasoning_tokens)

    def _over_limit(self) -> bool:
        limit = self.settings["max_output_tokens"]
        made = ((each["text"] + each["audio"]) for each in self.outputs.tokens())
        return limit != "inf" and int(limit) <= self.reasoning_tokens + sum(made)


def sentences(text: str) -> Iterable[str]:
    """Split a text into sentences for synthesis, each with the space before it."""
    return [piece for piece in re.findall(r".+?(?:[.!?]+(?=\s|$)|$)", text, re.DOTALL) if piece.strip()] or [text]
