"""The idle timer: prompts a silent user after an answer, and stops for speech and responses."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from realtime.simulator.input import vad
from tests.realtime.simulator.harness import (
    COMMITTED,
    OPENED,
    Event,
    SimulatorHarness,
    only,
    silence,
    sound,
    types,
)


def idle(**detection: Any) -> SimulatorHarness:
    """A session that prompts again after six seconds, and has answered once."""
    stage = SimulatorHarness()
    stage.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000, **detection}}})
    stage.ask("Hello.")
    return stage


def quiet(stage: SimulatorHarness, seconds: float) -> list[Event]:
    """Silence from the microphone."""
    return stage.hear(silence(seconds * 1000))


def test_an_idle_user_is_prompted() -> None:
    """Six seconds after the answer has been played, that silence is committed as a turn, the whole of it, and answered."""
    stage = idle()
    playing = len(sound(stage.events)) / 48_000
    events = quiet(stage, playing + 5.5)
    assert events == []
    events = quiet(stage, 1)
    assert types(events)[: 1 + len(COMMITTED + OPENED)] == ["input_audio_buffer.timeout_triggered", *COMMITTED, *OPENED]
    trigger = only(events, "input_audio_buffer.timeout_triggered")
    assert (trigger["audio_start_ms"] % 32, trigger["audio_end_ms"] % 32) == (0, 0)
    silent_ms = trigger["audio_end_ms"] - trigger["audio_start_ms"]
    assert silent_ms == pytest.approx(6000, abs=200)
    stored = stage.session.items.get(trigger["item_id"])
    assert stored is not None
    assert (stored.audio_ms, stored.audio) == (silent_ms, silence(silent_ms))
    assert trigger["item_id"] == only(events, "input_audio_buffer.committed")["item_id"]


def test_a_prompt_without_an_answer() -> None:
    """With create_response off the silence is committed and the rest is left to the client."""
    assert types(quiet(idle(create_response=False), 30)) == ["input_audio_buffer.timeout_triggered", *COMMITTED]


@pytest.mark.parametrize("doing", ["answer", "turn off"])
def test_whoever_does_something_is_not_prompted(doing: str) -> None:
    """Another response, or detection turned off, ends the waiting."""
    stage = idle()
    quiet(stage, 3)
    if doing == "answer":
        stage.send("response.create", response={"output_modalities": ["text"]})
        stage.run(until="response.done")
        assert quiet(stage, 5.5)[1:] == []
    else:
        stage.update(audio={"input": {"turn_detection": None}})
        assert quiet(stage, 30) == []


def test_nobody_is_prompted_unasked() -> None:
    """Without an idle timeout a session waits for ever."""
    stage = SimulatorHarness()
    stage.ask("Hello.")
    assert stage.run(600) == []


def test_nobody_is_prompted_while_speaking() -> None:
    """A question that is typed while somebody speaks is answered, but no timeout comes until that turn has ended."""
    stage = idle()
    with mock.patch.object(vad, "make_detector", lambda: vad.by_energy):
        stage.hear((bytes([0, 48]) * 12 + bytes([0, 208]) * 12) * 400)
    assert stage.all("input_audio_buffer.speech_started")
    stage.ask("Hello.", output_modalities=["text"])
    stage.run(60)
    assert stage.all("input_audio_buffer.timeout_triggered") == []
