"""The wire: every message is taken whole, with its time of arrival, however the bytes arrive."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close, Frame, Opcode

from realtime.wire import MOST_WAITING, Wire

GOODBYE = Frame(Opcode.CLOSE, Close(1000, "enough").serialize()).serialize(mask=False)


async def heard(pieces: list[bytes], **options: Any) -> tuple[list[str | bytes], Wire]:
    """What a client hears of a server that says these bytes after its handshake, which comes with the first of them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        key = next(line for line in asked.splitlines() if line.startswith("sec-websocket-key")).split(": ")[1]
        given = next(line for line in keys if line.lower() == key)
        accept = base64.b64encode(hashlib.sha1(f"{given}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
        hello = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"{hello}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode() + pieces[0])
        for piece in pieces[1:]:
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(piece)
        writer.write_eof()
        await reader.read()
        writer.close()

    keys: list[str] = []

    class Known(Wire):
        def __init__(self, protocol: Any, *args: Any, **more: Any) -> None:
            super().__init__(protocol, *args, **more)
            keys.append(protocol.key)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    messages: list[str | bytes] = []
    async with server, connect(f"ws://127.0.0.1:{port}/", create_connection=Known, compression=None, **options) as client:
        try:
            async for message in client:
                messages.append(message)
        except ConnectionClosedError:
            pass  # what the caller asks of the connection tells how it ended
    assert isinstance(client, Wire)
    return messages, client


def said(chance: random.Random, messages: list[str | bytes]) -> bytes:
    """These messages on the wire: whole or in fragments, with pings before, between and within them."""
    out = []
    for message in messages:
        data, opcode = (message.encode(), Opcode.TEXT) if isinstance(message, str) else (message, Opcode.BINARY)
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 0, 0, 1, 3))))
        parts = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        for number, part in enumerate(parts):
            if chance.random() < 0.2:
                out.append(Frame(Opcode.PING, b"there?").serialize(mask=False))
            kind = opcode if number == 0 else Opcode.CONT
            out.append(Frame(kind, part, number == len(parts) - 1).serialize(mask=False))
    return b"".join([*out, GOODBYE])


@pytest.mark.parametrize("seed", range(20))
async def test_every_message_is_heard(seed: int) -> None:
    """Short, empty, large, fragmented, with pings between; cut anywhere on the way: the same messages, in their order."""
    chance = random.Random(seed)  # noqa: S311
    sizes = [chance.choice((0, 1, 125, 126, 6_600, 0xFFFF, 0x10000, 200_000)) for _ in range(chance.randrange(1, 30))]
    messages: list[str | bytes] = ["ä" * (size // 2) if chance.random() < 0.7 else bytes(size) for size in sizes]
    data = said(chance, messages)
    cuts = sorted(chance.randrange(len(data)) for _ in range(chance.choice((0, 5, 60))))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    got, client = await heard(pieces, max_size=None)
    assert got == messages
    assert (client.close_code, client.close_reason, len(client.inbox)) == (1000, "enough", 0)


async def test_reading_pauses_while_messages_wait() -> None:
    """A reader that is behind makes the connection stop reading; nothing is lost when it goes on."""

    async def serve(socket: ServerConnection) -> None:
        for number in range(2_000):
            await socket.send(f"{number} " + "x" * 10_000)

    async with serve_websocket(serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/", create_connection=Wire, compression=None) as client:
            assert isinstance(client, Wire)
            async with asyncio.timeout(30):
                while client.transport.is_reading():
                    await asyncio.sleep(0.01)
            waiting = len(client.inbox)
            assert MOST_WAITING < waiting < 2_000
            assert [int(str(await client.recv()).split()[0]) for _ in range(2_000)] == list(range(2_000))


async def test_what_is_said_after_the_goodbye_is_not_heard() -> None:
    """A message behind the close frame is none."""
    late = Frame(Opcode.TEXT, b"too late").serialize(mask=False)
    assert (await heard([Frame(Opcode.TEXT, b"a").serialize(mask=False) + GOODBYE + late]))[0] == ["a"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (Frame(Opcode.TEXT, b"masked").serialize(mask=True), 1002),
        (b"\xc1\x01a", 1002),  # a bit of an extension nobody agreed on
        (b"\x80\x01a", 1002),  # goes on with what was never begun
        (b"\x01\x01a\x81\x01b", 1002),  # begins anew in the middle
        (b"\x81\x7f" + (40_000_000).to_bytes(8, "big"), 1009),
    ],
    ids=["masked", "reserved bit", "continuation of nothing", "begins in the middle", "too large"],
)
async def test_violations_are_refused(wrong: bytes, code: int) -> None:
    """What the protocol forbids is refused with its own code, after what came before it was heard."""
    before = Frame(Opcode.TEXT, b"before").serialize(mask=False)
    messages, client = await heard([before + wrong], max_size=32 * 1024 * 1024)
    assert messages == ["before"]
    assert client.protocol.close_sent is not None
    assert client.protocol.close_sent.code == code
