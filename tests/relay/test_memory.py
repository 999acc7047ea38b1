"""The relay's memory: what a flood, ends that do not read and many sessions leave of it, in a console as people run it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.relay_stage import Load, Relay, load, our_relay

pytestmark = pytest.mark.slow

MOST_MB = 60
"""By how much the process may grow: buffers of eight sessions and 16 MB that wait to be written, far below what is sent."""
RETURNS_WITHIN = 1.1
SECONDS = 3.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Load, Relay]]:
    """A console, and a load that is its provider and its clients."""
    folder: Path = tmp_path_factory.mktemp("memory")
    with load() as loading, our_relay(folder, loading.api) as relay:
        loading.do("short", relay, count=10)  # what a first session imports
        yield loading, relay


@pytest.mark.parametrize("stalled", ["client", "api", ""])
def test_who_sends_more_than_is_read_costs_little(running: tuple[Load, Relay], stalled: str) -> None:
    """Eight sessions flat out, whose clients or whose API read nothing, or all that comes: memory stays bounded."""
    loading, relay = running
    before = relay.memory_mb
    one = loading.do("flat", relay, sessions=8, seconds=SECONDS, stalled=stalled)
    assert one.peak_mb - before < MOST_MB
    if not stalled:
        assert (one.told["missing"], one.told["amiss"]) == (0, 0)


def test_sessions_leave_nothing_behind(running: tuple[Load, Relay]) -> None:
    """After two hundred more sessions the process is as large as after the first hundred."""
    loading, relay = running
    loading.do("short", relay, count=100)
    first = relay.memory_mb
    told = loading.do("short", relay, count=200).told
    assert (told["missing"], told["amiss"]) == (0, 0)
    assert relay.memory_mb < first * RETURNS_WITHIN
