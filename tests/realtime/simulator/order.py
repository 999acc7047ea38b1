"""The order of a session's events: what must come before what, what adds up, and which ids and indexes may be named."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]

BYTES_PER_MS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}
TOKEN_MS = 50
"""Milliseconds of the assistant's speech per token."""
GRID_MS = 32
"""All ends of speech lie on this grid."""
SEMANTIC_PREFIX_MS = 300
DETAILS = {
    "completed": None, "cancelled": ("turn_detected", "client_cancelled"),
    "incomplete": ("max_output_tokens", "content_filter"), "failed": (),
}  # fmt: skip
"""Each way in which a response ends, and the reasons of its ``status_details``."""
CLOSING = {
    "text": ["response.output_text.done", "response.content_part.done"],
    "audio": ["response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done"],
    "": ["response.function_call_arguments.done"],
    "mcp_call": ["response.mcp_call_arguments.done"],
    "mcp_approval_request": [],
}
"""How an output item ends, by what it holds; the item's own two events follow."""
TRANSCRIPTION = "conversation.item.input_audio_transcription"


def violations(log: Iterable[tuple[str, Event]]) -> list[str]:
    """What is wrong with a session's events; each with its direction, ``sent`` (by the client) or ``received``."""
    order = Order()
    for direction, event in log:
        order.feed(direction, event)
    return order.violations


def usage_violations(usage: Event) -> list[str]:
    """What does not add up in a response's usage."""
    read, made = usage["input_token_details"], usage["output_token_details"]
    cached = read["cached_tokens_details"]
    kinds = ("text_tokens", "audio_tokens", "image_tokens")
    rules = {
        "total is input and output": usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"],
        "input is the sum of its kinds": usage["input_tokens"] == sum(read[kind] for kind in kinds),
        "output is the sum of its kinds": usage["output_tokens"] == made["text_tokens"] + made["audio_tokens"],
        "cached is the sum of its kinds": read["cached_tokens"] == sum(cached[kind] for kind in kinds),
        "cached comes in steps of 64": read["cached_tokens"] % 64 == 0,
        "cached is a part of what was read": all(0 <= cached[kind] <= read[kind] for kind in kinds),
    }
    return [f"usage: {rule}: {usage}" for rule, holds in rules.items() if not holds]


@dataclass
class OutputItem:
    """One output item of a response."""

    item: Event
    part: str = ""
    """audio or text once its content has begun; empty for a call."""
    said: str = ""
    audio_bytes: int = 0
    closing: list[str] = field(default_factory=list)
    calling: bool = False
    """A server's tool is being called."""
    done: Event | None = None
    """The item as output_item.done told it."""
    replaced: bool = False
    """The client has deleted it, or put another in its place: the conversation no longer tells of it."""


@dataclass
class Answer:
    """One response."""

    apart: bool
    """Out of band."""
    bytes_per_ms: int
    outputs: list[OutputItem] = field(default_factory=list)


class Order:
    """Reads a session event by event; ``violations`` grows."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.session: Event = {}
        self.items: list[str] = []
        """Ids in the conversation's order."""
        self.first = ""
        """Id of the conversation's very first item, see the quirk in ``_done``."""
        self.open_items: set[str] = set()
        """Added, not done."""
        self.active: dict[str, Answer] = {}
        """Responses in progress."""
        self.ended: set[str] = set()
        """Ids of responses that are done."""
        self.rate_limits_due = 0
        self._generated: dict[str, OutputItem] = {}
        self._known_ids: set[str] = set()
        """Ids of everything that was ever said or announced; what was deleted may still be written down."""
        self._of_server: dict[str, OutputItem] = {}
        """Calls of MCP servers' tools."""
        self._heard: dict[str, str] = {}
        """Items that are written down: the words so far."""
        self._written: set[str] = set()
        self._sound: dict[str, float] = {}
        """Milliseconds of the assistant's items."""
        self._speaking = ""
        """Id announced for the turn that is being spoken."""
        self._next = ("", "")
        """Type and item of the event that must come next."""
        self._event_ids: set[str] = set()
        self._sent_ids: set[str] = set()
        self._wanted: dict[str, Any] = {}
        """Where the client wanted items that it named; None: anywhere."""
        self._now = ""

    def feed(self, direction: str, event: Event) -> None:
        """Take the next event."""
        if direction == "sent":
            self._sent(event)
            return
        type_ = event["type"]
        self._now = f"{event.get('event_id')} {type_}"
        self._must("event_id" in event and event["event_id"] not in self._event_ids, "event ids are there and unique")
        self._event_ids.add(str(event.get("event_id")))
        self._must(bool(self.session) == (type_ != "session.created"), "session.created is the first, and comes once")
        wanted, self._next = self._next, ("", "")
        if wanted[0]:
            told = event.get("item_id") or event.get("item", {}).get("id")
            self._must((type_, told) == wanted, f"{wanted[0]} of {wanted[1]} must come next")
        if isinstance(event.get("delta"), str) and not type_.endswith("audio.delta"):
            self._must((len(event["delta"]) + len(event.get("obfuscation", ""))) % 16 == 0, "delta and padding are 16·n long")
        rule = RULES.get(type_)
        if rule is not None:
            rule(self, event)
        elif type_.startswith("response.") and type_.endswith((".delta", ".done")):
            self._stream(event)

    def rest(self) -> None:
        """Nothing is in progress any more: all that was begun has ended."""
        self._now = "at rest"
        self._must(not self.active, f"every response that was created is done: {list(self.active)}")
        self._must(not self._next[0], f"{self._next[0]} of {self._next[1]} has come")

    def _must(self, holds: bool, rule: str) -> None:
        if not holds:
            self.violations.append(f"{self._now}: {rule}")

    def _sent(self, event: Event) -> None:
        if isinstance(event_id := event.get("event_id"), str):
            self._sent_ids.add(event_id)
        item, before = event.get("item"), event.get("previous_item_id")
        if event.get("type") == "conversation.item.create" and isinstance(item, dict):
            self._wanted[str(item.get("id"))] = before

    # ── Session, errors, limits ────────────────────────────────────────────────────────────────────────────────────

    def _session(self, event: Event) -> None:
        session = event["session"]
        self._must(not self.session or session["id"] == self.session["id"], "a session keeps its id")
        self.session = session
        if self._detection() is None:
            self._speaking = ""

    def _detection(self) -> Event | None:
        found: Event | None = self.session["audio"]["input"].get("turn_detection")
        return found

    def _error(self, event: Event) -> None:
        event_id = event["error"]["event_id"]
        self._must(event_id is None or event_id in self._sent_ids, "error.event_id names an event of the client")

    def _rate_limits(self, event: Event) -> None:
        self._must(self.rate_limits_due > 0, "rate limits come after a response.done, once")
        self.rate_limits_due -= 1

    # ── The input buffer ───────────────────────────────────────────────────────────────────────────────────────────

    def _speech_started(self, event: Event) -> None:
        self._must(not self._speaking, "a turn begins when no other is being spoken")
        self._must(event["item_id"] not in self.items, "the announced id is new")
        detection = self._detection() or {}
        padding = detection.get("prefix_padding_ms", SEMANTIC_PREFIX_MS)
        start = event["audio_start_ms"]
        self._must(start == 0 or (start + padding) % GRID_MS == 0, "speech starts on the grid, less its padding")
        self._speaking = event["item_id"]
        self._known_ids.add(event["item_id"])

    def _speech_stopped(self, event: Event) -> None:
        self._must(event["item_id"] == self._speaking, "the turn that ends is the one that began")
        self._must(event["audio_end_ms"] % GRID_MS == 0, "speech stops on the grid")
        self._next = ("input_audio_buffer.committed", event["item_id"])

    def _timeout(self, event: Event) -> None:
        self._must(event["audio_start_ms"] <= event["audio_end_ms"], "silence ends after it began")
        self._next = ("input_audio_buffer.committed", event["item_id"])

    def _committed(self, event: Event) -> None:
        item_id = event["item_id"]
        self._must(self._speaking in ("", item_id), "what is committed is the item that was announced")
        self._must(item_id not in self.items, "a committed item is new")
        self._must(event["previous_item_id"] == self._last(), "a committed item follows the last one")
        self._speaking = ""
        self._next = ("conversation.item.added", item_id)

    def _cleared(self, event: Event) -> None:
        self._speaking = ""

    # ── The conversation ───────────────────────────────────────────────────────────────────────────────────────────

    def _last(self) -> str | None:
        return self.items[-1] if self.items else None

    def _added(self, event: Event) -> None:
        item_id, before = event["item"]["id"], event["previous_item_id"]
        if item_id in self.items:  # a client used an id again: the new item takes the old one's place
            self._gone(item_id)
        if (wanted := self._wanted.pop(item_id, None)) is not None:
            self._must(before == (None if wanted == "root" else wanted), f"the item comes after {wanted}")
        self._must(before is None or before in self.items, "the item before is in the conversation")
        index = self.items.index(before) + 1 if before in self.items else 0
        if item_id in self._generated:
            self._must(index == len(self.items), "the model's item comes last")
        self.items.insert(index, item_id)
        self._known_ids.add(item_id)
        self.first = self.first or item_id
        self.open_items.add(item_id)
        if item_id not in self._generated and event["item"]["type"] in ("message", "function_call", "function_call_output"):
            self._next = ("conversation.item.done", item_id)

    def _done(self, event: Event) -> None:
        item_id = event["item"]["id"]
        self._must(item_id in self.open_items, "an item is done once, after it was added")
        self.open_items.discard(item_id)
        if item_id not in self.items:
            return
        index = self.items.index(item_id)
        before = self.items[index - 1] if index else None
        if item_id in self._generated and before == self.first:
            before = None  # the API's quirk: without exception in recorded traffic
        self._must(event["previous_item_id"] == before, f"the item before is {before}")
        if (output := self._generated.get(item_id)) is not None:
            output.closing.append(event["type"])

    def _gone(self, item_id: str) -> None:
        if item_id in self.items:
            self.items.remove(item_id)
        self.open_items.discard(item_id)
        if (output := self._generated.pop(item_id, None)) is not None:
            output.replaced = True

    def _known(self, event: Event) -> None:
        item_id = event.get("item_id") or event["item"]["id"]
        self._must(item_id in self.items, "the item is in the conversation")
        if event["type"] == "conversation.item.deleted":
            self._gone(item_id)
        if event["type"] == "conversation.item.truncated":
            self._must(event["audio_end_ms"] <= self._sound.get(item_id, 0), "only what was spoken is cut")
            self._sound[item_id] = event["audio_end_ms"]

    def _transcription(self, event: Event) -> None:
        item_id, type_ = event["item_id"], event["type"]
        if self._detection() is None and type_.endswith(".delta"):
            self._known_ids.add(item_id)  # a turn taken by hand is announced by nothing else
        self._must(item_id in self._known_ids, "what is written down was said")
        self._must(item_id not in self._written, "nothing is written down after its end")
        if type_.endswith(".delta"):
            self._heard[item_id] = self._heard.get(item_id, "") + event["delta"]
        elif type_.endswith((".completed", ".failed")):
            self._written.add(item_id)
            if type_.endswith(".completed") and item_id in self._heard:
                self._must(self._heard[item_id].strip() == event["transcript"].strip(), "deltas add up to the transcript")

    # ── Responses ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _response_created(self, event: Event) -> None:
        response = event["response"]
        apart = response["conversation_id"] is None
        self._must(response["id"] not in {*self.active, *self.ended}, "a response is created once")
        self._must(apart or all(other.apart for other in self.active.values()), "one default response at a time")
        self._must(response["status"] == "in_progress" and response["output"] == [], "a new response is empty")
        self._must(response["usage"] is None and response["status_details"] is None, "a new response has cost nothing")
        self.active[response["id"]] = Answer(apart, BYTES_PER_MS[response["audio"]["output"]["format"]["type"]])

    def _output_added(self, event: Event) -> None:
        answer, item = self.active.get(event["response_id"]), event["item"]
        self._must(answer is not None, "the response is in progress")
        if answer is None:
            return
        self._must(event["output_index"] == len(answer.outputs), "outputs are counted from 0")
        self._must(item["id"] not in self.items and item["id"] not in self._generated, "the item is new")
        output = OutputItem(item)
        if item["type"] == "mcp_call":
            self._of_server[item["id"]] = output
        answer.outputs.append(output)
        if not answer.apart:
            self._generated[item["id"]] = output
            self._next = ("conversation.item.added", item["id"])

    def _output(self, event: Event) -> tuple[Answer, OutputItem] | None:
        """The response and item that an event names; None, and a violation, when there are none."""
        answer, index = self.active.get(event["response_id"]), event["output_index"]
        self._must(answer is not None, "the response is in progress")
        if answer is None:
            return None
        item_id = event.get("item_id") or event["item"]["id"]
        known = index < len(answer.outputs) and answer.outputs[index].item["id"] == item_id
        self._must(known, f"output {index} is {item_id}")
        self._must(known and answer.outputs[index].done is None, "the output is still open")
        return (answer, answer.outputs[index]) if known else None

    def _part_added(self, event: Event) -> None:
        if (found := self._output(event)) is not None:
            _, output = found
            self._must(event["content_index"] == 0 and not output.part, "an item has one part, added once")
            self._must(output.item["type"] == "message", "only messages have parts")
            output.part = event["part"]["type"]

    def _stream(self, event: Event) -> None:
        if (found := self._output(event)) is None:
            return
        _, output = found
        type_ = event["type"]
        self._must(not output.part or event.get("content_index") == 0, "the content part is known")
        if type_.endswith(".delta"):
            self._must(not output.closing, "no delta comes after the end")
            if type_ == "response.output_audio.delta":
                self._must(output.part == "audio" and bool(output.said), "sound comes in a part of sound, after first words")
                output.audio_bytes += len(base64.b64decode(event["delta"], validate=True))
                self._sound[output.item["id"]] = output.audio_bytes / found[0].bytes_per_ms
            else:
                output.said += event["delta"]
            return
        output.closing.append(type_)
        told = {**event.get("part", {}), **event}
        if (words := next((told[key] for key in ("text", "transcript", "arguments") if key in told), None)) is not None:
            self._must(words == output.said, f"deltas add up to the whole: {output.said!r}, {words!r}")
        if "call_id" in event:
            self._must((event["call_id"], event["name"]) == (output.item["call_id"], output.item["name"]), "the call is known")

    def _output_done(self, event: Event) -> None:
        if (found := self._output(event)) is None:
            return
        (answer, output), item = found, event["item"]
        output.done = item
        self._sound[item["id"]] = output.audio_bytes / answer.bytes_per_ms
        if item["type"] == "mcp_approval_request":
            output.said = output.item["arguments"]
        said = item.get("arguments", output.said)
        for part in item.get("content", []):
            said = part.get("text") or part.get("transcript") or ""
        self._must(said == output.said, "deltas add up to the item")
        of_server = item["type"] in CLOSING
        self._must(of_server or item["status"] in ("completed", "incomplete"), "an item ends completed or incomplete")
        called = item["type"] == "mcp_call" and output.calling  # it is done in the conversation when the server answers
        told = [] if answer.apart or output.replaced or called else ["conversation.item.done"]
        closing = CLOSING[item["type"] if of_server else output.part]
        self._must(output.closing == closing + told, f"an item ends in order: {output.closing}")

    def _calling(self, event: Event) -> None:
        found = self._of_server.get(event["item_id"])
        self._must(found is not None, "a call of a server is an output item")
        if found is not None:
            ended = not event["type"].endswith(".in_progress")
            self._must(found.calling == ended, "a call begins once, and ends once")
            self._must(not ended or found.done is not None, "a call ends after its item in the response")
            found.calling = not ended

    def _response_done(self, event: Event) -> None:
        response = event["response"]
        answer = self.active.pop(response["id"], None)
        self._must(answer is not None, "a response that was created is done once")
        if answer is None:
            return
        self.ended.add(response["id"])
        self.rate_limits_due += 1
        status, details = response["status"], response["status_details"]
        self._must((details is None) == (status == "completed"), "only a completed response needs no details")
        self._must(not details or details["type"] == status, "the details are of the status")
        self._must(not (details and DETAILS[status]) or details["reason"] in (DETAILS[status] or ()), "the reason is known")
        self._must([output.done for output in answer.outputs] == response["output"], "the response holds what was done")
        self._must(answer.apart == (response["conversation_id"] is None), "a response stays in or out of its conversation")
        if (usage := response["usage"]) is not None:
            self.violations += [f"{self._now}: {violation}" for violation in usage_violations(usage)]
            tokens = sum(int(output.audio_bytes / answer.bytes_per_ms / TOKEN_MS) for output in answer.outputs)
            self._must(usage["output_token_details"]["audio_tokens"] == tokens, f"{tokens} tokens of sound were made")


RULES: dict[str, Callable[[Order, Event], None]] = {
    "session.created": Order._session,
    "session.updated": Order._session,
    "error": Order._error,
    "rate_limits.updated": Order._rate_limits,
    "input_audio_buffer.speech_started": Order._speech_started,
    "input_audio_buffer.speech_stopped": Order._speech_stopped,
    "input_audio_buffer.timeout_triggered": Order._timeout,
    "input_audio_buffer.committed": Order._committed,
    "input_audio_buffer.cleared": Order._cleared,
    "conversation.item.added": Order._added,
    "conversation.item.done": Order._done,
    "conversation.item.deleted": Order._known,
    "conversation.item.retrieved": Order._known,
    "conversation.item.truncated": Order._known,
    f"{TRANSCRIPTION}.delta": Order._transcription,
    f"{TRANSCRIPTION}.segment": Order._transcription,
    f"{TRANSCRIPTION}.completed": Order._transcription,
    f"{TRANSCRIPTION}.failed": Order._transcription,
    "response.created": Order._response_created,
    "response.output_item.added": Order._output_added,
    "response.content_part.added": Order._part_added,
    "response.output_item.done": Order._output_done,
    "response.done": Order._response_done,
    "response.mcp_call.in_progress": Order._calling,
    "response.mcp_call.completed": Order._calling,
    "response.mcp_call.failed": Order._calling,
}
"""What each type of event has to keep to; the other deltas and ends of responses keep to ``_stream``."""
