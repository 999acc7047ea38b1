"""RealtimeProtocol: the rules of driving a session, without I/O: feed it, then drain what is to be sent."""

from __future__ import annotations

import base64
import enum
from dataclasses import dataclass
from typing import Any

from realtime import events
from realtime.audio import BYTES_PER_MS, duration_ms, encoded_length_ms
from realtime.calls import Answers, Call, Calls
from realtime.errors import NotConnected
from realtime.events import Event
from realtime.pcm import from_pcm24
from realtime.timeline import Origin

MINIMUM_COMMIT_MS = 100
"""The API refuses to commit less ("Expected at least 100ms of audio")."""
UNNAMED = "unnamed"
"""Stands for the id of an event that was sent without one."""
FOLLOWED = ("response.create", "input_audio_buffer.commit", "input_audio_buffer.clear", "conversation.item.create")
"""Events whose sending changes what may be sent next."""


class State(enum.Enum):
    """Where a session stands. Frames may be sent from CONNECTING on: the API queues what comes early."""

    IDLE = "idle"
    CONNECTING = "connecting"
    READY = "ready"
    CLOSING = "closing"
    CLOSED = "closed"


IDLE, CONNECTING, READY, CLOSING, CLOSED = State


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame to be sent, and who caused it."""

    raw: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Played:
    """What a loudspeaker had really played of an item when it was cut."""

    item_id: str
    played_ms: int
    content_index: int = 0


class RealtimeProtocol:
    """Drives one GA session.

    In:  ``receive_text(raw)`` for every frame of the API; ``send_*`` and the talk methods for what people and programs
    want. Out: after each, the caller must drain ``frames_to_send()`` and send all of it in order, then
    ``calls_to_run()`` and ``take_stop()``. Nothing here waits, and nothing the API sends raises.
    """

    def __init__(self, prefix: str = "console_") -> None:
        """``prefix``: what the ids of our own events begin with."""
        self.prefix = prefix
        self.state = IDLE
        self.session: dict[str, Any] | None = None
        """The session in force: what the last session.created or session.updated said."""
        self.active_response = ""
        """Id of the default-conversation response in progress."""
        self.response_asked = ""
        """Event id of a response.create that is on its way and not yet confirmed."""
        self.response_wanted: Origin | None = None
        """Somebody asked while a response was in progress: the API takes the next one only after response.done."""
        self.received_ms: dict[str, float] = {}
        """Sound received per assistant item: a truncation beyond it would be refused."""
        self.audio_spoken = False
        """The model has produced sound: from now on the voice is locked."""
        self.buffered_ms = 0.0
        """Microphone sound sent since the last commit or clear."""
        self.talking = False
        self._out: list[Outgoing] = []
        self._calls = Calls()
        self._stop = ""
        self._truncated: set[str] = set()
        self._sent = 0

    # ── State ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def connecting(self) -> None:
        """The connection is being made."""
        self.state = CONNECTING

    def closing(self) -> None:
        """Somebody asked for the end."""
        self.state = CLOSING

    def closed(self) -> None:
        """The connection is over; nothing more can be sent."""
        self.state = CLOSED
        self.active_response = ""
        self._out.clear()

    @property
    def turn_detection(self) -> str:
        """``server_vad``, ``semantic_vad``, or ``""`` when turns are taken by hand; GA and beta shapes."""
        return str(self._detection().get("type") or "")

    def _detection(self) -> dict[str, Any]:
        session = self.session or {}
        audio = session.get("audio")
        here = audio.get("input") if isinstance(audio, dict) else session
        detection = here.get("turn_detection") if isinstance(here, dict) else None
        return detection if isinstance(detection, dict) else {}

    def format(self, side: str) -> str:
        """The audio format in force, ``input`` or ``output``."""
        here: Any = self.session or {}
        for key in ("audio", side, "format", "type"):
            here = here.get(key) if isinstance(here, dict) else None
        return here if here in BYTES_PER_MS else "audio/pcm"

    # ── In from the API ────────────────────────────────────────────────────────────────────────────────────────────

    def receive_text(self, raw: str) -> Event:
        """Take one frame of the API. Returns it read; whatever it holds, nothing raises."""
        event = events.parse(raw)
        self.receive(event)
        return event

    def receive(self, event: Event) -> None:
        """Take one frame of the API that has been read already."""
        if rule := self._RULES.get(event.type):
            rule(self, event)

    def _session_told(self, event: Event) -> None:
        session = event.data.get("session")
        if isinstance(session, dict):
            self.session = session
        if self.state is CONNECTING:
            self.state = READY

    def _response_created(self, event: Event) -> None:
        response = event.data.get("response")
        # An out-of-band response has no conversation and may run beside the active one.
        if isinstance(response, dict) and response.get("conversation_id", "?") is None:
            return
        self.active_response = event.response_id
        self.response_asked = ""

    def _response_done(self, event: Event) -> None:
        if event.response_id == self.active_response:
            self.active_response = ""
        response = event.data.get("response")
        status = response.get("status") if isinstance(response, dict) else None
        self._go_on(self._calls.response_done(event.response_id, status))
        self._ask_if_wanted()

    def _arguments_done(self, event: Event) -> None:
        self._calls.arguments_done(event)

    def _output_item_done(self, event: Event) -> None:
        self._calls.output_item_done(event)

    def _audio_delta(self, event: Event) -> None:
        self.audio_spoken = True
        ms = encoded_length_ms(event.raw, "delta", self.format("output"))
        self.received_ms[event.item_id] = self.received_ms.get(event.item_id, 0.0) + ms

    def _speech_started(self, event: Event) -> None:
        # Guide "Realtime conversations", voice activity detection: a WebSocket client stops playback itself, unless
        # the session says that speech does not interrupt.
        if self._detection().get("interrupt_response") is not False:
            self._stop = "speech"

    def _committed(self, event: Event) -> None:
        self.buffered_ms = 0.0

    def _error(self, event: Event) -> None:
        if self.response_asked and (event.about or UNNAMED) == self.response_asked:
            self.response_asked = ""
            self._ask_if_wanted()

    _RULES = {
        "session.created": _session_told,
        "session.updated": _session_told,
        "response.created": _response_created,
        "response.done": _response_done,
        "response.function_call_arguments.done": _arguments_done,
        "response.output_item.done": _output_item_done,
        "response.output_audio.delta": _audio_delta,
        "response.audio.delta": _audio_delta,
        "input_audio_buffer.speech_started": _speech_started,
        "input_audio_buffer.committed": _committed,
        "input_audio_buffer.cleared": _committed,
        "error": _error,
    }

    # ── In from people and programs ────────────────────────────────────────────────────────────────────────────────

    def send_event(self, data: dict[str, Any], origin: Origin = "console") -> None:
        """Send any event, also a wrong one: a debugger must be able to send nonsense on purpose.

        Raises NotConnected when no session is open, InvalidEvent when it is no event at all.
        """
        raw = events.dump(data)
        self._require_open()
        self._out.append(Outgoing(raw, origin))
        self._note_sent(data["type"], data)

    def update_session(self, changes: dict[str, Any], origin: Origin = "browser") -> None:
        """Ask for changed settings; ``changes`` is the partial session, its ``type`` is added when missing."""
        self._send("session.update", origin, session={"type": "realtime", **changes})

    def send_text(self, text: str, played: Played | None = None) -> None:
        """Say something in writing; interrupts what is being said."""
        self.interrupt(played, "text")
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self._send("conversation.item.create", "browser", item=item)
        self.ask_for_response("browser")

    def ask_for_response(self, origin: Origin) -> None:
        """Ask the model to speak; when it is still speaking, as soon as that response is done."""
        self._require_open()
        if self.active_response or self.response_asked:
            self.response_wanted = origin
        else:
            self._send("response.create", origin)

    def append_audio(self, pcm: bytes) -> None:
        """Send microphone sound, PCM16 24 kHz mono; converted when the session's input format is G.711."""
        self._require_open()
        audio = base64.b64encode(from_pcm24(pcm, self.format("input"))).decode()
        self._out.append(Outgoing(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}', "browser"))
        self.buffered_ms += duration_ms(pcm)

    def talk_start(self, played: Played | None = None) -> None:
        """The talk button goes down: interrupt, and begin a fresh utterance."""
        self.interrupt(played, "talk")
        if self.buffered_ms:
            self._send("input_audio_buffer.clear", "browser")
        self.talking = True

    def talk_end(self) -> bool:
        """The talk button comes up: commit and ask for an answer.

        Returns False when too little was said for the API to take; it is then cleared, and the caller should say so.
        """
        self.talking = False
        if self.buffered_ms < MINIMUM_COMMIT_MS:
            if self.buffered_ms:
                self._send("input_audio_buffer.clear", "browser")
            return False
        self._send("input_audio_buffer.commit", "browser")
        self.ask_for_response("browser")
        return True

    def interrupt(self, played: Played | None, why: str) -> None:
        """Cut the assistant short: cancel what is still being made, truncate what was made to what was heard.

        Without ``played`` the player is asked to stop and to say what was heard: see ``take_stop``. It is told to stop
        in any case, for sound may still be on its way to it.
        """
        self._require_open()
        self.response_wanted = None
        if self.active_response or self.response_asked:
            self._send("response.cancel", "browser")
        self._stop = why
        if played is not None:
            self.truncate(played)

    def truncate(self, played: Played) -> None:
        """Tell the API how much of an item was heard, so that the rest leaves the context.

        Never more than was received: the API refuses that ("Audio content of … is already shorter"). An item heard to
        its end, one already truncated, or one nobody received sound of is left alone.
        """
        received = int(self.received_ms.get(played.item_id, 0))
        heard = max(0, min(played.played_ms, received))
        if not received or played.item_id in self._truncated:
            return
        if heard >= received and not self.active_response:
            return
        self._truncated.add(played.item_id)
        self._send(
            "conversation.item.truncate",
            "browser",
            item_id=played.item_id,
            content_index=played.content_index,
            audio_end_ms=heard,
        )

    def answer_call(self, call: Call, output: str) -> None:
        """Give a tool's output. Sent when all calls of that response have theirs and the response is done."""
        self._go_on(self._calls.answer(call, output))

    def _go_on(self, answers: Answers | None) -> None:
        """Send a response's outputs together and ask the model to go on, exactly once."""
        if answers is None or not self._is_open:
            return
        for call_id, output in answers.outputs.items():
            item = {"type": "function_call_output", "call_id": call_id, "output": output}
            self._send("conversation.item.create", "tool", item=item)
        # A user who has spoken since is answered anyway, with these outputs in view: asking twice would be an error.
        busy = self.active_response or self.response_asked or self.response_wanted
        if answers.outputs and not answers.cancelled and not busy:
            self.ask_for_response("tool")

    def _ask_if_wanted(self) -> None:
        """Ask for the response that had to wait, once nothing stands in its way."""
        if self.response_wanted and not self.active_response and not self.response_asked and self._is_open:
            origin, self.response_wanted = self.response_wanted, None
            self._send("response.create", origin)

    def _send(self, type_: str, origin: Origin, **fields: Any) -> None:
        """Send an event of the console's own, with an id so that an error can be traced to it."""
        self._sent += 1
        self.send_event({"type": type_, "event_id": f"{self.prefix}{self._sent}", **fields}, origin)

    def others_sent(self, event: Event) -> None:
        """Follow an event that somebody else sends in this session, so that ours do not get in its way."""
        if event.type in FOLLOWED:
            self._note_sent(event.type, event.data, ours=False)

    def _note_sent(self, type_: str, data: dict[str, Any], ours: bool = True) -> None:
        """Follow what events change before the API confirms it."""
        if type_ == "response.create":
            response = data.get("response")
            if not (isinstance(response, dict) and response.get("conversation") == "none"):
                self.response_asked = str(data.get("event_id") or UNNAMED)
        elif type_ in ("input_audio_buffer.commit", "input_audio_buffer.clear"):
            self.buffered_ms = 0.0
        elif type_ == "conversation.item.create":
            item = data.get("item")
            if isinstance(item, dict) and item.get("type") == "function_call_output":
                answers = self._calls.answered_by_hand(item.get("call_id"))
                self._go_on(answers if ours else None)  # who answers a call in another's session goes on there, too

    @property
    def _is_open(self) -> bool:
        return self.state in (CONNECTING, READY)

    def _require_open(self) -> None:
        if not self._is_open:
            raise NotConnected(f"The session is {self.state.value}; nothing was sent.")

    # ── Out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def frames_to_send(self) -> list[Outgoing]:
        """What is to be sent now, in order."""
        out, self._out = self._out, []
        return out

    def calls_to_run(self) -> list[Call]:
        """Function calls completed since the last drain."""
        return self._calls.take_completed()

    def take_stop(self) -> str:
        """Why playback must be cut at once, or ``""``. The player answers with what was heard: ``truncate``."""
        stop, self._stop = self._stop, ""
        return stop

