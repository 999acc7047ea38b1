"""How many can talk to one simulator at once: fifty microphones and fifty voices, on one process and over real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.conftest import ROOT, utterance

pytestmark = pytest.mark.bench

SESSIONS = 50
WITHIN = 10.0
"""Seconds in which all begin to speak: nobody speaks in chorus."""
CHUNK_MS = 100
QUESTION = "Tell me a long story."
BYTES_PER_MS = 48
PATIENCE = 180  # seconds
LATEST_MS = 3_000
"""First sound after the end of speech, in 95 of 100 sessions."""
LARGE_BYTES = 20 * 1024 * 1024
"""A client's frame of nearly the largest size, 32 MiB with its base64."""
SLOW_MEMORY_MB = 120
"""What clients that do not read may cost."""


@dataclass
class Heard:
    """What one client got."""

    answered_ms: float = 0.0
    """From the end of speech to the first sound."""
    audio_ms: float = 0.0
    late_ms: list[float] = field(default_factory=list)
    """By how much deltas came after their sound was to be played."""


@asynccontextmanager
async def simulator(*arguments: str) -> AsyncIterator[tuple[str, int]]:
    """A simulator in a process of its own: its address and process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "realtime.simulator", "--port", "0", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        said = (await process.stdout.readline()).decode()
        yield next(word for word in said.split() if word.startswith("ws://")), process.pid
    finally:
        process.terminate()
        await process.wait()


async def talk(url: str, speech: bytes, after: float) -> Heard:
    """One client: its microphone stays open, it asks aloud, and plays the answer as it comes."""
    await asyncio.sleep(after)
    async with connect(url, max_size=None, compression=None, open_timeout=PATIENCE) as client:
        microphone = asyncio.create_task(_speak(client, speech))
        try:
            return await _listen(client)
        finally:
            microphone.cancel()
            await asyncio.gather(microphone, return_exceptions=True)


async def _speak(client: ClientConnection, speech: bytes) -> None:
    size, began, number = CHUNK_MS * BYTES_PER_MS, time.perf_counter(), 0
    while True:
        chunk = speech[number * size : (number + 1) * size].ljust(size, b"\0")
        event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()}
        await client.send(json.dumps(event))
        number += 1
        await asyncio.sleep(max(0.0, began + number * CHUNK_MS / 1000 - time.perf_counter()))


async def _listen(client: ClientConnection) -> Heard:
    heard, stopped, first = Heard(), 0.0, 0.0
    async for raw in client:
        now = time.perf_counter()
        event: dict[str, Any] = json.loads(raw)
        if event["type"] == "input_audio_buffer.speech_stopped":
            stopped = now
        elif event["type"] == "response.output_audio.delta":
            first = first or now
            heard.answered_ms = heard.answered_ms or (now - stopped) * 1000
            heard.late_ms.append((now - first) * 1000 - heard.audio_ms)
            heard.audio_ms += len(base64.b64decode(event["delta"])) / BYTES_PER_MS
        elif event["type"] == "response.done":
            assert event["response"]["status"] == "completed", event
            break
    return heard


def memory_mb(pid: int) -> float:
    """Resident memory of a process; skips where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("this system does not tell a process's memory")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def test_fifty_can_talk_at_once() -> None:
    """Fifty ask for a story aloud and hear it: no sound comes later than it is to be played."""
    speech = utterance(QUESTION)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    async with simulator() as (url, _), asyncio.timeout(PATIENCE):
        all_heard = await asyncio.gather(*(talk(url, speech, WITHIN * number / SESSIONS) for number in range(SESSIONS)))
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    spoken = sum(heard.audio_ms for heard in all_heard) / 1000
    answered = sorted(heard.answered_ms for heard in all_heard)
    latest = max(max(heard.late_ms[1:]) for heard in all_heard)
    underruns = sum(late > 0 for heard in all_heard for late in heard.late_ms[1:])
    p95 = answered[int(len(answered) * 0.95)]
    print(
        f"\n{SESSIONS} sessions, {spoken:.0f} s of speech made in {seconds:.1f} s on {os.cpu_count()} cores shared with the "
        f"clients: {cpu:.1f} s of CPU, {cpu / spoken * 1000:.1f} ms a second of speech; underruns {underruns}, "
        f"closest {-latest:.0f} ms before its time; first sound after {answered[len(answered) // 2]:.0f} ms, "
        f"p95 {p95:.0f} ms"
    )
    assert all(heard.audio_ms > 20_000 for heard in all_heard)  # each heard the story
    assert underruns == 0
    assert p95 < LATEST_MS


async def test_who_does_not_read_costs_little() -> None:
    """Ten clients that ask without end and never read: what waits for them is bounded, and others are served."""
    async with simulator("--voice", "tone", "--pace", "100") as (url, pid), asyncio.timeout(PATIENCE):
        before = memory_mb(pid)
        tasks = [asyncio.create_task(_nag(url)) for _ in range(10)]
        await asyncio.sleep(8)
        grown = memory_mb(pid) - before
        async with connect(url) as client:
            assert json.loads(await client.recv())["type"] == "session.created"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(f"\nten clients that do not read: {grown:.0f} MB")
    assert grown < SLOW_MEMORY_MB


async def _nag(url: str) -> None:
    client = await connect(url, max_size=None, compression=None)
    client.transport.pause_reading()
    try:
        while True:
            await client.send(json.dumps({"type": "session.update", "session": {"type": "realtime", "instructions": "a" * 5000}}))
    finally:
        client.transport.abort()


async def test_the_largest_frame_holds_nobody_up() -> None:
    """While one client sends 15 MiB of sound at once, another's small question is refused without delay."""
    async with simulator() as (url, _), connect(url, max_size=None, compression=None) as large, connect(url) as small:
        await small.recv()
        sound = base64.b64encode(bytes(LARGE_BYTES * 3 // 4)).decode()
        await large.send(json.dumps({"type": "input_audio_buffer.append", "audio": sound}))
        slowest, end = 0.0, time.perf_counter() + 4
        while time.perf_counter() < end:
            began = time.perf_counter()
            await small.send('{"type": "response.cancel"}')
            await small.recv()
            slowest = max(slowest, time.perf_counter() - began)
            await asyncio.sleep(0.01)
    print(f"\nbeside 15 MiB of sound: answered within {slowest * 1000:.0f} ms")
    assert slowest < 1
