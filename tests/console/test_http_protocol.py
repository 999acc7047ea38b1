"""What the server adds to Daphne's HTTP, tried on a real port: requests begin with their headers, bodies are streamed.

A Daphne that passes this file's tests without ``console.http_protocol`` makes that module unnecessary.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import children
from tests.conftest import Console, start_console
from tests.waiting import PATIENCE

STAGE = Path(__file__).with_name("http_stage.py")
MEGABYTE = 1_000_000
GROWTH = 20 * MEGABYTE
"""What the process may grow by while it is sent a body it does not want, or cannot take yet."""
HOST = b"Host: 127.0.0.1\r\n"


class Stage:
    """A process that serves ``http_stage.application`` with the console's server."""

    def __init__(self, scheme: str, certificates: Path, **limits: str) -> None:
        """``certificates``: an empty folder; ``limits``: constants of ``console.http_protocol``, in seconds."""
        environment = {**os.environ, "STAGE_TLS": str(certificates) if scheme == "https" else "", **limits}
        self.process = children.spawn([sys.executable, STAGE], env=environment, stdout=subprocess.PIPE, text=True)
        self.said = children.Lines(self.process).next
        plain, encrypted = self.said().split()
        self.port = int(encrypted if scheme == "https" else plain)
        self.trust = ssl.create_default_context(cafile=certificates / "authority.pem") if scheme == "https" else None

    def says(self, line: str) -> None:
        """Wait until it prints this; other tests' requests may still have something to say before."""
        said: list[str] = []
        while line not in said:
            said.append(self.said())
            assert said[-1], f"waited for {line!r}, was told {said}"

    def dial(self) -> socket.socket:
        """A connection."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return self.trust.wrap_socket(plain, server_hostname="127.0.0.1") if self.trust else plain

    def end(self) -> None:
        """Stop it."""
        children.kill(self.process)


@pytest.fixture(scope="module", params=["http", "https"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server, plain and encrypted."""
    stage = Stage(request.param, tmp_path_factory.mktemp("tls"), LINGER="1")
    yield stage
    stage.end()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One that gives slow senders a second."""
    stage = Stage("http", tmp_path_factory.mktemp("hasty"), HEADERS_WITHIN="1", IDLE_WITHIN="1", BODY_IDLE_WITHIN="1", LINGER="1")
    yield stage
    stage.end()


def memory(pid: int) -> int:
    """Bytes a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("this system does not tell a process's memory")


def head_of(connection: socket.socket) -> bytes:
    """What the server says up to the end of a response's head."""
    said = b""
    while b"\r\n\r\n" not in said and (data := connection.recv(1)):
        said += data
    return said


def response(connection: socket.socket) -> tuple[bytes, bytes]:
    """Status line and body of the next response."""
    head = head_of(connection)
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    left, body = int(lengths[0].split(b":")[1]), b""
    while len(body) < left and (data := connection.recv(left - len(body))):
        body += data
    return head.split(b"\r\n")[0], body


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def push(connection: socket.socket, data: bytes, times: int) -> int:
    """Send something again and again until the other side takes no more. Returns how many bytes it took."""
    connection.settimeout(1)
    taken = 0
    try:
        for _ in range(times):
            connection.sendall(data)
            taken += len(data)
    except (TimeoutError, ConnectionError, ssl.SSLError):
        pass
    connection.settimeout(PATIENCE)
    return taken


def test_a_request_begins_with_its_headers(stage: Stage) -> None:
    """The application reads the first piece of a body before the rest is sent. Daphne waits for all of it."""
    with stage.dial() as connection:
        connection.sendall(b"POST /told HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nhello")
        stage.says("first 5")
        connection.sendall(b"world")
        assert response(connection) == (b"HTTP/1.1 200 OK", b"POST 10")


def test_a_chunked_body(stage: Stage) -> None:
    """So with a body whose length nobody knows yet; the connection goes on to the next request."""
    with stage.dial() as connection:
        connection.sendall(b"POST /told HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"hello"))
        stage.says("first 5")
        connection.sendall(chunk(b"you") + b"0\r\n\r\n")
        assert response(connection) == (b"HTTP/1.1 200 OK", b"POST 8")
        connection.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert response(connection) == (b"HTTP/1.1 200 OK", b"GET 0")


def test_requests_one_after_the_other(stage: Stage) -> None:
    """Requests that are sent without waiting are answered in order, bodies or not."""
    post = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000
    get = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    with stage.dial() as connection:
        connection.sendall(post + get + post + get)
        expected = [b"POST 70000", b"GET 0"] * 2
        assert [response(connection)[1] for _ in range(4)] == expected


def test_a_large_body_waits_for_the_application(stage: Stage) -> None:
    """What the application does not take is not read, and arrives whole when it does."""
    before = memory(stage.process.pid)
    pieces = 1000
    with stage.dial() as connection, stage.dial() as other:
        connection.sendall(b"POST /stall HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (pieces * 65_536))
        sending = threading.Thread(target=lambda: [connection.sendall(b"x" * 65_536) for _ in range(pieces)])
        sending.start()
        sending.join(2)
        assert sending.is_alive()
        assert memory(stage.process.pid) - before < GROWTH
        other.sendall(b"GET /wake HTTP/1.1\r\n" + HOST + b"\r\n")
        assert response(other)[1] == b"awake"
        sending.join(PATIENCE)
        assert response(connection)[1] == b"POST %d" % (pieces * 65_536)
        assert memory(stage.process.pid) - before < GROWTH


@pytest.mark.parametrize("framing", [b"Content-Length: %d" % (400 * MEGABYTE), b"Transfer-Encoding: chunked"])
def test_a_body_nobody_wants(stage: Stage, framing: bytes) -> None:
    """An answer before the body's end is read by a client that is still sending, and the rest is not kept."""
    before = memory(stage.process.pid)
    with stage.dial() as connection:
        connection.sendall(b"POST /refuse HTTP/1.1\r\n" + HOST + framing + b"\r\n\r\n")
        piece = b"x" * 65_536
        push(connection, chunk(piece) if b"chunked" in framing else piece, 400 * MEGABYTE // len(piece))
        assert memory(stage.process.pid) - before < GROWTH
    with stage.dial() as connection:
        connection.sendall(b"POST /refuse HTTP/1.1\r\n" + HOST + framing + b"\r\n\r\n" + b"1\r\nx\r\n" * 5)
        head = head_of(connection)
        assert head.startswith(b"HTTP/1.1 403")
        assert b"connection: close" in head.lower()


def test_what_follows_a_refusal_is_no_request(stage: Stage) -> None:
    """The rest of a refused request's body is never taken for another request."""
    with stage.dial() as connection:
        connection.sendall(b"POST /refuse HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nGET /wake HTTP/1.1\r\n" + HOST + b"\r\n")
        said = b""
        while data := connection.recv(4096):
            said += data
        assert said.count(b"HTTP/1.1 ") == 1


def test_a_client_that_asks_first(stage: Stage) -> None:
    """Who waits for "100 Continue" is told to go on when the application reads; a refused one never is (RFC 9110 10.1.1)."""
    ask = HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with stage.dial() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n" + ask)
        assert head_of(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        assert response(connection) == (b"HTTP/1.1 200 OK", b"POST 5")
        connection.sendall(b"POST /refuse HTTP/1.1\r\n" + ask)
        assert response(connection) == (b"HTTP/1.1 403 Forbidden", b"no")


def test_a_client_that_leaves_in_the_middle(stage: Stage) -> None:
    """The application is told that the rest never comes."""
    with stage.dial() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nhello")
    stage.says("gone after 5")


def test_a_client_that_does_not_read(stage: Stage) -> None:
    """A large answer waits for its client. Daphne keeps all of it in memory."""
    before = memory(stage.process.pid)
    with stage.dial() as connection:
        connection.sendall(b"GET /flood HTTP/1.1\r\n" + HOST + b"\r\n")
        time.sleep(2)
        assert memory(stage.process.pid) - before < GROWTH


@pytest.mark.parametrize("sent", [
    b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\nA: b\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", b"POST / HTTP/1.1\r\nno header\r\nA: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
])  # fmt: skip
def test_what_is_no_request(stage: Stage, sent: bytes) -> None:
    """It is answered with 400 and the connection ends; nothing of it is taken for a request."""
    with stage.dial() as connection:
        connection.sendall(sent)
        said = b""
        while data := connection.recv(4096):
            said += data
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(("sent", "status"), [
    (b"", b""), (b"GET / HT", b""), (b"GET / HTTP/1.1\r\nA: b\r\n", b""),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello", b"HTTP/1.1 408 "),
])  # fmt: skip
def test_a_client_that_stands_still(hasty: Stage, sent: bytes, status: bytes) -> None:
    """Who sends nothing more does not keep a connection: not before, in or after the headers of a request."""
    with hasty.dial() as connection:
        connection.sendall(sent)
        said = b""
        while data := connection.recv(4096):
            said += data
    assert said[: len(status) or None].startswith(status)
    assert bool(said) == bool(status)


def test_headers_in_drops(hasty: Stage) -> None:
    """Nor does one that sends its headers byte by byte: there is an end to that however alive it seems."""
    with hasty.dial() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < PATIENCE:
                connection.sendall(b"A: b\r\n")
                time.sleep(0.2)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console without a token, as people run it."""
    console = start_console(tmp_path_factory.mktemp("console"))
    yield console
    assert console.stop() == 0
    assert "Traceback" not in console.log.read_text()


def post(console: Console, path: bytes, headers: bytes, framing: bytes) -> tuple[bytes, int]:
    """Post 400 MB. Returns the status line, and how much the process grew by."""
    before = memory(console.process.pid)
    port = int(console.url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\n" + headers.replace(b"PORT", b"%d" % port) + framing + b"\r\n\r\n")
        piece = b"x" * 65_536
        push(connection, chunk(piece) if b"chunked" in framing else piece, 400 * MEGABYTE // len(piece))
        grown = memory(console.process.pid) - before
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\n" + headers.replace(b"PORT", b"%d" % port) + framing + b"\r\n\r\n")
        if b"chunked" in framing:
            push(connection, chunk(b"x" * 65_536), 1000)
        return head_of(connection).split(b"\r\n")[0], grown


@pytest.mark.slow
@pytest.mark.parametrize("framing", [b"Content-Length: %d" % (400 * MEGABYTE), b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize(("path", "headers", "status"), [
    (b"/", b"Host: evil.example\r\n", b"400"),
    (b"/sessions/import", b"Host: 127.0.0.1:PORT\r\nOrigin: http://127.0.0.1:1\r\n", b"403"),
    (b"/sessions/x/send", b"Host: 127.0.0.1:PORT\r\n", b"413"),
    (b"/v1/realtime/client_secrets", b"Host: 127.0.0.1:PORT\r\n", b"413"),
    (b"/keys/", b"Host: 127.0.0.1:PORT\r\nContent-Type: multipart/form-data; boundary=b\r\n", b"413"),
])  # fmt: skip
def test_a_stranger_s_body(console: Console, framing: bytes, path: bytes, headers: bytes, status: bytes) -> None:
    """400 MB of a stranger are refused by host, origin or size, and the console holds none of it."""
    said, grown = post(console, path, headers, framing)
    assert said.split()[1] == status
    assert grown < GROWTH
