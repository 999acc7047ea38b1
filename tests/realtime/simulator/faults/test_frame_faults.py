"""Faults of single events: what becomes of a response's events."""

from __future__ import annotations

import json

import pytest

from realtime.simulator.shared.frames import Raw
from tests.realtime.simulator.faults.test_presets import DELTA, DONE, EVENTS, sent


def test_lost_delta() -> None:
    """Deltas get lost, nothing else does."""
    assert sent("lost_delta:100") == [event for event in EVENTS if "delta" not in json.loads(event)["type"]]
    assert 0 < EVENTS.count(DELTA) - sent("lost_delta:30").count(DELTA) < EVENTS.count(DELTA)


def test_lost_done() -> None:
    """The end of a response never comes."""
    assert sent("lost_done") == [event for event in EVENTS if event != DONE]


def test_no_rate_limits() -> None:
    """Rate limits never come."""
    assert sent("no_rate_limits") == EVENTS[:-1]


def test_duplicates() -> None:
    """Events come twice in a row."""
    assert sent("duplicates:100") == [event for event in EVENTS for _ in range(2)]


def test_reorder() -> None:
    """Nothing is lost, but some come behind their followers; one at a time."""
    swapped = sent("reorder:100")
    assert sorted(map(str, swapped)) == sorted(EVENTS)
    assert swapped != EVENTS
    assert all(abs(swapped.index(event) - EVENTS.index(event)) <= 1 for event in EVENTS if EVENTS.count(event) == 1)


def test_huge_frame() -> None:
    """One event of a response is larger than many clients allow; it is JSON still."""
    swollen = [frame for frame in sent("huge_frame") if isinstance(frame, str) and len(frame) > 2_000_000]
    assert [json.loads(frame)["type"] for frame in swollen] == ["response.created"]


def test_truncated_json() -> None:
    """Deltas are no JSON any more."""
    cut = [frame.data for frame in sent("truncated_json:100") if isinstance(frame, Raw)]
    assert len(cut) == sum("delta" in json.loads(event)["type"] for event in EVENTS)
    for text in cut:
        with pytest.raises(ValueError, match="line 1"):
            json.loads(text)


def test_unknown_event() -> None:
    """Something nobody has heard of comes before an event; all others are there."""
    slipped = sent("unknown_event:100")
    assert slipped[1::2] == EVENTS
    assert {json.loads(str(event))["type"] for event in slipped[::2]} == {"response.mood.changed"}
