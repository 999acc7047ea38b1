"""A console that relays to a port of these tests, under its own server and under uvicorn."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests import children
from tests.conftest import ROOT, START_WITHIN, Console, start_console
from tests.relay.stage import CONSOLES_KEY, LARGEST, ORIGIN, Api


@pytest.fixture(scope="session")
def listener() -> Iterator[socket.socket]:
    """Where the API of these tests listens: one port for all of them, as a console is told its address only once."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield listening


@pytest.fixture(scope="session")
def relays(listener: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Console]]:
    """Consoles by their server's name, each started when it is first asked for. They must end well."""
    environment = {
        "REALTIME_UPSTREAM_URL": f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/realtime",
        "REALTIME_UPSTREAM_KEY": CONSOLES_KEY,
        "RELAY_ALLOWED_ORIGINS": ORIGIN,
    }
    running: dict[str, Console] = {}

    def get(server: str) -> Console:
        if server not in running:
            start = start_console if server == "daphne" else start_uvicorn
            running[server] = start(tmp_path_factory.mktemp(server), **environment)
            children.share(running[server].process)
        return running[server]

    yield get
    ends = {name: (console.stop(), console.log.read_text()) for name, console in running.items()}
    for name, (status, said) in ends.items():
        # uvicorn ends by the signal, and tells of text that is no UTF-8 by a traceback of its own.
        assert (status, "Traceback" in said) == (0, False) or (name, status) == ("uvicorn", -15), said


@pytest.fixture
def relay(relays: Callable[[str], Console], request: pytest.FixtureRequest) -> Console:
    """A running console; its server is the fixture's parameter."""
    return relays(getattr(request, "param", "daphne"))


@pytest.fixture
async def api(listener: socket.socket) -> AsyncIterator[Api]:
    """An API that says what the test wants."""
    async with Api(listener) as running:
        yield running


def start_uvicorn(folder: Path, **environment: str) -> Console:
    """The same application under uvicorn, on a free port; at a log level at which it tells no addresses, for they may hold keys."""
    everything = {**os.environ, "CONSOLE_DATA_DIR": str(folder / "data"), **environment}
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env=everything, check=True, timeout=START_WITHIN)
    terminal = folder / "terminal.log"
    with terminal.open("wb") as said, socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        process = children.spawn(
            [
                sys.executable, "-m", "uvicorn", "console.asgi:application", "--fd", str(listening.fileno()),
                "--log-level", "warning", "--ws-max-size", str(LARGEST), "--ws-per-message-deflate", "false",
            ],
            cwd=ROOT, env=everything, stdin=subprocess.DEVNULL, stdout=said, stderr=said, pass_fds=[listening.fileno()],
        )  # fmt: skip
    try:
        httpx.get(f"{url}healthz", timeout=START_WITHIN, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        children.kill(process)
        raise AssertionError(f"uvicorn did not start: {terminal.read_text()}") from error
    return Console(process, url, folder / "data", terminal)
