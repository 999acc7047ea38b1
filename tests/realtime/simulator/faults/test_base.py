"""A fault that is none: what presets leave alone."""

from __future__ import annotations

import random

from realtime.simulator.faults.base import Fault
from realtime.simulator.shared.options import SimulatorOptions


def test_a_fault_does_no_harm_by_itself() -> None:
    """What a preset does not override changes nothing."""
    fault, options = Fault("none", 0, random.Random(0)), SimulatorOptions()  # noqa: S311  (no secret)
    assert list(fault.send("{}", "x", 1.5)) == [(1.5, "{}")]
    assert (fault.intercept("{}"), fault.plan(), fault.options(options), fault.pongs, fault.status) == (None, None, options, True, None)


def test_chance_in_percent() -> None:
    """An amount in percent happens so often: never, always, or by chance."""
    for amount, least, most in ((0, 0, 0), (100, 1000, 1000), (20, 150, 250)):
        fault = Fault("none", amount, random.Random(0))  # noqa: S311  (no secret)
        assert least <= sum(fault.hits() for _ in range(1000)) <= most
