"""The examples run, as their first lines say, against a simulator."""

from __future__ import annotations

import shutil
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from realtime.pytest_plugin import StartSimulator, realtime_simulator
from realtime.simulator.scenarios.loader import load
from realtime.simulator.thread import RunningSimulator
from tests.waiting import PATIENCE

__all__ = ["realtime_simulator"]  # pytest finds a fixture by its name in the module

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(*command: str) -> str:
    """What a program says; it must end well."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def python(name: str, *arguments: str) -> str:
    """What an example in Python says."""
    return run(sys.executable, "-X", "utf8", str(EXAMPLES / name), *arguments)


def test_openai_python(simulator: RunningSimulator) -> None:
    """OpenAI's SDK, pointed at the simulator by its base URL, asks for the weather and gets it."""
    said = python("openai_python.py", simulator.base_url)
    assert "→ get_weather(" in said
    assert "In Lisbon it is 21.5 degrees Celsius" in said


def test_plain_websockets(simulator: RunningSimulator, tmp_path: Path) -> None:
    """The websockets library gets an answer with its sound."""
    said = python("plain_websockets.py", simulator.url, str(tmp_path / "answer.wav"))
    assert "← response.output_audio_transcript.done Hello" in said
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert file.getnframes() > file.getframerate()


def test_node_websocket(simulator: RunningSimulator) -> None:
    """Node gets an answer with a WebSocket of its own."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node here")
    kind = ["--print", "typeof WebSocket"]
    flags = next(
        (
            flags
            for flags in ([], ["--experimental-websocket", "--no-warnings"])
            if subprocess.run([node, *flags, *kind], capture_output=True, text=True, check=False).stdout.strip() == "function"
        ),
        None,
    )
    if flags is None:
        pytest.skip("this Node has no WebSocket; the package ws would be needed")
    assert "One, two, three, four, five." in run(node, *flags, str(EXAMPLES / "node_websocket.mjs"), simulator.url)


def test_a_bad_day(realtime_simulator: StartSimulator) -> None:
    """The example of a scenario can be read, and a client that expects nothing of the kind does not get through it."""
    assert load(EXAMPLES / "a_bad_day.yaml").name == "a bad day"
    simulator = realtime_simulator(EXAMPLES / "a_bad_day.yaml")
    command = [sys.executable, str(EXAMPLES / "openai_python.py"), simulator.base_url]
    subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert [call["name"] for call in simulator.received("response.function_call_arguments.done")] == ["get_weather"]
    failed = simulator.received("response.done")[-1]["response"]
    assert failed["status_details"]["error"]["code"] == "server_error"
