"""A console with parts exchanged for plainer ones, to tell what ours save: ``python -m tests.bench.variants thread console …``.

``thread``: a thread beside the loop stores what is recorded, in place of the process that writes. ``server``: ``websockets``'
sans-I/O protocol makes and reads the frames of clients, in place of ``console.framing``. ``ours``: nothing is exchanged.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any


def thread() -> None:
    """Store batches on a thread of this process: no process, no messages between two, the same rows."""
    from django.db import connection  # noqa: PLC0415  (Django is set up first)

    from console import gathering, recorder  # noqa: PLC0415
    from console.parcels import Receipt  # noqa: PLC0415
    from console.threads import breathe, give_way  # noqa: PLC0415
    from console.writer import Writer  # noqa: PLC0415

    class ThreadWriter:
        """Has what the recorder asks of its courier."""

        def __init__(self, heard: Callable[[Receipt, int], None], on_loss: Callable[[], None]) -> None:
            self._heard = heard
            self._batches: queue.Queue[Any] = queue.Queue()
            self._sizes: deque[int] = deque()

        def begin(self) -> None:
            self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
            self._thread.start()

        def send(self, batch: Any) -> None:
            self._sizes.append(batch.size)
            self._batches.put(batch)

        def revive(self) -> None:
            """A thread does not vanish."""

        def end(self) -> None:
            self._batches.put(None)
            self._thread.join()

        def abandon(self) -> None:
            """A thread cannot be ended."""

        def _tell(self, receipt: Receipt) -> None:
            self._heard(receipt, self._sizes.popleft() if receipt.done else 0)

        def _work(self) -> None:
            give_way()
            writer = Writer(self._tell)
            while (batch := self._batches.get()) is not None:
                for told in batch.parcels:
                    for one in told:  # a parcel at once takes 1 ms, in which the loop does not have its turn
                        writer.take([one])
                        breathe()
                writer.store()
            connection.close()

    gathering.packed = list  # type: ignore[assignment]  # nothing is packed: it stays in this process
    recorder.recorder._courier = ThreadWriter(recorder.recorder._heard, lambda: None)  # type: ignore[assignment]


def library_server() -> None:
    """Frames to and from clients by ``websockets``."""
    from websockets.frames import Opcode  # noqa: PLC0415
    from websockets.protocol import OPEN, Protocol, Side  # noqa: PLC0415

    from console.sockets import CompleteProtocol  # noqa: PLC0415

    on_open, consume = CompleteProtocol.onOpen, CompleteProtocol.consumeData

    def opened(self: Any) -> None:
        self.codec = Protocol(Side.SERVER, state=OPEN, max_size=32 * 1024 * 1024)
        on_open(self)

    def consume_data(self: Any) -> None:
        if self.state != self.STATE_OPEN or not hasattr(self, "codec"):
            consume(self)
            return
        data, self.data = self.data, b""
        self.codec.receive_data(data)
        for frame in self.codec.events_received():
            if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
                self.onMessage(bytes(frame.data), frame.opcode is Opcode.BINARY)
            elif frame.opcode is Opcode.CLOSE:
                code = int.from_bytes(frame.data[:2]) if frame.data else None
                self.onCloseFrame(code, bytes(frame.data[2:]) or None)
        for out in self.codec.data_to_send():
            if out:
                self.transport.write(out)
        if self.autoPingTimeoutCall:
            self._cancelAutoPingTimeoutCall()

    def say(self: Any, message: dict[str, Any]) -> None:
        if (text := message.get("text")) is not None:
            self.codec.send_text(text.encode())
        elif (binary := message.get("bytes")) is not None:
            self.codec.send_binary(binary)
        for out in self.codec.data_to_send():
            self.write(out)

    CompleteProtocol.onOpen, CompleteProtocol.consumeData, CompleteProtocol.say = opened, consume_data, say


PARTS = {"thread": thread, "server": library_server, "ours": lambda: None}


def main() -> None:
    """Exchange the parts named first, then do what ``manage.py`` does with the rest."""
    parts, rest = sys.argv[1].split("+"), sys.argv[2:]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    import django  # noqa: PLC0415

    django.setup()
    import daphne.server  # noqa: F401, PLC0415  (installs the reactor)

    for part in parts:
        PARTS[part]()
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    execute_from_command_line(["manage.py", *rest])


if __name__ == "__main__":
    main()
