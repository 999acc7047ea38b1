"""A pytest plugin: the fixture ``realtime_simulator`` starts simulators for a test and stops them behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from realtime.simulator import RunningSimulator, Scenario, SimulatorOptions, Step, load

HURRIED = SimulatorOptions(latency_ms=5, pace=40)
"""Quicker than the API is: a test has other things to do."""


class StartSimulator(Protocol):
    """What the fixture is: call it for a running simulator."""

    def __call__(self, scenario: Scenario | tuple[Step, ...] | str | Path | None = None, **options: Any) -> RunningSimulator:
        """``scenario`` is one, its steps, or a file; ``options`` are fields of SimulatorOptions.

        Raises ScenarioError and FaultError.
        """


@pytest.fixture
def realtime_simulator() -> Iterator[StartSimulator]:
    """A function that starts a simulator: ``realtime_simulator(scenario="weather.yaml", faults=("jitter",))``."""
    with contextlib.ExitStack() as running:

        def start(scenario: Scenario | tuple[Step, ...] | str | Path | None = None, **options: Any) -> RunningSimulator:
            if isinstance(scenario, str | Path):
                scenario = load(scenario)
            elif isinstance(scenario, tuple):
                scenario = Scenario(scenario)
            return running.enter_context(RunningSimulator(replace(HURRIED, scenario=scenario, **options)))

        yield start
