"""The ``@openai/agents`` package in Node, on its own WebSocket transport, pointed at the simulator by its URL."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from realtime.simulator.server import SimulatorServer

PACKAGES = ("@openai/agents@0.20.0", "zod@4")
INSTALL_WITHIN = 120  # seconds; once, then it is cached
RUN_WITHIN = 100  # seconds
SCRIPT = Path(__file__).with_name("agents.mjs")


@pytest.fixture(scope="session")
def modules(pytestconfig: pytest.Config) -> Path:
    """A folder with the package in it, kept in pytest's cache; skips where Node or the registry is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no Node here: @openai/agents is not tried")
    folder = pytestconfig.cache.mkdir("node-" + "-".join(PACKAGES).replace("/", "-").replace("@", ""))
    done = folder / "installed"
    if not done.exists():
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        command = [npm, "install", "--no-audit", "--no-fund", "--silent", *PACKAGES]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=INSTALL_WITHIN)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"@openai/agents cannot be installed here: {error}")
        done.touch()
    shutil.copy(SCRIPT, folder)  # modules are looked for beside the script
    return folder


async def test_four_turns(api: SimulatorServer, modules: Path, spoken: bytes, tmp_path: Path) -> None:
    """Text, audio, tool and interruption: each turn is completed, and the package reports no problem."""
    speech = tmp_path / "speech.pcm"
    speech.write_bytes(spoken)
    process = await asyncio.create_subprocess_exec(
        "node", SCRIPT.name, f"{api.url}?model=gpt-realtime", str(speech),
        cwd=modules, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(RUN_WITHIN):
            out, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    turns: dict[str, dict[str, Any]] = {turn["turn"]: turn for turn in map(json.loads, out.decode().splitlines())}
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
