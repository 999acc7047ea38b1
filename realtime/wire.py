"""A client's WebSocket that records when each message arrived and pauses reading while messages wait."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode

from realtime.mailbox import Mailbox

MOST_WAITING, FEW_WAITING = 16, 4
"""Messages not yet taken at which reading pauses, and at which it resumes; the values of ``websockets``."""


class Inbox(Mailbox[tuple[float, bool, bytes]]):
    """A connection's messages with their times of arrival, in place of the ``Assembler`` of ``websockets``.

    The connection calls ``put``, ``get`` and ``close``, and nothing else of an Assembler.
    """

    def __init__(self, transport: Any) -> None:
        super().__init__()
        self.arrived = 0.0
        """Arrival of the message that was taken last, in ``perf_counter`` seconds."""
        self._transport = transport
        self._paused = False
        self._fragments: list[Frame] = []

    def put(self, frame: Frame) -> None:
        """Add a data frame: a whole message, or a fragment of one."""
        self._fragments.append(frame)
        if not frame.fin:
            return
        fragments, self._fragments = self._fragments, []
        text = fragments[0].opcode is Opcode.TEXT
        data = fragments[0].data if len(fragments) == 1 else b"".join(fragment.data for fragment in fragments)
        self.put_nowait((perf_counter(), text, bytes(data)))
        if len(self) > MOST_WAITING and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    async def get(self, decode: bool | None = None) -> Any:
        """Return the next message: str for text, bytes for binary, or as ``decode`` says.

        Raises EOFError after the last one, and UnicodeDecodeError for text that is not UTF-8.
        """
        self.arrived, text, data = await super().get()
        if self._paused and len(self) <= FEW_WAITING:
            self._paused = False
            self._transport.resume_reading()
        return data.decode() if (text if decode is None else decode) else data


class Wire(ClientConnection):
    """A connection to the API. Its messages are in ``inbox``."""

    def connection_made(self, transport: Any) -> None:
        """Replace the connection's own queue of messages."""
        super().connection_made(transport)
        self.inbox = Inbox(transport)
        self.recv_messages = self.inbox  # type: ignore[assignment]  # put, get and close are all that is asked of it

    def send_text(self, text: str) -> None:
        """Send a message without waiting for room. Call it only while ``protocol.state`` is OPEN."""
        self.protocol.send_text(text.encode())
        self.transport.writelines(self.protocol.data_to_send())
