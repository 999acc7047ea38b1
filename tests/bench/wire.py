"""One end of a WebSocket, as little of it as a load needs: whole text frames, numbered, with no look at their content."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from struct import Struct
from urllib.parse import urlsplit

from websockets.frames import apply_mask

NUMBER = re.compile(rb'^.{20,80}?"event_\w(\d{10})"')
"""A frame's own number, near its beginning."""
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
HEAD_16, HEAD_64 = Struct("!BBH"), Struct("!BBQ")
NO_MASK = bytes(4)
"""A mask that changes nothing: the relay unmasks all the same, and the load need not mask."""
WRITE_LIMIT = 256 * 1024


def framed(payload: bytes, masked: bool, opcode: int = TEXT) -> bytes:
    """A whole message as it goes on the wire."""
    bit, mask = (0x80, NO_MASK) if masked else (0, b"")
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, bit | size))
    elif size <= 0xFFFF:
        head = HEAD_16.pack(0x80 | opcode, bit | 126, size)
    else:
        head = HEAD_64.pack(0x80 | opcode, bit | 127, size)
    return head + mask + payload


class Wire(asyncio.Protocol):
    """A WebSocket after and during its handshake.

    ``on_number(number, size)`` is called for every numbered frame, ``on_text`` for every text where somebody wants it,
    ``on_open`` once; ``closed`` is set at the end.
    """

    def __init__(self, client: bool) -> None:
        self.client = client
        self.on_number: Callable[[int, int], None] = lambda number, size: None
        self.on_text: Callable[[bytes], None] | None = None
        self.on_open: Callable[[Wire], None] = lambda wire: None
        self.opened, self.closed, self.room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.room.set()
        self.handshake = ""
        """What the other side said before the first frame."""
        self.frames = 0
        self.close_code: int | None = None
        self.waits = False
        """Whether this end has stopped reading."""
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; no word has been said yet."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(WRITE_LIMIT)

    def pause_writing(self) -> None:
        """The other side reads more slowly than this one writes."""
        self.room.clear()

    def resume_writing(self) -> None:
        """There is room again."""
        self.room.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Over."""
        for event in (self.closed, self.room, self.opened):
            event.set()

    def stop_reading(self) -> None:
        """Take nothing more from the other side."""
        self.waits = True
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Take what has come apart into frames."""
        data = self._rest + data if self._rest else data
        if not self.handshake:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                self._rest = data
                return
            self.handshake, data = data[:end].decode("latin-1"), data[end:]
            self.on_open(self)
            self.opened.set()
        at, length = 0, len(data)
        while (found := self._frame(data, at, length)) >= 0:
            at = found
        self._rest = data[at:]

    def _frame(self, data: bytes, at: int, length: int) -> int:
        """Take one frame; where the next one begins, or -1 when it is not all there."""
        if length < at + 2:
            return -1
        size, start, masked = data[at + 1] & 0x7F, at + 2, data[at + 1] & 0x80
        if size >= 126:
            form, wide = (HEAD_16, 2) if size == 126 else (HEAD_64, 8)
            if length < start + wide:
                return -1
            size, start = form.unpack_from(data, at)[2], start + wide
        mask = data[start : start + 4] if masked else NO_MASK
        start += 4 if masked else 0
        if length < (end := start + size):
            return -1
        opcode = data[at] & 0x0F
        if opcode == TEXT:
            self.frames += 1
            head = data[start : start + 112]
            if self.on_text is not None:
                self.on_text(data[start:end])
            if number := NUMBER.match(apply_mask(head, mask) if masked else head):
                self.on_number(int(number[1]), size)
        elif opcode == PING:
            payload = apply_mask(data[start:end], mask) if masked else data[start:end]
            self.transport.write(framed(payload, self.client, PONG))
        elif opcode == CLOSE:
            payload = apply_mask(data[start:end], mask) if masked else data[start:end]
            self.close_code = int.from_bytes(payload[:2], "big") if payload else None
            if not self.transport.is_closing():
                self.transport.write(framed(payload, self.client, CLOSE))
                self.transport.close()
        return end

    async def say_goodbye(self) -> None:
        """Close in an orderly way and wait for the end."""
        self.transport.write(framed((1000).to_bytes(2, "big"), self.client, CLOSE))
        async with asyncio.timeout(20):
            await self.closed.wait()


async def connect(url: str, headers: dict[str, str]) -> Wire:
    """Open a WebSocket. Raises ConnectionError when it is refused."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    _, wire = await asyncio.get_running_loop().create_connection(lambda: Wire(client=True), parts.hostname, parts.port)
    lines = [f"GET {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", "Connection: Upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
    lines += [f"{name}: {value}" for name, value in headers.items()]
    wire.transport.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(30):
        await wire.opened.wait()
    if " 101 " not in wire.handshake[:20]:
        raise ConnectionError(wire.handshake)
    return wire
