"""Plain HTTP on the WebSocket's port: websockets reads only handshakes, so h11 reads the rest."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import h11
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.http11 import Request
from websockets.streams import StreamReader

LARGEST_BODY = 1024 * 1024
"""Bytes of a request's body."""
LARGEST_HEAD = 16 * 1024
"""Bytes of a request's line and headers, the same as h11's limit."""
_GET = b"GET "
_END_OF_HEAD = re.compile(rb"\n\r?\n")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request."""

    method: str
    target: str
    """Path and query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A JSON response."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def failure(status: int, message: str, code: str | None = None, param: str | None = None, **headers: str) -> HttpResponse:
    """An error in the API's own shape. Of the headers' names underscores are hyphens."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return HttpResponse(status, {"error": error}, {name.replace("_", "-"): value for name, value in headers.items()})


class HttpExchange:
    """One request and its response, without I/O: feed received bytes, send the result, and close the connection when ``over``."""

    def __init__(self, answer: Callable[[HttpRequest], HttpResponse]) -> None:
        self.answer = answer
        self.over = False
        self._connection = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()

    @property
    def request_complete(self) -> bool:
        """True once the client has sent its request completely; closing earlier could cost the client the response."""
        return self._connection.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)

    def receive(self, data: bytes) -> bytes:
        """Process bytes of the client, empty at the end of its stream. Returns bytes to send; never raises."""
        if self.over:
            return b""
        try:
            self._connection.receive_data(data)
            return self._go_on()
        except h11.RemoteProtocolError as error:
            what = str(error).partition(":")[0]  # behind the colon h11 repeats what came
            return self._send_out(failure(error.error_status_hint, f"This request is not HTTP/1.1: {what}."))

    def _go_on(self) -> bytes:
        while True:
            event = self._connection.next_event()
            if isinstance(event, h11.Request):
                self._request = event
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > LARGEST_BODY:
                    return self._send_out(failure(413, f"A request may have {LARGEST_BODY} bytes."))
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                return self._send_out(self.answer(_asked(self._request, bytes(self._body))))
            elif event is h11.NEED_DATA:
                if not self._connection.they_are_waiting_for_100_continue:
                    return b""
                return self._connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
            else:  # the client has gone
                self.over = True
                return b""

    def _send_out(self, answer: HttpResponse) -> bytes:
        self.over = True
        if self._connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        body = json.dumps(answer.body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close", **answer.headers}
        parts = [h11.Response(
            status_code=answer.status, reason=HTTPStatus(answer.status).phrase.encode(), headers=list(headers.items())
        )]  # fmt: skip
        data_out = b"".join(self._connection.send(part) or b"" for part in parts)
        if self._request is None or self._request.method != b"HEAD":
            data_out += self._connection.send(h11.Data(data=body)) or b""
        return data_out + (self._connection.send(h11.EndOfMessage()) or b"")


def _asked(request: h11.Request, body: bytes) -> HttpRequest:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
    return HttpRequest(request.method.decode("ascii"), request.target.decode("latin-1"), headers, body)


def undecided(first: bytes) -> bool:
    """Return True if the first bytes of a client do not yet tell a handshake from plain HTTP."""
    if not _GET.startswith(first[: len(_GET)]):
        return False
    return len(first) <= LARGEST_HEAD and _END_OF_HEAD.search(first) is None


def opens_websocket(first: bytes) -> bool:
    """Return True if websockets can parse these first bytes of a client as a handshake, valid or not."""
    reader = StreamReader()
    reader.feed_data(first)
    try:
        next(Request.parse(reader.read_line))
    except StopIteration as read:
        request: Request = read.value
        keys = request.headers.get_all("Sec-WebSocket-Key")
        wanted = "websocket" in ",".join(request.headers.get_all("Upgrade")).lower()
        return wanted and request.path.isascii() and all(key.isascii() for key in keys)
    except Exception:  # noqa: BLE001  (whatever websockets has against it, as websockets itself catches it: then it is no handshake)
        return False
    return False  # it has no end


class HttpFallbackConnection(ServerConnection):
    """A connection of a WebSocket server that answers plain HTTP requests and closes.

    The server's ``open_timeout`` limits the client's time, as for a handshake.
    """

    answer: Callable[[HttpRequest], HttpResponse]
    """Asked for whatever is no handshake."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.exchange: HttpExchange | None = None
        self.opens = False
        self._first = b""

    def data_received(self, data: bytes) -> None:
        """Process bytes of the client: the first bytes decide between handshake and plain HTTP."""
        if not self.opens and self.exchange is None:
            data = self._first = self._first + data
            if undecided(data):
                return
            self.opens = opens_websocket(data)
            self.exchange = None if self.opens else HttpExchange(self.answer)
            self._first = b""
        if self.exchange is None:
            super().data_received(data)
        else:
            was_over = self.exchange.over
            data_out = self.exchange.receive(data)
            if not was_over:  # else it is read and forgotten, until the client has seen the answer
                self._send_out(data_out, self.exchange)

    def _send_out(self, data_out: bytes, exchange: HttpExchange) -> None:
        self.transport.write(data_out)
        if exchange.over and exchange.request_complete:
            self.transport.close()
        elif exchange.over:
            self.transport.write_eof()

    def eof_received(self) -> None:
        """The client says no more: asyncio hangs up once everything is written."""
        if self.exchange is None:
            super().eof_received()

    async def handshake(self, *arguments: Any, **named: Any) -> None:
        """Run the WebSocket handshake; after plain HTTP there is none, and websockets drops the connection."""
        await asyncio.wait([self.request_rcvd, self.connection_lost_waiter], return_when=asyncio.FIRST_COMPLETED)
        if self.exchange is None:
            try:
                await super().handshake(*arguments, **named)
            except (InvalidHandshake, ConnectionClosed) as error:
                # The client's mistake, already answered, or the client has left: not an error for our log.
                self.logger.debug("no WebSocket was opened: %s", error)


def http_fallback(answer: Callable[[HttpRequest], HttpResponse]) -> type[HttpFallbackConnection]:
    """Return a connection class for a server, with ``answer`` for plain HTTP requests."""
    return type("Door", (HttpFallbackConnection,), {"answer": staticmethod(answer)})
