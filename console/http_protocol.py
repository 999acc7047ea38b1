"""Daphne's HTTP, completed: a request begins when its headers are in, and its body is read as fast as it is taken.

Daphne 4.2 hands a request on when its body is there whole: it has then read everything, whoever sent it, and queues it in
memory. ``tests/console/test_http_protocol.py`` says when a later Daphne makes this module unnecessary.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from daphne.http_protocol import WebRequest
from twisted.internet import tcp
from twisted.web import http

from console.sockets import Drain

log = logging.getLogger(__name__)

AHEAD = 256 * 1024
"""Bytes of a body waiting for the application at which the connection is not read any longer."""
HEADERS_WITHIN = 20.0
"""Seconds from a request's first byte to the end of its headers."""
IDLE_WITHIN = 60.0
"""Seconds a connection may be open without a request."""
BODY_IDLE_WITHIN = 30.0
"""Seconds without a byte of a body that the application waits for."""
LINGER = 5.0
"""Seconds in which a client that still sends may read why it need not: a connection that is closed on what was not read
is reset, and the answer with it (RFC 9112 9.6)."""


class NoContent:
    """Stands where Twisted keeps a body: nothing is kept, and Daphne, which finds it closed, hands nothing on."""

    closed = True

    def read(self, size: int = -1) -> bytes:
        """Nothing."""
        return b""

    def seek(self, offset: int, whence: int = 0) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class RequestBody:
    """The messages of one request on their way to its application, which reads the connection no faster than it takes them."""

    def __init__(self, request: StreamingRequest) -> None:
        self._request = request
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._ahead = 0
        """Bytes the application has not taken."""

    def feed(self, data: bytes) -> None:
        """A piece of the body has arrived."""
        self._messages.put_nowait({"type": "http.request", "body": data, "more_body": True})
        self._ahead += len(data)
        if self._ahead > AHEAD:
            self._request.channel.hold_body()

    def end(self) -> None:
        """The body is complete."""
        self._messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    def put_nowait(self, message: dict[str, Any]) -> None:
        """A message of Daphne's own: the client is gone."""
        self._messages.put_nowait(message)

    async def receive(self) -> dict[str, Any]:
        """The application's next message."""
        self._request.wants_body()
        message = await self._messages.get()
        held = self._ahead > AHEAD
        self._ahead -= len(message.get("body", b""))
        if held and self._ahead <= AHEAD:
            self._request.release_body()
        return message


class StreamingRequest(WebRequest):
    """A request whose application runs while its body arrives."""

    channel: Any
    requestHeaders: Any
    responseHeaders: Any
    body: RequestBody | None = None
    begun = False
    complete = False
    """The body has arrived whole."""
    expects_go_ahead = False
    """The client waits for "100 Continue" before it sends its body (RFC 9110 10.1.1)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.drain = Drain()

    def gotLength(self, length: int | None) -> None:
        """The headers are in; a length of None is not known."""
        self.content = NoContent()

    def begin(self, command: bytes, uri: bytes, version: bytes) -> None:
        """Start the application, or upgrade the connection."""
        self.begun = True
        self.method, self.uri, self.clientproto = command, uri, version
        self.path = uri.partition(b"?")[0]
        self.args: dict[bytes, list[bytes]] = {}
        if not self.complete and self.requestHeaders.hasHeader(b"Upgrade"):
            self.answer(400, "A request for a WebSocket has no body.")
            return
        if not self.complete and version == b"HTTP/1.1":
            expects = self.requestHeaders.getRawHeaders(b"Expect") or [b""]
            self.expects_go_ahead = expects[0].lower() == b"100-continue"
        self.process()

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body has arrived."""
        self.expects_go_ahead = False  # it did not wait
        if self.body is not None:
            self.body.feed(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The body is complete; of a request without one only now the application starts."""
        self.complete = True
        if not self.begun:
            self.begin(command, path, version)
        elif self.body is not None:
            self.body.end()

    def open_body(self) -> RequestBody:
        """What the application receives from."""
        self.body = RequestBody(self)
        self.registerProducer(self.drain, True)
        if self.complete:
            self.body.end()
        return self.body

    def wants_body(self) -> None:
        """The application reads: a client that waits to be asked for its body is."""
        if self.expects_go_ahead and not self.finished and not self._disconnected:
            self.expects_go_ahead = False
            self.channel.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def release_body(self) -> None:
        """The application has caught up."""
        if not self.finished and not self._disconnected:
            self.channel.release_body()

    def handle_reply(self, message: dict[str, Any]) -> None:
        """As Daphne's; an answer that comes before the body is complete is the connection's last."""
        if message["type"] == "http.response.start" and not self.complete and not self.finished and self.channel is not None:
            self.channel.persistent = False
            self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        super().handle_reply(message)

    def answer(self, status: int, sentence: str) -> None:
        """Answer without an application."""
        body = f"{sentence}\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": body})

    def finish(self) -> None:
        """The answer is complete."""
        self._release_drain()
        super().finish()

    def connectionLost(self, reason: Any) -> None:
        """The client is gone."""
        self._release_drain()
        super().connectionLost(reason)

    def _release_drain(self) -> None:
        if self.producer is not None:
            self.unregisterProducer()
        self.drain.resumeProducing()


class StreamingChannel(http.HTTPChannel):
    """A connection whose requests begin when their headers are in, with limits of time for slow senders."""

    transport: Any
    requests: list[Any]
    timeOut: Any
    _savedTimeOut: Any
    _networkProducer: Any
    _path: Any
    discarding = False
    """What still arrives is of nobody's concern: the connection has had its last answer."""
    _deadline: Any = None
    """The call that ends a connection whose headers take too long."""
    _held = False
    """The application is behind with a body."""
    _end: Any = None

    def connectionMade(self) -> None:
        """A client has connected. Daphne's factory has set its own kind of request."""
        self.requestFactory = StreamingRequest
        self.timeOut = IDLE_WITHIN
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the client."""
        if self.discarding:
            return
        if self._deadline is None and not self.requests:
            self._deadline = self.callLater(HEADERS_WITHIN, self.timeoutConnection)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        """A line of a request's head; none any longer when one of them was refused."""
        if not self.discarding:
            super().lineReceived(line)
            if self._deadline is None and self.requests and not self.requests[-1].begun:
                self._deadline = self.callLater(HEADERS_WITHIN, self.timeoutConnection)

    def rawDataReceived(self, data: bytes) -> None:
        """A piece of a body, or of the next request while one is answered."""
        if not self.discarding:
            super().rawDataReceived(data)

    def allHeadersReceived(self) -> None:
        """A request with a body begins; "100 Continue" is said when its application reads, not before it has judged."""
        self._cancel_deadline()
        if self.discarding:
            return
        request = self.requests[-1]
        self.persistent = self.checkPersistence(request, self._version)
        request.gotLength(self.length)
        if self.length != 0:
            self.setTimeout(BODY_IDLE_WITHIN)
            request.begin(self._command, self._path, self._version)

    def allContentReceived(self) -> None:
        """A request is complete."""
        if not self.discarding:
            super().allContentReceived()

    def hold_body(self) -> None:
        """Read no more of a body."""
        if not self._held:
            self._held = True
            self.setTimeout(None)
            self._networkProducer.pauseProducing()

    def release_body(self) -> None:
        """Read on."""
        if self._held:
            self._held = False
            if not self._handlingRequest:
                self.setTimeout(BODY_IDLE_WITHIN)
            if not self._waitingForTransport:
                self._networkProducer.resumeProducing()

    def resumeProducing(self) -> None:
        """The client reads again what it is answered; its body stays held while the application is behind."""
        super().resumeProducing()
        if self._held:
            self._networkProducer.pauseProducing()

    def requestDone(self, request: StreamingRequest) -> None:
        """An answer is complete. When its request is not, what is left of that is thrown away until the client goes."""
        self._held = False
        if request.complete:
            self._savedTimeOut = IDLE_WITHIN
            super().requestDone(request)
            return
        self.requests.remove(request)
        self.discarding = True
        self.setTimeout(None)
        self._networkProducer.resumeProducing()
        self._end = self.callLater(LINGER, self.transport.abortConnection)
        if isinstance(self.transport, tcp.Connection):
            self.transport.loseWriteConnection()  # who reads to the end need not wait; TLS knows no such half

    def timeoutConnection(self) -> None:
        """A client is too slow: it is told so when it has begun a body, else the connection ends."""
        self._cancel_deadline()
        request = self.requests[-1] if self.requests else None
        if request is not None and request.begun and not request.complete and not request._response_started:
            request.answer(408, f"Nothing of this request's body has come for {BODY_IDLE_WITHIN:g} seconds.")
        else:
            super().timeoutConnection()

    def connectionLost(self, reason: Any = None) -> None:
        """The connection is gone."""
        self._cancel_deadline()
        if self._end is not None and self._end.active():
            self._end.cancel()
        super().connectionLost(reason)

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.discarding = True
        super()._respondToBadRequestAndDisconnect()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
