"""The meter: what it says of a session's frames is true within its five per cent, and it grows with nothing."""

from __future__ import annotations

import json
import math
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.meter import Meter, Way, difference

delays = st.lists(st.integers(0, 10**11) | st.integers(0, 500), min_size=1, max_size=200)
TOLERANCE = 0.05


def metered(added: list[int], way: Way = "sent") -> Meter:
    """A meter that has seen frames with these delays."""
    meter = Meter()
    for us in added:
        meter.forwarded(way, us)
    return meter


# ── Time ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(delays, st.sampled_from([0, 1, 50, 90, 99, 99.9, 100]))
def test_a_percentile_is_true(added: list[int], q: float) -> None:
    """Any percentile is within five per cent of the nearest rank of what was told; delays beyond 19 hours count as that."""
    exact = sorted(added)[max(1, math.ceil(len(added) * q / 100)) - 1]
    told = metered(added).percentile("sent", q)
    assert told is not None
    assert abs(told - min(exact, 2**36)) <= TOLERANCE * exact


@given(st.integers(0, 31))
def test_a_short_delay_is_exact(us: int) -> None:
    """Below 32 microseconds nothing is rounded."""
    assert metered([us]).percentile("sent", 50) == us


@given(delays)
def test_percentiles_rise(added: list[int]) -> None:
    """A higher percentile is never shorter than a lower one, and none is longer than the longest frame."""
    meter = metered(added)
    told = [meter.percentile("sent", q) or 0 for q in range(0, 101, 5)]
    assert all(lower <= higher for lower, higher in pairwise(told))
    assert told[-1] <= max(added)


def test_the_two_ways_are_told_apart() -> None:
    """What is slow on the way back says nothing about the way there."""
    meter = metered([100] * 10)
    meter.forwarded("received", 5_000)
    assert (meter.frames("sent"), meter.frames("received")) == (10, 1)
    assert meter.percentile("sent", 99) == pytest.approx(100, rel=TOLERANCE)
    assert meter.percentile("received", 50) == pytest.approx(5_000, rel=TOLERANCE)


def test_without_frames_there_is_nothing_to_say() -> None:
    """No frame, no percentile: null, not nought."""
    assert Meter().percentile("sent", 50) is None
    assert Meter().facts()["sent"] == {"frames": 0, "p50_us": None, "p99_us": None, "longest_us": None}


def test_a_clock_that_goes_backwards() -> None:
    """A negative time counts as none at all."""
    assert metered([-5]).percentile("sent", 50) == 0


def test_its_memory_is_bounded() -> None:
    """A hundred thousand frames of every length take no more slots than none."""
    new, used = Meter(), metered(list(range(0, 10**9, 10**4)))
    assert sys.getsizeof(new._counts["sent"]) == sys.getsizeof(used._counts["sent"])


# ── Bytes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("came", "left", "by"), [
    ('{"type":"x"}', ['{"type":"x"}'], 0),
    ('{"type":"x"}', ['{"type":"x","a":1}'], len(',"a":1')),
    ('{"type":"x","a":1}', ['{"type":"x"}'], len(',"a":1')),
    ('{"type":"response.output_text.delta"}', ['{"type":"response.text.delta"}'], len("output_")),
    ('{"a":"ä"}', ['{"a":"a"}'], 2),
    ("aaa", ["aa"], 1),
    ("abc", ["xyz"], 3),
    ("abc", [], 3),
    ("abc", ["abc", "de"], 2),
    ("", ["abc"], 3),
])  # fmt: skip
def test_a_change_in_bytes(came: str, left: list[str], by: int) -> None:
    """What was put in or taken out counts its own bytes; what stands around it counts nothing."""
    assert difference(came, left) == by


@given(st.text(), st.text(), st.text(), st.text())
def test_only_the_middle_counts(before: str, came: str, left: str, after: str) -> None:
    """However much is alike around it, a change counts at most its longer side, and as much whichever way it goes."""
    one, other = before + came + after, before + left + after
    assert difference(one, [other]) <= max(len(came.encode()), len(left.encode()))
    assert difference(one, [other]) == difference(other, [one])


@given(st.text(st.characters()), st.text(st.characters()))
def test_only_the_same_is_no_change(came: str, left: str) -> None:
    """Nought is said of the very same text, lone surrogates included, and of no other."""
    assert (difference(came, [left]) == 0) == (came == left)


# ── What is shown ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_line() -> None:
    """One line says it all: the median and the slowest hundredth both ways, and what was changed."""
    meter = metered([20] * 98 + [310] * 2)
    for us in [4] * 1098 + [12_300] * 6:
        meter.forwarded("received", us)
    assert meter.line() == (
        "added 0.02 / 0.31 ms to the API, 0.004 / 0.004 ms back (p50 / p99 of 1,204 frames), changed 0 bytes in 0 frames"
    )
    meter.changed(1)
    meter.waited(3)
    meter.waited(2)
    assert meter.line().endswith("changed 1 byte in 1 frame, up to 3 frames waiting")
    meter.changed(1_500)
    assert "changed 1,501 bytes in 2 frames" in meter.line()


def test_a_line_of_one_way_or_none() -> None:
    """Where no frame went, nothing is claimed."""
    assert metered([24_000], "received").line() == "added 24.0 / 24.0 ms back (p50 / p99 of 1 frame), changed 0 bytes in 0 frames"
    assert Meter().line() == "carried no frames, changed 0 bytes in 0 frames"


@given(delays, st.lists(st.integers(1, 10**6)))
def test_the_facts_say_the_same_in_json(added: list[int], changes: list[int]) -> None:
    """The facts travel in a note, so they are JSON, and they are complete."""
    meter = metered(added)
    for by in changes:
        meter.changed(by)
    facts = json.loads(json.dumps(meter.facts()))
    assert facts == meter.facts()
    assert facts["sent"]["frames"] == len(added)
    assert facts["sent"]["longest_us"] == max(added)
    assert (facts["changed_frames"], facts["changed_bytes"]) == (len(changes), sum(changes))
