"""Child processes of the tests end with their test, their fixture and the run, also when one of these fails or is killed.

A pytest plugin, registered by tests/conftest.py. A child started by ``spawn`` is in a process group of its own. It is
ended when the test that started it is over; children of fixtures are ended by their fixture. At the end of the run no
process that inherited the run's environment may be alive: those that are get ended, and the run fails.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE

MARK = "REALTIME_CONSOLE_TESTS"
"""Environment variable of every descendant: the process ids of the runs it belongs to, with ``/`` between them."""
STOP_WITHIN = 90  # seconds for a child to end by itself; one is enough on a quiet machine
GONE_WITHIN = float(os.environ.get("TESTS_GONE_WITHIN", "30"))  # seconds for a browser's helpers, after the last test
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_running: dict[int, subprocess.Popen[Any]] = {}
_shared: set[int] = set()


def heed_interrupts() -> None:
    """Let children be interrupted: a shell that runs the suite in the background has SIGINT ignored, which is inherited."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def die_with_us(signum: int = signal.SIGKILL) -> Callable[[], None] | None:
    """Return a ``preexec_fn``: the kernel sends the child this signal when the thread that started it ends.

    None where there is no such thing (not Linux), and outside the main thread, which may end before the child should.
    """
    if _libc is None or threading.current_thread() is not threading.main_thread():
        return None
    prctl = _libc.prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signum)


def spawn(command: list[Any], **options: Any) -> subprocess.Popen[Any]:
    """Start a child as ``subprocess.Popen`` does, in a process group of its own, to end with the test at the latest."""
    process = subprocess.Popen(command, process_group=0, preexec_fn=die_with_us(), **options)
    for pid in [pid for pid, child in _running.items() if child.returncode is not None]:
        _running.pop(pid)
    _running[process.pid] = process
    return process


def share(process: subprocess.Popen[Any]) -> None:
    """Keep a child beyond the test that started it: the session fixture that was asked for it ends it."""
    _shared.add(process.pid)


def kill(process: subprocess.Popen[Any]) -> None:
    """End a child and its process group at once, and wait for it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait(STOP_WITHIN)


def stop(process: subprocess.Popen[Any], signum: int = signal.SIGTERM, within: float = STOP_WITHIN) -> int:
    """Ask a child to end; returns its exit status.

    Raises AssertionError when it has not ended after ``within`` seconds; it is killed then.
    """
    process.send_signal(signum)
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{process.args!r} did not end within {within:g} s of signal {signum}: it was killed") from None
    finally:
        kill(process)


class Lines:
    """What a child prints, line by line; its ``stdout`` must be a pipe of text, which is closed at its end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Read from now on, on a thread that ends with the child."""
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, name="lines of a child", daemon=True).start()

    def next(self) -> str:
        """Return the next line, ``""`` when the child has ended. Raises AssertionError when none comes."""
        try:
            return self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"{self._process.args!r} printed nothing more within {PATIENCE:g} s") from None

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put("")


def cpu_seconds(process: subprocess.Popen[Any]) -> float:
    """Return how long a child has computed so far, seconds of all its threads; skips the test where that is not told."""
    file = Path(f"/proc/{process.pid}/stat")
    if not file.exists():
        pytest.skip("how long a process computes is not told here as Linux tells it")
    user, system = file.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def survivors() -> dict[int, str]:
    """Return processes that inherited this run's environment and are alive: ids and command lines."""
    wanted = f"{MARK}={os.environ[MARK]}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        with contextlib.suppress(OSError):  # it has ended meanwhile, or belongs to somebody else
            variables = (folder / "environ").read_bytes().split(b"\0")
            if pid != os.getpid() and any(one == wanted or one.startswith(wanted + b"/") for one in variables):
                found[pid] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return found


@pytest.fixture(autouse=True)
def _children_end_with_their_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test started has ended when it is over; one that passed must have seen to that itself."""
    before, failed = set(_running), request.session.testsfailed
    yield
    left = [child for pid, child in _running.items() if pid not in before | _shared and child.poll() is None]
    for child in left:
        kill(child)
    if request.session.testsfailed == failed:
        assert not left, f"left running, and killed now: {[child.args for child in left]}"


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Give the run's children its mark, and let them be interrupted; a worker of several keeps its run's mark."""
    heed_interrupts()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        outer = f"{os.environ[MARK]}/" if MARK in os.environ else ""
        os.environ[MARK] = f"{outer}{os.getpid()}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a process of it is still alive, and end that process."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # the run that started the workers looks when they have ended
    for child in _running.values():
        kill(child)
    deadline = time.monotonic() + GONE_WITHIN
    while (left := survivors()) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if left:
        said = "\n".join(f"left behind by the tests, and killed now: {pid} {command}" for pid, command in left.items())
        session.config.get_terminal_writer().line(f"\n{said}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
