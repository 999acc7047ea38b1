"""The relay's load: an API and its clients in one process, so that one clock times each frame's way.

Reads one JSON object a line, ``{"do": "paced", …}``, and answers each with one. First it says where its API listens.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import sys
from array import array
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from tests.bench.wire import Wire, connect, framed

HZ = 25
"""Appends and deltas a second of one session: 40 ms of microphone each way, and speech that comes faster than it is heard."""
UP_BYTES, DOWN_BYTES = 1920, 4800
"""PCM of one append (40 ms, 2,560 characters of base64) and of one delta (100 ms, 6,400)."""
WARM = 0.5
"""Seconds before anything counts."""
SETTLE = 5.0
"""Seconds in which what is under way must have come."""
RECORDED_WITHIN = 0.5
"""Seconds in which what has come is recorded too, and shown."""
MARK = re.compile(rb"bench\.mark\.(\d+)")
MARK_EVERY = 0.0731
"""Seconds between two events whose way to a page is timed: fourteen rows a second, thrice what begins in a conversation."""
AT_ONCE = 16
"""Frames written together when there is no pace."""


class Template:
    """A frame whose number is filled in."""

    def __init__(self, head: bytes, tail: bytes, masked: bool) -> None:
        whole = framed(head + b"0" * 10 + tail, masked)
        self.size = len(head) + 10 + len(tail)
        self._head = whole[: len(whole) - len(tail) - 10]
        self._tail = tail

    def frame(self, number: int) -> bytes:
        """The whole frame of this number."""
        return b"%b%010d%b" % (self._head, number, self._tail)


def _sound(size: int) -> bytes:
    return base64.b64encode(bytes(range(256)) * (size // 256 + 1))[: size * 4 // 3]


UP = Template(
    b'{"type":"input_audio_buffer.append","event_id":"event_u', b'","audio":"' + _sound(UP_BYTES) + b'"}', masked=True
)
DOWN = Template(
    b'{"type":"response.output_audio.delta","event_id":"event_d',
    b'","response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0,"delta":"' + _sound(DOWN_BYTES) + b'"}',
    masked=False,
)
CREATED = framed(b'{"type":"session.created","event_id":"e","session":{"type":"realtime","model":"gpt-realtime"}}', False)


class Marks:
    """Events that can be told apart on a page: how long each takes from the API to a viewer's screen."""

    def __init__(self, api: Wire, page: Wire) -> None:
        self._api = api
        self._sent: list[float] = []
        self._under_way: set[int] = set()
        self.took: list[float] = []
        page.on_text = self._shown

    async def send(self) -> None:
        """Send one now and then, at no fixed moment of the page's own rhythm."""
        while True:
            number = len(self._sent)
            self._sent.append(perf_counter())
            self._under_way.add(number)
            self._api.transport.write(framed(b'{"type":"bench.mark.%d","event_id":"mark_%d"}' % (number, number), False))
            await asyncio.sleep(MARK_EVERY)

    def _shown(self, html: bytes) -> None:
        for number in self._under_way & {int(found) for found in MARK.findall(html)}:
            self._under_way.remove(number)
            self.took.append(perf_counter() - self._sent[number])


@dataclass
class Way:
    """One direction of one session: what was sent when, what has come, and how long it took."""

    template: Template
    sent: array[float] = field(default_factory=lambda: array("d"))
    took: array[float] = field(default_factory=lambda: array("d"))
    came: int = 0
    amiss: int = 0
    """Frames out of their order, twice, or of another size."""
    timed: bool = True

    def send(self, wire: Wire) -> None:
        """Send the next frame."""
        frame = self.template.frame(len(self.sent))
        self.sent.append(perf_counter())
        wire.transport.write(frame)

    def take(self, number: int, size: int) -> None:
        """A frame has come."""
        self.amiss += number != self.came or size != self.template.size
        self.came += 1
        if self.timed:
            self.took.append(perf_counter() - self.sent[number])


class Talk:
    """One session: both its ends."""

    def __init__(self, client: Wire, api: Wire) -> None:
        self.client, self.api = client, api
        self.up, self.down = Way(UP), Way(DOWN)
        api.on_number, client.on_number = self.up.take, self.down.take
        found = re.search(r"x-console-session: (\S+)", client.handshake, re.IGNORECASE)
        self.session_id = found[1] if found else ""

    @property
    def missing(self) -> int:
        """Frames that were sent and have not come."""
        return len(self.up.sent) - self.up.came + len(self.down.sent) - self.down.came

    async def end(self) -> None:
        """The client says goodbye."""
        await self.client.say_goodbye()
        async with asyncio.timeout(20):
            await self.api.closed.wait()


class Load:
    """Does what it is told, one thing at a time."""

    def __init__(self) -> None:
        self._apis: dict[str, asyncio.Future[Wire]] = {}
        self._talks = 0

    def accept(self) -> Wire:
        """A connection to the API."""
        wire = Wire(client=False)
        wire.on_open = self._greet
        return wire

    def _greet(self, wire: Wire) -> None:
        given = re.search(r"sec-websocket-key: (\S+)", wire.handshake, re.IGNORECASE)
        name = re.search(r"[?&]bench=(\w+)", wire.handshake)
        assert given is not None and name is not None
        key = base64.b64encode(hashlib.sha1(f"{given[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
        answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        wire.transport.write(answer + key + b"\r\n\r\n" + CREATED)
        self._apis.pop(name[1]).set_result(wire)

    async def talk(self, url: str) -> Talk:
        """A session through this address."""
        self._talks += 1
        name = f"t{self._talks}"
        arriving = self._apis[name] = asyncio.get_running_loop().create_future()
        headers = {"Authorization": "Bearer sk-nobodys-key-0000", "User-Agent": "bench/1.0"}
        client = await connect(f"{url}?model=gpt-realtime&bench={name}", headers)
        async with asyncio.timeout(30):
            api = await arriving
            while not client.frames:  # the session.created
                await asyncio.sleep(0.001)
        return Talk(client, api)

    async def talks(self, url: str, count: int, at_once: int = 10) -> list[Talk]:
        """So many sessions."""
        talks: list[Talk] = []
        while len(talks) < count:
            talks += await asyncio.gather(*(self.talk(url) for _ in range(min(at_once, count - len(talks)))))
        return talks

    async def paced(self, url: str, sessions: int, seconds: float, viewer: bool = False) -> dict[str, Any]:
        """Sessions as people have them: so many frames a second each way, spread evenly."""
        talks = await self.talks(url, sessions)
        page = await self._view(url, talks[0]) if viewer else None
        marks = Marks(talks[0].api, page) if page is not None else None
        marking = asyncio.create_task(marks.send()) if marks is not None else None
        tell({"ready": [talk.session_id for talk in talks]})
        ways = [(talk.up, talk.client) for talk in talks] + [(talk.down, talk.api) for talk in talks]
        ways = [way for pair in zip(ways[:sessions], ways[sessions:], strict=True) for way in pair]
        step = 1 / HZ / len(ways)
        counted, number, began = False, 0, perf_counter()
        while (now := perf_counter() - began) < WARM + seconds:
            if not counted and now > WARM:
                counted = True
                for way, _ in ways:
                    way.took = array("d")
            due = number * step
            if due > now:
                await asyncio.sleep(due - now)
            else:
                ways[number % len(ways)][0].send(ways[number % len(ways)][1])
                number += 1
                await asyncio.sleep(0)  # what comes meanwhile is timed when it comes
        if marking is not None:
            marking.cancel()
        await self._settle(talks)
        up, down = ([took for talk in talks for took in way(talk).took] for way in (lambda t: t.up, lambda t: t.down))
        told = self._told(talks) | {"up": spread(up), "down": spread(down), "pushes": page.frames if page else 0}
        told["shown"] = spread(marks.took) if marks is not None else []
        await self._over(began)
        if page is not None:
            page.transport.abort()
        await asyncio.gather(*(talk.end() for talk in talks))
        return told

    async def flat(self, url: str, sessions: int, seconds: float, stalled: str = "", viewer: bool = False) -> dict[str, Any]:
        """Sessions whose API sends as fast as it can. ``stalled``: ``client`` or ``api`` reads nothing meanwhile."""
        talks = await self.talks(url, sessions)
        page = await self._view(url, talks[0]) if viewer else None
        tell({"ready": [talk.session_id for talk in talks]})
        ways = [(talk.up, talk.client) if stalled == "api" else (talk.down, talk.api) for talk in talks]
        for talk in talks:
            talk.up.timed = talk.down.timed = False
            if stalled:
                (talk.api if stalled == "api" else talk.client).stop_reading()
        began = perf_counter()
        await asyncio.gather(*(flood(way, wire, began + seconds) for way, wire in ways))
        if stalled:
            told = self._told(talks)
            for talk in talks:
                talk.client.transport.abort()
        else:
            await self._settle(talks, 60)
            told = self._told(talks) | {"seconds": perf_counter() - began}
            await self._over(began)
            await asyncio.gather(*(talk.end() for talk in talks))
        if page is not None:
            page.transport.abort()
        return told

    async def short(self, url: str, count: int, at_once: int = 10) -> dict[str, Any]:
        """Sessions that come, say a few things and go."""
        missing = amiss = 0
        for _ in range(count // at_once):
            talks = await self.talks(url, at_once, at_once)
            for _ in range(5):
                for talk in talks:
                    talk.up.send(talk.client)
                    talk.down.send(talk.api)
                await asyncio.sleep(0)
            await self._settle(talks)
            missing += sum(talk.missing for talk in talks)
            amiss += sum(talk.up.amiss + talk.down.amiss for talk in talks)
            await asyncio.gather(*(talk.end() for talk in talks))
        return {"sessions": count, "missing": missing, "amiss": amiss}

    async def _view(self, url: str, talk: Talk) -> Wire:
        """A page that shows one of them."""
        host = urlsplit(url).netloc
        return await connect(f"ws://{host}/ws/sessions/{talk.session_id}/timeline?after=0", {"Origin": f"http://{host}"})

    async def _settle(self, talks: list[Talk], seconds: float = SETTLE) -> None:
        until = perf_counter() + seconds
        while any(talk.missing for talk in talks) and perf_counter() < until:
            await asyncio.sleep(0.01)

    async def _over(self, began: float) -> None:
        """Say that all frames have come and are recorded, and how long they took: what follows are goodbyes."""
        seconds = perf_counter() - began
        await asyncio.sleep(RECORDED_WITHIN)
        tell({"over": seconds})

    def _told(self, talks: list[Talk]) -> dict[str, Any]:
        return {
            "sessions": [talk.session_id for talk in talks],
            "frames": sum(talk.up.came + talk.down.came for talk in talks),
            "written": sum(len(talk.up.sent) + len(talk.down.sent) for talk in talks),
            "missing": sum(talk.missing for talk in talks),
            "amiss": sum(talk.up.amiss + talk.down.amiss for talk in talks),
        }


async def flood(way: Way, wire: Wire, until: float) -> None:
    """Send as fast as the other side reads."""
    while perf_counter() < until and not wire.closed.is_set():
        for _ in range(AT_ONCE):
            way.send(wire)
        if wire.room.is_set():
            await asyncio.sleep(0)
        else:
            try:
                async with asyncio.timeout(max(0.01, until - perf_counter())):
                    await wire.room.wait()
            except TimeoutError:
                return


def spread(seconds: list[float]) -> list[float]:
    """The median, the 95th and the 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return [round(ordered[int(len(ordered) * q)] * 1000, 4) for q in (0.5, 0.95, 0.99)] if ordered else []


def tell(data: dict[str, Any]) -> None:
    """Say something to whoever started this."""
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Listen, then do what is told until nobody tells more."""
    load, loop = Load(), asyncio.get_running_loop()
    server = await loop.create_server(load.accept, "127.0.0.1", 0)
    tell({"api": f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told = json.loads(line)
        tell(await getattr(load, told.pop("do"))(**told))


if __name__ == "__main__":
    asyncio.run(main())
