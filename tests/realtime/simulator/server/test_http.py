"""One plain request and its answer, byte by byte, and on the port where WebSockets are."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from realtime.simulator.server import http
from realtime.simulator.server.http import (
    LARGEST_BODY,
    HttpExchange,
    HttpRequest,
    HttpResponse,
    failure,
    http_fallback,
    opens_websocket,
    undecided,
)
from tests.waiting import PATIENCE

POST = b"POST /v1/x?y=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\nContent-Length: 4\r\n\r\nbody"
HANDSHAKE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def echo(asked: HttpRequest) -> HttpResponse:
    """Says what it was asked."""
    told = [asked.method, asked.target, asked.headers.get("authorization"), asked.body.decode("latin-1")]
    return HttpResponse(201, {"asked": told}, {"X-A": "b"})


def parsed(said: bytes, method: bytes = b"POST") -> tuple[h11.Response, bytes]:
    """What a client reads in an answer."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(said)
    client.receive_data(b"")
    response, body = None, b""
    while not isinstance(event := client.next_event(), (h11.EndOfMessage, h11.ConnectionClosed)):
        if isinstance(event, h11.Data):
            body += event.data
        else:
            assert isinstance(event, h11.Response)
            response = event
    assert response is not None
    return response, body


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_request_is_answered(size: int) -> None:
    """However it is cut, a request is answered once it is whole, and then it is over."""
    exchange = HttpExchange(echo)
    said = b"".join(exchange.receive(POST[start : start + size]) for start in range(0, len(POST), size))
    response, body = parsed(said)
    assert (response.status_code, response.reason) == (201, b"Created")
    headers = dict(response.headers)
    assert (headers[b"content-type"], headers[b"connection"], headers[b"x-a"]) == (b"application/json", b"close", b"b")
    assert json.loads(body) == {"asked": ["POST", "/v1/x?y=1", "Bearer k", "body"]}
    assert exchange.over and exchange.request_complete
    assert exchange.receive(POST) == b""


def test_no_body_for_head() -> None:
    """An answer to HEAD has its headers and nothing else."""
    exchange = HttpExchange(echo)
    response, body = parsed(exchange.receive(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), b"HEAD")
    assert (response.status_code, body) == (201, b"")
    assert int(dict(response.headers)[b"content-length"]) > 0


def test_a_client_that_asks_before_it_sends() -> None:
    """``Expect: 100-continue`` is told to go on."""
    exchange = HttpExchange(echo)
    head = POST.removesuffix(b"body").replace(b"Host: a\r\n", b"Host: a\r\nExpect: 100-continue\r\n")
    assert exchange.receive(head).startswith(b"HTTP/1.1 100 ")
    assert parsed(exchange.receive(b"body"))[0].status_code == 201


def test_too_large_a_body() -> None:
    """A body beyond the limit is refused when it gets there; the client is still talking."""
    exchange = HttpExchange(echo)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n"
    assert exchange.receive(head) == b""
    assert exchange.receive(bytes(LARGEST_BODY)) == b""
    response, body = parsed(exchange.receive(b"\0"))
    assert response.status_code == 413
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    assert exchange.over and not exchange.request_complete


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\0" * 9 + b"\r\n\r\n", b"POST /\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"P" * 100_000])
def test_what_is_not_http(data: bytes) -> None:
    """Another protocol, a request without a host and a line without end are answered by an error, and over."""
    exchange = HttpExchange(echo)
    response, body = parsed(exchange.receive(data))
    assert 400 <= response.status_code < 500
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert exchange.over


def test_a_client_that_leaves() -> None:
    """A client that goes before its request is whole, or before it begins, ends it."""
    exchange = HttpExchange(echo)
    assert exchange.receive(b"") == b""
    assert exchange.over
    cut = HttpExchange(echo)
    cut.receive(POST[:-1])
    cut.receive(b"")
    assert cut.over


@given(st.lists(st.binary(max_size=30) | st.sampled_from([POST, POST[:40], b"\r\n", b"GET / HTTP/1.1\r\n"]), max_size=6))
def test_whatever_comes(pieces: list[bytes]) -> None:
    """No bytes raise, and nothing is said after the end."""
    exchange = HttpExchange(echo)
    for piece in pieces:
        over = exchange.over
        said = exchange.receive(piece)
        assert not (over and said)


def test_a_failure_has_the_apis_shape() -> None:
    """All four keys are always there; headers may go with it."""
    answer = failure(405, "No.", Allow="GET", X_Request_Id="a")
    assert answer.body == {"error": {"message": "No.", "type": "invalid_request_error", "param": None, "code": None}}
    assert answer.headers == {"Allow": "GET", "X-Request-Id": "a"}


# ── Whose it is ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", [b"G", b"GET ", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET " + b"a" * 1000])
def test_what_cannot_be_told_yet(first: bytes) -> None:
    """A GET may be a handshake until its head is whole."""
    assert undecided(first)
    assert not opens_websocket(first)


@pytest.mark.parametrize("first", [b"P", b"\x16\x03\x01", b"GOT", b"GET / HTTP/1.1\r\n\r\n", b"GET /\n\n", b"GET " + b"a" * 20_000])
def test_what_is_no_handshake(first: bytes) -> None:
    """Another method or protocol, a GET without Upgrade and a head without end are told at once."""
    assert not undecided(first)
    assert not opens_websocket(first)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"websocket", b"h2c"), (b"13\r\n", b"13\r\nContent-Length: 1\r\n"), (b"13\r\n", b"13\r\nContent-Length: x\r\n"),
        (b"13\r\n", b"13\r\nTransfer-Encoding: chunked\r\n"), (b"realtime", b"\xc3\xa9"), (b"dGhl", b"\xc3\xa9"),
        (b"HTTP/1.1", b"HTTP/1.0"), (b"Host:", b"Host"), (b"13\r\n", b"13\r\n" + b"X: a\r\n" * 200), (b"realtime", b"a" * 9000),
    ],
)  # fmt: skip
def test_what_websockets_cannot_read(old: bytes, new: bytes) -> None:
    """What websockets would stumble over never comes to it."""
    assert opens_websocket(HANDSHAKE)
    assert not opens_websocket(HANDSHAKE.replace(old, new, 1))


@given(st.binary(max_size=60), st.integers(0, len(HANDSHAKE)), st.integers(0, 30))
def test_whatever_comes_first(noise: bytes, at: int, gone: int) -> None:
    """No bytes raise, and none are waited for beyond the largest head."""
    first = HANDSHAKE[:at] + noise + HANDSHAKE[at + gone :]
    undecided(first)
    opens_websocket(first)
    assert not undecided(first + bytes(http.LARGEST_HEAD))


# ── On a socket ────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def listening(open_timeout: float) -> AsyncIterator[int]:
    """The port of a server whose WebSockets say hello, and whose plain requests are echoed."""

    async def hello(connection: ServerConnection) -> None:
        await connection.send("hello")

    async with serve(hello, "127.0.0.1", 0, create_connection=http_fallback(echo), open_timeout=open_timeout) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a patient server."""
    async with listening(PATIENCE) as port:
        yield port


async def converse(port: int, *pieces: bytes) -> bytes:
    """Send pieces, each by itself, and read until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.transport.set_write_buffer_limits(0)
    async with asyncio.timeout(PATIENCE):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)  # so that each piece is read by itself
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
    return said


async def test_a_websocket_beside(port: int) -> None:
    """A handshake opens a WebSocket as ever, also when it comes letter by letter; a GET that is none is a request."""
    async with connect(f"ws://127.0.0.1:{port}/") as client:
        assert await client.recv() == "hello"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE):
        for letter in HANDSHAKE:
            writer.write(bytes([letter]))
            await asyncio.sleep(0)
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
        await reader.readuntil(b"hello")
    writer.close()
    response, body = parsed(await converse(port, b"G", b"E", b"T", b" / HTTP/1.1\r\nHost: a\r\n\r\n"), b"GET")
    assert (response.status_code, json.loads(body)["asked"][0]) == (201, "GET")


async def test_a_request_on_the_socket(port: int) -> None:
    """A request is answered in whatever pieces it comes, and the server hangs up."""
    for pieces in ((POST,), (POST[:1], POST[1:3], POST[3:50], POST[50:]), (POST + b"more",)):
        response, body = parsed(await converse(port, *pieces))
        assert (response.status_code, json.loads(body)["asked"][0]) == (201, "POST")


async def test_a_large_body_on_the_socket(port: int) -> None:
    """A client that sends too much can still read why it was refused."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n"
    response, _ = parsed(await converse(port, head, *[bytes(http.LARGEST_BODY)] * 3))
    assert response.status_code == 413


async def test_a_large_head_on_the_socket(port: int) -> None:
    """A client that sends headers without end can still read why it was refused."""
    response, _ = parsed(await converse(port, b"GET / HTTP/1.1\r\nHost: a\r\nX: ", *[b"a" * http.LARGEST_HEAD] * 9), b"GET")
    assert response.status_code == 431


@pytest.mark.parametrize("data", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n", HANDSHAKE[:-2], b"P", POST[:40]])
async def test_a_client_that_leaves_early(port: int, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Who hangs up before it has asked for anything is no matter for the log."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()
    assert not caplog.records


async def test_a_handshake_that_is_wrong(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """A handshake that websockets can read and not accept is answered, and no matter for the log."""
    for wrong in (HANDSHAKE.replace(b"13", b"8"), HANDSHAKE.replace(b"dGhl", b"?"), HANDSHAKE.replace(b": Upgrade", b": close")):
        assert (await converse(port, wrong)).startswith(b"HTTP/1.1 4")
    assert not caplog.records


async def test_a_client_that_dawdles(caplog: pytest.LogCaptureFixture) -> None:
    """A request that is never finished is dropped after the time a handshake has, without an error in the log."""
    async with listening(0.1) as port:
        assert await converse(port, POST[:50]) == b""
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
