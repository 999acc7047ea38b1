"""The test doubles: they do what they are told, and fail a test that deserves it."""

from __future__ import annotations

import asyncio

import pytest

from realtime.events import dump
from realtime.protocol import RealtimeProtocol
from realtime.testing import Clock, RecordingTap, ScriptedUpstream, playbook
from realtime.timeline import Entry
from tests.realtime.frames import entry


def test_a_clock_moves_when_it_is_told_to() -> None:
    """Time stands still between two advances."""
    clock = Clock(5.0)
    assert (clock(), clock()) == (5.0, 5.0)
    clock.advance(1.5)
    assert clock() == 6.5


def test_a_tap_keeps_what_it_is_told() -> None:
    """Entries in order, and the story with its arrows."""
    tap = RecordingTap()
    told = [entry({"type": "session.update"}, 1, "sent"), entry({"type": "session.updated"}, 2), Entry(3, 3, "note", note="state")]
    for one in told:
        tap.record(one)
    assert tap.entries == told
    assert tap.types == ["→ session.update", "← session.updated", "= state"]


async def test_an_upstream_says_its_script() -> None:
    """Frames come as they were queued, dicts as JSON and texts and bytes as they are, until it hangs up."""
    upstream = ScriptedUpstream({"type": "session.created"}, "no json")
    upstream.say(b"bytes")
    upstream.hang_up(1011, "tired")
    upstream.hang_up(1000, "again")
    assert [frame async for frame in upstream] == ['{"type": "session.created"}', "no json", b"bytes"]
    assert (upstream.close_code, upstream.close_reason) == (1011, "tired")


async def test_a_broken_line_has_no_code() -> None:
    """Without a code it is as if the network went away."""
    upstream = ScriptedUpstream()
    upstream.hang_up(None)
    assert [frame async for frame in upstream] == []
    assert upstream.close_code is None


async def test_a_goodbye_ends_the_script() -> None:
    """When the session under test closes, its code and reason are kept and nothing more comes."""
    upstream = ScriptedUpstream()
    await upstream.close(1000, "done")
    assert [frame async for frame in upstream] == []
    assert (upstream.close_code, upstream.close_reason) == (1000, "done")


async def test_an_upstream_waits_for_frames() -> None:
    """``expect`` returns frames of these types in this order, others between them allowed, as soon as they came."""
    upstream = ScriptedUpstream()
    waiting = asyncio.create_task(upstream.expect("a", "c"))
    for type_ in ("x", "c", "a", "b", "c"):
        upstream.send(dump({"type": type_, "number": len(upstream.sent)}))
    assert await waiting == [{"type": "a", "number": 2}, {"type": "c", "number": 4}]
    assert upstream.raw_sent[0] == '{"type":"x","number":0}'
    assert await upstream.expect("x") == [{"type": "x", "number": 0}]


async def test_an_upstream_does_not_wait_for_ever() -> None:
    """What never comes is a TimeoutError."""
    upstream = ScriptedUpstream()
    upstream.send('{"type":"a"}')
    with pytest.raises(TimeoutError):
        await upstream.expect("a", "a", timeout=0.01)


def test_a_playbook_checks_our_side() -> None:
    """A conversation that goes as written passes; one that does not says what was expected and what came."""
    script = [{"type": "session.created", "session": {"id": "sess_1"}}, []]
    playbook(RealtimeProtocol(), script)
    with pytest.raises(AssertionError, match=r"expected \['response.create'\], came \[\]"):
        playbook(RealtimeProtocol(), [*script, ["response.create"]])
