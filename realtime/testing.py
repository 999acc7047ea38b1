"""Test doubles for everyone: a scripted upstream, a clock that stands still, conversations written as they are drawn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from time import perf_counter
from typing import Any

from realtime.errors import NotConnected
from realtime.protocol import RealtimeProtocol
from realtime.timeline import Entry


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class RecordingTap:
    """A tap that keeps what it is told."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.behind = False

    def record(self, entry: Entry) -> None:
        """Keep one entry."""
        self.entries.append(entry)

    async def room(self) -> None:
        """Wait for a moment."""
        await asyncio.sleep(0.01)

    @property
    def types(self) -> list[str]:
        """What happened, with the arrow of each: ``→ session.update``, ``← session.updated``, ``= state``."""
        arrows = {"sent": "→", "received": "←", "console": "="}
        return [f"{arrows[entry.direction]} {entry.type}" for entry in self.entries]


class ScriptedUpstream:
    """An API that says what a test wants.

    ``say(event)`` queues a frame; ``hang_up(code, reason)`` ends the connection, without a code as if the line broke.
    ``sent`` holds every frame that came from the session under test, in order.
    """

    def __init__(self, *events: dict[str, Any] | str) -> None:
        self.sent: list[dict[str, Any]] = []
        self.raw_sent: list[str] = []
        self.close_code: int | None = None
        self.close_reason = ""
        self._queue: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._arrived = asyncio.Event()
        self._reads = asyncio.Event()
        self._reads.set()
        self._closed = False
        self.arrived = 0.0
        for event in events:
            self.say(event)

    def say(self, event: dict[str, Any] | str | bytes) -> None:
        """Let the API send one frame."""
        self._queue.put_nowait(json.dumps(event) if isinstance(event, dict) else event)

    def hang_up(self, code: int | None = 1000, reason: str = "") -> None:
        """Let the API close."""
        if not self._closed:
            self._closed, self.close_code, self.close_reason = True, code, reason
            self._queue.put_nowait(None)

    def send(self, raw: str) -> None:
        """Take one frame of the session under test."""
        if self._closed:
            raise NotConnected("The connection to the API is closed; nothing was sent.")
        self.raw_sent.append(raw)
        try:
            self.sent.append(json.loads(raw))
        except ValueError:
            self.sent.append({})
        self._arrived.set()
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Frames that nobody has taken yet."""
        return self._queue.qsize()

    @property
    def full(self) -> bool:
        """Whether a test lets this API read no more."""
        return not self._reads.is_set()

    async def room(self) -> None:
        """Wait until it reads again."""
        await self._reads.wait()

    def stop_reading(self) -> None:
        """Let the API take frames only slowly from now on: whoever sends must wait."""
        self._reads.clear()

    def read_on(self) -> None:
        """Let it read again."""
        self._reads.set()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while (message := await self._queue.get()) is not None:
            self.arrived = perf_counter()
            yield message

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """The session under test says goodbye."""
        self.hang_up(code, reason)

    async def drop(self) -> None:
        """The session under test breaks off."""
        self.hang_up(None)

    async def expect(self, *types: str, timeout: float = 60.0) -> list[dict[str, Any]]:
        """Wait until frames of these types have come, in this order, others between them allowed; return them."""

        def found() -> list[dict[str, Any]] | None:
            wanted, frames = list(types), []
            for frame in self.sent:
                if wanted and frame.get("type") == wanted[0]:
                    frames.append(frame)
                    wanted.pop(0)
            return None if wanted else frames

        async with asyncio.timeout(timeout):
            while (frames := found()) is None:
                await self._arrived.wait()
        return frames


def playbook(protocol: RealtimeProtocol, script: Iterable[dict[str, Any] | list[str]]) -> None:
    """Play a conversation with a protocol and check its side of it.

    A dict is an event of the API that is fed; a list of types is what must come out before the next is fed:

        playbook(protocol, [{"type": "session.created", ...}, [], {"type": "response.done", ...}, ["response.create"]])
    """
    for step in script:
        if isinstance(step, dict):
            protocol.receive_text(json.dumps(step))
        else:
            came = [json.loads(frame.raw)["type"] for frame in protocol.frames_to_send()]
            assert came == step, f"expected {step}, came {came}"
