"""Responder: creates and cancels responses, and passes their plans to the scheduler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from realtime.simulator.conversation.client_items import stored_item
from realtime.simulator.conversation.context_window import fitted
from realtime.simulator.conversation.items import StoredItem
from realtime.simulator.conversation.jobs import AwaitPlan, Script, WorkFailed, words
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.session import scripted_failures
from realtime.simulator.session.output_audio_buffer import OutputAudioBuffer
from realtime.simulator.session.planner import Planner
from realtime.simulator.session.response import Response
from realtime.simulator.session.scheduler import Scheduler
from realtime.simulator.shared.options import SimulatorOptions
from realtime.simulator.validation.api_errors import (
    Refusal,
    expect,
    invalid_value,
    missing,
    too_long,
    unknown_parameter,
)

METADATA_PAIRS, METADATA_KEY, METADATA_VALUE = 16, 64, 512
"""Limits of a response's metadata: pairs, characters of a key, characters of a value."""
_FIELDS = (
    "conversation", "input", "metadata", "instructions", "output_modalities", "audio", "tools", "tool_choice",
    "parallel_tool_calls", "max_output_tokens", "reasoning", "prompt",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ResponseCreated:
    """A response begins."""


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """A response has ended, by itself or cancelled."""

    response: Response


class Responder:
    """Creates the responses of one session."""

    def __init__(
        self, context: SessionContext, scheduler: Scheduler, planner: Planner, options: SimulatorOptions, conversation_id: str,
        output_audio_buffer: OutputAudioBuffer | None, on_response: Callable[[ResponseCreated | ResponseEnded], None],
    ) -> None:  # fmt: skip
        """``on_response`` is called before ``response.created`` and after ``response.done``."""
        self.context = context
        self.scheduler = scheduler
        self.planner = planner
        self.options = options
        self.conversation_id = conversation_id
        self.output_audio_buffer = output_audio_buffer
        self.on_response = on_response
        self.planned_by_scenario = False
        """The scenario player plans first (``AwaitPlan``), then the model."""
        self.active: Response | None = None
        """The default-conversation response in progress."""

    def interrupt(self) -> None:
        """Cancel the active response because the user speaks."""
        if self.active is not None:
            self._cancel(self.active, "turn_detected")

    def respond_if_idle(self) -> None:
        """Answer the user's turn, unless a response is active."""
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
            if conversation not in ("auto", "none", self.conversation_id):
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
        settings = self.context.config.merged(own, "response")
        input_ = self._input(params)
        conversation_id = None if apart else self.conversation_id
        response = Response(self.context, settings, input_, conversation_id, params.get("metadata"), self.output_audio_buffer)
        if not apart:
            self.active = response
        self.on_response(ResponseCreated())
        response.created()
        self.scheduler.begin(self._run(response), response)

    def _input(self, params: dict[str, Any]) -> list[StoredItem]:
        """Return the items read by a response: its own input if given, else the conversation. Raises Refusal."""
        given = params.get("input")
        if given is None:
            return list(self.context.items)
        expect("response.input", given, "an array")
        found = []
        for index, item in enumerate(given):
            if isinstance(item, dict) and item.get("type") == "item_reference":
                if "id" not in item:
                    raise missing(f"response.input[{index}].id")
                expect(f"response.input[{index}].id", item["id"], "a string")
                stored = self.context.items.get(item["id"])
                if stored is None:
                    message = f"Item with id '{item['id']}' not found."
                    raise Refusal("invalid_value", message, f"response.input[{index}].id")
                found.append(stored)
            else:
                found.append(stored_item(self.context, item, f"response.input[{index}]"))
        return found

    def _run(self, response: Response) -> Script:
        options, listed = self.options, self.planner.mcp_calls.listed
        latency = self.context.ids.chance.uniform(0.12, 0.22) if options.latency_ms is None else options.latency_ms / 1000
        planned = (yield AwaitPlan()) if self.planned_by_scenario else None
        try:
            response.input = fitted(response.input, response.settings)
            for stored in response.input:
                if stored.audio and stored.item.get("role") == "user":
                    yield from words(stored)
            failure = "" if planned else scripted_failures.demanded_failure(response.metadata, response.settings, response.input)
            if failure in scripted_failures.ERRORS:
                yield latency
                raise scripted_failures.ScriptedFailure(failure)
            make_plan = scripted_failures.content_filter if failure else lambda: planned or self.planner.plan(response, listed)
            yield from response.script(make_plan, latency, options.pace)
        except WorkFailed as failed:
            response.finish("failed", {"type": "failed", "error": failed.error()})
        self._ended(response)

    def cancel(self, data: dict[str, Any]) -> None:
        """``response.cancel``: cancel the active response, or the named one."""
        wanted = data.get("response_id")
        found = self.active
        if wanted is not None:
            expect("response_id", wanted, "a string")
            found = next((response for response in self.scheduler.responses() if response.id == wanted), None)
        if found is None or found.done:
            raise Refusal("response_cancel_not_active", "Cancellation failed: no active response found")
        self._cancel(found, "client_cancelled")

    def _cancel(self, response: Response, reason: str) -> None:
        self.scheduler.end(response)
        response.finish("cancelled", {"type": "cancelled", "reason": reason})
        self._ended(response)

    def _ended(self, response: Response) -> None:
        if self.active is response:
            self.active = None
        self.on_response(ResponseEnded(response))


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
