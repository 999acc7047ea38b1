"""SimulatedSession: the API's side of one session, without I/O: feed frames in, advance the clock, drain events."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from realtime.audio import duration_ms
from realtime.simulator.conversation.client_items import stored_item
from realtime.simulator.conversation.items import Items
from realtime.simulator.conversation.jobs import Script, Work, WorkFailed
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.input.idle_timer import IdleTimeout, IdleTimer
from realtime.simulator.input.input_audio import InputAudio
from realtime.simulator.input.input_buffer import SpeechStarted, SpeechStopped
from realtime.simulator.session.mcp_calls import McpCalls
from realtime.simulator.session.output_audio_buffer import OutputAudioBuffer
from realtime.simulator.session.planner import Planner
from realtime.simulator.session.rate_limits import RateLimits
from realtime.simulator.session.responder import Responder, ResponseCreated, ResponseEnded
from realtime.simulator.session.scheduler import Scheduler
from realtime.simulator.shared.ids import Ids
from realtime.simulator.shared.options import SimulatorOptions
from realtime.simulator.validation.api_errors import (
    Refusal,
    expect,
    invalid_value,
    missing,
    too_long,
    unknown_parameter,
    wrong_type,
)
from realtime.simulator.validation.json_reader import read
from realtime.simulator.validation.session_config import SessionConfig

LONGEST_EVENT_ID = 512
"""Characters of a client's ``event_id``."""


@dataclass(frozen=True, slots=True)
class SettingsUpdated:
    """A ``session.update`` is in force."""


class SimulatedSession:
    """One session of the simulated API.

    In: ``receive_text``, ``receive_binary``, ``advance`` when ``next_at`` has come, ``work_done``. After each the caller
    must drain ``events_to_send``, ``work_to_do`` and look at ``close``. Nothing a client sends raises.
    """

    def __init__(
        self, model: str, options: SimulatorOptions, clock: Callable[[], float], now: Callable[[], float],
        kind: str = "realtime", settings: dict[str, Any] | None = None, media: str = "websocket",
    ) -> None:  # fmt: skip
        """``clock`` is monotonic, ``now`` unix time, both in seconds. ``settings`` are checked already and in force from the
        beginning, as after a ``session.update``. ``kind`` is ``realtime`` or ``transcription``. With ``media="webrtc"`` audio
        travels beside the events: the session reports playback and sends no audio."""
        self.options = options
        self.clock = clock
        self.now = now
        self.chance = random.Random(options.seed)  # noqa: S311  (ids of a simulator are no secret)
        self.ids = Ids(self.chance, now)
        self.began = clock()
        self.config = SessionConfig(self.ids.make("sess"), model, int(now()) + options.session_seconds, kind)
        if settings:
            self.config.update(settings)
        self.conversation_id = self.ids.make("conv")
        self.items = Items()
        self.scheduler = Scheduler(clock, lambda: self.close is not None)
        self.context = SessionContext(self.ids, self.items, self.config, self.emit, self.scheduler.begin)
        self.input_audio = InputAudio(self.context, self._react)
        self.idle_timer = IdleTimer(self.context, self.input_audio.buffer, self._react)
        self.output_audio_buffer = OutputAudioBuffer(self.context, clock) if media == "webrtc" else None
        self.mcp_calls = McpCalls(self.context)
        self.rate_limits = RateLimits(self.context)
        planner = Planner(self.context, self.mcp_calls, now)
        self.responder = Responder(
            self.context, self.scheduler, planner, options, self.conversation_id, self.output_audio_buffer, self._react
        )
        self.close: tuple[int, str] | None = None
        """Set when the session is over: close code and reason."""
        self.unsent = 0
        """Characters of the events waiting to be sent."""
        self._out: list[str] = []
        self._event_id: str | None = None
        self.emit("session.created", session=self.config.session)
        self.scheduler.begin(self._expire())
        self.mcp_calls.update_tools(self.config.session.get("tools") or [])

    # ── In ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive_text(self, raw: str) -> None:
        """Process one text frame of the client."""
        self._event_id = None
        try:
            data = _read(raw)
            self._event_id = _event_id(data)
            type_ = data.get("type")
            if type_ == "output_audio_buffer.clear" and self.output_audio_buffer is not None:
                self.output_audio_buffer.clear()
                return
            if not isinstance(type_, str) or type_ not in _TYPES:
                raise invalid_value("type", type_, _TYPES)
            kind = self.config.session["type"]
            if type_ in _OF_TRANSLATIONS or (self.config.transcribes and type_.startswith("response.")):
                raise Refusal(None, f"'{type_}' is not allowed in a {kind} session.")  # the API's words are unconfirmed
            for key in data:
                if key not in ("type", "event_id", *_FIELDS[type_]):
                    raise unknown_parameter(key)
            _HANDLERS[type_](self, data)
        except Refusal as refusal:
            self.emit("error", error=refusal.error(self._event_id))

    def receive_binary(self, data: bytes) -> None:
        """Refuse a binary frame; the API accepts none."""
        refusal = Refusal("invalid_event", "Binary messages are not supported; send JSON text.")
        self.emit("error", error=refusal.error(None))

    def advance(self) -> None:
        """Run everything that is due."""
        self.scheduler.advance()

    def work_done(self, key: int, result: Any) -> None:
        """Continue the scripts that wait for a piece of work. Ignored if no script waits any longer."""
        self.scheduler.work_done(key, result)

    def work_failed(self, key: int, reason: str) -> None:
        """Fail the response or transcription that needs a piece of work; ``reason`` appears in its error."""
        self.work_done(key, WorkFailed(reason))

    # ── Out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def emit(self, type_: str, /, **fields: Any) -> None:
        """Queue one event for the client."""
        event = {"type": type_, "event_id": self.ids.make("event"), **fields}
        self._out.append(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
        self.unsent += len(self._out[-1])

    def events_to_send(self) -> list[str]:
        """Frames to be sent now, in order."""
        out, self._out, self.unsent = self._out, [], 0
        return out

    def work_to_do(self) -> list[tuple[int, Work]]:
        """Work for threads; give each result back with ``work_done``."""
        return self.scheduler.work_to_do()

    def awaited_plans(self) -> list[int]:
        """Return the keys of responses that wait for a plan, oldest first; pass each plan to ``work_done``."""
        return self.scheduler.awaited_plans()

    def next_at(self) -> float | None:
        """Return the time of the next ``advance``, on the session's clock."""
        return self.scheduler.next_at()

    def _expire(self) -> Script:
        yield float(self.options.session_seconds)
        minutes = max(1, round(self.options.session_seconds / 60))
        message = f"Your session hit the maximum duration of {minutes} minutes."
        self.emit("error", error=Refusal("session_expired", message).error(None))
        self.close = (1001, message)

    # ── Settings ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _session_update(self, data: dict[str, Any]) -> None:
        self.config.update(data.get("session"))
        self._react(SettingsUpdated())

    # ── What one part does because of another: the table _REACTIONS lists when ──────────────────────────────────────

    def _react(self, event: Any) -> None:
        for reaction in _REACTIONS[type(event)]:
            reaction(self, event)

    def _stop_idle_timer(self, event: SpeechStarted | ResponseCreated) -> None:
        self.idle_timer.stop()

    def _interrupt(self, event: SpeechStarted) -> None:
        """Cancel the answer if ``interrupt_response`` is set; an answer still being played is stopped too."""
        if (self.config.detection or {}).get("interrupt_response"):
            if self.output_audio_buffer is not None:
                self.output_audio_buffer.clear()
            self.responder.interrupt()

    def _commit_silence(self, event: IdleTimeout) -> None:
        self.input_audio.commit_speech(event.item_id, event.silence)

    def _respond(self, event: SpeechStopped | IdleTimeout) -> None:
        if (self.config.detection or {}).get("create_response"):
            self.responder.respond_if_idle()

    def _start_idle_timer(self, event: ResponseEnded) -> None:
        if event.response.conversation_id is not None:  # an out-of-band response is not an answer to the user
            self.idle_timer.start(sum(duration_ms(output.pcm) for output in event.response.outputs))

    def _report_rate_limits(self, event: ResponseEnded) -> None:
        self.rate_limits.report(event.response)

    def _call_servers(self, event: ResponseEnded) -> None:
        self.mcp_calls.call(event.response)

    def _end_playback(self, event: ResponseEnded) -> None:
        if self.output_audio_buffer is not None:
            self.output_audio_buffer.ended(event.response.id)

    def _listen(self, event: SettingsUpdated) -> None:
        self.input_audio.buffer.listen(self.config.detection)

    def _announce_settings(self, event: SettingsUpdated) -> None:
        self.emit("session.updated", session=self.config.session)

    def _list_servers(self, event: SettingsUpdated) -> None:
        self.mcp_calls.update_tools(self.config.session.get("tools") or [])

    # ── Items ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _item_create(self, data: dict[str, Any]) -> None:
        stored = stored_item(self.context, data.get("item"), "item")
        if (previous := data.get("previous_item_id")) is not None:
            expect("previous_item_id", previous, "a string")
        answered = stored.item.get("call_id") if stored.item["type"] == "function_call_output" else None
        # A scenario may have sent calls that the conversation does not contain.
        if answered is not None and not self.responder.planned_by_scenario and not self.items.holds_call(answered):
            raise Refusal("invalid_tool_call_id", f"Tool call ID '{answered}' not found in conversation.")
        self.items.add(stored, previous)
        self.context.announce(stored)

    def _item_retrieve(self, data: dict[str, Any]) -> None:
        item_id = _id(data)
        item = self.items.retrieve(item_id, lambda pcm: base64.b64encode(pcm).decode())
        self.emit("conversation.item.retrieved", item=item)

    def _item_truncate(self, data: dict[str, Any]) -> None:
        item_id = _id(data)
        numbers = {}
        for name in ("content_index", "audio_end_ms"):
            value = data.get(name)
            if value is None:
                raise missing(name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise wrong_type(name, "an integer", value)
            numbers[name] = value
        self.items.truncate(item_id, **numbers)
        self.emit("conversation.item.truncated", item_id=item_id, **numbers)

    def _item_delete(self, data: dict[str, Any]) -> None:
        item_id = _id(data)
        self.items.delete(item_id)
        self.emit("conversation.item.deleted", item_id=item_id)


def _read(raw: str) -> dict[str, Any]:
    """A client's frame as an event. Raises Refusal."""
    try:
        data = read(raw)
    except ValueError:
        raise Refusal("invalid_json", "The message is not valid JSON.") from None
    if not isinstance(data, dict) or "type" not in data:
        raise Refusal("invalid_event", "The 'type' field is missing.")
    return data


def _event_id(data: dict[str, Any]) -> str | None:
    """Return the client's event id. Raises Refusal."""
    event_id = data.get("event_id")
    if event_id is None:
        return None
    expect("event_id", event_id, "a string")
    if len(event_id) > LONGEST_EVENT_ID:
        raise too_long("event_id", event_id, LONGEST_EVENT_ID)
    return str(event_id)


def _id(data: dict[str, Any]) -> str:
    item_id = data.get("item_id")
    if item_id is None:
        raise missing("item_id")
    expect("item_id", item_id, "a string")
    return str(item_id)


_S = SimulatedSession
_HANDLERS: dict[str, Callable[[SimulatedSession, dict[str, Any]], None]] = {
    "session.update": _S._session_update,
    "input_audio_buffer.append": lambda session, data: session.input_audio.append(data),
    "input_audio_buffer.commit": lambda session, data: session.input_audio.commit(data),
    "input_audio_buffer.clear": lambda session, data: session.input_audio.clear(data),
    "conversation.item.create": _S._item_create,
    "conversation.item.truncate": _S._item_truncate,
    "conversation.item.delete": _S._item_delete,
    "conversation.item.retrieve": _S._item_retrieve,
    "response.create": lambda session, data: session.responder.create(data),
    "response.cancel": lambda session, data: session.responder.cancel(data),
}
_OF_TRANSLATIONS = ("session.close", "session.input_audio_buffer.append")
_TYPES = (*_HANDLERS, *_OF_TRANSLATIONS)
"""Types in the API's error for an unknown type: without ``output_audio_buffer.clear`` (recorded traffic)."""
_FIELDS: dict[str, tuple[str, ...]] = {
    "session.update": ("session",),
    "input_audio_buffer.append": ("audio",),
    "input_audio_buffer.commit": (),
    "input_audio_buffer.clear": (),
    "conversation.item.create": ("item", "previous_item_id"),
    "conversation.item.truncate": ("item_id", "content_index", "audio_end_ms"),
    "conversation.item.delete": ("item_id",),
    "conversation.item.retrieve": ("item_id",),
    "response.create": ("response",),
    "response.cancel": ("response_id",),
}
_REACTIONS: dict[type, tuple[Callable[[SimulatedSession, Any], None], ...]] = {
    SpeechStarted: (_S._stop_idle_timer, _S._interrupt),
    SpeechStopped: (_S._respond,),
    IdleTimeout: (_S._commit_silence, _S._respond),
    ResponseCreated: (_S._stop_idle_timer,),
    ResponseEnded: (_S._start_idle_timer, _S._report_rate_limits, _S._call_servers, _S._end_playback),
    SettingsUpdated: (_S._listen, _S._announce_settings, _S._list_servers),
}
"""The reactions of one part of a session to an event of another, in order."""
