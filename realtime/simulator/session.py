"""SimulatedSession: the API's side of one session, without I/O: feed it, advance it, drain it."""

from __future__ import annotations

import base64
import binascii
import json
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from realtime.audio import duration_ms, to_pcm24
from realtime.simulator import brain, usage
from realtime.simulator.buffer import InputBuffer, SpeechStarted, SpeechStopped
from realtime.simulator.config import LOGPROBS, Config
from realtime.simulator.ids import Ids
from realtime.simulator.items import Items, Stored, check, user_speech
from realtime.simulator.options import SimulatorOptions
from realtime.simulator.refusals import Refusal, invalid_value, missing, unknown_parameter, wrong_type
from realtime.simulator.responses import Hear, Response, Script, Speak

LARGEST_APPEND = 15 * 1024 * 1024
"""Bytes of sound in one append."""
RATE_LIMIT_DELAY = 0.04
"""Seconds between response.done and rate_limits.updated in recorded traffic."""
TOKENS_A_MINUTE = 40_000
"""The limit the simulator pretends to have."""

Work = Speak | Hear


@dataclass(slots=True)
class Life:
    """A script that runs beside others: a response, a transcription, a delay."""

    script: Generator[float | Work, Any, None]
    due: float | None = None
    """When it goes on; None while it waits for work."""
    response: Response | None = None


class SimulatedSession:
    """One session of the simulated API.

    In: ``receive_text``, ``receive_binary``, ``advance`` when ``next_at`` has come, ``work_done``. After each the caller
    must drain ``events_to_send``, ``work_to_do`` and look at ``close``. Nothing a client sends raises.
    """

    def __init__(self, model: str, options: SimulatorOptions, clock: Callable[[], float], now: Callable[[], float]) -> None:
        """``clock`` is monotonic, ``now`` unix time; both in seconds."""
        self.options = options
        self.clock = clock
        self.now = now
        self.chance = random.Random(options.seed)  # noqa: S311  (ids of a simulator are no secret)
        self.ids = Ids(self.chance, now)
        self.began = clock()
        self.config = Config(self.ids.make("sess"), model, int(now()) + options.session_seconds)
        self.conversation_id = self.ids.make("conv")
        self.items = Items()
        self.buffer = InputBuffer()
        self.buffer.listen(self.config.detection)
        self.active: Response | None = None
        """The default-conversation response in progress."""
        self.close: tuple[int, str] | None = None
        """Set when the session is over: close code and reason."""
        self.used_tokens = 0
        self._out: list[str] = []
        self._lives: dict[int, Life] = {}
        self._count = 0
        self._work: list[tuple[int, Work]] = []
        self._event_id: str | None = None
        self._quiet_since = 0
        """Counts what ends an idle wait: speech, responses."""
        self.emit("session.created", session=self.config.session)
        self._begin(self._expire())

    # ── In ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive_text(self, raw: str) -> None:
        """Take one text frame of the client."""
        self._event_id = None
        try:
            data = _read(raw)
            event_id = data.get("event_id")
            self._event_id = event_id if isinstance(event_id, str) else None
            type_ = data.get("type")
            if type_ not in _HANDLERS:
                raise invalid_value("type", type_, _HANDLERS)
            for key in data:
                if key not in ("type", "event_id", *_FIELDS[type_]):
                    raise unknown_parameter(key)
            _HANDLERS[type_](self, data)
        except Refusal as refusal:
            self.emit("error", error=refusal.error(self._event_id))

    def receive_binary(self, data: bytes) -> None:
        """Take one binary frame: the API has no use for it."""
        refusal = Refusal("invalid_event", "Binary messages are not supported; send JSON text.")
        self.emit("error", error=refusal.error(None))

    def advance(self) -> None:
        """Let everything happen that is due."""
        while self.close is None:
            due = [(life.due, key) for key, life in self._lives.items() if life.due is not None and life.due <= self.clock()]
            if not due:
                return
            self._go_on(min(due)[1], None)

    def work_done(self, key: int, result: Any) -> None:
        """A piece of work is finished; whoever waited for it goes on. Ignored when nobody waits any longer."""
        if key in self._lives and self.close is None:
            self._go_on(key, result)

    # ── Out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def emit(self, type_: str, **fields: Any) -> None:
        """Send one event."""
        event = {"type": type_, "event_id": self.ids.make("event"), **fields}
        self._out.append(json.dumps(event, ensure_ascii=False, separators=(",", ":")))

    def events_to_send(self) -> list[str]:
        """Frames to be sent now, in order."""
        out, self._out = self._out, []
        return out

    def work_to_do(self) -> list[tuple[int, Work]]:
        """Work for threads; give each result back with ``work_done``."""
        work, self._work = self._work, []
        return work

    def next_at(self) -> float | None:
        """When ``advance`` is to be called next, on the session's clock."""
        return min((life.due for life in self._lives.values() if life.due is not None), default=None)

    # ── Scripts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, script: Script, response: Response | None = None) -> None:
        self._count += 1
        self._lives[self._count] = Life(script, None, response)
        self._go_on(self._count, None)

    def _go_on(self, key: int, result: Any) -> None:
        life = self._lives[key]
        asked_at = life.due if life.due is not None else self.clock()
        try:
            wanted = life.script.send(result)
        except StopIteration:
            del self._lives[key]
            return
        if isinstance(wanted, (int, float)):
            # From when it was due, not from now: a busy machine must not slow the voice down.
            life.due = max(asked_at, self.clock() - 0.5) + wanted
        else:
            life.due = None
            self._work.append((key, wanted))

    def _end(self, response: Response) -> None:
        """Stop a response's script wherever it stands."""
        for key, life in list(self._lives.items()):
            if life.response is response:
                del self._lives[key]

    def _expire(self) -> Script:
        yield float(self.options.session_seconds)
        minutes = max(1, round(self.options.session_seconds / 60))
        message = f"Your session hit the maximum duration of {minutes} minutes."
        self.emit("error", error=Refusal("session_expired", message).error(None))
        self.close = (1001, message)

    # ── Settings ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _session_update(self, data: dict[str, Any]) -> None:
        self.config.update(data.get("session"))
        self.buffer.listen(self.config.detection)
        self.emit("session.updated", session=self.config.session)

    # ── Sound coming in ────────────────────────────────────────────────────────────────────────────────────────────

    def _append(self, data: dict[str, Any]) -> None:
        audio = data.get("audio")
        if audio is None:
            raise missing("audio")
        if not isinstance(audio, str):
            raise wrong_type("audio", "a string", audio)
        pcm = self._decoded(audio, "audio")
        for found in self.buffer.append(pcm, self.ids.make("item")):
            if isinstance(found, SpeechStarted):
                self._speech_started(found)
            else:
                self._speech_stopped(found)

    def _decoded(self, audio: str, path: str) -> bytes:
        if len(audio) * 3 // 4 > LARGEST_APPEND:
            raise Refusal("invalid_value", f"Invalid '{path}': at most 15 MiB of audio fit into one event.", path)
        try:
            sound = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            raise Refusal("invalid_value", f"Invalid '{path}'. Expected base64-encoded audio bytes.", path) from None
        return to_pcm24(sound, self.config.session["audio"]["input"]["format"]["type"])

    def _speech_started(self, found: SpeechStarted) -> None:
        self._quiet_since += 1
        self.emit("input_audio_buffer.speech_started", audio_start_ms=found.audio_start_ms, item_id=found.item_id)
        detection = self.config.detection or {}
        if self.active is not None and detection.get("interrupt_response"):
            self._cancel(self.active, "turn_detected")

    def _speech_stopped(self, found: SpeechStopped) -> None:
        self.emit("input_audio_buffer.speech_stopped", audio_end_ms=found.audio_end_ms, item_id=found.item_id)
        self._commit_speech(found.item_id, found.pcm)
        if (self.config.detection or {}).get("create_response") and self.active is None:
            self._respond({})

    def _commit(self, data: dict[str, Any]) -> None:
        item_id = self.buffer.item_id or self.ids.make("item")
        self._commit_speech(item_id, self.buffer.commit())

    def _commit_speech(self, item_id: str, pcm: bytes) -> None:
        before = self.items.last
        stored = user_speech(item_id, pcm)
        self.items.add(stored)
        self.emit("input_audio_buffer.committed", previous_item_id=before, item_id=item_id)
        self._tell_added(stored)
        if transcription := self.config.session["audio"]["input"]["transcription"]:
            self._begin(self._transcribe(stored, transcription["model"]))

    def _clear(self, data: dict[str, Any]) -> None:
        self.buffer.clear()
        self.emit("input_audio_buffer.cleared")

    def _transcribe(self, stored: Stored, model: str) -> Script:
        """Write down what the user said; it runs beside the response and may end after it."""
        yield 0.05
        text = yield from self._hear(stored)
        ids = {"item_id": stored.item["id"], "content_index": 0}
        streamed = [text] if model == "whisper-1" else usage.text_tokens(text)
        if model == "gpt-realtime-whisper":
            streamed[0] = f" {streamed[0]}"
        for token in streamed:
            yield 0.01
            padding = self.ids.random(-len(token) % 16)
            self.emit(f"{_TRANSCRIPTION}.delta", **ids, delta=token, obfuscation=padding)
        extra = {}
        if LOGPROBS in (self.config.session["include"] or []):
            extra["logprobs"] = [
                {"token": token, "logprob": -round(self.chance.random() / 4, 4), "bytes": list(token.encode())}
                for token in streamed
            ]
        used = usage.transcription_usage(model, stored.audio_ms, text)
        self.emit(f"{_TRANSCRIPTION}.completed", **ids, transcript=text, usage=used, **extra)

    def _hear(self, stored: Stored) -> Generator[float | Work, Any, str]:
        if stored.heard is None:
            heard = yield Hear(stored.item["id"], stored.audio)
            stored.heard = stored.heard or str(heard)
        return stored.heard

    # ── Items ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _item_create(self, data: dict[str, Any]) -> None:
        item, audio = check(data.get("item"), "item")
        pcm = self._decoded(audio.decode(), "item.content[0].audio") if audio else b""
        stored = self._stored(item, pcm)
        self.items.add(stored, data.get("previous_item_id"))
        self._tell_added(stored)

    def _stored(self, item: dict[str, Any], pcm: bytes = b"") -> Stored:
        item_id = item.get("id") or self.ids.make("item")
        rest = {k: v for k, v in item.items() if k not in ("id", "type", "status", "object")}
        # A function_call_output is echoed without a status; everything else is complete at once.
        status = {} if item["type"] in ("function_call_output", "mcp_approval_response") else {"status": "completed"}
        return Stored({"id": item_id, "type": item["type"], **status, **rest}, audio=pcm, audio_ms=duration_ms(pcm))

    def _tell_added(self, stored: Stored) -> None:
        item_id = stored.item["id"]
        before = self.items.predecessor(item_id)
        self.emit("conversation.item.added", previous_item_id=before, item=stored.item)
        self.emit("conversation.item.done", previous_item_id=before, item=stored.item)

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

    # ── Responses ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _response_create(self, data: dict[str, Any]) -> None:
        params = data.get("response") or {}
        if not isinstance(params, dict):
            raise wrong_type("response", "an object", params)
        self._respond(params)

    def _respond(self, params: dict[str, Any]) -> None:
        apart = params.get("conversation", "auto") == "none"
        if self.active is not None and not apart:
            raise Refusal(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self.active.id}. Wait until the response is "
                "finished before creating a new one.",
            )
        own = {k: v for k, v in params.items() if k not in ("conversation", "input", "metadata")}
        session = self.config.merged(own, "response")
        context = self._context(params)
        conversation_id = None if apart else self.conversation_id
        response = Response(self, session, context, conversation_id, params.get("metadata"))
        if not apart:
            self.active = response
        self._quiet_since += 1
        response.created()
        self._begin(self._run(response), response)

    def _context(self, params: dict[str, Any]) -> list[Stored]:
        """What a response reads: its own input where it has one, else the conversation. Raises Refusal."""
        given = params.get("input")
        if given is None:
            return list(self.items)
        if not isinstance(given, list):
            raise wrong_type("response.input", "an array of objects", given)
        context = []
        for index, item in enumerate(given):
            if isinstance(item, dict) and item.get("type") == "item_reference":
                stored = self.items.get(str(item.get("id")))
                if stored is None:
                    message = f"Item with id '{item.get('id')}' not found."
                    raise Refusal("invalid_value", message, f"response.input[{index}].id")
                context.append(stored)
            else:
                context.append(self._stored(check(item, f"response.input[{index}]")[0]))
        return context

    def _run(self, response: Response) -> Script:
        for stored in response.context:
            if stored.audio and stored.item.get("role") == "user":
                yield from self._hear(stored)
        latency = self.options.latency_ms / 1000 if self.options.latency_ms is not None else self.chance.uniform(0.12, 0.22)
        yield from response.script(lambda: self._plan(response), latency, self.options.pace)
        self._after(response)

    def _plan(self, response: Response) -> brain.Plan:
        session = response.session
        choice = session["tool_choice"]
        tools = {} if choice == "none" else {t["name"]: t for t in session["tools"] if t.get("type") == "function"}
        forced = choice["name"] if isinstance(choice, dict) and choice.get("name") else "*" if choice == "required" else ""
        said = [_said(stored) for stored in response.context]
        if not said and session["instructions"]:
            said = [brain.Said("system", session["instructions"])]
        local = datetime.fromtimestamp(self.now()).astimezone()
        plan = brain.plan(brain.Context(said, tools, forced, local))
        if not self.config.model.startswith("gpt-realtime-2"):  # only the reasoning models speak before they call
            plan = [step for step in plan if not (isinstance(step, brain.Say) and step.phase == "commentary")]
        return plan

    def _after(self, response: Response) -> None:
        """A response has ended, by itself or cut."""
        if response.deltas:
            self.config.audio_spoken = True
        if self.active is response:
            self.active = None
            self._begin(self._wait_for_speech(response))
        self._begin(self._tell_rate_limits(response))

    def _tell_rate_limits(self, response: Response) -> Script:
        yield RATE_LIMIT_DELAY
        self.used_tokens = min(TOKENS_A_MINUTE, self.used_tokens + sum(sum(s.tokens.values()) for s in response.context))
        left = TOKENS_A_MINUTE - self.used_tokens
        limit = {"name": "tokens", "limit": TOKENS_A_MINUTE, "remaining": left}
        self.emit("rate_limits.updated", rate_limits=[{**limit, "reset_seconds": round(self.used_tokens * 60 / TOKENS_A_MINUTE, 3)}])
        self.used_tokens = self.used_tokens // 2  # the window moves on

    def _response_cancel(self, data: dict[str, Any]) -> None:
        wanted = data.get("response_id")
        found = self.active
        if wanted is not None:
            lives = (life.response for life in self._lives.values())
            found = next((response for response in lives if response and response.id == wanted), None)
        if found is None or found.done:
            raise Refusal("response_cancel_not_active", "Cancellation failed: no active response found")
        self._cancel(found, "client_cancelled")

    def _cancel(self, response: Response, reason: str) -> None:
        self._end(response)
        response.finish("cancelled", {"type": "cancelled", "reason": reason})
        self._after(response)

    def _wait_for_speech(self, response: Response) -> Script:
        """With ``idle_timeout_ms``: nobody has answered for so long after the answer was played; prompt again."""
        timeout = (self.config.detection or {}).get("idle_timeout_ms")
        if not timeout:
            return
        quiet_since, start = self._quiet_since, self.buffer.end_ms
        playing = sum(duration_ms(output.pcm) for output in response.outputs)
        yield (playing + timeout) / 1000
        if quiet_since != self._quiet_since or self.config.detection is None or self.active is not None:
            return
        item_id, end = self.ids.make("item"), self.buffer.end_ms
        grid = {"audio_start_ms": int(start) // 32 * 32, "audio_end_ms": int(end) // 32 * 32}
        self.emit("input_audio_buffer.timeout_triggered", **grid, item_id=item_id)
        self._commit_speech(item_id, self.buffer.silence_since(start))
        if self.config.detection.get("create_response"):
            self._respond({})


def _read(raw: str) -> dict[str, Any]:
    """A client's frame as an event. Raises Refusal."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refusal("invalid_json", "The message is not valid JSON.") from None
    if not isinstance(data, dict) or "type" not in data:
        raise Refusal("invalid_event", "The 'type' field is missing.")
    return data


def _id(data: dict[str, Any]) -> str:
    item_id = data.get("item_id")
    if item_id is None:
        raise missing("item_id")
    if not isinstance(item_id, str):
        raise wrong_type("item_id", "a string", item_id)
    return item_id


def _said(stored: Stored) -> brain.Said:
    item = stored.item
    kind = {"function_call": "call", "function_call_output": "output"}.get(item["type"], item.get("role") or "other")
    text = item.get("output") if kind == "output" else stored.text
    return brain.Said(kind, str(text or ""), str(item.get("name") or ""), str(item.get("arguments") or ""), str(item.get("call_id") or ""))


_TRANSCRIPTION = "conversation.item.input_audio_transcription"
_S = SimulatedSession
_HANDLERS: dict[str, Callable[[SimulatedSession, dict[str, Any]], None]] = {
    "session.update": _S._session_update,
    "input_audio_buffer.append": _S._append,
    "input_audio_buffer.commit": _S._commit,
    "input_audio_buffer.clear": _S._clear,
    "conversation.item.create": _S._item_create,
    "conversation.item.truncate": _S._item_truncate,
    "conversation.item.delete": _S._item_delete,
    "conversation.item.retrieve": _S._item_retrieve,
    "response.create": _S._response_create,
    "response.cancel": _S._response_cancel,
}
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
