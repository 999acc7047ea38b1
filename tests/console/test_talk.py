"""Talk: a page's sound in, the session's sound out, and what was heard when it is cut."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from console.models import Entry
from tests.console.stage import IN_FORCE, Stage, closing, flush, socket
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

CHUNK = bytes(range(48)) * 20
"""20 ms of microphone, as the page sends it."""
ANSWER = {"type": "response.created", "response": {"id": "resp_1", "conversation_id": "conv_1"}}


def delta(value: int, ms: int = 250) -> dict[str, Any]:
    """A piece of an answer's sound."""
    sound = base64.b64encode(bytes([value, 0]) * (24 * ms)).decode()
    ids = {"response_id": "resp_1", "item_id": "item_1", "content_index": 0}
    return {"type": "response.output_audio.delta", **ids, "delta": sound}


async def talking(session_id: str) -> WebsocketCommunicator:
    """A page's sound socket, open; the mode has been told."""
    page = socket(f"/ws/sessions/{session_id}/audio")
    assert (await page.connect(PATIENCE))[0]
    assert (await page.receive_json_from(PATIENCE))["type"] == "mode"
    return page


async def speak(page: WebsocketCommunicator, chunks: int) -> None:
    """Speak into the microphone."""
    for _ in range(chunks):
        await page.send_to(bytes_data=CHUNK)


def types(stage: Stage) -> list[str]:
    """What the API was sent."""
    return [frame["type"] for frame in stage.api.sent]


async def test_what_is_said_is_sent(stage: Stage) -> None:
    """Sound from the microphone travels as it came, piece by piece; the button sends it off and asks for an answer."""
    session_id = await stage.start()
    page = await talking(session_id)
    await page.send_json_to({"type": "talk_start"})
    await speak(page, 6)
    await page.send_json_to({"type": "talk_end"})
    await stage.api.expect("input_audio_buffer.commit", "response.create")
    assert types(stage) == [*["input_audio_buffer.append"] * 6, "input_audio_buffer.commit", "response.create"]
    assert all(base64.b64decode(frame["audio"]) == CHUNK for frame in stage.api.sent[:6])
    await page.disconnect()


async def test_too_little_was_said(stage: Stage) -> None:
    """Less than the API takes is cleared again, and the timeline says why nothing happens."""
    session_id = await stage.start()
    page = await talking(session_id)
    await page.send_json_to({"type": "talk_start"})
    await speak(page, 2)
    await page.send_json_to({"type": "talk_end"})
    await stage.api.expect("input_audio_buffer.clear")
    assert "input_audio_buffer.commit" not in types(stage)
    await page.disconnect()
    await flush()
    assert await Entry.objects.of(session_id).filter(type="problem", text__startswith="Too short").aexists()


async def test_an_answer_is_heard(stage: Stage) -> None:
    """Sound of the API comes as it is, after a word on whose it is, and its end is told."""
    session_id = await stage.start()
    page = await talking(session_id)
    await stage.hear(session_id, ANSWER, delta(1), delta(2), {"type": "response.output_audio.done", "item_id": "item_1"})
    assert await page.receive_json_from(PATIENCE) == {
        "type": "item", "item_id": "item_1", "content_index": 0, "response_id": "resp_1",
    }  # fmt: skip
    for value in (1, 2):
        assert await page.receive_from(PATIENCE) == bytes([value, 0]) * 6000
    assert await page.receive_json_from(PATIENCE) == {"type": "end", "item_id": "item_1"}
    await page.disconnect()


async def test_talking_interrupts(stage: Stage) -> None:
    """The button cuts the answer: the API is told what was heard of it, and nothing more of it is played."""
    session_id = await stage.start()
    page = await talking(session_id)
    await stage.hear(session_id, ANSWER, delta(1), delta(2))
    for _ in range(3):
        await page.receive_output(PATIENCE)
    await page.send_json_to({"type": "talk_start", "item_id": "item_1", "content_index": 0, "played_ms": 312.4})
    _, cut = await stage.api.expect("response.cancel", "conversation.item.truncate")
    assert cut["audio_end_ms"] == 312
    assert await page.receive_json_from(PATIENCE) == {"type": "stop", "reason": "talk"}
    await stage.hear(session_id, delta(3))
    assert await page.receive_nothing(0.05)
    await page.disconnect()


async def test_speech_interrupts(stage: Stage) -> None:
    """When the API hears somebody speak the page is told to stop, and what it says it had played is truncated."""
    session_id = await stage.start()
    page = await talking(session_id)
    await stage.hear(session_id, ANSWER, delta(1))
    for _ in range(2):
        await page.receive_output(PATIENCE)
    await stage.hear(session_id, {"type": "input_audio_buffer.speech_started", "audio_start_ms": 5, "item_id": "item_2"})
    assert await page.receive_json_from(PATIENCE) == {"type": "stop", "reason": "speech"}
    await page.send_json_to({"type": "stopped", "item_id": "item_1", "content_index": 0, "played_ms": 100})
    [cut] = await stage.api.expect("conversation.item.truncate")
    assert (cut["item_id"], cut["audio_end_ms"]) == ("item_1", 100)
    await page.disconnect()


async def test_what_was_queued_is_dropped(stage: Stage) -> None:
    """Sound that waits for the page when it is cut never leaves."""
    session_id = await stage.start()
    page = await talking(session_id)
    runner = stage.runner(session_id)
    assert runner.player is not None
    for value in range(5):  # no await: nothing of it can leave before the stop
        runner.player.play("item_1", 0, "resp_1", json.dumps(delta(value)))
    runner.player.stop("talk")
    assert (await page.receive_json_from(PATIENCE))["type"] == "item"
    assert await page.receive_json_from(PATIENCE) == {"type": "stop", "reason": "talk"}
    assert await page.receive_nothing(0.05)
    await page.disconnect()


async def test_a_page_that_takes_no_sound(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound beyond what may wait is left out, and the timeline says so once."""
    monkeypatch.setattr("console.doors.audio.QUEUE_LIMIT", 12_000)
    session_id = await stage.start()
    page = await talking(session_id)
    runner = stage.runner(session_id)
    assert runner.player is not None
    for value in range(3):
        runner.player.play("item_1", 0, "resp_1", json.dumps(delta(value)))
    await page.receive_output(PATIENCE)
    assert await page.receive_from(PATIENCE) == bytes([0, 0]) * 6000
    assert await page.receive_nothing(0.05)
    await page.disconnect()
    await flush()
    assert await Entry.objects.of(session_id).filter(type="skip", level="warning").acount() == 1


@pytest.mark.parametrize(("detection", "vad"), [(None, False), ({"type": "server_vad"}, True)])
async def test_it_says_who_ends_a_turn(stage: Stage, detection: object, vad: bool) -> None:
    """A page that opens its sound is told whether the microphone is to run all the time."""
    sound = {**IN_FORCE["audio"], "input": {"turn_detection": detection}}
    session_id = await stage.start(in_force={**IN_FORCE, "audio": sound})
    page = socket(f"/ws/sessions/{session_id}/audio")
    await page.connect(PATIENCE)
    assert await page.receive_json_from(PATIENCE) == {"type": "mode", "vad": vad}
    await page.disconnect()


async def test_another_tab_takes_over(stage: Stage) -> None:
    """The sound belongs to the tab that opened it last: the one before is closed with 4001 and does not disturb it."""
    session_id = await stage.start()
    first = await talking(session_id)
    second = await talking(session_id)
    await second.send_json_to({"type": "talk_start"})
    await speak(second, 6)
    await stage.api.expect(*["input_audio_buffer.append"] * 6)
    assert await closing(first) == 4001
    await first.send_input({"type": "websocket.disconnect", "code": 4001})
    await first.wait(PATIENCE)
    assert stage.runner(session_id).protocol.talking
    await stage.hear(session_id, delta(1))
    assert [(await second.receive_json_from(PATIENCE))["type"] for _ in range(2)] == ["stop", "item"]
    await second.send_json_to({"type": "talk_end"})
    await stage.api.expect("input_audio_buffer.commit")
    await second.disconnect()


async def test_a_tab_that_vanishes_lets_the_button_go(stage: Stage) -> None:
    """Who closes the page with the button down has let it go: what was said is sent off."""
    session_id = await stage.start()
    page = await talking(session_id)
    await page.send_json_to({"type": "talk_start"})
    await speak(page, 6)
    await page.disconnect()
    await stage.api.expect("input_audio_buffer.commit")
    assert stage.runner(session_id).player is None


async def test_the_session_ends_while_somebody_speaks(stage: Stage) -> None:
    """When the API hangs up in the middle of a sentence, the page can still say what it likes, and goes in peace."""
    session_id = await stage.start()
    page = await talking(session_id)
    runner = stage.runner(session_id)
    await page.send_json_to({"type": "talk_start"})
    await speak(page, 6)
    await stage.api.expect(*["input_audio_buffer.append"] * 6)
    stage.api.hang_up(1011, "We are sorry.")
    await runner._ended.wait()
    await speak(page, 1)
    for kind in ("talk_end", "talk_start", "stopped"):
        await page.send_json_to({"type": kind, "item_id": "item_1", "played_ms": 5})
    await page.disconnect()
    assert types(stage) == ["input_audio_buffer.append"] * 6


@pytest.mark.parametrize("said", [
    "no JSON", "[]", "5", '"talk_start"', "{}", '{"type": "stopped", "item_id": "i", "played_ms": "soon"}',
    '{"type": "stopped", "item_id": "i", "played_ms": 1e999}', '{"type": "stopped", "item_id": "i", "content_index": [1]}',
    '{"type": "talk_start", "item_id": "i", "played_ms": NaN}', "[" * 100_000,
])  # fmt: skip
async def test_what_a_page_should_not_say(stage: Stage, said: str) -> None:
    """What cannot be read is told on the timeline; the sound goes on."""
    session_id = await stage.start()
    page = await talking(session_id)
    await page.send_to(text_data=said)
    await page.send_json_to({"type": "something new"})
    await speak(page, 1)
    await stage.api.expect("input_audio_buffer.append")
    await page.disconnect()
    await flush()
    assert await Entry.objects.of(session_id).filter(type="problem").acount() == 1


async def test_a_session_that_does_not_run(stage: Stage) -> None:
    """A session that is over, or that nobody knows, is closed with 4004."""
    session_id = await stage.start()
    await stage.stop(session_id)
    for path in (session_id, "nobody"):
        page = socket(f"/ws/sessions/{path}/audio")
        assert (await page.connect(PATIENCE))[0]
        assert await closing(page) == 4004
