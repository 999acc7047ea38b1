"""A small application under the console's server, for test_sockets.py: it echoes, refuses, floods and sleeps as asked."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from console.server import CompleteServer  # first: it chooses the reactor
from console.tls import local

MEGABYTE = 1_000_000
FRAME = "x" * 6_600
"""As long as an event with 250 ms of sound."""
awake = asyncio.Event()
flooded = 0


def say(line: str) -> None:
    """One line for the test."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """One WebSocket."""
    await receive()
    if scope["path"] == "/deny":
        headers = [(b"content-type", b"application/json")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b'{"error": ', "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b'"key"}'})
        return
    await send(
        {
            "type": "websocket.accept",
            "subprotocol": next(iter(scope["subprotocols"]), None),
            "headers": [(b"x-console-session", b"abc")],
        }
    )
    while (message := await receive())["type"] == "websocket.receive":
        try:
            await answer(message, scope, send)
        except OSError:
            say("could not send")
    say(f"{message['code']} {message['reason']}")


def memory() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def answer(message: dict[str, Any], scope: dict[str, Any], send: Any) -> None:
    """Do what a message asks for; anything unknown comes back as it is."""
    global flooded
    match (message.get("text") or "")[:100].split(" "):
        case ["close", code, reason]:
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
        case ["flood", megabytes]:
            for _ in range(int(megabytes)):
                await send({"type": "websocket.send", "bytes": bytes(MEGABYTE)})
                flooded += 1
        case ["pour"]:
            while True:
                await send({"type": "websocket.send", "text": FRAME})
                flooded += 1
        case ["scheme"]:
            await send({"type": "websocket.send", "text": scope["scheme"]})
        case ["memory"]:
            await send({"type": "websocket.send", "text": str(memory())})
        case ["flooded"]:
            await send({"type": "websocket.send", "text": str(flooded)})
        case ["sleep"]:
            await awake.wait()
        case ["wake"]:
            awake.set()
        case _:
            await send({**message, "type": "websocket.send"})


async def nothing() -> None:
    """There is nothing to start."""


async def shut_down() -> None:
    """Tell the test that the hook was called."""
    say("shut down")


if __name__ == "__main__":
    certificates = os.environ.get("STAGE_TLS")
    server = CompleteServer(
        application,
        host="127.0.0.1",
        port=0,
        startup=nothing,
        shutdown=shut_down,
        ready=lambda port: say(f"{port} {server.tls_port}"),
        tls=local(Path(certificates), []).options() if certificates else None,
    )
    server.run()
