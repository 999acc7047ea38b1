"""A tap on a WebSocket's TCP connection: every byte both ways, and the messages they make."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.streams import StreamReader

Message = str | bytes
HEAD_END = b"\r\n\r\n"


@dataclass
class Wire:
    """One connection through the tap."""

    up: bytearray = field(default_factory=bytearray)
    """What the client said."""
    down: bytearray = field(default_factory=bytearray)
    """What the server said."""

    @property
    def sent(self) -> list[Message]:
        """The client's messages."""
        return list(messages(self.up, masked=True))

    @property
    def received(self) -> list[Message]:
        """The server's messages."""
        return list(messages(self.down, masked=False))

    def header(self, name: str) -> str:
        """A header of the server's answer to the handshake, ``""`` without one."""
        for line in self.down.partition(HEAD_END)[0].decode("latin-1").splitlines()[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name:
                return value.strip()
        return ""


def frames(data: bytes | bytearray, *, masked: bool) -> Iterator[Frame]:
    """The frames in one direction of a WebSocket connection, handshake included, as far as they came whole."""
    reader = StreamReader()
    reader.feed_data(bytes(data.partition(HEAD_END)[2]))
    reader.feed_eof()
    while True:
        try:
            next(Frame.parse(reader.read_exact, mask=masked))
        except StopIteration as parsed:
            yield parsed.value
        except EOFError:
            return


def messages(data: bytes | bytearray, *, masked: bool) -> Iterator[Message]:
    """The messages they make."""
    parts: list[Frame] = []
    for frame in frames(data, masked=masked):
        if frame.opcode not in DATA_OPCODES:
            continue
        parts.append(frame)
        if frame.fin:
            whole = b"".join(bytes(part.data) for part in parts)
            yield whole.decode() if parts[0].opcode is Opcode.TEXT else whole
            parts = []


class Tap:
    """Passes TCP connections on to a port of this machine and keeps what they carry."""

    def __init__(self, target: int, listener: socket.socket | None = None) -> None:
        """``listener``: where connections come in; without one at a free port."""
        self.target = target
        self.wires: list[Wire] = []
        self._listener = listener
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Tap:
        if self._listener is None:
            self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        else:
            self._server = await asyncio.start_server(self._pass, sock=self._listener)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        wire = Wire()
        self.wires.append(wire)
        try:
            await asyncio.gather(_copy(reader, back, wire.up), _copy(there, writer, wire.down))
        finally:
            back.close()
            writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, kept: bytearray) -> None:
    """One direction to its end; a line that breaks ends it, too."""
    try:
        while data := await source.read(65536):
            kept += data
            target.write(data)
            await target.drain()
        target.write_eof()
    except OSError:
        target.transport.abort()
