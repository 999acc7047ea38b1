"""The rate limits after a response."""

from __future__ import annotations

import pytest

from tests.realtime.simulator.harness import (
    SimulatorHarness,
    only,
)


def test_limits_are_told_after_the_end() -> None:
    """The limits follow 40 ms after a response, tokens only, with what is left of them."""
    stage = SimulatorHarness()
    stage.write("Hello.")
    stage.send("response.create")
    stage.run(until="response.done")
    ended = stage.time
    limits = only(stage.run(until="rate_limits.updated"), "rate_limits.updated")["rate_limits"]
    assert stage.time - ended == pytest.approx(0.04)
    assert [list(limit) for limit in limits] == [["name", "limit", "remaining", "reset_seconds"]]
    assert limits[0]["name"] == "tokens"
    assert 0 < limits[0]["remaining"] < limits[0]["limit"]
