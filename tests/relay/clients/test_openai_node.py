"""OpenAI's Node SDK through the relay, which has to speak wss for it: that SDK knows nothing else."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realtime.simulator.server import SimulatorServer
from tests.clients.conftest import HURRIED
from tests.clients.node import installed, run
from tests.conftest import Console, start_console
from tests.realtime.simulator.watch import watched
from tests.relay.stage import CONSOLES_KEY, fetch, log, own, stored
from tests.relay.wire import Tap

PACKAGES = ("openai@7.57.0", "ws@8")
SCRIPT = Path(__file__).with_name("openai.mjs")


@pytest.fixture(scope="session")
def modules(pytestconfig: pytest.Config) -> Path:
    """A folder with the packages in it."""
    return installed(pytestconfig, PACKAGES, SCRIPT)


@pytest.fixture
def secure(listener: socket.socket, tmp_path: Path) -> Iterator[tuple[Console, int]]:
    """A console that serves wss with a certificate of its own making, and the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api = f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/realtime"
    more = {"CONSOLE_TLS_PORT": str(port), "REALTIME_UPSTREAM_URL": api, "REALTIME_UPSTREAM_KEY": CONSOLES_KEY}
    console = start_console(tmp_path, "--tls", **more)
    yield console, port
    assert console.stop() == 0


async def test_three_turns(
    modules: Path, secure: tuple[Console, int], listener: socket.socket, spoken: bytes, tmp_path: Path
) -> None:
    """Text, audio and tool: each turn is completed, and the frames at both ends and in the log are the same."""
    console, port = secure
    speech = tmp_path / "speech.pcm"
    speech.write_bytes(spoken)
    authority = str(console.data_dir / "tls" / "authority.pem")
    with watched():
        async with SimulatorServer(port=0, options=HURRIED) as simulator, Tap(simulator.port, listener.dup()) as behind:
            base = f"https://localhost:{port}/v1"
            out = await run(modules, SCRIPT, base, str(speech), NODE_EXTRA_CA_CERTS=authority)
    turns: dict[str, dict[str, Any]] = {turn["turn"]: turn for turn in map(json.loads, out.splitlines())}
    assert [(turn["problems"], turn["code"]) for turn in turns.values()] == [([], 1000)] * 3
    assert turns["text"]["said"]
    assert turns["audio"]["tokens"] > 0
    assert turns["tool"]["asked"] == "Lisbon"
    assert "21.5" in turns["tool"]["said"]
    sessions = await stories(console)
    for turn, wire, rows in zip(turns.values(), behind.wires, sessions, strict=True):
        sent, received = turn["frames"]["sent"], turn["frames"]["received"]
        assert own(*wire.sent) == stored(rows, "sent", "client") == sent
        assert own(*wire.received)[: len(received)] == stored(rows, "received", "upstream")[: len(received)] == received
        assert rows[-1]["by"] == "client"
        assert (rows[-1]["code"], rows[-1]["reason"]) == (1000, "done")


async def stories(console: Console) -> list[list[dict[str, Any]]]:
    """The logs of all sessions, the first first."""
    listed = (await fetch(console, "sessions.json")).json()
    return [await log(console, session["id"]) for session in reversed(listed)]
