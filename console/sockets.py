"""Daphne's WebSocket, completed: ASGI's headers, refusals, closes and flow control, and messages that cost little."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter
from typing import Any

from autobahn.websocket.types import ConnectionDeny
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.tcp import Connection

from console.framing import head, take

RECEIVE_AHEAD = 1024 * 1024
"""Bytes waiting for the application at which the socket stops reading; Daphne queues without bound."""
MESSAGE_WEIGHT = 256
"""Bytes a message counts beside its payload, so that a million empty ones are not nothing."""
READ_AT_ONCE = 64 * 1024
"""Bytes asked of the kernel in one call."""
WRITE_AT_ONCE = 64 * 1024
"""Bytes that go to the kernel directly before the reactor has to have its turn …"""
WRITE_FAST = 0.01
"""… if they took fewer seconds than this: who sends no faster leaves others their turns."""
CLOSE_WITHIN = 10
"""Seconds for the other side to answer a close, which stands behind all that it has not read; autobahn gives it one."""
NO_CODE, VANISHED = 1005, 1006
"""Reserved codes: they say that a close frame had no code, or that none came; never sent (RFC 6455 7.4.1). An application
that closes with one of them means just that: the extension ``console.drop`` says that this server understands it. A
message that says ``console.abort``, too, does not want to wait until what was sent is read."""


class Drain:
    """Told by the transport when its buffer is full and when it is empty again; senders wait here meanwhile."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._open.clear()

    def resumeProducing(self) -> None:
        """There is room again."""
        self._open.set()

    stopProducing = resumeProducing  # the connection is lost: nobody needs to wait any longer

    @property
    def full(self) -> bool:
        """Whether the other side is not reading as fast as it is written to."""
        return not self._open.is_set()

    async def wait(self) -> None:
        """Return once there is room."""
        await self._open.wait()


class Reader:
    """Reads a TCP connection straight from the loop: Twisted's way there costs as much as all that is made of a frame.

    Its end, and whatever is amiss with it, is left to Twisted.
    """

    def __init__(self, transport: Any, take: Callable[[bytes], None]) -> None:
        """``take`` is given what comes."""
        self._transport = transport
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._fd = transport.fileno()
        transport.stopReading()
        transport.startReading, transport.stopReading = self.start, self.stop  # what pausing and ending come down to
        self.start()

    def start(self) -> None:
        """Read, or read on."""
        self._loop.add_reader(self._fd, self._ready)

    def stop(self) -> None:
        """Do not read."""
        self._loop.remove_reader(self._fd)

    def _ready(self) -> None:
        try:
            data = self._transport.socket.recv(READ_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._give_back()
            return
        try:
            self._take(data)
        except BaseException:  # a defect of ours: what it left behind cannot be gone on with
            self._transport.abortConnection()
            raise

    def _give_back(self) -> None:
        self.stop()
        del self._transport.startReading, self._transport.stopReading
        self._transport.startReading()


class CompleteProtocol(WebSocketProtocol):
    """Daphne's WebSocket with what ASGI 3 promises: headers, denial, reasons, empty messages, flow control."""

    data: bytes
    """What has arrived and is not yet understood; autobahn's."""
    autoPingTimeoutCall: Any

    def __init__(self) -> None:
        super().__init__()
        self.drain = Drain()
        self.denial: dict[str, Any] = {}
        self.cut: Any = None
        """The call that ends the connection when the last of it does not want to leave."""

    def onConnect(self, request: Any) -> Any:
        """Ready before Daphne hands the connection to the application."""
        self.weights: deque[int] = deque()
        """What each message counts that the application has not taken yet, and below their sum; bytes."""
        self.ahead = 0
        self.plain = isinstance(self.transport, Connection)
        """Whether the transport is the TCP connection itself: what TLS encrypts must not go past it."""
        self.at_once, self.at_once_since = 0, 0.0
        return super().onConnect(request)

    def onOpen(self) -> None:
        """The HTTP channel the socket came from is the transport's producer no longer."""
        super().onOpen()
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.drain, True)
        if self.plain and self.transport.connected and not self.transport.disconnecting:
            Reader(self.transport, self._dataReceived)

    def consumeData(self) -> None:
        """Whole messages by hand, whatever else comes by autobahn, one step at a time."""
        while self.state == self.STATE_OPEN:
            if self.current_frame is None and not self.inside_message:
                self.take_messages()
                if not self.data:
                    return
            if not self.processData():
                return
        super().consumeData()

    def take_messages(self) -> None:
        """Hand on what has arrived whole."""
        data, at = self.data, 0
        while self.state == self.STATE_OPEN and at < len(data) and (found := take(data, at)) is not None:
            binary, payload, at = found
            self.onMessage(payload, binary)
        if at:
            self.data = data[at:]
            if self.autoPingTimeoutCall:
                self._cancelAutoPingTimeoutCall()  # who sends is there

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand a message to the application; stop reading while that is behind."""
        message: dict[str, Any] = {"type": "websocket.receive", "arrived": perf_counter()}
        if isBinary:
            message["bytes"] = payload
        else:
            try:
                message["text"] = payload.decode()
            except UnicodeDecodeError as error:
                self._invalid_payload(f"text that is no UTF-8: {error.reason} at {error.start}")
                return
        weight = len(payload) + MESSAGE_WEIGHT
        self.weights.append(weight)
        self.ahead += weight
        self.application_queue.put_nowait(message)
        if self.ahead > RECEIVE_AHEAD:
            self.transport.pauseProducing()

    def taken(self, message: dict[str, Any]) -> None:
        """The application has taken a message: read on when that makes room."""
        if message["type"] == "websocket.receive":
            full = self.ahead > RECEIVE_AHEAD
            self.ahead -= self.weights.popleft()
            if full and self.ahead <= RECEIVE_AHEAD:
                self.transport.resumeProducing()

    def say(self, message: dict[str, Any]) -> None:
        """Send the application's message; the socket is open."""
        if (text := message.get("text")) is not None:
            payload = text.encode()
            self.write(head(False, len(payload)) + payload)
        elif (data := message.get("bytes")) is not None:
            self.write(head(True, len(data)) + data)

    def write(self, data: bytes) -> None:
        """Give the kernel at once what it takes: through the reactor a frame now and then costs three times as much.

        Not without end: who always writes at once never waits, and nobody else would have a turn.
        """
        transport = self.transport
        if not self.plain or transport.dataBuffer or transport._tempDataLen or self.hurries():
            transport.write(data)
            return
        self.at_once += len(data)
        try:
            sent = transport.socket.send(data)
        except OSError:
            sent = 0
        if sent != len(data):
            transport.write(data[sent:])  # a lost connection is noticed there

    def hurries(self) -> bool:
        """Whether so much was written at once that others must have had to wait."""
        if self.at_once <= WRITE_AT_ONCE:
            return False
        since, self.at_once_since, self.at_once = self.at_once_since, perf_counter(), 0
        return self.at_once_since - since < WRITE_FAST

    def onAutoPingTimeout(self) -> None:
        """No answer to a ping. Who has not read yet what was sent before it is slow, not gone, and so may we be."""
        if self.drain.full or self.ahead > RECEIVE_AHEAD:
            self.autoPingTimeoutCall = None
        else:
            super().onAutoPingTimeout()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """As Daphne's, with the reason."""
        if self.cut is not None and self.cut.active():
            self.cut.cancel()
        self.drain.resumeProducing()
        self.server.protocol_disconnected(self)
        if hasattr(self, "application_queue"):
            self.application_queue.put_nowait(
                {"type": "websocket.disconnect", "code": code or NO_CODE, "reason": (wasClean and reason) or ""}
            )

    def handle_reply(self, message: dict[str, Any]) -> None:
        """One ASGI message of the application."""
        match message["type"]:
            case "websocket.accept":
                headers: dict[str, list[str]] = {}
                for name, value in message.get("headers", []):
                    headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
                self.serverAccept((message.get("subprotocol"), headers))
            case "websocket.http.response.start":
                self.denial = {"status": message["status"], "headers": message.get("headers", []), "body": b""}
            case "websocket.http.response.body":
                self.denial["body"] += message.get("body", b"")
                if not message.get("more_body", False):
                    self.deny()
            case "websocket.close" if self.state != self.STATE_CONNECTING:
                if message.get("console.abort"):
                    self.dropConnection(abort=True)
                else:
                    self.hang_up(message.get("code") or 1000, message.get("reason") or "")
            case _:
                super().handle_reply(message)

    def hang_up(self, code: int, reason: str) -> None:
        """Close with any code, also those autobahn keeps for itself: what came from upstream travels on."""
        if code == VANISHED:
            self.dropConnection()
        elif code == NO_CODE:
            self.sendCloseFrame()
        else:
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode()[:123].decode(errors="ignore").encode())

    def dropConnection(self, abort: bool = False) -> None:
        """Who waits to send need not wait longer; who never reads what is left does not keep the connection."""
        super().dropConnection(abort)
        self.drain.resumeProducing()
        if not abort and self.cut is None:
            self.cut = self.factory.reactor.callLater(CLOSE_WITHIN, self.transport.abortConnection)

    def deny(self) -> None:
        """Answer the handshake with the HTTP response the application gave."""
        status = self.denial["status"]
        self.handshake_deferred.errback(ConnectionDeny(code=status, reason=HTTPStatus(status).phrase))
        del self.handshake_deferred
        self.server.protocol_disconnected(self)

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """autobahn's own has no body."""
        if not self.denial:
            super().sendHttpErrorResponse(code, reason, responseHeaders)
            return
        body = self.denial["body"]
        lines = [f"HTTP/1.1 {code} {reason}".encode()]
        lines += [name + b": " + value for name, value in self.denial["headers"] if name.lower() != b"content-length"]
        lines += [b"content-length: %d" % len(body), b"connection: close", b"", body]
        self.sendData(b"\r\n".join(lines))
