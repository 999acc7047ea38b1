"""Daphne, completed: an orderly start and end, https beside http, and the WebSockets of ``console.sockets``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from daphne.server import Server  # first: it installs the reactor the imports below use

from autobahn.websocket import USES_NVX  # isort: skip
from twisted.internet import defer, reactor  # isort: skip
from twisted.internet.endpoints import SSL4ServerEndpoint  # isort: skip
from twisted.internet.interfaces import ISSLTransport  # isort: skip

from console.http_protocol import StreamingChannel
from console.origin import listening
from console.sockets import CLOSE_WITHIN, CompleteProtocol
from realtime.mailbox import Mailbox

if TYPE_CHECKING:
    from twisted.internet.ssl import CertificateOptions

log = logging.getLogger(__name__)

MESSAGE_LIMIT = 32 * 1024 * 1024
"""Bytes; the API takes appends of 15 MiB of sound, 20 MiB of JSON. Daphne drops what is above 1 MiB without a word."""
PING_EVERY = 20
"""Seconds, as the API itself pings."""
HANDSHAKE_WITHIN = 30
"""Seconds until a socket is accepted or refused; a relay dials its upstream first, which may take ten."""
STOP_WITHIN = 5.0
"""Seconds for closing sessions and writing what is left, after which the process ends all the same."""
LEAVE_WITHIN = 1.0
"""Seconds for sockets to say goodbye before they are cut."""
FOREVER = -1
"""No limit to how long a socket may stay; Daphne ends it after a day."""
GOING = 1012
"""Close code "service restart": what pages reconnect after by themselves (RFC 6455 registry)."""


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
        tls: CertificateOptions | None = None,
        tls_port: int = 0,
        **options: Any,
    ) -> None:
        self.startup, self.shutdown, self.ready = startup, shutdown, ready
        self.host, self.tls, self.tls_port = host, tls, tls_port
        listening.host = host
        self.failure = ""
        """Why listening failed, in the system's words; ``""`` when it did not."""
        super().__init__(
            application,
            **options,
            endpoints=[f"tcp:{port}:interface={host.replace(':', chr(92) + ':')}"],
            ping_interval=PING_EVERY,
            websocket_timeout=FOREVER,
            websocket_connect_timeout=HANDSHAKE_WITHIN,
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
        """Called by ``run`` when everything is made and the loop is not yet running; tells the port of plain http."""
        self.ws_factory.protocol = CompleteProtocol
        self.http_factory.protocol = StreamingChannel
        self.http_factory.acceptableProtocols = lambda: [b"http/1.1"]  # whatever is installed: HTTP/2 would go past it
        if not USES_NVX:
            log.debug("autobahn works without its native code: fragments and pieces of messages are slower")
        # A violation is answered with its close code (1007, 1009 …), a close with the code it came with (RFC 6455 5.5.1),
        # and whether a page without an origin comes in is for the doors to say: autobahn's own ways are others.
        self.ws_factory.setProtocolOptions(
            closeHandshakeTimeout=CLOSE_WITHIN, failByDrop=False, echoCloseCodeReason=True, allowNullOrigin=True
        )
        # Not before the loop runs: only then are signals heard, and who reads "ready" may send one at once.
        reactor.callWhenRunning(reactor.callLater, 0, self.ready, self.listening_addresses[0][1])

    def listen_success(self, port: Any) -> None:
        """Once the plain port is had, the one for https; ``tls_port`` is then its number.

        Not among Daphne's endpoints: their descriptions in words cannot hold a chain of certificates.
        """
        super().listen_success(port)
        if self.tls is None:
            return
        if len(self.listening_addresses) > 1:
            self.tls_port = self.listening_addresses[1][1]
            return
        listener = SSL4ServerEndpoint(reactor, self.tls_port, self.tls, interface=self.host).listen(self.http_factory)
        self.listeners.append(listener.addCallbacks(self.listen_success, self.listen_error))

    def listen_error(self, failure: Any) -> None:
        """Keep why, for ``run`` to raise."""
        self.failure = failure.getErrorMessage()
        self.stop()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """As Daphne's, with flow control; a WebSocket's scope says what this server can do beside Daphne."""
        if scope["type"] == "http":
            return self.create_http_application(protocol, scope)
        scope["asgi"] = {"version": "3.0", "spec_version": "2.4"}
        scope["extensions"] = {"websocket.http.response": {}, "console.drop": {}}
        scope["scheme"] = "wss" if ISSLTransport.providedBy(protocol.transport) else "ws"
        queue: Mailbox[dict[str, Any]] = Mailbox()

        async def receive() -> dict[str, Any]:
            message = await queue.get()
            protocol.taken(message)
            return message

        async def send(message: dict[str, Any]) -> None:
            if message["type"] != "websocket.send" or protocol.state == protocol.STATE_CONNECTING:
                await self.handle_reply(protocol, message)
            elif protocol.state == protocol.STATE_OPEN:
                protocol.say(message)
            else:
                raise ConnectionResetError("The other side is gone.")  # as ASGI says since 2.4
            if protocol.drain.full:
                await protocol.drain.wait()

        self.connections[protocol]["application_instance"] = asyncio.ensure_future(
            self.application(scope=scope, receive=receive, send=send)
        )
        return queue

    def create_http_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Start a request's application; it receives the body as it arrives, and waits while the client does not read."""
        scope["asgi"] = {"version": "3.0"}
        body = protocol.open_body()

        async def send(message: dict[str, Any]) -> None:
            await self.handle_reply(protocol, message)
            if protocol.drain.full:
                await protocol.drain.wait()

        self.connections[protocol]["application_instance"] = asyncio.ensure_future(
            self.application(scope=scope, receive=body.receive, send=send)
        )
        return body

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

