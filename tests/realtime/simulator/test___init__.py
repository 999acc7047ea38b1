"""Names of the simulator that programs outside import stay where they are, wherever the modules behind them move."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import realtime.simulator

DOCS = Path(__file__).resolve().parents[3] / "docs/simulator.md"


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("realtime.simulator", "RunningSimulator SimulatorServer SimulatorOptions Scenario Step ScenarioError FaultError load"),
        ("realtime.simulator", "Binary Call Close Delay Drop Emit Error Expect Fail Hang Malformed Repeat Say Until"),
        ("realtime.simulator.scenario", "Binary Call Close Delay Drop Emit Error Expect Fail Hang Malformed Repeat Say Until"),
        ("realtime.simulator.scenario", "Scenario ScenarioError Step"),
        ("realtime.simulator.running", "RunningSimulator"),
        ("realtime.simulator.server", "SimulatorServer SimulatorOptions"),
    ],
)
def test_documented_names_stay(module: str, names: str) -> None:
    """Each name that docs/simulator.md has ever told programs to import can be imported, and is one and the same object."""
    found = importlib.import_module(module)
    assert [name for name in names.split() if getattr(found, name) is not getattr(realtime.simulator, name)] == []
    assert set(names.split()) <= set(found.__all__)


def test_the_docs_import_public_names() -> None:
    """Whatever docs/simulator.md imports or names is exported by ``realtime.simulator``."""
    text = DOCS.read_text()
    named = re.findall(r"`realtime\.simulator\.([A-Za-z.]+)`", text)
    for line in re.findall(r"^from realtime\.simulator import (.+)$", text, re.MULTILINE):
        named += line.split(", ")
    assert named
    assert set(named) <= set(realtime.simulator.__all__)
