"""A small application under the console's server, for test_http_protocol.py: it counts a body, stalls, or answers early."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from console import http_protocol
from console.server import CompleteServer  # first: it chooses the reactor
from console.tls import local

awake = asyncio.Event()
LARGE = b"x" * 1_000_000


def say(line: str) -> None:
    """One line for the test."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def answer(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """A whole response."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """One request."""
    path = scope["path"]
    if path == "/refuse":
        await answer(send, 403, b"no")
        return
    if path == "/wake":
        awake.set()
        await answer(send, 200, b"awake")
        return
    if path == "/flood":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(200):
            await send({"type": "http.response.body", "body": LARGE, "more_body": number < 199})
        return
    if path == "/stall":
        await asyncio.wait_for(awake.wait(), 60)
    size, messages = 0, 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            say(f"gone after {size}")
            return
        size += len(message["body"])
        messages += 1
        if path == "/told" and messages == 1:
            say(f"first {size}")
        if not message["more_body"]:
            break
    await answer(send, 200, f"{scope['method']} {size}".encode())


async def nothing() -> None:
    """Neither starting nor stopping takes anything here."""


def ready(port: int) -> None:
    """Say where."""
    say(f"{port} {server.tls_port}")


for name in ("HEADERS_WITHIN", "IDLE_WITHIN", "BODY_IDLE_WITHIN", "LINGER"):
    if name in os.environ:
        setattr(http_protocol, name, float(os.environ[name]))
folder = os.environ.get("STAGE_TLS")
server = CompleteServer(
    application, host="127.0.0.1", port=0, startup=nothing, shutdown=nothing, ready=ready,
    tls=local(Path(folder), ["127.0.0.1"]).options() if folder else None, tls_port=0,
)  # fmt: skip
server.run()
