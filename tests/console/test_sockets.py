"""What the server adds to Daphne's WebSockets, and how it starts and stops, tried on a real port."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from console.sockets import Reader
from tests import children
from tests.waiting import PATIENCE, soon

STAGE = Path(__file__).with_name("socket_stage.py")
MEGABYTE = 1_000_000
STALLS = [2, pytest.param(60, marks=pytest.mark.bench)]
"""Seconds that one side stands still."""
GROWTH = 12 * MEGABYTE
"""What the process may grow by meanwhile: a few full buffers, and what the allocator keeps."""


class Stage:
    """A process that serves ``socket_stage.application`` with the console's server."""

    def __init__(self, scheme: str, certificates: Path) -> None:
        """``certificates``: an empty folder, or one that another stage has used."""
        environment = {**os.environ, "STAGE_TLS": str(certificates) if scheme == "wss" else ""}
        self.process = children.spawn([sys.executable, STAGE], env=environment, stdout=subprocess.PIPE, text=True)
        self.said = children.Lines(self.process).next
        plain, encrypted = self.said().split()
        self.url = f"{scheme}://127.0.0.1:{encrypted if scheme == 'wss' else plain}"
        self.trust = ssl.create_default_context(cafile=certificates / "authority.pem") if scheme == "wss" else None
        self.authority = certificates / "authority.pem"

    def dial(self, path: str = "", **options: Any) -> connect:
        """A client without limits of its own, who is patient."""
        chosen = {"max_size": None, "compression": None, "proxy": None, "ping_interval": None, "ssl": self.trust, **options}
        return connect(f"{self.url}{path}", **chosen)

    def end(self) -> None:
        """Stop it as Ctrl+C does, if it still runs."""
        children.stop(self.process, signal.SIGINT)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stages keep the certificate they make."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(params=["ws", "wss"])
def stage(request: pytest.FixtureRequest, certificates: Path) -> Iterator[Stage]:
    """A server of its own for each test, plain and encrypted."""
    stage = Stage(request.param, certificates)
    yield stage
    stage.end()


async def closed(client: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the server closed."""
    with pytest.raises(ConnectionClosed) as end:
        await client.recv()
    assert end.value.rcvd is not None
    return end.value.rcvd.code, end.value.rcvd.reason


async def test_accepting_sends_headers(stage: Stage) -> None:
    """Headers and the subprotocol given with the acceptance are in the handshake's response. Daphne ignores headers."""
    async with stage.dial(subprotocols=["realtime", "key.secret"]) as client:
        assert client.response is not None
        assert client.response.headers["x-console-session"] == "abc"
        assert client.subprotocol == "realtime"


async def test_refusing_has_a_status_and_a_body(stage: Stage) -> None:
    """A handshake can be refused with a status, headers and a body. Daphne always answers 403 without one."""
    with pytest.raises(InvalidStatus) as refused:
        async with stage.dial("/deny"):
            pass
    response = refused.value.response
    assert (response.status_code, response.headers["content-type"]) == (401, "application/json")
    assert response.body == b'{"error": "key"}'


async def test_closing_has_code_and_reason(stage: Stage) -> None:
    """Code and reason of a close reach the client, reserved ones too. Daphne drops reasons, autobahn refuses codes."""
    for code in (1000, 1008, 1011, 3000, 4004):
        async with stage.dial() as client:
            await client.send(f"close {code} fünf")
            assert await closed(client) == (code, "fünf")


async def test_a_reserved_code_is_not_sent(stage: Stage) -> None:
    """1005 stands for "no code": it becomes a close without one."""
    async with stage.dial() as client:
        await client.send("close 1005 gone")
        assert await closed(client) == (1005, "")


async def test_a_connection_can_be_dropped(stage: Stage) -> None:
    """1006 stands for "no goodbye": the connection breaks, and the application is told so too."""
    async with stage.dial() as client:
        await client.send("close 1006 gone")
        with pytest.raises(ConnectionClosed) as end:
            await client.recv()
        assert end.value.rcvd is None
    assert await asyncio.to_thread(stage.said) == "1006 "


VIOLATIONS = {
    "no UTF-8": (b"\x81\x82\0\0\0\0\xc3\x28", 1007),
    "no UTF-8, in fragments": (b"\x01\x81\0\0\0\0\xc3\x80\x81\0\0\0\0\x28", 1007),
    "an opcode nobody has defined": (b"\x83\x80\0\0\0\0", 1002),
    "not masked": (b"\x81\x01x", 1002),
    "a length in more bytes than it needs": (b"\x81\xfe\0\x01\0\0\0\0x", 1002),
    "48 MiB to come": (b"\x82\xff\0\0\0\0\x03\0\0\0\0\0\0\0", 1009),
}


async def test_a_violation_has_its_code(stage: Stage) -> None:
    """What breaks the protocol is answered with the close code for it. autobahn hangs up without a word."""
    found = {}
    for name, (frame, _) in VIOLATIONS.items():
        client = await stage.dial()
        client.transport.write(frame)
        with pytest.raises(ConnectionClosed) as end:
            await client.recv()
        found[name] = end.value.rcvd and end.value.rcvd.code
        client.transport.abort()
    assert found == {name: code for name, (_, code) in VIOLATIONS.items()}


async def test_messages_in_any_pieces(stage: Stage) -> None:
    """Fragments, pings between them, several messages in one packet and one in many: all arrive, in their order."""
    ping = b"\x89\x80\0\0\0\0"
    one, two, three = b"\x01\x81\0\0\0\0a", b"\x00\x81\0\0\0\0b", b"\x80\x81\0\0\0\0c"
    whole = b"\x81\x85\0\0\0\0whole" + b"\x82\x85\x01\x01\x01\x01" + bytes(byte ^ 1 for byte in b"bytes")
    async with stage.dial() as client:
        client.transport.write(whole + one + ping + two + three + whole + one)
        for byte in two + ping + three + whole:
            client.transport.write(bytes([byte]))
            await asyncio.sleep(0)
        said = [await client.recv() for _ in range(8)]
    assert said == ["whole", b"bytes", "abc", "whole", b"bytes", "abc", "whole", b"bytes"]


async def test_the_application_is_told_why(stage: Stage) -> None:
    """The application learns code and reason of the client's close. Daphne keeps the reason to itself."""
    client = await stage.dial()
    await client.close(4007, "enough")
    assert await asyncio.to_thread(stage.said) == "4007 enough"


async def test_a_lost_connection_has_no_reason(stage: Stage) -> None:
    """A connection that breaks is told as 1006, without words nobody said."""
    client = await stage.dial()
    client.transport.abort()
    assert await asyncio.to_thread(stage.said) == "1006 "


async def test_messages_travel_whole(stage: Stage) -> None:
    """Empty and very large messages pass both ways. Daphne drops empty ones and those above 1 MiB."""
    sizes = (125, 126, 65_535, 65_536, 20 * MEGABYTE)  # a frame's head says its length in three ways
    async with stage.dial() as client:
        for message in ("", b"", "ü", b"\0\1", *("x" * size for size in sizes), *(b"x" * size for size in sizes)):
            await client.send(message)
            assert await client.recv() == message


async def test_a_slow_client_slows_the_application(stage: Stage) -> None:
    """An application that sends faster than the client reads has to wait. Daphne would queue all of it."""
    async with stage.dial() as slow, stage.dial() as watcher:
        await slow.send("flood 200")
        assert await standstill(watcher) < 100  # megabytes: what fits into the buffers of both sides, not all that there is
        for _ in range(200):
            assert len(await slow.recv()) == MEGABYTE
        assert await ask(watcher, "flooded") == 200


async def test_a_slow_application_slows_the_client(stage: Stage) -> None:
    """A client that sends faster than the application takes has to wait, and then all arrives. Daphne queues it."""
    async with stage.dial() as client, stage.dial() as watcher:
        await client.send("sleep")
        sending = asyncio.create_task(send_many(client, 100))
        done, _ = await asyncio.wait([sending], timeout=1)
        assert not done
        await watcher.send("wake")
        for _ in range(100):
            assert len(await client.recv()) == MEGABYTE
        await sending


@pytest.mark.parametrize("seconds", STALLS)
async def test_a_client_that_stops_reading(stage: Stage, seconds: int) -> None:
    """An application at full load costs no memory while its client stands still, whether in the clear or encrypted."""
    async with stage.dial() as watcher, stage.dial() as stalled:
        await stalled.send("pour")
        await read(stalled, 2_000)
        before = await ask(watcher, "memory")
        stalled.transport.pause_reading()
        poured = await standstill(watcher)
        await asyncio.sleep(seconds)
        assert await ask(watcher, "memory") < before + GROWTH
        assert await ask(watcher, "flooded") == poured
        stalled.transport.resume_reading()

        async def goes_on() -> bool:
            await read(stalled, 100)
            return await ask(watcher, "flooded") > poured

        await soon(goes_on, "what the buffers of both sides held is read, and the application goes on", every=0)
        stalled.transport.abort()
        assert await asyncio.to_thread(stage.said) == "could not send"


async def test_a_goodbye_behind_what_is_not_read(stage: Stage) -> None:
    """A client that closes without reading what is on its way ends the application's sending at once."""
    async with stage.dial() as stalled:
        await stalled.send("pour")
        await asyncio.sleep(0.5)
        stalled.transport.pause_reading()
        stalled.protocol.send_close(1000, "enough")
        stalled.transport.write(b"".join(stalled.protocol.data_to_send()))
        assert await asyncio.to_thread(stage.said) == "could not send"
        stalled.transport.abort()
    assert await asyncio.to_thread(stage.said) == "1000 enough"


@pytest.mark.parametrize("seconds", STALLS)
async def test_an_application_that_stops_receiving(stage: Stage, seconds: int) -> None:
    """A client at full load costs no memory while the application stands still."""
    async with stage.dial() as watcher, stage.dial() as client:
        await client.send("sleep")
        before = await ask(watcher, "memory")
        sending = asyncio.create_task(send_many(client, 1_000))
        done, _ = await asyncio.wait([sending], timeout=seconds)
        assert not done
        assert await ask(watcher, "memory") < before + GROWTH
        sending.cancel()
        await watcher.send("wake")
        client.transport.abort()


async def test_the_scheme_is_told(stage: Stage) -> None:
    """The application learns whether the socket is encrypted, and one process serves both."""
    async with stage.dial() as client:
        await client.send("scheme")
        assert await client.recv() == stage.url.partition(":")[0]


async def test_an_untrusted_certificate(stage: Stage) -> None:
    """Who does not trust the authority made here is not connected; plain sockets ask nobody."""
    if stage.trust is None:
        async with stage.dial() as client:
            await client.send("hello")
            assert await client.recv() == "hello"
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            await stage.dial(ssl=ssl.create_default_context())


NODE = """
const text = await new Promise((resolve, reject) => {
  const socket = new WebSocket(process.argv[1]);
  socket.onopen = () => socket.send("from node");
  socket.onmessage = (message) => { resolve(message.data); socket.close(); };
  socket.onerror = (event) => reject(event.error ?? event.message);
});
console.log(text);
"""


@pytest.mark.parametrize("stage", ["wss"], indirect=True)
async def test_node_trusts_what_it_is_told_to(stage: Stage) -> None:
    """Node's own WebSocket speaks wss with NODE_EXTRA_CA_CERTS set to the authority, as the console prints it."""
    if not (node := shutil.which("node")):
        pytest.skip("Node is not installed")
    run = partial(
        subprocess.run, [node, "--experimental-websocket", "--input-type=module", "-e", NODE, stage.url],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    trusting = await asyncio.to_thread(run, env={**os.environ, "NODE_EXTRA_CA_CERTS": str(stage.authority)})
    assert (trusting.returncode, trusting.stdout) == (0, "from node\n"), trusting.stderr
    assert (await asyncio.to_thread(run)).returncode != 0


async def send_many(client: ClientConnection, megabytes: int) -> None:
    """Send that many messages of a megabyte."""
    for _ in range(megabytes):
        await client.send(bytes(MEGABYTE))


async def read(client: ClientConnection, count: int) -> None:
    """Read so many frames of those that are poured."""
    for _ in range(count):
        assert len(await client.recv()) == 6_600


async def standstill(watcher: ClientConnection) -> int:
    """Wait until the application sends no more, for its client does not read; returns what it has sent."""
    counts = [0]

    async def stands() -> bool:
        counts.append(await ask(watcher, "flooded"))
        return counts[-1] == counts[-2] > 0

    await soon(stands, "the application has to wait", every=0.3)
    return counts[-1]


async def ask(client: ClientConnection, question: str) -> int:
    """A number the stage knows."""
    await client.send(question)
    return int(await client.recv())


async def test_stopping_closes_and_flushes(stage: Stage) -> None:
    """Ctrl+C runs the shutdown hook, tells sockets to come back later (1012), and ends with status 0."""
    async with stage.dial() as client:
        stage.process.send_signal(signal.SIGINT)
        assert await closed(client) == (1012, "The console is stopping.")
    said = {await asyncio.to_thread(stage.said) for _ in range(2)}
    assert said == {"shut down", "1012 The console is stopping."}
    assert await asyncio.to_thread(stage.process.wait, PATIENCE) == 0


class Transport:
    """What a reader needs of Twisted's; says what was asked of it."""

    def __init__(self, end: socket.socket) -> None:
        self.socket, self.fileno = end, end.fileno
        self.asked: list[str] = []

    def startReading(self) -> None:
        """Twisted reads."""
        self.asked.append("read")

    def stopReading(self) -> None:
        """Twisted does not."""
        self.asked.append("do not read")

    def abortConnection(self) -> None:
        """It is broken off."""
        self.asked.append("break off")


async def turns() -> None:
    """Let the loop look for what has come, and deal with it."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_reading_is_paused_and_given_back() -> None:
    """What comes is read until that is stopped, and again from then on; the end is seen by Twisted."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    got: list[bytes] = []
    with ours, theirs:
        transport = Transport(ours)
        reader = Reader(transport, got.append)
        theirs.send(b"one")
        await turns()
        transport.stopReading()
        theirs.send(b"two")
        await turns()
        assert got == [b"one"]
        reader.start()
        await turns()
        theirs.shutdown(socket.SHUT_WR)
        await turns()
    assert got == [b"one", b"two"]
    assert transport.asked == ["do not read", "read"]


async def test_a_defect_breaks_off() -> None:
    """A connection whose data made us fail is not gone on with, and the failure is told."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        transport = Transport(ours)
        reader = Reader(transport, lambda data: data.decode("ascii").index("x"))
        theirs.send(b"one")
        await turns()
        reader.stop()
    assert transport.asked == ["do not read", "break off"]
    assert [type(error) for error in told] == [ValueError]
