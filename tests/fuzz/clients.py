"""Clients nobody would write: steps drawn by chance, sensible and senseless, for a session on a clock of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from realtime.simulator.conversation.jobs import Recognize
from realtime.simulator.model.speech_synthesis import speak
from tests.realtime.simulator.harness import GET_WEATHER, SET_MEMORY, Event, SimulatorHarness, encoded, silence, user

Step = Callable[["Client"], None]

SENTENCES = (
    "Hello.", "Tell me a long story.", "What is the weather in Lisbon and in Rome?", "My name is Ada.", "Count to five.",
    "What time is it?", "", "?!",
)  # fmt: skip
LOUD = (bytes([0, 48]) * 12 + bytes([0, 208]) * 12) * 100
"""0.1 s of 1 kHz, which a detector by loudness takes for speech."""
DETECTIONS: tuple[Any, ...] = (
    None,
    {"type": "server_vad"},
    {"type": "server_vad", "create_response": False},
    {"type": "server_vad", "interrupt_response": False, "silence_duration_ms": 0, "prefix_padding_ms": 0},
    {"type": "server_vad", "idle_timeout_ms": 5000},
    {"type": "semantic_vad", "eagerness": "high"},
)
FORMATS: tuple[Any, ...] = ({"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"})
SETTINGS: tuple[Event, ...] = (
    *({"audio": {"input": {"turn_detection": detection}}} for detection in DETECTIONS),
    *({"audio": {"input": {"format": format_}}} for format_ in FORMATS),
    *({"audio": {"output": {"format": format_}}} for format_ in FORMATS),
    *({"audio": {"input": {"transcription": {"model": model}}}} for model in ("whisper-1", "gpt-4o-transcribe", "gpt-realtime-whisper")),
    {"audio": {"input": {"transcription": None}}, "include": ["item.input_audio_transcription.logprobs"]},
    {"output_modalities": ["text"]}, {"output_modalities": ["audio"]}, {"tools": [GET_WEATHER, SET_MEMORY]},
    {"tool_choice": "required"}, {"tool_choice": "none"}, {"max_output_tokens": 3}, {"max_output_tokens": "inf"},
    {"instructions": ""}, {"audio": {"output": {"voice": "cedar", "speed": 1.5}}},
    {"output_modalities": ["audio", "text"]}, {"audio": []}, {"tools": [{}]}, {"foo": 1}, {"type": "transcription"}, {"model": 3},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": "loud"}}}},
)  # fmt: skip
RESPONSES: tuple[Event, ...] = (
    {}, {}, {"conversation": "none", "metadata": {"topic": "aside"}}, {"conversation": "none", "input": []},
    {"conversation": "none", "input": [user("Count to five.")], "output_modalities": ["text"]}, {"input": []},
    {"output_modalities": ["text"]}, {"instructions": "Say hello.", "max_output_tokens": 1}, {"tools": [GET_WEATHER]},
    {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, {"tool_choice": "required"},
    {"conversation": "other"}, {"input": "hello"}, {"input": [{}]}, {"metadata": {"a": 1}}, {"voice": "alloy"},
)  # fmt: skip
RAW = (
    "", "{", "[]", "null", "1e999", '"type"', "{}", '{"type":null}', '{"type":[]}', '{"type":"response.make"}',
    '{"type":"response.create","response":null}', '{"type":"response.create","response":[]}',
    '{"type":"session.update"}', '{"type":"input_audio_buffer.append"}', '{"type":"input_audio_buffer.append","audio":"%"}',
    '{"type":"input_audio_buffer.append","audio":"AAA="}', '{"type":"input_audio_buffer.append","audio":""}',
    '{"type":"conversation.item.create","item":{}}', '{"type":"conversation.item.truncate","item_id":1}',
    '{"type":"conversation.item.delete","event_id":7}', '{"type":"response.cancel","response_id":{}}',
    '{"type":"output_audio_buffer.clear"}',
)  # fmt: skip


class Client(SimulatorHarness):
    """A session whose work may take its time, and the ids that were told, to be named again."""

    def __init__(self, model: str) -> None:
        self.log: list[str] = []
        """Frames both ways, for a failure."""
        self.held: list[tuple[int, Any]] = []
        self.slow = False
        """Work waits until somebody asks for it."""
        self.sent = 0
        super().__init__(model, heard="Hello.")

    def say(self, type_: str, **fields: Any) -> None:
        """One event, numbered."""
        self.sent += 1
        self.send(type_, event_id=f"mine_{self.sent}", **fields)

    def send_raw(self, raw: str) -> list[Event]:
        """One text frame, remembered beside what was answered."""
        self.log.append(f"→ {raw}")
        return super().send_raw(raw)

    def _collect(self) -> list[Event]:
        if self.slow:
            self.session.advance()
            self.held += self.session.work_to_do()
        new = super()._collect()
        self.log += [f"← {json.dumps(event)}" for event in new]
        return new

    def finish_work(self) -> None:
        """Give back what was held, the last first."""
        while self.held:
            key, task = self.held.pop()
            result = "Hello." if isinstance(task, Recognize) else speak(task.text, task.voice, task.speed, "tone")
            self.session.work_done(key, result)
            self._collect()

    def item_id(self, number: int) -> str:
        """Some item's id, counted from the end; one that is not there when there are too few."""
        told = [event["item"]["id"] for event in self.events if event["type"] == "conversation.item.added"]
        return told[-1 - number] if number < len(told) else "item_nobody"

    def response_id(self, number: int) -> str:
        """Some response's id, counted from the end."""
        told = [event["response"]["id"] for event in self.events if event["type"] == "response.created"]
        return told[-1 - number] if number < len(told) else "resp_nobody"

    def settle(self) -> None:
        """Work is done, nobody speaks any more, and time passes until nothing is left to happen."""
        self.slow = False
        self.finish_work()
        self.update(audio={"input": {"turn_detection": None}})
        self.run(600)


@st.composite
def _item(draw: st.DrawFn) -> Step:
    text, number, place, own = (draw(st.integers(0, 7)) for _ in range(4))
    kind = draw(st.integers(0, 7))

    def step(client: Client) -> None:
        said = SENTENCES[text]
        items: list[Event] = [
            user(said), user(said), user(said),
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": encoded(LOUD * number)}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said}]},
            {"type": "function_call_output", "call_id": _call_id(client), "output": said},
            {"type": "function_call", "name": "get_weather", "call_id": "call_mine", "arguments": said},
            {"type": "message", "role": "system", "content": [{"type": "input_audio"}]},
        ]  # fmt: skip
        item = items[kind]
        if own < 2:
            item["id"] = client.item_id(number) if own else f"mine_{number}"
        before = {0: {"previous_item_id": "root"}, 1: {"previous_item_id": client.item_id(number)}}.get(place, {})
        client.say("conversation.item.create", item=item, **before)

    return step


def _call_id(client: Client) -> str:
    calls = [event["call_id"] for event in client.events if event["type"] == "response.function_call_arguments.done"]
    return str(calls[-1]) if calls else "call_nobody"


@st.composite
def _sound(draw: st.DrawFn) -> Step:
    loud, quiet, whole = draw(st.integers(0, 15)), draw(st.integers(0, 12)), draw(st.booleans())

    def step(client: Client) -> None:
        if whole:
            client.say("input_audio_buffer.append", audio=encoded(LOUD * loud + silence(100 * quiet)))
            return
        for chunk in (*[LOUD] * loud, *[silence(100)] * quiet):
            client.say("input_audio_buffer.append", audio=encoded(chunk))
            client.run(0.1)

    return step


def _answer(response: Event, number: int) -> Step:
    def step(client: Client) -> None:
        wish = dict(response)
        if number == 0:
            wish["input"] = [{"type": "item_reference", "id": client.item_id(1)}]
        client.say("response.create", response=wish)

    return step


def _about_item(type_: str, number: int, ms: int) -> Step:
    more = {"content_index": 0, "audio_end_ms": ms} if type_.endswith("truncate") else {}
    return lambda client: client.say(type_, item_id=client.item_id(number), **more)


def _slow(slow: bool) -> Step:
    def step(client: Client) -> None:
        client.slow = slow
        if not slow:
            client.finish_work()

    return step


def _broken(why: str) -> Step:
    return lambda client: setattr(client, "broken", why)


ABOUT = tuple(f"conversation.item.{verb}" for verb in ("truncate", "delete", "retrieve"))
TURN = LOUD * 6 + silence(800)
OPENINGS: tuple[Event, ...] = (
    {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}, "tools": [GET_WEATHER, SET_MEMORY]},
    {"audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}},
    {"output_modalities": ["text"], "tools": [GET_WEATHER, SET_MEMORY]},
    {},
)
"""What most clients say first."""


def _setting(changes: Event) -> Step:
    return lambda client: client.say("session.update", session={"type": "realtime", **changes})


def _turn(client: Client) -> None:
    for start in range(0, len(TURN), len(LOUD)):
        client.say("input_audio_buffer.append", audio=encoded(TURN[start : start + len(LOUD)]))
        client.run(0.1)


def _question(text: str) -> Step:
    def step(client: Client) -> None:
        client.say("conversation.item.create", item=user(text))
        client.say("response.create")

    return step


STEPS: st.SearchStrategy[Step] = st.one_of(
    _item(),
    _sound(),
    st.just(_turn),
    st.sampled_from(SENTENCES).map(_question),
    st.builds(_answer, st.sampled_from(RESPONSES), st.integers(0, 7)),
    st.builds(_about_item, st.sampled_from(ABOUT), st.integers(0, 3), st.integers(-1, 2000)),
    st.sampled_from(SETTINGS).map(_setting),
    st.integers(0, 3).map(lambda number: lambda client: client.say("response.cancel", response_id=client.response_id(number))),
    st.sampled_from([f"input_audio_buffer.{verb}" for verb in ("commit", "clear")] + ["response.cancel", "response.create"]).map(
        lambda type_: lambda client: client.say(type_)
    ),
    *[st.sampled_from([0.01, 0.1, 0.3, 1.0, 10.0]).map(lambda seconds: lambda client: client.run(seconds))] * 3,
    st.sampled_from(RAW).map(lambda raw: lambda client: client.send_raw(raw)),
    st.booleans().map(_slow),
    st.sampled_from(["", "", "it is broken"]).map(_broken),
)  # fmt: skip
CLIENTS = st.builds(
    lambda model, opening, steps: (model, [_setting(opening), *steps]),
    st.sampled_from(["gpt-realtime", "gpt-realtime-2.1"]),
    st.sampled_from(OPENINGS),
    st.lists(STEPS, min_size=10, max_size=30),
)
"""A model and what is done to it."""
