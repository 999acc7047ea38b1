"""One client's connection: frames of every size and kind, both ways, and what happens when either side is gone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from unittest import mock

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from realtime.simulator.input import vad
from realtime.simulator.server import SimulatorServer
from realtime.simulator.server import server as server_module
from realtime.simulator.server.server import MESSAGE_LIMIT
from realtime.simulator.session.session import SimulatedSession
from realtime.simulator.shared.options import SimulatorOptions
from tests.realtime.simulator.dialling import QUICK, dial, drained, send, until
from tests.realtime.simulator.harness import errors, types, user
from tests.waiting import PATIENCE

LARGEST_SOUND = 15 * 1024 * 1024
"""Bytes of sound in one append; 20 MiB of text."""


@pytest.fixture
async def simulator() -> AsyncIterator[SimulatorServer]:
    """A simulator that hurries."""
    async with SimulatorServer(port=0, options=QUICK) as running:
        yield running


async def test_a_connection_that_breaks_off(simulator: SimulatorServer) -> None:
    """gpt-drop vanishes without a close frame after the first response.created."""
    async with dial(simulator, "gpt-drop") as client:
        await send(client, "response.create")
        events = [json.loads(raw) for raw in await drained(client)]
    assert types(events) == ["session.created", "response.created"]
    assert client.close_code == 1006


async def test_frames_that_are_no_events(simulator: SimulatorServer) -> None:
    """Binary frames and broken JSON are answered by errors, and the session goes on."""
    async with dial(simulator) as client:
        await until(client, "session.created")
        for frame, code in ((b"\0\1", "invalid_event"), ("{", "invalid_json"), ("", "invalid_json"), ("[]", "invalid_event")):
            await client.send(frame)
            assert errors(await until(client, "error")) == [(code, None)]
        await send(client, "input_audio_buffer.clear")
        assert types(await until(client, "input_audio_buffer.cleared")) == ["input_audio_buffer.cleared"]


async def test_a_session_ends_with_its_time() -> None:
    """The last event says that the session has expired, and the close repeats it."""
    async with SimulatorServer(port=0, options=SimulatorOptions(session_seconds=0)) as simulator, dial(simulator) as client:
        events = [json.loads(raw) for raw in await drained(client)]
    assert types(events) == ["session.created", "error"]
    assert errors(events) == [("session_expired", None)]
    assert (client.close_code, client.close_reason) == (1001, events[1]["error"]["message"])


async def test_a_voice_that_fails(simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the voice cannot be used a response fails and says why, instead of waiting for ever."""

    def broken(*words: object) -> bytes:
        raise OSError("no voice today")

    monkeypatch.setattr(server_module, "speak", broken)
    async with dial(simulator) as client:
        await send(client, "conversation.item.create", item=user("Hello."))
        await send(client, "response.create")
        response = (await until(client, "response.done"))[-1]["response"]
    assert response["status"] == "failed"
    assert "no voice today" in response["status_details"]["error"]["message"]


async def test_many_sessions_at_once(simulator: SimulatorServer) -> None:
    """Clients beside each other do not meet: each hears its own answer."""

    async def converse(number: int) -> str:
        async with dial(simulator) as client:
            await send(client, "conversation.item.create", item=user(f"Say number {number}"))
            await send(client, "response.create", response={"output_modalities": ["text"]})
            return str((await until(client, "response.done"))[-1]["response"]["output"][0]["content"][0]["text"])

    assert await asyncio.gather(*map(converse, range(8))) == [f"number {number}" for number in range(8)]


async def test_a_client_may_leave_amid_an_answer(simulator: SimulatorServer) -> None:
    """A client that goes away leaves nothing running."""
    async with dial(simulator) as client:
        await send(client, "conversation.item.create", item=user("Tell me a long story."))
        await send(client, "response.create")
        await until(client, "response.output_audio.delta")
    async with asyncio.timeout(PATIENCE):
        while any(task.get_name().startswith("simulator") for task in asyncio.all_tasks()):
            await asyncio.sleep(0)


# ── Large frames ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_largest_sound_both_ways(simulator: SimulatorServer) -> None:
    """15 MiB of sound are taken in one frame, and come back in one frame when their item is asked for."""
    sound = bytes(LARGEST_SOUND)
    with mock.patch.object(vad, "make_detector", lambda: vad.by_energy):
        async with dial(simulator) as client:
            await until(client, "session.created")
            await send(client, "session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
            await send(client, "input_audio_buffer.append", audio=base64.b64encode(sound).decode())
            await send(client, "input_audio_buffer.commit")
            item_id = (await until(client, "conversation.item.done"))[-1]["item"]["id"]
            await send(client, "conversation.item.retrieve", item_id=item_id)
            [retrieved] = await until(client, "conversation.item.retrieved")
    assert base64.b64decode(retrieved["item"]["content"][0]["audio"]) == sound


async def test_a_frame_of_the_limit(simulator: SimulatorServer) -> None:
    """A frame of 32 MiB is read, and refused as an event like any other."""
    async with dial(simulator) as client:
        await until(client, "session.created")
        await client.send(f'"{"a" * (MESSAGE_LIMIT - 2)}"')
        assert errors(await until(client, "error")) == [("invalid_event", None)]


async def test_a_frame_beyond_the_limit(simulator: SimulatorServer, caplog: pytest.LogCaptureFixture) -> None:
    """One byte more closes the connection with 1009, which the log need not tell; others are served as ever."""
    with caplog.at_level(logging.INFO):
        client = await dial(simulator)  # no context: websockets closes what is closed already, and stumbles
        await until(client, "session.created")
        with contextlib.suppress(ConnectionClosed):  # it may hear of it while it is still sending
            await client.send("a" * (MESSAGE_LIMIT + 1))
        await drained(client)
        assert client.close_code == 1009
        async with dial(simulator) as client:
            await until(client, "session.created")
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.WARNING]


# ── Pings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_clients_are_pinged() -> None:
    """The server pings every 20 s, or as often as it is told; a client that answers stays."""
    assert SimulatorOptions().ping_seconds == 20
    ponged = asyncio.Semaphore(0)
    async with SimulatorServer(port=0, options=replace(QUICK, ping_seconds=0.01)) as simulator, dial(simulator) as client:
        write = client.protocol.send_frame

        def watched(frame: Frame) -> None:
            if frame.opcode is Opcode.PONG:
                ponged.release()
            write(frame)

        client.protocol.send_frame = watched  # type: ignore[method-assign]
        async with asyncio.timeout(PATIENCE):
            for _ in range(3):
                await ponged.acquire()
        await send(client, "input_audio_buffer.clear")
        assert types(await until(client, "input_audio_buffer.cleared"))[-1] == "input_audio_buffer.cleared"


# ── Our own mistakes ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_mistake_of_our_own(
    simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A session that raises is closed with 1011 and told in the log, instead of keeping its client waiting."""

    def broken(session: SimulatedSession) -> None:
        raise ZeroDivisionError("a mistake")

    async with dial(simulator) as client:
        await until(client, "session.created")
        monkeypatch.setattr(SimulatedSession, "advance", broken)
        await send(client, "input_audio_buffer.clear")
        await drained(client)
    assert client.close_code == 1011
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]
