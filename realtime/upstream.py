"""Providers and the connection to them: the only module with client sockets."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from socket import gaierror
from typing import Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from realtime.errors import HandshakeRefused, NotConnected, UnknownProvider, Unreachable

MESSAGE_LIMIT = 32 * 1024 * 1024
"""Bytes; the API takes appends of 15 MiB of audio (20 MiB of JSON) and returns whole audio items."""
OPEN_TIMEOUT = 20.0
"""Seconds for DNS, TCP, TLS and the handshake together. OpenAI answers within about 6 s even when it refuses."""
PING_INTERVAL = 20.0
"""Seconds, as the API itself pings."""
SECRET = re.compile(r"\b(sk|ek)[-_][A-Za-z0-9_\-]{4,}")
"""What a key looks like in the other side's sentences."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A named upstream: address, key, dialect."""

    name: str
    url: str
    """WebSocket address without the model."""
    key: str = field(default="", repr=False)
    """Sent as a bearer token; never shown."""
    dialect: str = "ga"
    needs_key: bool = False
    models: tuple[str, ...] = ()
    """Model names to offer; any other may be typed."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def address(self, model: str) -> str:
        """The URL to dial for a model; query parameters that stand in ``url`` stay."""
        parts = urlsplit(self.url)
        query = [(k, v) for k, v in parse_qsl(parts.query) if k != "model"]
        if model:
            query.append(("model", model))
        return urlunsplit(parts._replace(query=urlencode(query)))


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

    async def send(self, raw: str) -> None:
        """Send one frame. Raises NotConnected when the connection is over."""

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Frames as they come, until the connection is over."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close and wait for the answer; safe to call twice."""


class WebSocketUpstream:
    """A connection to a provider."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.close_code: int | None = None
        """Set when the connection is over: the code the other side gave, None when it just vanished."""
        self.close_reason = ""
        self.closed_by = "server"

    async def send(self, raw: str) -> None:
        """Send one text frame."""
        try:
            await self.socket.send(raw)
        except ConnectionClosed:
            raise NotConnected("The connection to the API is closed; nothing was sent.") from None

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Frames as they come; ends with the connection, then ``close_code`` and ``close_reason`` are set."""
        try:
            async for message in self.socket:
                yield message
        except ConnectionClosed:
            pass  # how it ended is read below, alike for clean and broken ends
        finally:
            self._note_close()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; waits for the answer at most websockets' own close timeout."""
        self.closed_by = "console"
        await self.socket.close(code, reason)
        self._note_close()

    def _note_close(self) -> None:
        received = self.socket.protocol.close_rcvd
        if received is not None:
            self.close_code, self.close_reason = received.code, received.reason
        elif self.closed_by == "console" and (sent := self.socket.protocol.close_sent) is not None:
            self.close_code, self.close_reason = sent.code, sent.reason


async def dial(provider: Provider, model: str, key: str = "") -> WebSocketUpstream:
    """Connect to a provider, with its own key or the one given.

    Raises Unreachable when nobody answers, HandshakeRefused when an HTTP error comes back; both speak for people and
    hold no key. A wrong key or model is *not* refused here by OpenAI: it accepts, sends an error event and closes
    (guide "Realtime API with WebSocket"; protocol 1.5).
    """
    url = provider.address(model)
    headers = dict(provider.headers)
    if bearer := key or provider.key:
        headers["Authorization"] = f"Bearer {bearer}"
    try:
        socket = await connect(
            url,
            additional_headers=headers,
            max_size=MESSAGE_LIMIT,
            compression=None,  # speech does not compress; deflate costs about 100 µs a delta
            open_timeout=OPEN_TIMEOUT,
            ping_interval=PING_INTERVAL,
            ssl=_tls() if url.startswith("wss:") else None,
            user_agent_header="realtime-console",
        )
    except InvalidStatus as error:
        body = bytes(error.response.body or b"").decode("utf-8", "replace")
        raise HandshakeRefused(_shown(url), error.response.status_code, SECRET.sub(r"\1-•••", body)) from None
    except InvalidURI:
        raise Unreachable(_shown(url), "this is not a WebSocket address (ws:// or wss://)") from None
    except TimeoutError:
        raise Unreachable(_shown(url), f"no answer within {OPEN_TIMEOUT:.0f} s") from None
    except (OSError, InvalidHandshake, asyncio.IncompleteReadError) as error:
        raise Unreachable(_shown(url), _plain(error)) from None
    return WebSocketUpstream(socket)


@cache
def _tls() -> ssl.SSLContext:
    """One context for all connections: a new one costs 15 ms and 0.8 MB."""
    return ssl.create_default_context()


def _shown(url: str) -> str:
    """The address as a person may see it: without the query, which can hold keys."""
    return urlunsplit(urlsplit(url)._replace(query="", netloc=urlsplit(url).netloc.rpartition("@")[2]))


def _plain(error: BaseException) -> str:
    """The reason of a failed connection in words."""
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "the connection was refused; is a server running there?"
    if isinstance(error, gaierror):
        return "nobody knows a machine of that name"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
