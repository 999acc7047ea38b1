"""What the server adds to Daphne's WebSockets, and how it starts and stops, tried on a real port."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

STAGE = Path(__file__).with_name("socket_stage.py")
MEGABYTE = 1_000_000


class Stage:
    """A process that serves ``socket_stage.application`` with the console's server."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, STAGE], stdout=subprocess.PIPE, text=True)
        self.url = f"ws://127.0.0.1:{self.said()}"

    def said(self) -> str:
        """The next line the process prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def end(self) -> None:
        """Stop it as Ctrl+C does, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A server of its own for each test."""
    stage = Stage()
    yield stage
    stage.end()


def dial(url: str) -> connect:
    """A client without limits of its own."""
    return connect(url, max_size=None, compression=None, proxy=None)


async def closed(client: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the server closed."""
    with pytest.raises(ConnectionClosed) as end:
        await client.recv()
    assert end.value.rcvd is not None
    return end.value.rcvd.code, end.value.rcvd.reason


async def test_accepting_sends_headers(stage: Stage) -> None:
    """Headers and the subprotocol given with the acceptance are in the handshake's response. Daphne ignores headers."""
    async with connect(stage.url, subprotocols=["realtime", "key.secret"], proxy=None) as client:
        assert client.response is not None
        assert client.response.headers["x-console-session"] == "abc"
        assert client.subprotocol == "realtime"


async def test_refusing_has_a_status_and_a_body(stage: Stage) -> None:
    """A handshake can be refused with a status, headers and a body. Daphne always answers 403 without one."""
    with pytest.raises(InvalidStatus) as refused:
        async with dial(f"{stage.url}/deny"):
            pass
    response = refused.value.response
    assert (response.status_code, response.headers["content-type"]) == (401, "application/json")
    assert response.body == b'{"error": "key"}'


@pytest.mark.parametrize("code", [1000, 1008, 1011, 3000, 4004])
async def test_closing_has_code_and_reason(stage: Stage, code: int) -> None:
    """Code and reason of a close reach the client, reserved ones too. Daphne drops reasons, autobahn refuses codes."""
    async with dial(stage.url) as client:
        await client.send(f"close {code} fünf")
        assert await closed(client) == (code, "fünf")


async def test_a_reserved_code_is_not_sent(stage: Stage) -> None:
    """1005 and 1006 stand for "no code": they become a close without one."""
    async with dial(stage.url) as client:
        await client.send("close 1006 gone")
        assert await closed(client) == (1005, "")


async def test_the_application_is_told_why(stage: Stage) -> None:
    """The application learns code and reason of the client's close. Daphne keeps the reason to itself."""
    client = await dial(stage.url)
    await client.close(4007, "enough")
    assert await asyncio.to_thread(stage.said) == "4007 enough"


async def test_a_lost_connection_has_no_reason(stage: Stage) -> None:
    """A connection that breaks is told as 1006, without words nobody said."""
    client = await dial(stage.url)
    client.transport.abort()
    assert await asyncio.to_thread(stage.said) == "1006 "


@pytest.mark.parametrize("message", ["", b"", "ü", b"\0\1", "x" * (20 * MEGABYTE)], ids=["", "b", "text", "bytes", "20 MB"])
async def test_messages_travel_whole(stage: Stage, message: str | bytes) -> None:
    """Empty and very large messages pass both ways. Daphne drops empty ones and those above 1 MiB."""
    async with dial(stage.url) as client:
        await client.send(message)
        assert await client.recv() == message


async def test_a_slow_client_slows_the_application(stage: Stage) -> None:
    """An application that sends faster than the client reads has to wait. Daphne would queue all of it."""
    async with dial(stage.url) as slow, dial(stage.url) as watcher:
        await slow.send("flood 200")
        before = -1
        while before != (now := await ask(watcher, "flooded")):
            before = now
            await asyncio.sleep(0.3)
        assert now < 100  # megabytes: what fits into the buffers of both sides, not all that there is
        for _ in range(200):
            assert len(await slow.recv()) == MEGABYTE
        assert await ask(watcher, "flooded") == 200


async def test_a_slow_application_slows_the_client(stage: Stage) -> None:
    """A client that sends faster than the application takes has to wait, and then all arrives. Daphne queues it."""
    async with dial(stage.url) as client, dial(stage.url) as watcher:
        await client.send("sleep")
        sending = asyncio.create_task(send_many(client, 100))
        done, _ = await asyncio.wait([sending], timeout=1)
        assert not done
        await watcher.send("wake")
        for _ in range(100):
            assert len(await client.recv()) == MEGABYTE
        await sending


async def send_many(client: ClientConnection, megabytes: int) -> None:
    """Send that many messages of a megabyte."""
    for _ in range(megabytes):
        await client.send(bytes(MEGABYTE))


async def ask(client: ClientConnection, question: str) -> int:
    """A number the stage knows."""
    await client.send(question)
    return int(await client.recv())


async def test_stopping_closes_and_flushes(stage: Stage) -> None:
    """Ctrl+C runs the shutdown hook, tells sockets to come back later (1012), and ends with status 0."""
    async with dial(stage.url) as client:
        stage.process.send_signal(signal.SIGINT)
        assert await closed(client) == (1012, "The console is stopping.")
    said = {await asyncio.to_thread(stage.said) for _ in range(2)}
    assert said == {"shut down", "1012 The console is stopping."}
    assert await asyncio.to_thread(stage.process.wait, 10) == 0
