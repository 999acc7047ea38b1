"""The ``@openai/agents`` package in Node, on its own WebSocket transport, pointed at the simulator by its URL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from realtime.simulator.server import SimulatorServer
from tests.clients.node import installed, run

PACKAGES = ("@openai/agents@0.20.0", "zod@4")
SCRIPT = Path(__file__).with_name("agents.mjs")


@pytest.fixture(scope="session")
def modules(pytestconfig: pytest.Config) -> Path:
    """A folder with the package in it."""
    return installed(pytestconfig, PACKAGES, SCRIPT)


async def test_four_turns(api: SimulatorServer, modules: Path, spoken: bytes, tmp_path: Path) -> None:
    """Text, audio, tool and interruption: each turn is completed, and the package reports no problem."""
    speech = tmp_path / "speech.pcm"
    speech.write_bytes(spoken)
    out = await run(modules, SCRIPT, f"{api.url}?model=gpt-realtime", str(speech))
    turns: dict[str, dict[str, Any]] = {turn["turn"]: turn for turn in map(json.loads, out.splitlines())}
    assert [turn["problems"] for turn in turns.values()] == [[]] * 4
    assert turns["text"]["status"] == "completed"
    assert turns["text"]["said"]
    assert turns["audio"]["status"] == "completed"
    assert turns["audio"]["bytes"] > 0
    assert turns["tool"]["asked"] == ["Lisbon"]
    assert "21.5" in turns["tool"]["said"]
    assert turns["interruption"]["interrupted"] > 0
    assert turns["interruption"]["details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert turns["interruption"]["status"] == "completed"
