"""Malformed, oversized and misordered frames: each is answered or ignored; nothing breaks, leaks or grows."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import random
import tracemalloc
from collections.abc import Iterable, Iterator
from unittest import mock

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from realtime.simulator.conversation.jobs import Recognize
from realtime.simulator.input import vad
from realtime.simulator.server import SimulatorServer
from realtime.simulator.session.session import SimulatedSession
from realtime.simulator.shared.options import SimulatorOptions
from tests.fuzz.frames import frames
from tests.realtime.simulator.watch import check, watched
from tests.waiting import PATIENCE

A_SESSION = 1_000
"""Frames a session is sent before the next one begins: what a conversation holds is not a leak."""
GROWTH = 512 * 1024
"""Bytes that may be held more after the last session than after the second."""
OPTIONS = SimulatorOptions(latency_ms=5, pace=50, voice="tone", ears="off")
SENTENCE = bytes(48 * 200)


@pytest.fixture(autouse=True)
def quick_ears() -> Iterator[None]:
    """Loudness is quicker than a network."""
    with mock.patch.object(vad, "make_detector", lambda: vad.by_energy):
        yield


def strict(name: str) -> None:
    """Raise: JSON knows no such number."""
    raise ValueError(f"{name} is no JSON")


def attack(count: int, seed: int) -> list[int]:
    """Send frames to sessions without a socket, one after the other; returns the bytes held after each."""
    chance, source, held = random.Random(seed), frames(count, seed), []  # noqa: S311  (chance of a test is no secret)
    for _ in range(count // A_SESSION):
        outlive(itertools.islice(source, A_SESSION), chance)
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    return held


def outlive(attackers: Iterable[str | bytes], chance: random.Random) -> None:
    """One session takes these frames while time passes; it must say nothing but events of the API, and not end."""
    time = [0.0]
    session = SimulatedSession("gpt-realtime-2.1", OPTIONS, lambda: time[0], lambda: 1_795_000_000 + time[0])
    for frame in attackers:
        if isinstance(frame, str):
            session.receive_text(frame)
        else:
            session.receive_binary(frame)
        time[0] += chance.random() / 10
        session.advance()
        for key, work in session.work_to_do():
            if chance.random() < 0.1:
                session.work_failed(key, "it is broken")
            else:
                session.work_done(key, "Hello." if isinstance(work, Recognize) else SENTENCE)
        for raw in session.events_to_send():
            check(json.loads(raw, parse_constant=strict))
            raw.encode()
        assert session.close is None


def grown(count: int, seed: int) -> int:
    """Bytes held more at the end than after the second session."""
    tracemalloc.start()
    try:
        held = attack(count, seed)
    finally:
        tracemalloc.stop()
    return held[-1] - held[1]


def test_no_frame_breaks_a_session() -> None:
    """Ten thousand frames: no exception leaves the session, all it says is JSON, and no memory is kept after it."""
    assert grown(10_000, seed=1) < GROWTH


@pytest.mark.long
def test_no_frame_breaks_a_session_ever() -> None:
    """A hundred thousand frames, other ones."""
    growth = grown(100_000, seed=2)
    print(f"\n100,000 frames; {growth / 1024:+.0f} KiB held after the last session than after the second")  # noqa: T201  (a figure is there to be read)
    assert growth < GROWTH


async def test_no_frame_breaks_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """Two thousand frames over sockets that end in every way: no error in the log, no task left, the next is served."""
    caplog.set_level(logging.WARNING)
    with watched():
        async with SimulatorServer(port=0, options=OPTIONS) as server:
            await withstand(server)
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def withstand(server: SimulatorServer) -> None:
    """Ten clients, and then one who behaves."""
    for seed in range(10):
        await flood(server, seed)
    async with connect(f"{server.url}?model=gpt-realtime") as client:
        assert json.loads(await client.recv())["type"] == "session.created"
    await all_gone()


async def flood(server: SimulatorServer, seed: int) -> None:
    """One client: sends two hundred frames, reads or does not, and leaves politely or not."""
    async with asyncio.timeout(PATIENCE):
        async with connect(f"{server.url}?model=gpt-realtime", max_size=None, compression=None) as client:
            reader = asyncio.create_task(_read(client)) if seed % 2 else None
            for frame in frames(200, seed):
                await client.send(frame.encode(errors="replace").decode() if isinstance(frame, str) else frame)
            if reader is None or seed % 3 == 0:
                client.transport.abort()
            else:
                await client.close()
            if reader is not None:
                await reader


async def _read(client: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for _ in client:
            pass


async def all_gone() -> None:
    """Wait until no task of a conversation is left."""
    async with asyncio.timeout(PATIENCE):
        while [task for task in asyncio.all_tasks() if task.get_name().startswith("simulator ")]:
            await asyncio.sleep(0.01)
