"""A client's WebSocket whose usual messages are framed by hand, both ways: all else is left to `websockets`."""

from __future__ import annotations

from os import urandom
from struct import Struct
from time import perf_counter
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

from realtime.mailbox import Mailbox

try:
    from websockets.speedups import apply_mask
except ImportError:  # its C is not built for this platform
    from websockets.utils import apply_mask

WHOLE = {0x81: True, 0x82: False}
"""Whether it is text, by the first bytes of messages that are one frame, without extensions (RFC 6455 5.2)."""
FIN, OPCODE, MASKED = 0x80, 0x0F, 0x80
END_OF_HEADERS = b"\r\n\r\n"
LENGTH_16, LENGTH_64 = Struct("!H"), Struct("!Q")
HEAD_16, HEAD_64 = Struct("!BBH"), Struct("!BBQ")
LARGE = 64 * 1024
"""Bytes from which a frame is read by `websockets`, which gathers it without copying what has come again and again."""
MASK = 4
"""Bytes of a mask."""
MASKS_AT_ONCE = 1024
MOST_WAITING, FEW_WAITING = 16, 4
"""Messages nobody has taken at which reading stops, and at which it goes on; as ``websockets`` has it."""


class Masks:
    """Masks nobody can foresee (RFC 6455 5.3), fetched from the system many at a time.

    One by one they cost a system call each, in which another thread takes the interpreter: 40 µs while one records.
    """

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def next(self) -> bytes:
        """A fresh one."""
        if self._at >= len(self._bytes):
            self._bytes, self._at = urandom(MASK * MASKS_AT_ONCE), 0
        at = self._at
        self._at = at + MASK
        return self._bytes[at : at + MASK]


_masks = Masks()
"""Those of all connections: what is fetched for each would be 4 KiB of each."""


def text_frame(payload: bytes, mask: bytes) -> bytes:
    """A whole text message from client to server, the length in its shortest form."""
    length = len(payload)
    if length < 126:
        head = bytes((0x81, MASKED | length))
    elif length <= 0xFFFF:
        head = HEAD_16.pack(0x81, MASKED | 126, length)
    else:
        head = HEAD_64.pack(0x81, MASKED | 127, length)
    return head + mask + apply_mask(payload, mask)


def bounds(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the frame at ``at`` begins and ends, with its mask if it has one; None without its whole head."""
    if len(data) < at + 2:
        return None
    length, start = data[at + 1] & ~MASKED, at + 2
    if length >= 126:
        form = LENGTH_16 if length == 126 else LENGTH_64
        if len(data) < start + form.size:
            return None
        (length,) = form.unpack_from(data, start)
        start += form.size
    return start, start + length + (MASK if data[at + 1] & MASKED else 0)


class Inbox(Mailbox[tuple[float, bool, bytes]]):
    """A connection's messages, with what ``websockets`` asks of its own Assembler; each with when it was there."""

    def __init__(self, transport: Any) -> None:
        super().__init__()
        self.arrived = 0.0
        """When the message that was taken last was there (``perf_counter``)."""
        self._transport = transport
        self._paused = False
        self._pieces: list[Frame] = []

    def put(self, frame: Frame) -> None:
        """Take a frame that was read by ``websockets``: a message, or a piece of one."""
        self._pieces.append(frame)
        if frame.fin:
            pieces, self._pieces = self._pieces, []
            self.whole(pieces[0].opcode is Opcode.TEXT, b"".join(piece.data for piece in pieces))

    def whole(self, text: bool, data: bytes) -> None:
        """Take a message."""
        self.put_nowait((perf_counter(), text, data))
        if len(self) > MOST_WAITING and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    async def get(self, decode: bool | None = None) -> Any:
        """The next message; text unless ``decode`` says otherwise. Raises EOFError at the end, UnicodeDecodeError."""
        while not self._messages:  # as the mailbox's own, which would be one more coroutine for every frame
            await self._news()
        self.arrived, text, data = self._messages.popleft()
        if self._paused and len(self) <= FEW_WAITING:
            self._paused = False
            self._transport.resume_reading()
        return data.decode() if (text if decode is None else decode) else data


class Wire(ClientConnection):
    """A connection that notes when each of its messages was there, before anybody took it.

    Whole messages below 64 KiB are put into the connection's inbox; everything else, and everything once the
    connection is closing, is handed to its parser, which so always stands between two frames or inside one that is its.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._rest = b""
        """What has come of a frame that is to be read by hand, or of the handshake."""
        self._greeted = False
        """Whether the answer to the handshake has come, as far as its headers."""
        self._owed = 0
        """Bytes to come of a frame that is the parser's."""
        self._fragmented = False

    def send_text(self, text: str) -> None:
        """Send a message at once; the caller has seen that the connection is open."""
        self.transport.write(text_frame(text.encode(), _masks.next()))

    def connection_made(self, transport: Any) -> None:
        """Messages go into an inbox of our own."""
        super().connection_made(transport)
        self.inbox = Inbox(transport)
        self.recv_messages = self.inbox  # type: ignore[assignment]  # put, get and close are all that is asked of it

    def data_received(self, data: bytes) -> None:
        """Take apart what has come."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at = 0
        if not self._greeted:
            if (at := data.find(END_OF_HEADERS)) < 0:
                self._rest = data
                return
            at += len(END_OF_HEADERS)
            self._greeted = True
            super().data_received(data[:at])
        while at < len(data):
            if self._owed or self.protocol.state is not OPEN:
                at = self._pass_on(data, at)
            elif (found := self._read(data, at)) is None:
                self._rest = data[at:]
                return
            else:
                at = found

    def _pass_on(self, data: bytes, at: int) -> int:
        """Hand the parser what is its own; all there is when the connection is no longer open."""
        end = len(data) if self.protocol.state is not OPEN else min(len(data), at + self._owed)
        self._owed = max(0, self._owed - (end - at))
        super().data_received(data[at:end])
        return end

    def _read(self, data: bytes, at: int) -> int | None:
        """Read the frame that begins here; where the next one does, or None when more must come first."""
        if (found := bounds(data, at)) is None:
            return None
        start, end = found
        first = data[at]
        text = WHOLE.get(first)
        if text is None or self._fragmented or end - start >= LARGE or data[at + 1] & MASKED:
            if first & OPCODE < Opcode.CLOSE:  # control frames may stand between fragments
                self._fragmented = not first & FIN
            self._owed = end - at
            return at
        if len(data) < end:
            return None
        self.inbox.whole(text, data[start:end])
        return end
