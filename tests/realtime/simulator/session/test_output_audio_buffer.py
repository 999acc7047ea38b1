"""Playback over WebRTC: when it begins, ends, and is cleared."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.realtime.simulator.harness import SimulatorHarness, done, errors, only, silence, types, utterance

STARTED, STOPPED, CLEARED = (f"output_audio_buffer.{what}" for what in ("started", "stopped", "cleared"))


@pytest.fixture(autouse=True)
def orderly() -> Iterator[None]:
    """Some rules are about the sound among the events, and here there is none."""
    yield


def talking() -> SimulatorHarness:
    """A session in the midst of a long answer, two seconds into its sound."""
    stage = SimulatorHarness(media="webrtc")
    stage.write("Tell me a long story.")
    stage.send("response.create")
    stage.run(until=STARTED)
    stage.run(2)
    return stage


def test_sound_is_not_among_the_events() -> None:
    """No audio delta is sent; the tokens of the sound are counted, and what was said can be fetched."""
    stage = SimulatorHarness(media="webrtc")
    events = stage.ask("Hello.")
    assert "response.output_audio.delta" not in types(events)
    assert done(events)["usage"]["output_token_details"]["audio_tokens"] > 0


def test_playback_lasts_as_long_as_the_sound() -> None:
    """It begins with the first sound and stops when that has been played, long after the response is done."""
    stage = SimulatorHarness(media="webrtc")
    stage.write("Hello.")
    stage.send("response.create")
    stage.run(until=STARTED)
    began = stage.time
    stage.run(until=STOPPED)
    item_id = only(stage.events, "response.done")["response"]["output"][0]["id"]
    stored = stage.session.items.get(item_id)
    assert stored is not None
    assert stage.time - began == pytest.approx(stored.audio_ms / 1000)
    assert [event["response_id"] for event in stage.events if event["type"] in (STARTED, STOPPED)] == [
        only(stage.events, "response.done")["response"]["id"]
    ] * 2


def test_their_event_ids_are_of_another_style() -> None:
    """event_ and sixteen hexadecimal digits."""
    assert re.fullmatch(r"event_[0-9a-f]{16}", talking().all(STARTED)[0]["event_id"])


def test_a_client_stops_the_playback() -> None:
    """After cancel and clear the item is cut to what was heard, without being asked."""
    stage = talking()
    stage.send("response.cancel")
    stage.send("output_audio_buffer.clear")
    assert types(stage.run(60)) == ["rate_limits.updated", CLEARED, "conversation.item.truncated"]
    assert only(stage.events, "conversation.item.truncated")["audio_end_ms"] == pytest.approx(2000, abs=1)
    assert stage.all(STOPPED) == []


def test_speech_stops_the_playback() -> None:
    """Also when the response itself was done long ago."""
    stage = talking()
    stage.run(until="rate_limits.updated")
    stage.hear(utterance("Stop, please.") + silence(100))
    assert [event["type"] for event in stage.events if "output_audio_buffer" in event["type"]] == [STARTED, CLEARED]
    assert only(stage.events, "conversation.item.truncated")["audio_end_ms"] > 2000


def test_nothing_is_cleared_where_nothing_plays() -> None:
    """Clearing an empty buffer is no error."""
    stage = SimulatorHarness(media="webrtc")
    assert stage.send("output_audio_buffer.clear") + stage.run(1) == []


def test_a_websocket_client_plays_for_itself() -> None:
    """There the event is unknown, and no playback is told."""
    stage = SimulatorHarness()
    assert errors(stage.send("output_audio_buffer.clear")) == [("invalid_value", "type")]
    assert STARTED not in types(stage.ask("Hello."))
