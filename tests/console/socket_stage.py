"""A small application under the console's server, for test_sockets.py: it echoes, refuses, floods and sleeps as asked."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from console.server import CompleteServer

MEGABYTE = 1_000_000
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
        await answer(message, send)
    say(f"{message['code']} {message['reason']}")


async def answer(message: dict[str, Any], send: Any) -> None:
    """Do what a message asks for; anything unknown comes back as it is."""
    global flooded
    match (message.get("text") or "")[:100].split(" "):
        case ["close", code, reason]:
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
        case ["flood", megabytes]:
            for _ in range(int(megabytes)):
                await send({"type": "websocket.send", "bytes": bytes(MEGABYTE)})
                flooded += 1
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
    CompleteServer(
        application,
        host="127.0.0.1",
        port=int(os.environ.get("STAGE_PORT", "0")),
        startup=nothing,
        shutdown=shut_down,
        ready=lambda port: say(str(port)),
    ).run()
