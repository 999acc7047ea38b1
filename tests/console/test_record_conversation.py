"""A long conversation, WAV in and simulator out, stored as it travelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from console import live
from console.models import Entry, Frame, Session
from console.recorder import recorder
from realtime.audio import RATE, duration_ms
from realtime.protocol import Played
from realtime.simulator.server import SimulatorOptions, SimulatorServer
from realtime.upstream import Provider

SHORT, WHOLE = 0.75, 5.0
"""Minutes of conversation, in every run and in the long form; fed faster than real time: the simulator counts samples, not seconds."""
CHUNK = RATE // 50 * 2
"""Bytes of 20 ms."""
VAD = {"turn_detection": {"type": "server_vad", "silence_duration_ms": 500}, "transcription": {"model": "gpt-4o-mini-transcribe"}}


class Wire:
    """A tap on the wire itself, at the simulator's end: every frame as it really travelled."""

    def __init__(self) -> None:
        self.frames: dict[str, list[str]] = {"sent": [], "received": []}

    def __call__(self, direction: str, raw: str) -> None:
        self.frames["sent" if direction in ("in", "sent", "client") else "received"].append(raw)


def stored(session_id: str, direction: str) -> list[str]:
    """The frames of one direction as they come out of the database, in order."""
    frames = Frame.objects.filter(entry__session=session_id, entry__direction=direction)
    return [frame.raw for frame in frames.order_by("entry__seq")]


@pytest.mark.parametrize("minutes", [SHORT, pytest.param(WHOLE, marks=pytest.mark.long)])
@pytest.mark.django_db(transaction=True)
async def test_a_conversation_is_stored_byte_for_byte(spoken: bytes, minutes: float) -> None:
    """The stored frames of a conversation of some minutes equal, byte for byte and in order, what the wire saw."""
    wire = Wire()
    recorder.start()
    async with SimulatorServer(host="127.0.0.1", port=0, options=SimulatorOptions(latency_ms=10, pace=40)) as simulator:
        simulator.wire = wire
        provider = Provider("simulator", simulator.url)
        session = await live.start(live.Start(provider, "gpt-realtime-2.1", settings={"audio": {"input": VAD}}))
        runner = live.find(session.pk)
        assert runner is not None
        said_ms, turn = 0.0, 0
        while said_ms < minutes * 60_000:
            turn += 1
            for start in range(0, len(spoken), CHUNK):
                await runner.send_audio(spoken[start : start + CHUNK])
                await asyncio.sleep(0.001)
            said_ms += duration_ms(spoken)
            if turn % 4 == 0:
                await runner.send_text("What's the weather in Lisbon?", _heard(runner))
            await asyncio.sleep(0.2)
        await live.stop(session.pk)
    assert await asyncio.to_thread(recorder.stop)
    recorder.start()

    for direction in ("sent", "received"):
        frames = await sync_to_async(stored)(session.pk, direction)
        assert len(frames) > 100 * minutes
        assert frames == wire.frames[direction]
    kept = await sync_to_async(Session.objects.get)(pk=session.pk)
    assert kept.status == Session.CLOSED
    count = await sync_to_async(Entry.objects.of(session).count)()
    assert kept.last_seq == count  # no gap in the numbering


def _heard(runner: Any) -> Played | None:
    """Half of the sound that came last, as a loudspeaker might report it."""
    for item_id, ms in reversed(runner.protocol.received_ms.items()):
        return Played(item_id, int(ms / 2))
    return None
