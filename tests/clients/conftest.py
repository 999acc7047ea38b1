"""A simulator for other people's clients; whatever they do, what it says keeps the API's order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from realtime.simulator.server import SimulatorServer
from realtime.simulator.shared.options import SimulatorOptions
from tests.realtime.simulator.watch import watched

HURRIED = SimulatorOptions(latency_ms=5, pace=8)
"""Quick, but slow enough to be interrupted."""


@pytest.fixture
async def api() -> AsyncIterator[SimulatorServer]:
    """The API on localhost, over a real socket."""
    with watched():
        async with SimulatorServer(port=0, options=HURRIED) as server:
            yield server


@pytest.fixture
async def beta_api() -> AsyncIterator[SimulatorServer]:
    """The API as it was when it still spoke the beta."""
    with watched():
        async with SimulatorServer(port=0, options=replace(HURRIED, allow_beta=True)) as server:
            yield server
