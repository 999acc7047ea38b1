"""The stage of the relay's benchmark: load on one core, what is measured on the other, and what it costs there."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, start_console

READ_WITHIN = 3.0
"""Seconds in which a console has read what it reads in the background after its start."""
STORED_WITHIN = 20.0
"""Seconds in which all that was relayed is in the database."""
LISTEN_EVERY = 0.2
"""Seconds between two looks at a process's memory."""

CLOSED = "SELECT count(*) FROM console_entry WHERE session_id = ? AND kind = 'close'"
IDS = (
    "SELECT event_id FROM console_entry WHERE session_id = ? AND direction = ? AND event_id LIKE 'event\\_%' ESCAPE '\\' ORDER BY seq"
)


@dataclass
class Measured:
    """What one scenario cost a relay's process."""

    told: dict[str, Any]
    """What the load says of it."""
    cpu: float
    """Seconds, all threads, while frames were carried, recorded and shown; not of opening and closing sessions."""
    memory_mb: list[float]
    """Now and then meanwhile."""
    seconds: float

    @property
    def peak_mb(self) -> float:
        """The most memory it had."""
        return max(self.memory_mb)

    @property
    def us_per_event(self) -> float:
        """Microseconds of CPU for each frame that was carried."""
        return self.cpu / max(1, self.told["frames"]) * 1e6


@dataclass
class Relay:
    """What stands between clients and the API: ours, a bare one, or nothing."""

    name: str
    url: str
    pid: int = 0
    data_dir: Path | None = None

    @property
    def memory_mb(self) -> float:
        """Resident memory of its process, and what those it has started have to themselves."""
        if not self.pid:
            return 0.0
        return _memory_mb(self.pid, "Rss") + sum(_memory_mb(child, "Private_") for child in processes(self.pid)[1:])

    @property
    def cpu(self) -> float:
        """Seconds of CPU its processes have used."""
        return sum(map(_cpu, processes(self.pid))) if self.pid else 0.0


class Load:
    """The process that is API and clients (``tests.bench.load``)."""

    def __init__(self, core: int | None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=pinned(core),
        )  # fmt: skip
        self.api: str = self._hear()["api"]

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the load has ended"
        return json.loads(line)  # type: ignore[no-any-return]

    def do(self, what: str, relay: Relay, **more: Any) -> Measured:
        """Let it do something through a relay, and measure that relay."""
        assert self.process.stdin is not None
        began = over = relay.cpu
        seconds, asked = 0.0, time.perf_counter()
        self.process.stdin.write(json.dumps({"do": what, "url": relay.url, **more}).encode() + b"\n")
        self.process.stdin.flush()
        with watching(relay) as memory:
            while "missing" not in (told := self._hear()):
                over, seconds = relay.cpu, told.get("over", seconds)
                if "ready" in told:
                    began = over
        return Measured(told, over - began, memory, seconds or time.perf_counter() - asked)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


@dataclass
class Stage:
    """The load and the relays it goes through."""

    load: Load
    direct: Relay
    bare: Relay
    ours: Relay
    pinned: bool
    """Whether the relays have a core that the load keeps off."""

    def relays(self) -> tuple[Relay, Relay, Relay]:
        """In the order in which a round takes them."""
        return self.direct, self.bare, self.ours

    def assert_recorded(self, told: dict[str, Any]) -> None:
        """Every frame of these sessions is stored, in its order, once."""
        assert_recorded(self.ours, told)


def assert_recorded(relay: Relay, told: dict[str, Any]) -> None:
    """Every frame of these sessions is stored, in its order, once."""
    if relay.data_dir is not None:
        database = sqlite3.connect(f"file:{relay.data_dir}/console.sqlite3?mode=ro", uri=True)
        until = time.monotonic() + STORED_WITHIN
        for session_id in told["sessions"]:
            while not database.execute(CLOSED, [session_id]).fetchone()[0] and time.monotonic() < until:
                time.sleep(0.05)
            for direction in ("sent", "received"):
                ids = [row[0] for row in database.execute(IDS, [session_id, direction])]
                assert ids == [f"{ids[0][:7]}{number:010d}" for number in range(len(ids))], f"{session_id} {direction}"
                told[direction] = told.get(direction, 0) + len(ids)
        assert told["sent"] + told["received"] == told["frames"], told
        database.close()


@contextlib.contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Everything running: the relays on one core, the load on another, where there are two to be had."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    ours, others = (cores[-1], cores[0]) if len(cores) > 1 else (None, None)
    with load(others) as loading, bare_relay(loading.api, ours) as bare, our_relay(folder, loading.api, ours) as relay:
        yield Stage(loading, Relay("direct", loading.api), bare, relay, ours is not None)


@contextlib.contextmanager
def load(core: int | None = None) -> Iterator[Load]:
    """The load's process."""
    running = Load(core)
    try:
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def bare_relay(api: str, core: int | None = None) -> Iterator[Relay]:
    """The least there can be (``tests.bench.bare_relay``)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare_relay", api], cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=pinned(core)
    )
    assert process.stdout is not None
    try:
        yield Relay("bare websockets", f"ws://127.0.0.1:{int(process.stdout.readline())}/v1/realtime", process.pid)
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def our_relay(folder: Path, api: str, core: int | None = None, parts: str = "") -> Iterator[Relay]:
    """A console as people run it, whose provider is that API; it has read what it reads. It must end well.

    ``parts``: those that are exchanged for plainer ones (``tests.bench.variants``).
    """
    program = ("-m", "tests.bench.variants", parts) if parts else ("manage.py",)
    console = start_console(folder, program=program, REALTIME_UPSTREAM_URL=api)
    pid = console.process.pid
    if core is not None:
        for process in processes(pid):
            for task in Path(f"/proc/{process}/task").iterdir():
                os.sched_setaffinity(int(task.name), {core})
    time.sleep(READ_WITHIN)
    try:
        yield Relay(parts or "ours", console.url.replace("http", "ws") + "v1/realtime", pid, console.data_dir)
    finally:
        status, said = console.stop(), console.log.read_text()
    assert (status, "Traceback" in said) == (0, False), said


def pinned(core: int | None) -> Callable[[], None] | None:
    """What a process does before it begins, to stay on one core."""
    return None if core is None else lambda: os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def watching(relay: Relay) -> Iterator[list[float]]:
    """The memory its process has meanwhile, in MB."""
    seen, over = [relay.memory_mb], threading.Event()

    def look() -> None:
        while not over.wait(LISTEN_EVERY):
            seen.append(relay.memory_mb)

    thread = threading.Thread(target=look, name="memory")
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        seen.append(relay.memory_mb)


def processes(pid: int) -> list[int]:
    """A process and those it has started."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return [pid]
    children = [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    return [pid, *(further for child in children for further in processes(child))]


def _memory_mb(pid: int, kind: str) -> float:
    sums = Path(f"/proc/{pid}/smaps_rollup")
    if not sums.exists():
        pytest.skip("this system does not tell a process's memory")
    try:
        lines = sums.read_text().splitlines()
    except ProcessLookupError:
        return 0.0  # it has ended just now
    return sum(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
