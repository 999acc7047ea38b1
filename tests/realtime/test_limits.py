"""How long a relayed session may last, by its own rules."""

from __future__ import annotations

from realtime.limits import Limits


def test_there_is_none_by_default() -> None:
    """A relay invents no timeouts."""
    assert Limits().next_end(0.0, 0.0) is None


def test_each_frame_puts_off_the_idle_end() -> None:
    """The idle limit counts from the last frame of either side, the total from the begin; the nearer one comes first."""
    limits = Limits(idle=30, total=100)
    first, later = limits.next_end(1000.0, 1000.0), limits.next_end(1000.0, 1090.0)
    assert first is not None and later is not None
    assert (first[0], first[1].code) == (1030.0, "idle_timeout")
    assert (later[0], later[1].code) == (1100.0, "session_time_limit")
    assert "100 s" in later[1].message
