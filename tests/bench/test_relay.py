"""What the relay adds: beside no relay, and beside a bare one that records nothing, in interleaved rounds of one run.

``BENCH_SECONDS`` (2) is how long one scenario of a round lasts, ``BENCH_ROUNDS`` (3) how many rounds there are, and
``BENCH_STALL`` (10) how long memory is watched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.bench.relay_stage import Measured, Relay, Stage, stage

pytestmark = pytest.mark.bench

SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
STALL = float(os.environ.get("BENCH_STALL", "10"))
SESSIONS = (1, 10, 50, 100)
MOST_MB = 200
"""What a stalled client or a flood may bring the process to."""
MOST_KB_EACH = 250
"""What an active session may cost; 150 kB is what to reach, but what one measures is what the system hands out."""
MANY = 50
"""Sessions above which a batch gathers for the longest time there is, so that pages learn of it later."""
FILE_PIECE, FILE_SIZE = 16 * 1024, 128 * 1024 * 1024
"""Bytes written at once, as the database does, and altogether."""
SHOWN_WITHIN = 250
"""Milliseconds in which 95 of 100 frames are on a page that shows their session."""
LEAST_OF_BARE = 10_000 / 68_000
"""Recorded deltas a second, flat out, as a share of what a bare relay carries that records nothing."""
RETURNS_WITHIN = 1.1
"""How much larger the process may be after a thousand sessions than after the first hundred."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The load, a bare relay, and a console whose provider the load is."""
    with stage(tmp_path_factory.mktemp("relay")) as made:
        print(f"\nrelays {'on a core that the load keeps off' if made.pinned else 'share their cores with the load'}")
        new, known = writing(tmp_path_factory.mktemp("file") / "file")
        print(f"to write a frame of 4 kB costs this machine {new:.1f} µs where the file grows, {known:.1f} where it does not")
        yield made


def writing(path: Path) -> tuple[float, float]:
    """Microseconds of CPU for 4 KiB into a file for the first time, and into the same place again: what is recorded needs
    new pages of the file cache, and a virtual machine that has to ask for their memory pays many times for them."""
    piece, count, costs = os.urandom(FILE_PIECE), FILE_SIZE // FILE_PIECE, []
    with path.open("wb", buffering=0) as file:
        for _ in range(2):
            began = time.process_time()
            file.seek(0)
            for _ in range(count):
                file.write(piece)
            costs.append((time.process_time() - began) / FILE_SIZE * 4096 * 1e6)
    path.unlink()
    return costs[0], costs[1]


def rounds(running: Stage, what: str, **more: Any) -> dict[str, list[Measured]]:
    """Every relay in turn, several times; ours with a page that shows one of the sessions."""
    measured: dict[str, list[Measured]] = {relay.name: [] for relay in running.relays()}
    for _ in range(ROUNDS):
        for relay in running.relays():
            one = running.load.do(what, relay, seconds=SECONDS, viewer=relay is running.ours, **more)
            assert (one.told["missing"], one.told["amiss"]) == (0, 0), (relay.name, one.told)
            if relay is running.ours:
                running.assert_recorded(one.told)
            measured[relay.name].append(one)
    return measured


def middle(measured: list[Measured], way: str) -> list[float]:
    """The median of each percentile over the rounds, in milliseconds."""
    return [median(one.told[way][place] for one in measured) for place in range(3)]


def core_share(measured: list[Measured]) -> float:
    """How much of a core it took."""
    return median(one.cpu / one.seconds for one in measured)


def test_memory_of_active_sessions(running: Stage) -> None:
    """What a session costs while it runs; first, as what the process once had it keeps."""
    _after(running, running.ours, 10)
    before = running.ours.memory_mb
    active = running.load.do("paced", running.ours, sessions=100, seconds=SECONDS)
    usual, most = ((mb - before) * 10 for mb in (median(active.memory_mb), active.peak_mb))
    print(f"\n{before:.0f} MB idle, {usual:.0f} kB more for each of 100 active sessions, {most:.0f} at the worst moment")
    assert usual < MOST_KB_EACH


@pytest.mark.parametrize("sessions", SESSIONS)
def test_paced_sessions(running: Stage, sessions: int) -> None:
    """25 frames a second each way and session: none is lost or overtaken, all are recorded, and this is what is added."""
    measured = rounds(running, "paced", sessions=sessions)
    direct = measured["direct"]
    print(f"\n{sessions} paced sessions, {sessions * 50:,} frames/s; one way p50 / p95 / p99 in ms, down and up")
    for name, some in measured.items():
        ways = []
        for way in ("down", "up"):
            own, bare = middle(some, way), middle(direct, way)
            ways.append(" / ".join(f"{ms:.2f}" for ms in own) + f" (added {own[0] - bare[0]:.2f} / {own[2] - bare[2]:.2f})")
        cost = f"; {median(one.us_per_event for one in some):.0f} µs of CPU a frame, {core_share(some):.2f} core" if some[0].cpu else ""
        print(f"  {name}: {ways[0]}, {ways[1]}{cost}")
    shown = middle(measured["ours"], "shown")
    print(f"  from the API to a page: {shown[0]:.0f} / {shown[1]:.0f} ms (median, 95th percentile)")
    assert shown[1] < SHOWN_WITHIN or sessions > MANY
    assert core_share(measured["ours"]) < 1


@pytest.mark.parametrize("sessions", [1, 8])
def test_flat_out(running: Stage, sessions: int) -> None:
    """An API that sends as fast as it is read: everything arrives in order and is recorded, faster than speech ever comes."""
    measured = rounds(running, "flat", sessions=sessions)
    print(f"\n{sessions} flat out, deltas a second")
    for name, some in measured.items():
        rates = [one.told["frames"] / one.told["seconds"] for one in some]
        cost = f", {median(one.us_per_event for one in some):.0f} µs of CPU each" if some[0].cpu else ""
        print(f"  {name}: {median(rates):,.0f} (best {max(rates):,.0f}){cost}, at most {max(one.peak_mb for one in some):.0f} MB")
    ours, bare = (
        median(one.told["frames"] / one.told["seconds"] for one in measured[name]) for name in ("ours", "bare websockets")
    )
    assert ours > bare * LEAST_OF_BARE


@pytest.mark.parametrize("stalled", ["client", "api", ""])
def test_memory_under_full_load(running: Stage, stalled: str) -> None:
    """Eight sessions flat out, with ends that stop reading or without: memory stays where it is."""
    idle = running.ours.memory_mb
    one = running.load.do("flat", running.ours, sessions=8, seconds=STALL, stalled=stalled)
    what = {"client": "clients that do not read", "api": "an API that does not read", "": "flat out"}[stalled]
    print(f"\n8 sessions, {what}, {STALL:.0f} s: {idle:.0f} MB before, at most {one.peak_mb:.0f} MB")
    assert one.peak_mb < MOST_MB


def test_memory_of_short_sessions(running: Stage) -> None:
    """A thousand sessions that come and go leave nothing behind."""
    first = _after(running, running.ours, 100)
    last = _after(running, running.ours, 1000)
    print(f"\nafter 100 short sessions {first:.0f} MB, after 1,000 more {last:.0f} MB")
    assert last < first * RETURNS_WITHIN


def _after(running: Stage, relay: Relay, count: int) -> float:
    """Memory after so many short sessions."""
    told = running.load.do("short", relay, count=count).told
    assert (told["missing"], told["amiss"]) == (0, 0)
    return relay.memory_mb
