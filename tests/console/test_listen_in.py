"""Listen in on somebody else's session: both sides come as they speak, and nothing of the listener's ever goes there."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from console.doors import audio
from console.models import Entry
from realtime.events import parse
from tests.console.relayed_stage import Program, program
from tests.console.stage import IN_FORCE, Stage, flush, socket
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

SAID = bytes([1, 0]) * 960
"""40 ms of the client's microphone."""
TOLD = bytes([2, 0]) * 6000
"""250 ms of the model's answer."""


def append(sound: bytes = SAID) -> dict[str, Any]:
    """The client speaks."""
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()}


def delta(sound: bytes = TOLD) -> dict[str, Any]:
    """The model speaks."""
    ids = {"response_id": "resp_1", "item_id": "item_1", "content_index": 0}
    return {"type": "response.output_audio.delta", **ids, "delta": base64.b64encode(sound).decode()}


@asynccontextmanager
async def listening(client: Program) -> AsyncIterator[WebsocketCommunicator]:
    """A page that listens in."""
    page = socket(f"/ws/sessions/{client.session_id}/audio")
    assert (await page.connect(PATIENCE))[0]
    assert await page.receive_json_from(PATIENCE) == {"type": "mode", "vad": False}
    yield page
    await page.disconnect(timeout=PATIENCE)


async def says(page: WebsocketCommunicator) -> dict[str, Any] | bytes:
    """The next message the page gets."""
    message = await page.receive_output(PATIENCE)
    return message["bytes"] if message.get("bytes") else json.loads(message["text"])


async def test_both_sides_are_heard(stage: Stage) -> None:
    """The client's sound and the model's come in the order in which they travelled, each after a word on whose it is."""
    async with program(stage) as client, listening(client) as page:
        await client.send(append(), SAID)
        stage.api.say(delta())
        await client.get()
        await client.send(append())
        item = {"type": "item", "item_id": "item_1", "content_index": 0, "response_id": "resp_1"}
        assert [await says(page) for _ in range(7)] == [
            {"type": "client"}, SAID, SAID, item, TOLD, {"type": "client"}, SAID,
        ]  # fmt: skip


async def test_a_telephone_s_sound(stage: Stage) -> None:
    """G.711 of the client's is made PCM16 of 24 kHz, by the session's input format."""
    async with program(stage) as client, listening(client) as page:
        told = {**IN_FORCE, "audio": {**IN_FORCE["audio"], "input": {"format": {"type": "audio/pcmu"}}}}
        stage.api.say({"type": "session.updated", "session": told})
        await client.get()
        await client.send(append(bytes([0xFF]) * 320))
        assert await says(page) == {"type": "client"}
        assert await says(page) == bytes(1920)


@pytest.mark.parametrize("frame", [{"type": "input_audio_buffer.append"}, {"type": "input_audio_buffer.append", "audio": "%%"},
                                   {"type": "input_audio_buffer.append", "audio": 5}])  # fmt: skip
async def test_what_is_no_sound(stage: Stage, frame: dict[str, Any]) -> None:
    """An append that holds no sound reaches the API as it is, and nobody hears anything."""
    async with program(stage) as client, listening(client) as page:
        await client.send(frame)
        assert stage.api.sent == [frame]
        assert await page.receive_nothing(0.05)


@pytest.mark.parametrize("event", [{"type": "response.cancel"}, {"type": "conversation.item.truncate", "item_id": "item_1"}])
async def test_the_client_interrupts(stage: Stage, event: dict[str, Any]) -> None:
    """Where the client falls silent the listener does; the client's own sound goes on."""
    async with program(stage) as client, listening(client) as page:
        stage.api.say({"type": "response.created", "response": {"id": "resp_1", "conversation_id": "conv_1"}})
        stage.api.say(delta())
        for _ in range(2):
            await client.get()
        assert [await says(page) for _ in range(2)][1] == TOLD
        await client.send(event)
        assert await says(page) == {"type": "stop", "reason": "client"}
        await client.send(append())
        stage.api.say(delta())
        await client.get()
        await client.send(append())
        assert [await says(page) for _ in range(3)] == [{"type": "client"}, SAID, SAID]


async def test_a_cut_spares_the_client_s_sound(stage: Stage) -> None:
    """What waits of the model's sound when it is cut is never sent; what waits of the client's is."""
    async with program(stage) as client:
        player = audio.BrowserPlayer(client.runner)
        client.runner.player = player
        await client.send(append())
        player.play("item_1", 0, "resp_1", json.dumps(delta()))
        await client.send(append())
        assert player.waiting == len(SAID) * 2 + len(TOLD)
        player.stop("speech")
        assert [queued.message["bytes"] for queued in player.outbox if queued.size] == [SAID, SAID]
        assert player.waiting == len(SAID) * 2
        client.runner.player = None


async def test_the_listener_is_never_heard(stage: Stage) -> None:
    """Whatever a page sends up its sound socket, nothing of it reaches the client's session."""
    async with program(stage) as client, listening(client) as page:
        await page.send_json_to({"type": "talk_start"})
        await page.send_to(bytes_data=SAID)
        await page.send_json_to({"type": "talk_end"})
        await page.send_json_to({"type": "stopped", "item_id": "item_1", "played_ms": 10})
        await page.send_to(text_data="nonsense")
        await client.send({"type": "response.create"})
        await flush()
        assert stage.api.sent == [{"type": "response.create"}]
        assert not await Entry.objects.of(client.session_id).filter(type__in=("problem", "heard")).aexists()


async def test_a_listener_who_takes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """When more waits than a browser should have to take, it is skipped, and the timeline says so once."""
    monkeypatch.setattr(audio, "QUEUE_LIMIT", len(SAID))
    async with program(stage) as client:
        player = client.runner.player = audio.BrowserPlayer(client.runner)
        await client.send(append())
        for _ in range(3):
            player.overhear(parse(json.dumps(append())))
        client.runner.player = None
        await flush()
        assert player.waiting == len(SAID)
        assert await Entry.objects.of(client.session_id).filter(type="skip").acount() == 1


async def test_nobody_listens(stage: Stage) -> None:
    """Without a listener sound passes as any frame does."""
    async with program(stage) as client:
        await client.send(append())
        assert stage.api.sent == [append()]
