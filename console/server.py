"""Daphne, completed: the ASGI WebSocket features its protocol class leaves out, and an orderly start and end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from daphne.server import Server  # first: it installs the reactor the imports below use
from daphne.ws_protocol import WebSocketProtocol

from autobahn.websocket.types import ConnectionDeny  # isort: skip
from twisted.internet import defer, reactor  # isort: skip

log = logging.getLogger(__name__)

MESSAGE_LIMIT = 32 * 1024 * 1024
"""Bytes; the API takes appends of 15 MiB of sound, 20 MiB of JSON. Daphne drops what is above 1 MiB without a word."""
RECEIVE_AHEAD = 1024 * 1024
"""Bytes waiting for the application at which the socket stops reading; Daphne queues without bound."""
MESSAGE_WEIGHT = 256
"""Bytes a message counts beside its payload, so that a million empty ones are not nothing."""
PING_EVERY = 20
"""Seconds, as the API itself pings."""
HANDSHAKE_WITHIN = 30
"""Seconds until a socket is accepted or refused; a relay dials its upstream first, which may take ten."""
STOP_WITHIN = 5.0
"""Seconds for closing sessions and writing what is left, after which the process ends all the same."""
LEAVE_WITHIN = 1.0
"""Seconds for sockets to say goodbye before they are cut."""
GOING = 1012
"""Close code "service restart": what pages reconnect after by themselves (RFC 6455 registry)."""
NO_CODE = (1005, 1006)
"""Reserved codes: they say that a close frame had no code, or that none came; never sent (RFC 6455 7.4.1)."""


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

    async def wait(self) -> None:
        """Return once there is room."""
        await self._open.wait()


class CompleteProtocol(WebSocketProtocol):
    """Daphne's WebSocket with what ASGI 3 promises: headers, denial, reasons, empty messages, flow control."""

    def onConnect(self, request: Any) -> Any:
        """Ready before Daphne hands the connection to the application."""
        self.drain = Drain()
        self.denial: dict[str, Any] = {}
        self.ahead = 0
        """Bytes the application has not taken yet."""
        return super().onConnect(request)

    def onOpen(self) -> None:
        """The HTTP channel the socket came from is the transport's producer no longer."""
        super().onOpen()
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.drain, True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Stop reading while the application is behind."""
        super().onMessage(payload, isBinary)
        self.ahead += len(payload) + MESSAGE_WEIGHT
        if self.ahead > RECEIVE_AHEAD:
            self.transport.pauseProducing()

    def taken(self, message: dict[str, Any]) -> None:
        """The application has taken a message: read on when that makes room."""
        if message["type"] == "websocket.receive" and self.ahead:
            full = self.ahead > RECEIVE_AHEAD
            self.ahead -= len(message.get("bytes") or message.get("text", "").encode()) + MESSAGE_WEIGHT
            if full and self.ahead <= RECEIVE_AHEAD:
                self.transport.resumeProducing()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """As Daphne's, with the reason."""
        self.drain.resumeProducing()
        self.server.protocol_disconnected(self)
        if not self.muted and hasattr(self, "application_queue"):
            self.application_queue.put_nowait(
                {"type": "websocket.disconnect", "code": code or NO_CODE[0], "reason": (wasClean and reason) or ""}
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
            case "websocket.send" if self.state in (self.STATE_CLOSING, self.STATE_CLOSED):
                raise ConnectionResetError("The other side is gone.")  # as ASGI says since 2.4
            case "websocket.send" if self.state == self.STATE_OPEN:
                if (text := message.get("text")) is not None:
                    self.sendMessage(text.encode(), False)
                elif (data := message.get("bytes")) is not None:
                    self.sendMessage(bytes(data), True)
            case "websocket.close" if self.state != self.STATE_CONNECTING:
                self.hang_up(message.get("code") or 1000, message.get("reason") or "")
            case _:
                super().handle_reply(message)

    def hang_up(self, code: int, reason: str) -> None:
        """Close with any code, also those autobahn keeps for itself: what came from upstream travels on."""
        if code in NO_CODE:
            self.sendCloseFrame()
        else:
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode()[:123].decode(errors="ignore").encode())

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


class CompleteServer(Server):
    """Daphne that starts what the console needs before it listens, and closes everything before it goes."""

    def __init__(
        self,
        application: Callable[..., Any],
        *,
        host: str,
        port: int,
        startup: Callable[[], Awaitable[None]],
        shutdown: Callable[[], Awaitable[None]],
        ready: Callable[[int], None],
    ) -> None:
        self.startup, self.shutdown, self.ready = startup, shutdown, ready
        self.failure = ""
        """Why listening failed, in the system's words; ``""`` when it did not."""
        super().__init__(
            application,
            endpoints=[f"tcp:{port}:interface={host.replace(':', chr(92) + ':')}"],
            ping_interval=PING_EVERY,
            websocket_handshake_timeout=HANDSHAKE_WITHIN,
            websocket_max_message_size=MESSAGE_LIMIT,
            websocket_max_frame_size=MESSAGE_LIMIT,
            ready_callable=self.listening,
            server_name="realtime-console",
            verbosity=0,
        )

    def run(self) -> None:
        """Start, serve until a signal comes, stop. Raises OSError when the port cannot be had."""
        loop = reactor._asyncioEventloop
        asyncio.set_event_loop(loop)
        loop.run_until_complete(self.startup())
        super().run()
        if self.failure:
            loop.run_until_complete(self.stop_everything())
            raise OSError(self.failure)

    def listening(self) -> None:
        """Called by ``run`` when everything is made and the loop is not yet running; tells the port."""
        self.ws_factory.protocol = CompleteProtocol
        # Not before the loop runs: only then are signals heard, and who reads "ready" may send one at once.
        reactor.callWhenRunning(reactor.callLater, 0, self.ready, self.listening_addresses[0][1])

    def listen_error(self, failure: Any) -> None:
        """Keep why, for ``run`` to raise."""
        self.failure = failure.getErrorMessage()
        self.stop()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """As Daphne's; a WebSocket's ``receive`` reads on when it has caught up, and says what it can do."""
        if scope["type"] != "websocket":
            return super().create_application(protocol, scope)
        scope["asgi"] = {"version": "3.0", "spec_version": "2.4"}
        scope["extensions"] = {"websocket.http.response": {}}
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def receive() -> dict[str, Any]:
            message = await queue.get()
            protocol.taken(message)
            return message

        async def send(message: dict[str, Any]) -> None:
            await self.handle_reply(protocol, message)
            await protocol.drain.wait()

        self.connections[protocol]["application_instance"] = asyncio.ensure_future(
            self.application(scope=scope, receive=receive, send=send)
        )
        return queue

    def kill_all_applications(self) -> Any:
        """Called by the reactor before it stops."""
        return defer.Deferred.fromFuture(asyncio.ensure_future(self.stop_everything()))

    async def stop_everything(self) -> None:
        """Listen no longer, close sessions and write, let sockets say goodbye, then end what is left."""
        for listener in self.listeners:
            listener.addCallbacks(lambda port: port.stopListening(), lambda _: None)
        try:
            async with asyncio.timeout(STOP_WITHIN):
                await self.shutdown()
        except TimeoutError:
            log.error("Stopping took longer than %.0f s: the end of a recording may be missing.", STOP_WITHIN)
        for protocol in list(self.connections):
            if isinstance(protocol, CompleteProtocol) and protocol.state == protocol.STATE_OPEN:
                protocol.hang_up(GOING, "The console is stopping.")
        running = [
            details["application_instance"]
            for details in self.connections.values()
            if "application_instance" in details and not details["application_instance"].done()
        ]
        if running:
            _, late = await asyncio.wait(running, timeout=LEAVE_WITHIN)
            for application in late:
                application.cancel()
            await asyncio.gather(*late, return_exceptions=True)

