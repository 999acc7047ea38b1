"""The line to a client: what passes, when, and that chance is the same for a seed."""

from __future__ import annotations

import json

from realtime.simulator.faults.presets import PRESETS
from realtime.simulator.server.outgoing import OutgoingQueue
from realtime.simulator.shared.frames import Frame, Raw, Shut

TYPES = ["response.created", *["response.output_text.delta", "response.output_audio.delta"] * 40, "response.done"]
STORY = [json.dumps({"type": type_, "event_id": f"event_{number}", "delta": "words"}) for number, type_ in enumerate(TYPES)]


def played(line: OutgoingQueue, step: float = 0.01) -> list[tuple[float, Frame]]:
    """A response sent over a line, an event each ``step`` seconds, with the times at which it arrives."""
    arrived: list[tuple[float, Frame]] = []
    for number, raw in enumerate(STORY):
        line.send(raw, number * step)
    while (at := line.next_at()) is not None:
        arrived += [(at, frame) for frame in line.due(at)]
    return arrived


def test_without_faults_everything_passes_at_once() -> None:
    """A line without faults is no line at all."""
    line = OutgoingQueue([])
    for frame in (STORY[0], Raw(b"\0"), Shut(1000)):
        line.send(frame, 5.0)
    assert line.due(5.0) == [STORY[0], Raw(b"\0"), Shut(1000)]
    assert (line.next_at(), line.intercept("x"), line.plan(), line.pongs, line.drain_notes()) == (None, None, None, True, [])


def test_the_same_seed_is_the_same_chance() -> None:
    """All faults together do the same twice with one seed, and something else with another."""
    once, again, other = (played(OutgoingQueue(list(PRESETS), seed)) for seed in (7, 7, 8))
    assert once == again != other


def test_faults_follow_one_another() -> None:
    """Each fault works on what the one before it has left, and says what it has done."""
    line = OutgoingQueue(["lost_delta:100", "duplicates:100"])
    assert [frame for _, frame in played(line)] == [STORY[0], STORY[0], STORY[-1], STORY[-1]]
    notes = line.drain_notes()
    assert notes[0] == "lost_delta: response.output_text.delta is lost"
    assert notes[-1] == "duplicates: response.done comes twice"
    assert line.drain_notes() == []
