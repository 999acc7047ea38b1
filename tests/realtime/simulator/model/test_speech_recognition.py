"""The ears: sentences of the grammar are understood, all else is told by its length."""

from __future__ import annotations

import re

import pytest

from realtime.simulator.model import speech_recognition
from realtime.simulator.model.model import plan
from realtime.simulator.model.speech_recognition import in_room, transcribe, transcribe_so_far
from realtime.simulator.shared.response_plan import ModelInput, ModelItem
from tests.realtime.simulator.harness import silence, utterance


@pytest.fixture
def _recogniser() -> None:
    """Skips where nothing can be recognised."""
    pytest.importorskip("pocketsphinx", reason="without pocketsphinx the simulator recognizes no words")


def turn(text: str) -> bytes:
    """A sentence as voice detection cuts it out."""
    return silence(300) + utterance(text) + silence(500)


@pytest.mark.usefixtures("_recogniser")
@pytest.mark.parametrize(
    ("spoken", "written"),
    [
        ("What is the weather in Lisbon?", "What is the weather in Lisbon?"),
        ("What's the weather in Tokyo?", "What's the weather in Tokyo?"),
        ("What is the weather in Berlin and in Paris?", "What is the weather in Berlin and in Paris?"),
        ("My name is Ada.", "My name is Ada."),
        ("Remember that my name is George.", "Remember that my name is George."),
        ("My favorite color is green.", "My favourite colour is green."),
        ("What is my name?", "What is my name?"),
        ("What is my favorite color?", "What is my favourite colour?"),
        ("What time is it?", "What time is it?"),
        ("Who are you?", "Who are you?"),
        ("What do you know about me?", "What do you know about me?"),
        ("Tell me a long story.", "Tell me a long story."),
        ("Count to ten.", "Count to ten."),
        ("Hello there.", "Hello there."),
        ("Stop.", "Stop."),
        ("Thank you.", "Thank you."),
    ],
)
def test_what_is_understood(spoken: str, written: str) -> None:
    """A sentence of the grammar is written down as people write, and the model has an answer to it."""
    heard = transcribe(turn(spoken))
    assert heard == written
    (answer,) = plan(ModelInput([ModelItem("user", heard)], {}))
    assert not answer.text.startswith("You said:")


@pytest.mark.usefixtures("_recogniser")
@pytest.mark.parametrize(
    "spoken",
    ["The quick brown fox jumps over the lazy dog.", "I would like to order a large pizza."],
)
def test_what_is_not_understood(spoken: str) -> None:
    """Another sentence is not guessed at: only its length is told."""
    sound = turn(spoken)
    assert transcribe(sound) == f"({len(sound) / 48_000:.1f} s of speech)"


@pytest.mark.usefixtures("_recogniser")
def test_the_same_sound_is_understood_alike() -> None:
    """The room's noise is always the same, so is what is heard."""
    sound = turn("What time is it?")
    assert in_room(sound) == in_room(sound)
    assert transcribe(sound) == transcribe(sound)


@pytest.mark.parametrize("ms", [0, 100, 1800])
def test_silence_has_no_words(ms: int) -> None:
    """Where nothing was said, nothing is made up."""
    assert re.fullmatch(rf"\({ms / 1000:.1f} s of speech\)", transcribe(silence(ms)))


def test_without_a_recogniser_length_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pocketsphinx is not installed every sentence is told by its length."""
    monkeypatch.setattr(speech_recognition, "_decoder", lambda: None)
    assert transcribe(silence(1840)) == "(1.8 s of speech)"


@pytest.mark.usefixtures("_recogniser")
def test_a_sentence_that_is_not_over() -> None:
    """What can be made out so far comes without a mark at its end; nothing is said of what cannot."""
    assert transcribe_so_far(turn("What is the weather in Lisbon?")) == "What is the weather in Lisbon"
    assert transcribe_so_far(silence(1500)) == ""
