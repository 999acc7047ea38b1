"""Strangers on real sockets, under both servers: other hosts, other origins, other ports, and bodies nobody wants."""

from __future__ import annotations

import socket

import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import Console
from tests.relay.stage import BOTH, ORIGIN, dial, port_of
from tests.waiting import PATIENCE

pytestmark = BOTH

PAGES = ("/ws/rail", "/ws/sessions/nobody/timeline", "/ws/sessions/nobody/audio")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "http://127.0.0.1", "https://127.0.0.1:{port}", ORIGIN, "null", None])
async def test_a_page_of_another_origin(relay: Console, origin: str | None) -> None:
    """The pages' sockets are refused with a sentence to every origin but the own one, and to programs without one."""
    given = {} if origin is None else {"origin": origin.format(port=port_of(relay))}
    for path in PAGES:
        with pytest.raises(InvalidStatus) as caught:
            async with dial(relay, path, key="", **given):
                pass
        assert caught.value.response.status_code == 403
        assert relay.url.rstrip("/").encode() in (caught.value.response.body or b"")


async def test_the_own_page(relay: Console) -> None:
    """The own origin has them."""
    async with dial(relay, PAGES[0], key="", origin=relay.url.rstrip("/")):
        pass


def first_line(relay: Console, request: bytes, body: bytes = b"") -> bytes:
    """The status line of the answer to a request whose body is sent in part."""
    with socket.create_connection(("127.0.0.1", port_of(relay)), timeout=PATIENCE) as connection:
        connection.sendall(request + b"\r\n\r\n" + body)
        said = b""
        while b"\r\n" not in said and (data := connection.recv(4096)):
            said += data
        return said.split(b"\r\n")[0]


@pytest.mark.parametrize("framing", [b"Content-Length: 400000000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("expect", [b"", b"\r\nExpect: 100-continue"])
@pytest.mark.parametrize(("path", "headers", "status"), [
    (b"/", b"Host: evil.example", b"400"), (b"/v1/realtime/client_secrets", b"Host: evil.example", b"400"),
    (b"/sessions/import", b"Host: localhost\r\nOrigin: http://127.0.0.1:1", b"403"),
    (b"/v1/realtime/client_secrets", b"Host: localhost\r\nOrigin: http://127.0.0.1:1", b"403"),
])  # fmt: skip
def test_a_request_is_refused_by_its_headers(
    relay: Console, framing: bytes, expect: bytes, path: bytes, headers: bytes, status: bytes
) -> None:
    """The answer comes before the body, and nobody who is refused is asked to send it."""
    said = first_line(relay, b"POST " + path + b" HTTP/1.1\r\n" + headers + b"\r\n" + framing + expect)
    assert said.split()[1] == status


def test_a_body_that_is_too_large(relay: Console) -> None:
    """A declared length is refused at once; without one, when too much has come."""
    head = b"POST /keys/ HTTP/1.1\r\nHost: localhost\r\n"
    assert first_line(relay, head + b"Content-Length: 5000000").split()[1] == b"413"
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    assert first_line(relay, head + b"Transfer-Encoding: chunked", piece * 65).split()[1] == b"413"


def test_a_foreign_host_leaves_no_trace(relay: Console) -> None:
    """The terminal is not written full by whoever asks for another host."""
    before = relay.log.read_text()
    for host in (b"evil.example", b"", b"a b", b"127.0.0.1.evil.example", b"[::1", b"127.0.0.1\r\nHost: evil.example"):
        first_line(relay, b"GET / HTTP/1.1\r\nHost: " + host)
    assert "Traceback" not in relay.log.read_text().removeprefix(before)
    assert "Invalid HTTP_HOST" not in relay.log.read_text()
