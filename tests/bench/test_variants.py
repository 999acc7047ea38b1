"""What each mechanism of our own saves against the plain form of it (``tests.bench.variants``), in interleaved rounds.

``BENCH_SECONDS`` (2), ``BENCH_ROUNDS`` (3); ``BENCH_VARIANTS`` names what is compared with ``ours``.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest

from tests.bench.relay_stage import Measured, assert_recorded, bare_relay, load, our_relay
from tests.bench.test_relay import ROUNDS, SECONDS

pytestmark = pytest.mark.bench

VARIANTS = os.environ.get("BENCH_VARIANTS", "thread server").split()
SESSIONS = 50


def test_what_our_own_mechanisms_save(tmp_path: Path) -> None:
    """Fifty paced sessions with a page through each variant in turn: CPU a frame and one-way times; nothing is lost."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    ours, others = (cores[-1], cores[0]) if len(cores) > 1 else (None, None)
    with ExitStack() as stack:
        loading = stack.enter_context(load(others))
        relays = [stack.enter_context(bare_relay(loading.api, ours))]
        for parts in ("ours", *VARIANTS):
            (tmp_path / parts).mkdir()
            relays.append(stack.enter_context(our_relay(tmp_path / parts, loading.api, ours, parts)))
        measured: dict[str, list[Measured]] = {relay.name: [] for relay in relays}
        for _ in range(ROUNDS):
            for relay in relays:
                one = loading.do("paced", relay, sessions=SESSIONS, seconds=SECONDS, viewer=relay.data_dir is not None)
                assert (one.told["missing"], one.told["amiss"]) == (0, 0), (relay.name, one.told)
                assert_recorded(relay, one.told)
                measured[relay.name].append(one)
    print(f"\n{SESSIONS} paced sessions with a page, {ROUNDS} rounds of {SECONDS:g} s; medians, and each round's CPU")
    for name, some in measured.items():
        down, up = ([median(one.told[way][place] for one in some) for place in (0, 2)] for way in ("down", "up"))
        print(
            f"  {name}: {median(one.us_per_event for one in some):.0f} µs of CPU a frame; one way p50 / p99 in ms: "
            f"down {down[0]:.2f} / {down[1]:.2f}, up {up[0]:.2f} / {up[1]:.2f}"
            f" ({' '.join(f'{one.us_per_event:.0f}' for one in some)})"
        )
