"""Answering: responses, from the wish for one to the rate limits after it; who may interrupt, and when to prompt again."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from realtime.audio import duration_ms
from realtime.simulator import brain
from realtime.simulator.config import reasons
from realtime.simulator.items import Stored
from realtime.simulator.refusals import Refusal, expect, invalid_value, unknown_parameter
from realtime.simulator.responses import Response, Script, WorkFailed

if TYPE_CHECKING:
    from realtime.simulator.session import SimulatedSession

RATE_LIMIT_DELAY = 0.04
"""Seconds between response.done and rate_limits.updated in recorded traffic."""
TOKENS_A_MINUTE = 40_000
"""The limit the simulator pretends to have."""
METADATA_PAIRS, METADATA_KEY, METADATA_VALUE = 16, 64, 512
"""How many pairs a response may carry, and how many characters each key and value."""
_FIELDS = (
    "conversation", "input", "metadata", "instructions", "output_modalities", "audio", "tools", "tool_choice",
    "parallel_tool_calls", "max_output_tokens", "reasoning", "prompt",
)  # fmt: skip


class Answering:
    """One session's mouth."""

    def __init__(self, session: SimulatedSession) -> None:
        self.session = session
        self.active: Response | None = None
        """The default-conversation response in progress."""
        self.used_tokens = 0
        self._disturbances = 0
        """Counts what ends an idle wait: speech, responses."""

    def disturb(self) -> None:
        """Somebody speaks: nobody needs to be prompted."""
        self._disturbances += 1

    def interrupt(self) -> None:
        """Speech cuts the answer short (session field ``interrupt_response``)."""
        if self.active is not None:
            self._cancel(self.active, "turn_detected")

    def answer_if_free(self) -> None:
        """Answer what was said, unless an answer that may not be interrupted is still going on."""
        if self.active is None:
            self.respond({})

    def create(self, data: dict[str, Any]) -> None:
        """``response.create``."""
        params = data.get("response")
        if params is None:
            params = {}
        expect("response", params, "an object")
        for key in params:
            if key not in _FIELDS:
                raise unknown_parameter(f"response.{key}")
        if params.get("conversation") not in (None, "auto", "none"):
            raise invalid_value("response.conversation", params["conversation"], ("auto", "none"))
        _check_metadata(params.get("metadata"))
        self.respond(params)

    def respond(self, params: dict[str, Any]) -> None:
        """Begin a response; ``params`` is the event's ``response``. Raises Refusal."""
        apart = params.get("conversation", "auto") == "none"
        if self.active is not None and not apart:
            raise Refusal(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self.active.id}. Wait until the response is "
                "finished before creating a new one.",
            )
        own = {k: v for k, v in params.items() if k not in ("conversation", "input", "metadata")}
        session = self.session.config.merged(own, "response")
        context = self._context(params)
        conversation_id = None if apart else self.session.conversation_id
        response = Response(self.session, session, context, conversation_id, params.get("metadata"))
        if not apart:
            self.active = response
        self.disturb()
        response.created()
        self.session.begin(self._run(response), response)

    def _context(self, params: dict[str, Any]) -> list[Stored]:
        """What a response reads: its own input where it has one, else the conversation. Raises Refusal."""
        given = params.get("input")
        if given is None:
            return list(self.session.items)
        expect("response.input", given, "an array")
        context = []
        for index, item in enumerate(given):
            if isinstance(item, dict) and item.get("type") == "item_reference":
                expect(f"response.input[{index}].id", item.get("id"), "a string")
                stored = self.session.items.get(item["id"])
                if stored is None:
                    message = f"Item with id '{item['id']}' not found."
                    raise Refusal("invalid_value", message, f"response.input[{index}].id")
                context.append(stored)
            else:
                context.append(self.session.stored(item, f"response.input[{index}]"))
        return context

    def _run(self, response: Response) -> Script:
        options = self.session.options
        latency = self.session.chance.uniform(0.12, 0.22) if options.latency_ms is None else options.latency_ms / 1000
        try:
            for stored in response.context:
                if stored.audio and stored.item.get("role") == "user":
                    yield from self.session.hearing.words(stored)
            yield from response.script(lambda: self._plan(response), latency, options.pace)
        except WorkFailed as failure:
            response.finish("failed", {"type": "failed", "error": failure.error()})
        self._after(response)

    def _plan(self, response: Response) -> brain.Plan:
        session = response.session
        choice = session["tool_choice"]
        tools = {} if choice == "none" else {t["name"]: t for t in session["tools"] if t.get("type") == "function"}
        forced = choice["name"] if isinstance(choice, dict) and choice.get("name") else "*" if choice == "required" else ""
        said = [_said(stored) for stored in response.context]
        own = session["instructions"] if session["instructions"] != self.session.config.session["instructions"] else ""
        if not said and own:  # the session's instructions say how to be, a response's own what to say
            said = [brain.Said("system", own)]
        local = datetime.fromtimestamp(self.session.now()).astimezone()
        plan = brain.plan(brain.Context(said, tools, forced, local))
        if not reasons(self.session.config.model):  # only the reasoning models speak before they call
            plan = [step for step in plan if not (isinstance(step, brain.Say) and step.phase == "commentary")]
        return plan

    def _after(self, response: Response) -> None:
        """A response has ended, by itself or cut."""
        if self.active is response:
            self.active = None
            self.session.begin(self._wait_for_speech(response))
        self.session.begin(self._tell_rate_limits(response))

    def _tell_rate_limits(self, response: Response) -> Script:
        yield RATE_LIMIT_DELAY
        self.used_tokens = min(TOKENS_A_MINUTE, self.used_tokens + sum(sum(s.tokens.values()) for s in response.context))
        left = TOKENS_A_MINUTE - self.used_tokens
        resets = round(self.used_tokens * 60 / TOKENS_A_MINUTE, 3)
        limit = {"name": "tokens", "limit": TOKENS_A_MINUTE, "remaining": left, "reset_seconds": resets}
        self.session.emit("rate_limits.updated", rate_limits=[limit])
        self.used_tokens = self.used_tokens // 2  # the window moves on

    def cancel(self, data: dict[str, Any]) -> None:
        """``response.cancel``: the active one, or the one named."""
        wanted = data.get("response_id")
        found = self.active
        if wanted is not None:
            found = next((response for response in self.session.responses() if response.id == wanted), None)
        if found is None or found.done:
            raise Refusal("response_cancel_not_active", "Cancellation failed: no active response found")
        self._cancel(found, "client_cancelled")

    def _cancel(self, response: Response, reason: str) -> None:
        self.session.end(response)
        response.finish("cancelled", {"type": "cancelled", "reason": reason})
        self._after(response)

    def _wait_for_speech(self, response: Response) -> Script:
        """With ``idle_timeout_ms``: nobody has answered for so long after the answer was played; prompt again."""
        timeout = (self.session.config.detection or {}).get("idle_timeout_ms")
        if not timeout:
            return
        quiet_since, start = self._disturbances, self.session.hearing.buffer.end_ms
        playing = sum(duration_ms(output.pcm) for output in response.outputs)
        yield (playing + timeout) / 1000
        if quiet_since != self._disturbances or self.session.config.detection is None or self.active is not None:
            return
        item_id, end = self.session.ids.make("item"), self.session.hearing.buffer.end_ms
        grid = {"audio_start_ms": int(start) // 32 * 32, "audio_end_ms": int(end) // 32 * 32}
        self.session.emit("input_audio_buffer.timeout_triggered", **grid, item_id=item_id)
        self.session.hearing.commit_speech(item_id, self.session.hearing.buffer.silence_since(start))
        if self.session.config.detection.get("create_response"):
            self.respond({})


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    expect("response.metadata", metadata, "an object")
    if len(metadata) > METADATA_PAIRS:
        raise Refusal("invalid_value", f"Invalid 'response.metadata': at most {METADATA_PAIRS} pairs.", "response.metadata")
    for key, value in metadata.items():
        here = f"response.metadata.{key}"
        expect(here, value, "a string")
        if len(key) > METADATA_KEY or len(value) > METADATA_VALUE:
            message = f"Invalid '{here}': at most {METADATA_KEY} characters for the key and {METADATA_VALUE} for the value."
            raise Refusal("invalid_value", message, here)


def _said(stored: Stored) -> brain.Said:
    item = stored.item
    kind = {"function_call": "call", "function_call_output": "output"}.get(item["type"], item.get("role") or "other")
    text = item.get("output") if kind == "output" else stored.text
    return brain.Said(kind, str(text or ""), str(item.get("name") or ""), str(item.get("arguments") or ""), str(item.get("call_id") or ""))
