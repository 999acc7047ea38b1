"""Requests and page sockets to the whole ASGI application, middleware and all; Django's test client goes past it."""

from __future__ import annotations

from typing import Any

import httpx
from channels.testing import WebsocketCommunicator

from console.asgi import application

HOST = "127.0.0.1:8000"
OWN = f"http://{HOST}"
BEYOND = "192.0.2.7"
"""A client on another machine."""


def browser(base_url: str = OWN, address: str = "127.0.0.1", **headers: Any) -> httpx.AsyncClient:
    """A client that keeps cookies and follows nothing."""
    transport = httpx.ASGITransport(app=application, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers)


def request_scope(path: str, method: str = "GET", *, scheme: str = "http", address: str = "127.0.0.1", **headers: str) -> dict[str, Any]:
    """A scope as a server makes it; underscores in headers' names are hyphens."""
    given = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    plain, _, query = path.partition("?")
    return {
        "type": "websocket" if scheme in ("ws", "wss") else "http",
        "method": method, "scheme": scheme, "path": plain, "query_string": query.encode(),
        "client": [address, 50_000], "server": ["127.0.0.1", 8000],
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
    }  # fmt: skip


def page_socket(path: str, scheme: str = "ws", **headers: str) -> WebsocketCommunicator:
    """A page's socket, not yet connected; a header that is empty is not sent."""
    given = {"host": HOST, "origin": OWN, **headers}
    communicator = WebsocketCommunicator(application, path, headers=[(n.encode(), v.encode()) for n, v in given.items() if v])
    communicator.scope["scheme"] = scheme
    return communicator
