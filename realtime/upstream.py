"""Providers and the connection to them: the only module with client sockets."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from socket import gaierror
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import connect
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidHeader,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
)
from websockets.frames import CloseCode
from websockets.protocol import CLOSED, OPEN

from realtime import masking
from realtime.errors import HandshakeRefused, NotConnected, UnknownProvider, Unreachable
from realtime.wire import Wire

MESSAGE_LIMIT = 32 * 1024 * 1024
"""Bytes; the API takes appends of 15 MiB of audio (20 MiB of JSON) and returns whole audio items."""
OPEN_TIMEOUT = 20.0
"""Seconds for DNS, TCP, TLS and the handshake together. OpenAI answers within about 6 s even when it refuses."""
PING_INTERVAL = 20.0
"""Seconds, as the API itself pings."""
CLOSE_TIMEOUT = 3.0
"""Seconds the other side has to answer a goodbye; less than a console that stops has for all of it."""
WRITE_LIMIT = 256 * 1024
"""Bytes that may wait to be sent before whoever sends has to."""
PING_TIMEOUT = 20.0
"""Seconds until a connection whose pings nobody answers counts as lost."""
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
"""A JSON Web Token, what Entra gives out: three parts in base64, the first an object (RFC 7519)."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A named upstream: address, key, dialect."""

    name: str
    url: str
    """WebSocket address without the model."""
    key: str = field(default="", repr=False)
    """Never shown; how it is sent says ``auth``."""
    dialect: str = "ga"
    needs_key: bool = False
    models: tuple[str, ...] = ()
    """Model names to offer; any other may be typed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: str = "bearer"
    """``bearer``, or ``api-key``: Azure's header for keys, beside which tokens of its directory are bearers."""
    model_parameter: str = "model"
    """What the model is called in the address; ``deployment`` in Azure's previews (protocol 8)."""

    def address(self, model: str) -> str:
        """The URL to dial for a model; query parameters in ``url`` stay, its own model too where none is given."""
        parts = urlsplit(self.url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        if model:
            query = [(k, v) for k, v in query if k != self.model_parameter] + [(self.model_parameter, model)]
        return urlunsplit(parts._replace(query=urlencode(query)))

    def headers_for(self, key: str = "") -> dict[str, str]:
        """The headers that authorise a connection or request, with the provider's own key or the one given."""
        key = key or self.key
        if not key:
            return {}
        if self.auth == "api-key" and not TOKEN.fullmatch(key):
            return {"api-key": key}
        return {"Authorization": f"Bearer {key}"}

    def secrets(self, url: str = "", key: str = "") -> set[str]:
        """All that is secret of a request to ``url``, without one to the provider's own: what no answer may repeat to others."""
        parts = urlsplit(url or self.url)
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        values = [value for name, value in parse_qsl(parts.query) if name not in masking.KEPT_PARAMETERS]
        basic = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode() if user else ""
        return {self.key, key, basic, user, unquote(user), password, unquote(password), *values, *self.headers.values()} - {""}

    @property
    def rest_url(self) -> str:
        """What the paths of its REST endpoints (``/client_secrets``, ``/calls``) are appended to: http, no query."""
        parts = urlsplit(self.url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def websocket_url(base_url: str) -> str:
    """The Realtime address that belongs to an SDK's base URL: ``https://host/v1`` → ``wss://host/v1/realtime``."""
    parts = urlsplit(base_url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/realtime", parts.query, ""))


def choose(providers: Mapping[str, Provider], name: str) -> Provider:
    """The provider of that name. Raises UnknownProvider with the names there are."""
    if name not in providers:
        raise UnknownProvider(f'There is no provider "{name}" here; configured: {", ".join(providers)}.')
    return providers[name]


class Upstream(Protocol):
    """What the runner needs of a connection; a scripted one serves tests."""

    close_code: int | None
    close_reason: str

    @property
    def arrived(self) -> float:
        """When the message that was taken last had come, in ``perf_counter`` seconds."""

    @property
    def waiting(self) -> int:
        """Messages that have come and that nobody has taken yet."""

    def send(self, raw: str) -> None:
        """Send one frame, without waiting. Raises NotConnected when the connection is over."""

    @property
    def full(self) -> bool:
        """Whether the other side reads more slowly than we send: wait for ``room`` before sending more."""

    async def room(self) -> None:
        """Wait until more may be sent, or the connection is over."""

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Frames as they come, until the connection is over."""

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close, without a code if that is None, and wait for the answer; safe to call twice."""

    async def drop(self) -> None:
        """End the connection without a word, behind what was sent."""


class WebSocketUpstream:
    """A connection to a provider."""

    def __init__(self, socket: Wire) -> None:
        self.socket = socket
        self.close_code: int | None = None
        """Set when the connection is over: the code the other side gave, None when it just vanished."""
        self.close_reason = ""
        self.closed_by = "server"

    def send(self, raw: str) -> None:
        """Send one text frame.

        Not through the socket's own ``send``, which costs five times as much and waits: a relay has to know at once
        whether there was room, for it must not read from its client while there is none.
        """
        if self.socket.protocol.state is not OPEN:
            raise NotConnected("The connection to the API is closed; nothing was sent.")
        self.socket.send_text(raw)

    @property
    def arrived(self) -> float:
        """When the message that was taken last was there (``perf_counter``)."""
        return self.socket.inbox.arrived

    @property
    def waiting(self) -> int:
        """Messages that have arrived and that nobody has taken yet."""
        return len(self.socket.inbox)

    @property
    def full(self) -> bool:
        """Whether more waits to be sent than the socket's write limit."""
        return self.socket.paused and self.socket.protocol.state is OPEN

    async def room(self) -> None:
        """Wait until the other side has read on; returns at once when the connection is lost."""
        with contextlib.suppress(ConnectionClosed, OSError):
            await self.socket.drain()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Frames as they come; ends with the connection, then ``close_code`` and ``close_reason`` are set."""
        inbox = self.socket.inbox  # and not the socket's own ``recv``, one more coroutine for every frame
        try:
            while True:
                yield await inbox.get()  # without a name, by which the last message would stay in memory
        except EOFError:
            await self.socket.wait_closed()  # how it ended is read below, alike for clean and broken ends
        except UnicodeDecodeError as error:
            with contextlib.suppress(ConnectionClosed):
                async with self.socket.send_context():
                    self.socket.protocol.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
            await self.socket.wait_closed()
        finally:
            self._note_close()

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Say goodbye; waits for the answer at most CLOSE_TIMEOUT."""
        self.closed_by = "console"
        if self.socket.protocol.state is CLOSED:
            pass  # asyncio's transport fails when told to close after it has closed with something left to write
        elif code is None:
            with contextlib.suppress(ConnectionClosed):
                async with self.socket.send_context():  # ``close`` itself knows no close frame without a code
                    self.socket.protocol.send_close()
        else:
            await self.socket.close(code, reason)
        self._note_close()

    async def drop(self) -> None:
        """End the TCP connection, no close frame before it; the other side has CLOSE_TIMEOUT to take what was sent."""
        self.socket.transport.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.socket.wait_closed()
        except TimeoutError:
            self.socket.transport.abort()

    def _note_close(self) -> None:
        received = self.socket.protocol.close_rcvd
        if received is not None:
            self.close_code, self.close_reason = received.code, received.reason
        elif self.closed_by == "console" and (sent := self.socket.protocol.close_sent) is not None:
            self.close_code, self.close_reason = sent.code, sent.reason


@dataclass(frozen=True, slots=True)
class Passing:
    """What of a client's handshake travels on to the provider."""

    path: str = ""
    """Behind the provider's own path: ``/translations``."""
    query: tuple[tuple[str, str], ...] = ()
    """Parameters beside the model; one that the provider's address has already stays as it is there."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def added_to(self, url: str) -> str:
        """A provider's address with these."""
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        known = {name for name, _ in query}
        query += [(name, value) for name, value in self.query if name not in known]
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") + self.path, query=urlencode(query)))


async def dial(provider: Provider, model: str, key: str = "", passing: Passing | None = None) -> WebSocketUpstream:
    """Connect to a provider, with its own key or the one given.

    With ``passing`` for a relay: pings go out all the same, but nobody is given up for answering them late. A client
    that stops reading makes us stop reading here, pongs included, and what ends a relayed session is its two ends.

    Raises Unreachable when nobody answers, HandshakeRefused when an HTTP error comes back; both speak for people and
    hold no key. A wrong key or model is *not* refused here by OpenAI: it accepts, sends an error event and closes
    (guide "Realtime API with WebSocket"; protocol 1.5).
    """
    url = provider.address(model)
    headers = dict(provider.headers)
    if passing is not None:
        url = passing.added_to(url)
        headers |= passing.headers
    if provider.dialect == "beta":
        headers["OpenAI-Beta"] = "realtime=v1"
    headers |= provider.headers_for(key)
    try:
        Headers(headers)
    except InvalidHeader as error:  # its words repeat the value, which may be a key
        raise Unreachable(shown(url), f"the header {error.name} holds a character that no header can") from None
    try:
        socket = await connect(
            url,
            additional_headers=headers,
            max_size=MESSAGE_LIMIT,
            compression=None,  # speech does not compress; deflate costs about 100 µs a delta
            open_timeout=OPEN_TIMEOUT,
            close_timeout=CLOSE_TIMEOUT,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_TIMEOUT if passing is None else None,
            ssl=_tls() if url.startswith("wss:") else None,
            user_agent_header=headers.pop("User-Agent", "realtime-console"),
            create_connection=Wire,
            write_limit=WRITE_LIMIT,
        )
    except InvalidStatus as error:
        body = bytes(error.response.body or b"").decode("utf-8", "replace")
        raise HandshakeRefused(shown(url), error.response.status_code, masking.conceal(body, provider.secrets(url, key))) from None
    except InvalidURI:
        raise Unreachable(shown(url), "this is not a WebSocket address (ws:// or wss://)") from None
    except TimeoutError:
        raise Unreachable(shown(url), f"no answer within {OPEN_TIMEOUT:.0f} s") from None
    except InvalidProxy:
        raise Unreachable(shown(url), "the proxy that the environment names is no proxy's address") from None
    except (OSError, InvalidHandshake, asyncio.IncompleteReadError) as error:
        raise Unreachable(shown(url), _plain(error)) from None
    except ValueError as error:  # its words may repeat a secret
        raise Unreachable(shown(url), f"the handshake cannot be written ({type(error).__name__})") from None
    assert isinstance(socket, Wire)
    return WebSocketUpstream(socket)


@cache
def _tls() -> ssl.SSLContext:
    """One context for all connections: a new one costs 15 ms and 0.8 MB."""
    return ssl.create_default_context()


def shown(url: str) -> str:
    """The address as those who run the console may see it: without user, password and query, which can hold keys."""
    return urlunsplit(urlsplit(url)._replace(query="", netloc=urlsplit(url).netloc.rpartition("@")[2]))


def _plain(error: BaseException) -> str:
    """The reason of a failed connection in words."""
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "the connection was refused; is a server running there?"
    if isinstance(error, gaierror):
        return "nobody knows a machine of that name"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
