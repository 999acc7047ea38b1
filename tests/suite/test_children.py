"""Nothing that the tests start outlives them: not a failing test's child, nor a failing fixture's, nor an interrupted run's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.children import spawn, survivors
from tests.conftest import ROOT
from tests.waiting import PATIENCE, eventually

SLEEPER = "[sys.executable, '-c', 'import time; time.sleep(600)']"
STORY = f"""
import os, pathlib, subprocess, sys, pytest
from tests.children import spawn

def started(process):
    pathlib.Path({{pid_file!r}}).write_text(str(process.pid))
    return process

@pytest.fixture
def failing():
    started(spawn({SLEEPER}))
    raise RuntimeError("a fixture fails")

def test_fails():
    started(spawn({SLEEPER}))
    raise RuntimeError("a test fails")

def test_fixture_fails(failing):
    pass

def test_forgets():
    started(spawn({SLEEPER}))

def test_starts_a_stranger():
    started(subprocess.Popen({SLEEPER}, start_new_session=True))

def test_is_interrupted():
    started(spawn({SLEEPER})).wait()

def test_hangs():
    started(spawn({SLEEPER})).wait()
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")


def start_run(folder: Path, test: str, *arguments: str) -> tuple[subprocess.Popen[str], Path]:
    """Start a run of pytest of one test of the story; returns it and the file that its child's number will stand in."""
    pid_file = folder / "pid"
    (folder / "test_story.py").write_text(STORY.format(pid_file=str(pid_file)))
    options = ["-p", "tests.children", "-p", "no:cacheprovider", "-p", "no:django", "-p", "no:xdist", "-c", os.devnull]
    command = [sys.executable, "-m", "pytest", *options, *arguments, f"--rootdir={folder}", f"{folder}/test_story.py::{test}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TESTS_GONE_WITHIN": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    run = spawn(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return run, pid_file


def pid_in(file: Path) -> int:
    """Return the number of the child that a run has started."""
    return int(eventually(lambda: file.exists() and file.read_text(), "the run's test starts its child"))


def is_there(pid: int) -> bool:
    """Whether a process has this number, and is not a dead one that waits for its parent."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("test_fails", "a test fails"),
        ("test_fixture_fails", "a fixture fails"),
        ("test_forgets", "left running, and killed now"),
        ("test_starts_a_stranger", "left behind by the tests, and killed now"),
        ("test_hangs", "Timeout"),
    ],
)
def test_a_child_ends_with_its_test(tmp_path: Path, test: str, said: str) -> None:
    """When a test or its fixture fails, forgets its child or waits without a bound, the run fails and the child is gone."""
    run, pid_file = start_run(tmp_path, test, *(("--timeout=5",) if test == "test_hangs" else ()))
    output, _ = run.communicate(timeout=PATIENCE * 2)
    assert said in output
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, output
    assert not is_there(pid_in(pid_file))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_a_child_ends_with_a_run_that_is_stopped(tmp_path: Path, signum: int) -> None:
    """After Ctrl+C or kill -9 of pytest its child is gone."""
    run, pid_file = start_run(tmp_path, "test_is_interrupted")
    pid = pid_in(pid_file)
    run.send_signal(signum)
    run.communicate(timeout=PATIENCE * 2)
    eventually(lambda: not is_there(pid), "the child ends")


def test_survivors_are_found() -> None:
    """A child is found by the environment it inherited for as long as it runs."""
    child = spawn([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert child.pid in eventually(survivors, "the child is found")
    child.communicate(timeout=PATIENCE)
    assert child.pid not in survivors()
