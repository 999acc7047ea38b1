"""A stage for simulated sessions: a clock that is set by hand, work done at once, every event checked as it is sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from realtime.audio import RATE
from realtime.simulator.conversation.jobs import Recognize
from realtime.simulator.model.speech_synthesis import speak
from realtime.simulator.session.session import SimulatedSession
from realtime.simulator.shared.options import SimulatorOptions
from tests.realtime.simulator.watch import check

Event = dict[str, Any]

START = 1_795_000_000
"""Unix seconds at which every story begins."""
OPTIONS = SimulatorOptions(latency_ms=100, voice="tone")
CHUNK_MS = 100
"""Milliseconds of sound in one append, as clients send them."""

# ── The orders of protocol 4, as lists; runs of one type count as one ──────────────────────────────────────────────

ITEM = ["conversation.item.added", "conversation.item.done"]
OPENED = ["response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added"]
CLOSED = ["response.content_part.done", "conversation.item.done", "response.output_item.done"]
ENDED = ["response.done", "rate_limits.updated"]
TEXT_ANSWER = [*OPENED, "response.output_text.delta", "response.output_text.done", *CLOSED, *ENDED]
AUDIO_CLOSED = ["response.output_audio.done", "response.output_audio_transcript.done", *CLOSED]
COMMITTED = ["input_audio_buffer.committed", *ITEM]

GET_WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather at a place.",
    "parameters": {
        "type": "object",
        "properties": {"lat": {"type": "number"}, "lng": {"type": "number"}, "location": {"type": "string"}},
        "required": ["lat", "lng", "location"],
    },
}
SET_MEMORY = {
    "type": "function",
    "name": "set_memory",
    "description": "Keep a fact.",
    "parameters": {"type": "object", "properties": {"key": {"type": "string"}, "value": {"type": "string"}}},
}


class SimulatorHarness:
    """One session on a clock of its own. ``send`` and ``run`` return the events they caused, in order."""

    def __init__(
        self,
        model: str = "gpt-realtime",
        heard: str | None = None,
        kind: str = "realtime",
        media: str = "websocket",
        **options: Any,
    ) -> None:
        """``heard`` is the result of all speech recognition; None: only the length of the speech is known."""
        self.time = 0.0
        self.heard = heard
        self.broken = ""
        """Why no work can be done; empty: it can."""
        self.events: list[Event] = []
        self.hearings: list[str] = []
        """Ids of the items passed to speech recognition."""
        chosen = replace(OPTIONS, **options)
        self.session = SimulatedSession(
            model, chosen, lambda: self.time, lambda: START + self.time, kind=kind, media=media
        )
        self._collect()

    # ── What a client does ─────────────────────────────────────────────────────────────────────────────────────────

    def send(self, type_: str, **fields: Any) -> list[Event]:
        """One client event, and what is answered before any time has passed."""
        return self.send_raw(json.dumps({"type": type_, **fields}))

    def send_raw(self, raw: str) -> list[Event]:
        """One text frame."""
        self.session.receive_text(raw)
        return self._collect()

    def send_binary(self, data: bytes) -> list[Event]:
        """One binary frame."""
        self.session.receive_binary(data)
        return self._collect()

    def run(self, seconds: float = 120.0, until: str | Callable[[Event], bool] | None = None) -> list[Event]:
        """Let time pass, or only until an event has come; a string is its type."""
        reached = (lambda event: event["type"] == until) if isinstance(until, str) else until
        end, caused = self.time + seconds, []
        while (due := self.session.next_at()) is not None and due <= end and self.session.close is None:
            self.time = max(self.time, due)
            caused += (new := self._collect())
            if reached is not None and any(map(reached, new)):
                return caused
        assert reached is None, f"{until} did not come: {types(caused)}"
        self.time = end
        return caused

    def update(self, **session: Any) -> list[Event]:
        """A ``session.update``."""
        return self.send("session.update", session={"type": "realtime", **session})

    def write(self, text: str, **fields: Any) -> list[Event]:
        """A user's message."""
        return self.send("conversation.item.create", item=user(text), **fields)

    def ask(self, text: str, **response: Any) -> list[Event]:
        """A user's message and the whole response to it, the rate limits too."""
        return self.write(text) + self.respond(**response)

    def respond(self, **response: Any) -> list[Event]:
        """A response from the wish for it to the rate limits after it."""
        wish = {"response": response} if response else {}
        return self.send("response.create", **wish) + self.run(until="rate_limits.updated")

    def hear(self, sound: bytes, format_ms: int = 48) -> list[Event]:
        """Sound, 100 ms an event, at the pace at which it is spoken."""
        caused = []
        for chunk in chunks(sound, CHUNK_MS * format_ms):
            caused += self.send("input_audio_buffer.append", audio=encoded(chunk))
            caused += self.run(CHUNK_MS / 1000)
        return caused

    # ── What the server does ───────────────────────────────────────────────────────────────────────────────────────

    def _collect(self) -> list[Event]:
        """Let happen what is due, do the work, and check what is sent."""
        while True:
            self.session.advance()
            work = self.session.work_to_do()
            if not work:
                break
            for key, task in work:
                if self.broken:
                    self.session.work_failed(key, self.broken)
                elif isinstance(task, Recognize):
                    self.hearings.append(task.item_id)
                    heard = self.heard or "" if task.partial else self.heard or f"({len(task.pcm) / 48_000:.1f} s of speech)"
                    self.session.work_done(key, heard)
                else:
                    self.session.work_done(key, speak(task.text, task.voice, task.speed, "tone"))
        new = [json.loads(raw) for raw in self.session.events_to_send()]
        for event in new:
            check(event)
        self.events += new
        return new

    def all(self, type_: str) -> list[Event]:
        """Every event of a type so far."""
        return [event for event in self.events if event["type"] == type_]

    @property
    def order(self) -> list[str]:
        """Ids of the conversation's items."""
        return [stored.item["id"] for stored in self.session.items]


# ── Words for tests ────────────────────────────────────────────────────────────────────────────────────────────────


def types(events: Iterable[Event]) -> list[str]:
    """Their types; a run of one type counts once."""
    found: list[str] = []
    for event in events:
        if not found or found[-1] != event["type"]:
            found.append(event["type"])
    return found


def only(events: Iterable[Event], type_: str) -> Event:
    """The one event of a type."""
    found = [event for event in events if event["type"] == type_]
    assert len(found) == 1, f"{len(found)} × {type_}"
    return found[0]


def errors(events: Iterable[Event]) -> list[tuple[str | None, str | None]]:
    """Code and param of the errors among them."""
    return [(event["error"]["code"], event["error"]["param"]) for event in events if event["type"] == "error"]


def done(events: Iterable[Event]) -> dict[str, Any]:
    """The one response that ended among them."""
    response: dict[str, Any] = only(events, "response.done")["response"]
    return response


def spoken_words(events: Iterable[Event]) -> str:
    """What the response among them said."""
    return " ".join(
        str(part.get("text") or part.get("transcript"))
        for item in done(events)["output"]
        for part in item.get("content", [])
    )


def sound(events: Iterable[Event]) -> bytes:
    """The sound of the response among them."""
    return b"".join(base64.b64decode(event["delta"]) for event in events if event["type"] == "response.output_audio.delta")


def user(text: str, **fields: Any) -> Event:
    """A user's message as an item."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}


def encoded(audio: bytes) -> str:
    """Base64."""
    return base64.b64encode(audio).decode()


def chunks(audio: bytes, size: int) -> Iterator[bytes]:
    """A sound in pieces."""
    return (audio[start : start + size] for start in range(0, len(audio), size))


def silence(ms: float) -> bytes:
    """PCM16 24 kHz."""
    return bytes(round(ms * RATE / 1000) * 2)


def utterance(text: str) -> bytes:
    """Real speech without what is silent around it; skips the test where nothing can speak."""
    try:
        pcm = speak(text, "alloy", 1.0, "espeak")
    except (RuntimeError, OSError) as error:
        pytest.skip(f"no speech can be made here: {error}")
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, dtype="<i2").astype(int)) > 100)
    return pcm[loud[0] * 2 : (loud[-1] + 1) * 2]
