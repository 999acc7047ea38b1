"""Answering: responses, from the wish for one to the rate limits after it; who may interrupt, and when to prompt again."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from realtime.audio import duration_ms
from realtime.simulator import brain, failing, images, plans
from realtime.simulator.config import reasons
from realtime.simulator.items import Stored
from realtime.simulator.mcp import Listed
from realtime.simulator.refusals import Refusal, expect, invalid_value, missing, too_long, unknown_parameter
from realtime.simulator.responses import Response
from realtime.simulator.vad import FRAME_MS
from realtime.simulator.window import fitted
from realtime.simulator.work import Script, Think, WorkFailed

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
        self.session.hearing.buffer.let_go()

    def interrupt(self) -> None:
        """Speech cuts the answer short (session field ``interrupt_response``), also one that is only being played."""
        if self.session.playback is not None:
            self.session.playback.clear()
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
        if (conversation := params.get("conversation")) is not None:  # the schema allows the conversation's id, too
            expect("response.conversation", conversation, "a string")
            if conversation not in ("auto", "none", self.session.conversation_id):
                raise invalid_value("response.conversation", conversation, ("auto", "none"))
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
        self.session.scripts.begin(self._run(response), response)

    def _context(self, params: dict[str, Any]) -> list[Stored]:
        """What a response reads: its own input where it has one, else the conversation. Raises Refusal."""
        given = params.get("input")
        if given is None:
            return list(self.session.items)
        expect("response.input", given, "an array")
        context = []
        for index, item in enumerate(given):
            if isinstance(item, dict) and item.get("type") == "item_reference":
                if "id" not in item:
                    raise missing(f"response.input[{index}].id")
                expect(f"response.input[{index}].id", item["id"], "a string")
                stored = self.session.items.get(item["id"])
                if stored is None:
                    message = f"Item with id '{item['id']}' not found."
                    raise Refusal("invalid_value", message, f"response.input[{index}].id")
                context.append(stored)
            else:
                context.append(self.session.stored(item, f"response.input[{index}]"))
        return context

    def _run(self, response: Response) -> Script:
        options, listed = self.session.options, self.session.mcp.listed
        latency = self.session.chance.uniform(0.12, 0.22) if options.latency_ms is None else options.latency_ms / 1000
        planned = (yield Think()) if self.session.staged else None
        try:
            response.context = fitted(response.context, response.session)
            for stored in response.context:
                if stored.audio and stored.item.get("role") == "user":
                    yield from self.session.hearing.words(stored)
            failure = "" if planned else failing.wanted(response.metadata, response.session, response.context)
            if failure in failing.ERRORS:
                yield latency
                raise failing.Wanted(failure)
            make_plan = failing.content_filter if failure else lambda: planned or self._plan(response, listed)
            yield from response.script(make_plan, latency, options.pace)
        except WorkFailed as failed:
            response.finish("failed", {"type": "failed", "error": failed.error()})
        self._after(response)

    def _plan(self, response: Response, listed: Listed) -> plans.Plan:
        session = response.session
        choice = session["tool_choice"]
        tools = {} if choice == "none" else {t["name"]: t for t in session["tools"] if t.get("type") == "function"}
        forced = choice["name"] if isinstance(choice, dict) and choice.get("name") else "*" if choice == "required" else ""
        said = [_said(stored) for stored in response.context]
        own = session["instructions"] if session["instructions"] != self.session.config.session["instructions"] else ""
        if not said and own:  # the session's instructions say how to be, a response's own what to say
            said = [plans.Said("system", own)]
        if (plan_of_server := self.session.mcp.plan(response.context, session, listed)) is not None:
            return plan_of_server
        local = datetime.fromtimestamp(self.session.now()).astimezone()
        plan = brain.plan(plans.Context(said, tools, forced, local))
        if session.get("parallel_tool_calls") is False:
            plan = _one_call(plan, said, plans.Context(_asked(said), tools, forced, local))
        if not reasons(self.session.config.model):  # only the reasoning models speak before they call
            plan = [step for step in plan if not (isinstance(step, plans.Say) and step.phase == "commentary")]
        return plan

    def _after(self, response: Response) -> None:
        """A response has ended, by itself or cut."""
        if self.active is response:
            self.active = None
            self.session.scripts.begin(self._wait_for_speech(response))
        if response.cost_nothing:
            return
        self.session.scripts.begin(self._tell_rate_limits(response))
        self.session.mcp.call(response)
        if self.session.playback is not None:
            self.session.playback.ended(response.id)

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
            expect("response_id", wanted, "a string")
            found = next((response for response in self.session.scripts.responses() if response.id == wanted), None)
        if found is None or found.done:
            raise Refusal("response_cancel_not_active", "Cancellation failed: no active response found")
        self._cancel(found, "client_cancelled")

    def _cancel(self, response: Response, reason: str) -> None:
        self.session.scripts.end(response)
        response.finish("cancelled", {"type": "cancelled", "reason": reason})
        self._after(response)

    def _wait_for_speech(self, response: Response) -> Script:
        """With ``idle_timeout_ms``: nobody has answered for so long after the answer was played; prompt again."""
        timeout = (self.session.config.detection or {}).get("idle_timeout_ms")
        if not timeout:
            return
        quiet_since, buffer = self._disturbances, self.session.hearing.buffer
        yield sum(duration_ms(output.pcm) for output in response.outputs) / 1000
        if quiet_since != self._disturbances:
            return
        # The user's silence begins where the answer has been played (recorded: 13216 to 19232 at 6000 ms).
        start = buffer.keep()
        yield timeout / 1000
        if quiet_since != self._disturbances or self.session.config.detection is None or self.active is not None:
            return
        if buffer.item_id:  # somebody began to speak before this answer was asked for, and has not ended
            buffer.let_go()
            return
        item_id, end = self.session.ids.make("item"), max(start, int(buffer.end_ms) // FRAME_MS * FRAME_MS)
        self.session.emit(
            "input_audio_buffer.timeout_triggered", audio_start_ms=start, audio_end_ms=end, item_id=item_id
        )
        self.session.hearing.commit_speech(item_id, buffer.silence(start, end))
        if self.session.config.detection.get("create_response"):
            self.respond({})


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    expect("response.metadata", metadata, "an object")
    if (pairs := len(metadata)) > METADATA_PAIRS:
        raise Refusal(
            "object_above_max_properties",
            f"Invalid 'response.metadata': too many properties. Expected an object with at most {METADATA_PAIRS} properties, "
            f"but got an object with {pairs} properties instead.",
            "response.metadata",
        )
    for key, value in metadata.items():
        here = f"response.metadata.{key}"
        expect(here, value, "a string")
        if len(key) > METADATA_KEY:
            raise Refusal(
                "property_name_above_max_length",
                f"Invalid property name in 'response.metadata': '{key}' is too long. Expected a property name with maximum length "
                f"{METADATA_KEY}, but got a property name with length {len(key)} instead.",
                "response.metadata",
            )
        if len(value) > METADATA_VALUE:
            raise too_long(here, value, METADATA_VALUE)


def _said(stored: Stored) -> plans.Said:
    item = stored.item
    kind = {"function_call": "call", "function_call_output": "output"}.get(item["type"], item.get("role") or "other")
    text = item.get("output") if kind == "output" else stored.text
    name, arguments, call_id = (str(item.get(field) or "") for field in ("name", "arguments", "call_id"))
    return plans.Said(kind, str(text or ""), name, arguments, call_id, tuple(images.described(item)))


def _asked(said: list[plans.Said]) -> list[plans.Said]:
    """The conversation up to the last question."""
    last = max((index for index, each in enumerate(said) if each.kind == "user"), default=len(said) - 1)
    return said[: last + 1]


def _one_call(plan: plans.Plan, said: list[plans.Said], question: plans.Context) -> plans.Plan:
    """With ``parallel_tool_calls`` off: of several calls that a question needs, the next one."""
    since = said[len(question.said) :]
    made = sum(each.kind == "output" for each in since)
    steps = brain.plan(question) if made and since[-1].kind == "output" else plan
    calls = [step for step in steps if isinstance(step, plans.CallTool)]
    if made >= len(calls):
        return plan
    return [step for step in steps if step is calls[made] or (not made and isinstance(step, plans.Say))]
