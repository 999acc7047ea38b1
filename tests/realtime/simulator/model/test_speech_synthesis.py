"""The voice: English that can be heard, or a hum where there is none."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from realtime.pcm import level, samples
from realtime.simulator.model import speech_synthesis
from realtime.simulator.model.speech_synthesis import VOICES, speak, voices

SENTENCE = "What is the weather in Lisbon?"


@pytest.fixture(params=["tone", "espeak"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both ways to make sound; skips speech where nothing can speak."""
    try:
        speak(SENTENCE, "alloy", 1.0, request.param)
    except (RuntimeError, OSError) as error:
        pytest.skip(f"no speech can be made here: {error}")
    return str(request.param)


def test_it_makes_sound(kind: str) -> None:
    """A sentence lasts as long as a person takes for it, is neither silent nor clipped, and ends in a pause."""
    pcm = speak(SENTENCE, "alloy", 1.0, kind)
    assert 1.0 < len(pcm) / 48_000 < 3.5
    assert 0.02 < level(pcm) < 0.5
    assert np.abs(samples(pcm).astype(int)).max() < 32_767
    assert level(pcm[-100 * 48 :]) == 0


def test_the_same_words_take_the_same_time(kind: str) -> None:
    """A sentence is as long each time it is spoken, so that a conversation can be repeated; others are not."""
    first = speak(SENTENCE, "alloy", 1.0, kind)
    speak.cache_clear()
    assert len(speak(SENTENCE, "alloy", 1.0, kind)) == len(first)
    assert len(speak("What is the weather in Oslo, please?", "alloy", 1.0, kind)) != len(first)


def test_a_hum_has_no_chance_in_it() -> None:
    """Without espeak-ng, whose pitch flutters, the same words are the same sound to the last sample."""
    first = speak(SENTENCE, "alloy", 1.0, "tone")
    speak.cache_clear()
    assert speak(SENTENCE, "alloy", 1.0, "tone") == first


def test_speed(kind: str) -> None:
    """Twice as fast takes about half as long."""
    slow, fast = (len(speak(SENTENCE, "alloy", speed, kind)) for speed in (0.75, 1.5))
    assert 0.4 < fast / slow < 0.75


@pytest.mark.parametrize("text", ["", " ", "…", "?!", "—"])
def test_nothing_to_say_is_a_pause(text: str) -> None:
    """Without a letter or a number there is a short silence."""
    pcm = speak(text, "alloy", 1.0, "tone")
    assert len(pcm) > 0
    assert level(pcm) == 0


def test_every_voice_is_another() -> None:
    """The API's ten voices can be told apart; an unknown one sounds like alloy."""
    try:
        sounds = {name: speak(SENTENCE, name, 1.0, "espeak") for name in voices()}
    except (RuntimeError, OSError) as error:
        pytest.skip(f"no speech can be made here: {error}")
    assert set(sounds) == set(VOICES)
    assert len(set(sounds.values())) == len(VOICES) == 10
    assert len(speak(SENTENCE, "voice_of_somebody", 1.0, "espeak")) == len(sounds["alloy"])


def test_without_an_engine_it_hums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where espeak-ng is not installed there is still sound; whoever insists on speech is told what is missing."""
    monkeypatch.setattr(speech_synthesis, "_espeak", lambda: None)
    speak.cache_clear()
    assert speak("One two.", "alloy", 1.0) == speak("One two.", "alloy", 1.0, "tone")
    with pytest.raises(RuntimeError, match="espeakng-loader"):
        speak("One two.", "alloy", 1.0, "espeak")
    speak.cache_clear()


def test_the_engine_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that speak first at the same time share one engine: its library does not survive a second."""
    made: list[object] = []

    def slowly() -> object:
        time.sleep(0.05)  # for the other threads to come
        made.append(object())
        return made[-1]

    monkeypatch.setattr(speech_synthesis, "_loaded", cache(slowly))
    with ThreadPoolExecutor(4) as threads:
        engines = list(threads.map(lambda _: speech_synthesis._espeak(), range(4)))
    assert engines == made * 4
