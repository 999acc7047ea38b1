"""The input audio buffer, with an ear that is told what it hears."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from realtime.simulator.input.input_buffer import LIMIT_MS, InputBuffer, SpeechStarted, SpeechStopped
from realtime.simulator.validation.api_errors import Refusal
from tests.realtime.simulator.harness import silence

DETECTION: dict[str, object] = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 100, "silence_duration_ms": 64}


def loudness(frame: np.ndarray) -> float:
    """Whoever is loud speaks."""
    return float(np.abs(frame).mean() > 0.1)


def listening(**detection: object) -> InputBuffer:
    """A buffer in which turns are found by loudness alone."""
    buffer = InputBuffer()
    buffer.listen({**DETECTION, **detection})
    assert buffer.listener is not None
    buffer.listener.detector = loudness
    return buffer


def speech(ms: int) -> bytes:
    """Something loud."""
    return b"\xff\x3f" * (24 * ms)


def ids(numbers: count[int]) -> str:
    """The next id."""
    return f"item_{next(numbers)}"


def test_a_turn_is_cut_out() -> None:
    """A turn reaches from the prefix before the onset to the end of the silence, and holds exactly that sound."""
    buffer, numbers = listening(), count(1)
    sound = silence(320) + speech(320) + silence(320)
    started, stopped = buffer.append(sound, lambda: ids(numbers))
    assert started == SpeechStarted(352 - 100, "item_1")
    assert isinstance(stopped, SpeechStopped)
    assert (stopped.audio_end_ms, stopped.item_id) == (704, "item_1")
    assert stopped.pcm == sound[252 * 48 : 704 * 48]


def test_the_same_in_any_pieces() -> None:
    """How sound is cut into appends changes nothing about the turns in it."""
    sound = silence(320) + speech(320) + silence(320) + speech(200) + silence(400)
    found = []
    for size in (len(sound), 4800, 962, 7682):
        buffer, numbers = listening(), count(1)
        heard = [
            change
            for start in range(0, len(sound), size)
            for change in buffer.append(sound[start : start + size], lambda numbers=numbers: ids(numbers))  # type: ignore[misc]
        ]
        found.append(heard)
    assert len(found[0]) == 4
    assert found[1:] == [found[0]] * 3


def test_between_turns_only_what_may_be_needed_is_kept() -> None:
    """While nobody speaks the buffer does not grow, but stream time goes on."""
    buffer = listening()
    for _ in range(100):
        assert buffer.append(silence(100), str) == []
    assert buffer.end_ms == 10_000
    assert len(buffer.commit()) <= 1200 * 48


def test_the_reserved_id_is_kept_until_the_turn_ends() -> None:
    """While somebody speaks, the id announced is the turn's."""
    buffer = listening()
    buffer.append(silence(320) + speech(320), lambda: "item_1")
    assert buffer.item_id == "item_1"
    buffer.clear()
    assert buffer.item_id == ""


def test_a_click_is_no_speech() -> None:
    """One loud frame begins nothing."""
    buffer = listening()
    assert buffer.append(silence(320) + speech(30) + silence(320), str) == []


def test_a_short_breath_does_not_end_a_turn() -> None:
    """A pause shorter than the silence that was asked for is part of the turn."""
    buffer = listening(silence_duration_ms=320)
    changes = buffer.append(silence(320) + speech(320) + silence(200) + speech(320) + silence(400), str)
    assert [type(change) for change in changes] == [SpeechStarted, SpeechStopped]


def test_the_buffer_is_bounded() -> None:
    """More than a quarter of an hour of uncommitted sound is refused; what was there stays."""
    buffer = InputBuffer()
    for _ in range(3):
        buffer.append(silence(LIMIT_MS / 3), str)
    with pytest.raises(Refusal):
        buffer.append(silence(1), str)
    assert len(buffer.commit()) == LIMIT_MS * 48


def test_silence_is_kept_when_it_may_be_committed() -> None:
    """From the moment it is asked for, all sound is kept, also where nobody speaks; let go, it is dropped again."""
    buffer = listening()
    buffer.append(bytes(48 * 1000), lambda: "item")
    start = buffer.keep()
    for _ in range(10):
        buffer.append(bytes(48 * 1000), lambda: "item")
    assert start % 32 == 0
    assert 1000 - 32 < start <= 1000
    assert len(buffer.silence(start, 10_000)) == (10_000 - start) * 48
    for _ in range(10):
        buffer.append(bytes(48 * 1000), lambda: "item")
    assert len(buffer.silence(start, 21_000)) < 3000 * 48


def test_a_turn_by_hand_is_all_there_is() -> None:
    """Without detection whatever was appended is the turn; its id is made once, and survives an update."""
    buffer = InputBuffer()
    assert (buffer.spoken_ms, buffer.spoken()) == (0, b"")
    buffer.append(b"\1\0" * 2400, lambda: "item")
    assert (buffer.spoken_ms, buffer.spoken()) == (100, b"\1\0" * 2400)
    assert buffer.reserve(lambda: "first") == buffer.reserve(lambda: "second") == "first"
    buffer.listen(None)
    assert buffer.item_id == "first"


def test_with_detection_nobody_speaks_until_speech_is_found() -> None:
    """Silence is no turn."""
    buffer = listening()
    buffer.append(bytes(48 * 1000), lambda: "item")
    assert (buffer.spoken_ms, buffer.spoken()) == (0, b"")
