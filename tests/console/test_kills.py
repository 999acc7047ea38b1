"""Kills: whatever is killed, and however busy the machine is, at most 300 ms of what got through are missing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import statistics
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests import children
from tests.console.kill_stage import STORED_WITHIN, Talk, Traffic, Victim, asking, busy_loops, get, losses, start

AT_MOST = 0.3
"""Seconds that may be missing."""
KINDS = ("console", "writer,console", "console,writer", "group")
REASON = r"the console stopped; last frame at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills by signals")


async def kill_and_restart(
    folder: Path, traffic: Traffic, victim: Victim, kind: str, sessions: int, after: float, database: str = ""
) -> tuple[Victim, float]:
    """Let sessions talk for a while, kill, start again; returns the next console and the seconds that are missing at most."""
    talks = await traffic.start(victim.url, sessions)
    await asyncio.sleep(after)
    await asyncio.to_thread(victim.kill, kind)
    await asyncio.wait_for(asyncio.gather(*(talk.closed.wait() for talk in talks)), 60)
    await traffic.stop()
    following = await asyncio.to_thread(start, folder, REALTIME_UPSTREAM_URL=traffic.url, DATABASE_URL=database)
    return following, await asyncio.to_thread(judge, following, talks, database)


def judge(console: Victim, talks: list[Talk], url: str = "") -> float:
    """Assert that a console that follows a killed one has clean prefixes with an honest end; returns what is missing."""
    with asking(console, url) as ask:
        assert url or ask("PRAGMA integrity_check") == [("ok",)]
        assert ask("SELECT count(*) FROM console_session WHERE status != 'closed'") == [(0,)]
        lost = max(seconds for talk in talks for seconds in losses(ask, talk))
    for talk in talks[:3]:
        lines = [json.loads(line) for line in get(f"{console.url}sessions/{talk.session_id}/log.jsonl").decode().split("\n") if line]
        close, last = lines[-1], lines[-2]
        assert (close["k"], close["by"], close["code"], close["t_us"]) == ("close", "console", None, last["t_us"])
        assert (found := re.fullmatch(REASON, close["reason"])), close
        told = json.loads(get(f"{console.url}sessions/{talk.session_id}.json"))
        ended = datetime.fromisoformat(lines[0]["started_at"]) + timedelta(microseconds=last["t_us"])
        assert datetime.fromisoformat(found[1]) == ended == datetime.fromisoformat(told["ended_at"])
    return lost


async def kill_writer(traffic: Traffic, victim: Victim, sessions: int, after: float) -> float:
    """Let sessions talk, kill what writes for them, and wait until all that got through is stored; nothing may be missing."""
    talks = await traffic.start(victim.url, sessions)
    await asyncio.sleep(after)
    await asyncio.to_thread(victim.kill, "writer")
    await asyncio.sleep(after)
    await traffic.stop()
    until = time.monotonic() + STORED_WITHIN
    with asking(victim) as ask:
        while max(seconds for talk in talks for seconds in losses(ask, talk)):
            assert time.monotonic() < until, f"not stored within {STORED_WITHIN:.0f} s: {victim.log.read_text()}"
            await asyncio.sleep(0.05)
    return 0.0


async def rounds(folder: Path, kinds: list[str], sessions: list[int], every: float = 0.01) -> dict[str, list[float]]:
    """Kill one after the other; returns what was missing, by what was killed."""
    lost: dict[str, list[float]] = {}
    chance = random.Random(12)  # noqa: S311  (chance of a test is no secret)
    async with Traffic(every) as traffic:
        victim = await asyncio.to_thread(start, folder, REALTIME_UPSTREAM_URL=traffic.url)
        try:
            for kind, count in zip(kinds, sessions, strict=True):
                after = chance.uniform(0.4, 1.2)
                if kind == "writer":
                    seconds = await kill_writer(traffic, victim, count, after)
                else:
                    victim, seconds = await kill_and_restart(folder, traffic, victim, kind, count, after)
                lost.setdefault(kind, []).append(seconds)
            assert await asyncio.to_thread(victim.stop) == 0
        finally:
            children.kill(victim.process)
    assert not [path.name for path in (folder / "data").iterdir() if path.name.startswith("journal")], "an orderly end needs none"
    return lost


def told(lost: dict[str, list[float]]) -> str:
    """The figures, in milliseconds."""
    return "\n".join(
        f"{kind:16} {len(seconds):3} kills, missing: median {statistics.median(seconds) * 1000:4.0f} ms, most {max(seconds) * 1000:4.0f} ms"
        for kind, seconds in lost.items()
    )


@pytest.mark.slow
def test_a_kill_loses_little(tmp_path: Path) -> None:
    """Console, writer, both or the group killed: nothing live is left, files are clean prefixes with an honest end."""
    lost = asyncio.run(rounds(tmp_path, ["writer", "console", "writer,console", "group"], [2, 2, 2, 2]))
    assert max(max(seconds) for seconds in lost.values()) <= AT_MOST, told(lost)


@pytest.mark.slow
def test_the_same_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """What PostgreSQL had not yet been told when all was killed comes from the journal there, too."""

    async def kill() -> float:
        async with Traffic() as traffic:
            victim = await asyncio.to_thread(start, tmp_path, REALTIME_UPSTREAM_URL=traffic.url, DATABASE_URL=postgres_url)
            victim, lost = await kill_and_restart(tmp_path, traffic, victim, "group", 2, 1.0, postgres_url)
            assert await asyncio.to_thread(victim.stop) == 0
            return lost

    assert asyncio.run(kill()) <= AT_MOST


@pytest.mark.long
@pytest.mark.timeout(900)
def test_forty_kills_on_a_busy_machine(tmp_path: Path) -> None:
    """The same forty times beside twice as many busy loops as there are cores, also with many sessions."""
    kinds = [*KINDS, "writer"] * 8
    with busy_loops(2 * (os.cpu_count() or 1)):
        lost = asyncio.run(rounds(tmp_path, kinds, [1 + number % 6 for number in range(40)], 0.02))
    print(f"\nmissing after a kill, beside {2 * (os.cpu_count() or 1)} busy loops:\n{told(lost)}")  # noqa: T201
    assert sum(map(len, lost.values())) == 40
    assert max(max(seconds) for seconds in lost.values()) <= AT_MOST, told(lost)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_kills_with_many_sessions(tmp_path: Path) -> None:
    """The same where so many sessions run that their entries gather longest on their way to the database."""
    with busy_loops(2 * (os.cpu_count() or 1)):
        lost = asyncio.run(rounds(tmp_path, [*KINDS], [30] * 4, 0.1))
    print(f"\nmissing after a kill with thirty sessions:\n{told(lost)}")  # noqa: T201
    assert max(max(seconds) for seconds in lost.values()) <= AT_MOST, told(lost)
