"""The simulator as a program: what its command line refuses, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys

import pytest
from websockets.asyncio.client import connect

from tests.children import die_with_us
from tests.conftest import ROOT
from tests.realtime.simulator.dialling import drained, until
from tests.waiting import PATIENCE

COMMAND = [sys.executable, "-m", "realtime.simulator"]


def refused(*arguments: str) -> tuple[int, str]:
    """Exit status and last line of a command that does not start."""
    done = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "99999"], "argument --port: 99999 is not a number from 0 to 65535"),
        (["--port", "x"], "argument --port: invalid int value: 'x'"),
        (["--pace", "0"], "argument --pace: 0 is not a number at least 0.1"),
        (["--latency", "nan"], "argument --latency: nan is not a number at least 0"),
        (["--ping-seconds", "0"], "argument --ping-seconds: 0 is not a number at least 0.01"),
    ],
)
def test_numbers_out_of_range(arguments: list[str], said: str) -> None:
    """A number with which nothing could work is refused by name, with what would do."""
    status, last = refused(*arguments)
    assert (status, last) == (2, f"python -m realtime.simulator: error: {said}")


def test_a_port_that_is_taken() -> None:
    """A port somebody else listens on is told in a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, last = refused("--port", str(port))
    assert (status, last) == (
        1, f"Nobody can listen on 127.0.0.1, port {port}: Address already in use. Choose others with --host and --port."
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends programs without asking them")
async def test_being_told_to_end() -> None:
    """A service that is told to end closes its sessions with 1001 and says nothing."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--port", "0", cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        process_group=0, preexec_fn=die_with_us(),
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            assert process.stdout is not None
            url = next(word for word in (await process.stdout.readline()).decode().split() if word.startswith("ws://"))
            async with connect(url) as client:
                await until(client, "session.created")
                process.send_signal(signal.SIGTERM)
                await drained(client)
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (client.close_code, process.returncode, said) == (1001, 0, b"")
