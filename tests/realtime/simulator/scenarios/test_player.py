"""Scenarios on stage: a session that follows a script, on a clock that stands still until it is moved."""

from __future__ import annotations

import json
from typing import Any

import pytest

from realtime.simulator.conversation.jobs import Recognize
from realtime.simulator.model.speech_synthesis import speak
from realtime.simulator.scenarios.player import ScenarioPlayer
from realtime.simulator.scenarios.steps import (
    JUNK,
    Binary,
    Call,
    Close,
    Delay,
    Drop,
    Emit,
    Error,
    Expect,
    Fail,
    Hang,
    Malformed,
    Mode,
    Repeat,
    Say,
    Scenario,
    Step,
    Until,
)
from realtime.simulator.session.session import SimulatedSession
from realtime.simulator.shared.frames import Abort, Freeze, Raw, Shut
from realtime.simulator.shared.options import SimulatorOptions
from realtime.testing import Clock

START = 1_795_000_000
TEXT = {"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}}
CREATE = {"type": "response.create"}


class Show:
    """A session on stage, and what its client has seen of it."""

    def __init__(self, *steps: Step, mode: Mode = "on top", kind: str = "realtime") -> None:
        self.clock = Clock()
        options = SimulatorOptions(latency_ms=100, voice="tone", ears="off")
        self.session = SimulatedSession("gpt-realtime", options, self.clock, lambda: START + self.clock.now, kind)
        self.stage = ScenarioPlayer(self.session, Scenario(steps, mode))
        self.seen: list[Any] = []
        """Events as dicts, everything else as it is."""
        self.drain()

    def drain(self) -> None:
        """Let happen what is due, work included."""
        while True:
            self.stage.advance()
            self.seen += [json.loads(frame) if isinstance(frame, str) else frame for frame in self.stage.events_to_send()]
            work = self.stage.work_to_do()
            if not work:
                return
            for key, each in work:
                self.stage.work_done(key, "words" if isinstance(each, Recognize) else speak(each.text, each.voice, each.speed, "tone"))

    def send(self, *events: dict[str, Any]) -> list[Any]:
        """Events of the client, at one moment; returns what comes at once."""
        before = len(self.seen)
        for event in events:
            self.stage.receive_text(json.dumps(event))
            self.drain()
        return self.seen[before:]

    def wait(self, seconds: float) -> list[Any]:
        """Let time pass; returns what comes in it."""
        before, end = len(self.seen), self.clock.now + seconds
        while (due := self.stage.next_at()) is not None and due <= end:
            self.clock.now = max(self.clock.now, due)
            self.drain()
        self.clock.now = end
        return self.seen[before:]


def types(seen: list[Any]) -> list[Any]:
    """Types of events, in order; what is none as it is."""
    return [each["type"] if isinstance(each, dict) else each for each in seen]


def said(seen: list[Any]) -> list[str]:
    """What each response that is done has said or called."""
    done = [each["response"] for each in seen if isinstance(each, dict) and each["type"] == "response.done"]
    return [
        " ".join(item.get("name") or item["content"][0].get("text") or item["content"][0]["transcript"] for item in each["output"])
        for each in done
    ]


def message(text: str) -> dict[str, Any]:
    """Something the user writes."""
    content = [{"type": "input_text", "text": text}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


def test_without_steps_it_is_the_simulator() -> None:
    """Events without a step are processed as usual: the model answers."""
    show = Show()
    assert types(show.seen) == ["session.created"]
    show.send(TEXT, message("Hello"), CREATE)
    assert "built-in simulator" in said(show.wait(5))[0]


def test_words_for_an_answer() -> None:
    """A response says what the scenario says, in the events it always has."""
    show = Show(Expect("response.create"), Say("It rains."))
    show.send(TEXT, message("Hello"), CREATE)
    seen = show.wait(5)
    assert said(seen) == ["It rains."]
    assert {"response.output_text.delta", "response.output_text.done", "rate_limits.updated"} <= set(types(seen))
    assert show.stage.unreached() == []


def test_words_have_a_voice() -> None:
    """In a session that speaks the words of a scenario have sound."""
    show = Show(Expect("response.create"), Say("It rains."))
    show.send(CREATE)
    seen = show.wait(5)
    assert said(seen) == ["It rains."]
    assert "response.output_audio.delta" in types(seen)


def test_a_response_waits_for_its_words() -> None:
    """Between the wish for a response and its words there may be a delay; nothing is said meanwhile."""
    show = Show(Expect("response.create"), Delay(3), Say("At last."))
    assert types(show.send(TEXT, CREATE)) == ["session.updated", "response.created"]
    assert show.wait(2.9) == []
    assert said(show.wait(2)) == ["At last."]


def test_words_and_calls_are_one_answer() -> None:
    """Words and calls that follow one another are items of one response."""
    show = Show(Expect("response.create"), Say("Let me see.", "commentary"), Call("look", {"at": "{item_id}"}), Call("odd", "{not json"))
    show.send(TEXT, message("Hello"), CREATE)
    item_id = next(each["item"]["id"] for each in show.seen if each["type"] == "conversation.item.added")
    seen = show.wait(5)
    assert said(seen) == ["Let me see. look odd"]
    calls = [each["arguments"] for each in seen if each["type"] == "response.function_call_arguments.done"]
    assert calls == [json.dumps({"at": item_id}), "{not json"]


@pytest.mark.parametrize("words", [(), (Say("I was about to"),)])
def test_a_response_that_fails(words: tuple[Say, ...]) -> None:
    """A response fails with the code of the step, also in the middle of what it says."""
    show = Show(Expect("response.create"), *words, Fail("rate_limit_exceeded"))
    show.send(TEXT, CREATE)
    response = next(each["response"] for each in show.wait(5) if each["type"] == "response.done")
    assert (response["status"], response["status_details"]["error"]["code"]) == ("failed", "rate_limit_exceeded")
    assert len(response["output"]) == len(words)


def test_saying_something_unasked() -> None:
    """When no response waits one is begun; while one goes on the next words wait for its end."""
    show = Show(Say("First."), Delay(0.2), Say("Second."))
    seen = [*show.seen, *show.wait(10)]
    assert said(seen) == ["First.", "Second."]
    assert types(seen).index("response.done") < len(seen) - 1 - types(seen)[::-1].index("response.created")


def test_what_is_not_expected_is_none_of_its_business() -> None:
    """Events before the expected one are processed as usual, and answered by the model."""
    show = Show(Expect("response.create", {"response.metadata.topic": "rain"}), Say("It rains."))
    show.send(TEXT, message("Spell cat"), CREATE)
    assert said(show.wait(5)) == ["cat: C, A, T."]
    assert show.stage.unreached() == ["step 1: expect response.create", "step 2: say It rains."]
    show.send({**CREATE, "response": {"metadata": {"topic": "rain"}}})
    assert said(show.wait(5)) == ["It rains."]


def test_answers_come_behind_what_they_answer() -> None:
    """What a step emits comes behind the simulator's own answer to the event that was expected."""
    show = Show(Expect("conversation.item.create"), Emit({"type": "mine", "about": "{item_id}", "text": "{event.item.content.0.text}"}))
    seen = show.send(message("Hello"))
    assert types(seen) == ["conversation.item.added", "conversation.item.done", "mine"]
    assert (seen[2]["about"], seen[2]["text"]) == (seen[0]["item"]["id"], "Hello")
    assert seen[2]["event_id"].startswith("event_")


def test_an_event_that_is_swallowed() -> None:
    """An event that is expected, but not normally, never reaches the session."""
    show = Show(Expect("session.update", normally=False), Error("server_error", "No."))
    assert types(show.send({**TEXT, "event_id": "mine"})) == ["error"]
    assert show.seen[-1]["error"]["event_id"] == "mine"
    assert show.session.config.session["output_modalities"] == ["audio"]


def test_only_the_scenario() -> None:
    """In mode "only" nothing happens that no step says, from the first event on."""
    show = Show(
        Emit({"type": "session.created", "session": "{session}"}),
        Expect("session.update", normally=True),
        Expect("response.create"),
        Emit({"type": "response.created", "response": {"id": "{new.resp.first}"}}),
        Emit({"type": "response.done", "response": {"id": "{new.resp.first}"}}),
        mode="only",
    )
    assert types(show.seen) == ["session.created"]
    assert show.seen[0]["session"]["model"] == "gpt-realtime"
    assert show.send(message("Hello")) == []
    assert types(show.send(TEXT)) == ["session.updated"]
    created, done = show.send(CREATE)
    assert created["response"]["id"] == done["response"]["id"]
    assert show.wait(10) == []


def test_only_the_scenario_has_a_voice_too() -> None:
    """In mode "only" words are said by a response that is begun for them."""
    show = Show(Expect("response.create"), Say("Hello."), mode="only")
    show.send(CREATE)
    assert said(show.wait(5)) == ["Hello."]


def test_until_the_simulator_has_sent_something() -> None:
    """A step can wait for an event of the simulator itself and comes right behind it."""
    show = Show(Expect("response.create"), Say("One two three four."), Until("response.output_text.delta"), Drop())
    show.send(TEXT, CREATE)
    assert types(show.wait(5))[-2:] == ["response.output_text.delta", Abort()]
    assert types(show.seen).count("response.output_text.delta") == 1


@pytest.mark.parametrize(
    ("step", "frame"),
    [
        (Emit("text"), Raw("text")),
        (Emit(b"\0"), Raw(b"\0")),
        (Malformed("array"), Raw(JUNK["array"])),
        (Binary(), Raw(bytes(range(16)))),
        (Hang(3), Freeze(3)),
        (Drop(), Abort()),
        (Close(1011, "tired"), Shut(1011, "tired")),
    ],
)
def test_what_is_no_event(step: Step, frame: object) -> None:
    """Raw frames and the fates of a connection come in their place."""
    show = Show(Expect("input_audio_buffer.clear"), step)
    assert show.send({"type": "input_audio_buffer.clear"}) == [{**show.seen[1]}, frame]
    assert show.seen[1]["type"] == "input_audio_buffer.cleared"


def test_nothing_follows_the_end() -> None:
    """Behind a drop or a close there is nothing, whatever the client still sends."""
    show = Show(Delay(1), Close(), Say("Never."))
    show.wait(2)
    assert show.send(message("Hello"), CREATE) == []
    assert show.wait(10) == []
    assert show.stage.unreached() == ["step 3: say Never."]


def test_repeating() -> None:
    """Steps are taken as often as they are to be; a repeat for ever ends with the session."""
    show = Show(Repeat((Expect("a"), Repeat((Emit({"type": "b"}),), 2)), 2), Repeat((Expect("c"), Emit({"type": "d"}))))
    for event in ("a", "c", "a", "c", "c"):
        show.send({"type": event})
    assert types(show.seen) == ["session.created", "error", "b", "b", "error", "error", "b", "b", "error", "d", "error", "d"]
    assert show.stage.unreached() == []


def test_steps_that_are_not_reached() -> None:
    """What is left is told with the numbers of the steps, those within a repeat too."""
    show = Show(Repeat((Expect("a"), Until("x"), Drop()), 2), Delay(1))
    show.send({"type": "a"})
    assert show.stage.unreached() == ["step 1.2: until x", "step 1.3: drop", "step 2: delay 1"]


def test_a_placeholder_without_a_meaning() -> None:
    """A placeholder nothing has been told for yet is complained of, and the scenario goes on."""
    show = Show(Expect("a"), Emit({"type": "mine", "id": "{response_id}"}), Emit("after"))
    assert show.send({"type": "a"})[-1] == Raw("after")
    assert show.stage.failures == ["step 2: emit mine: there is nothing yet that {response_id} could stand for"]


def test_a_cancelled_response_leaves_its_words() -> None:
    """A client that cancels a response while it waits for its words gets them with the next one."""
    show = Show(Expect("response.create"), Delay(2), Say("Late."))
    show.send(TEXT, CREATE)
    show.wait(1)
    show.send({"type": "response.cancel"})
    seen = show.wait(5)
    assert said(seen) == ["Late."]


def test_no_words_in_a_transcription_session() -> None:
    """A transcription session has no responses: words are complained of, and the scenario goes on."""
    show = Show(Say("Hello."), Emit("after"), kind="transcription")
    assert show.seen[-1] == Raw("after")
    assert show.stage.failures == ["step 1: say Hello.: there are no responses in a transcription session"]


def test_junk_of_the_client() -> None:
    """What the client sends that is no event passes by the scenario."""
    show = Show(Expect("*"), Emit("after"))
    show.stage.receive_text("junk")
    show.stage.receive_text("[1]")
    show.stage.receive_binary(b"\0")
    show.drain()
    assert types(show.seen) == ["session.created", "error", "error", "error"]
    assert show.send({"type": "x"})[-1] == Raw("after")
