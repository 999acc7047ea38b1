"""docs/simulator.md has every option, step and fault, and no other."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from realtime.simulator.faults.presets import PRESETS, described
from realtime.simulator.scenarios.loader import STEPS, parse
from realtime.simulator.scenarios.placeholders import NAMES
from realtime.simulator.scenarios.steps import JUNK
from realtime.simulator.shared.options import SimulatorOptions

ROOT = Path(__file__).resolve().parents[2]


def section(title: str) -> str:
    """The text below one heading."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", (ROOT / "docs/simulator.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def first_cells(text: str) -> list[str]:
    """What stands first in each row of a section's tables."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def test_options() -> None:
    """Every option of the command line and of SimulatorOptions is described, and there is no other."""
    command = [sys.executable, "-m", "realtime.simulator", "--help"]
    usage = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    options = section("Options")
    described_here = {cell.partition(" ")[0] for cell in first_cells(options)}
    assert described_here == set(re.findall(r"--[a-z-]+", usage)) - {"--help"}
    fields = {field.name for field in dataclasses.fields(SimulatorOptions)}
    assert fields == set(re.findall(r"^\| `[^`]+` \| `(\w+)`", options, re.MULTILINE))


def test_faults() -> None:
    """Every fault is described with its usual amount and what that counts, and there is no other."""
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*)\| ", section("Faults"), re.MULTILINE)
    assert [(name, unit.strip()) for name, unit in rows] == [
        (name, preset.unit) for (name, _), preset in zip(described(), PRESETS.values(), strict=True)
    ]


def test_steps() -> None:
    """Every step of a scenario, every kind of junk and every placeholder is described, and the example can be read."""
    text = section("Scenarios")
    assert {cell.partition(":")[0] for cell in first_cells(text)} == set(STEPS)
    assert not [name for name in JUNK if f"`{name}`" not in text]
    assert not [name for name in NAMES if f"`{{{name}}}`" not in text]
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example
    assert len(parse(yaml.safe_load(example[1])).steps) == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "nonsense"], "there is no fault 'nonsense'"),
        (["--scenario", "no/such/file"], "no/such/file cannot be read: No such file or directory."),
        (["--scenario", "pyproject.toml"], "pyproject.toml: "),
    ],
)
def test_what_the_command_line_refuses(arguments: list[str], said: str) -> None:
    """A fault or scenario there is not ends the command with a sentence."""
    command = [sys.executable, "-m", "realtime.simulator", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)


def test_the_list_of_faults() -> None:
    """The command line lists every fault with its sentence."""
    command = [sys.executable, "-m", "realtime.simulator", "--list-faults"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split(maxsplit=1) for line in said.splitlines()] == [list(fault) for fault in described()]
