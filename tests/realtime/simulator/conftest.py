"""What all tests of the simulator stand on: whatever their sessions say comes in the API's order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.realtime.simulator.watch import watched


@pytest.fixture(autouse=True)
def orderly() -> Iterator[None]:
    """Every session of every test is checked; a test that breaks the order on purpose overrides this."""
    with watched():
        yield
