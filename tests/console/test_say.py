"""Say something in writing: it is sent, it interrupts, or a sentence says why not."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.test import AsyncClient

from console.models import Entry
from tests.console.stage import HTMX, Stage, Story, flush

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = base64.b64encode(bytes(48_000)).decode()
"""A second of sound."""
SPEAKING: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "resp_1", "conversation_id": "conv_1"}},
    {"type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_1", "content_index": 0, "delta": SECOND},
]  # fmt: skip
"""The API speaks."""


async def test_words_are_sent_and_an_answer_is_asked_for(stage: Stage) -> None:
    """The text becomes an item of the user's, exactly as typed, and the model is asked to answer."""
    session_id = await stage.start()
    response = await stage.post(session_id, "say", text="Olá <b>Ada</b>")
    assert (response.status_code, response.content) == (204, b"")
    item, _ = await stage.api.expect("conversation.item.create", "response.create")
    content = [{"type": "input_text", "text": "Olá <b>Ada</b>"}]
    assert item["item"] == {"type": "message", "role": "user", "content": content}
    assert len(stage.api.sent) == 2


async def test_words_interrupt(stage: Stage) -> None:
    """What is being said is cancelled and truncated to what was heard; the answer is asked for when it is over."""
    session_id = await stage.start()
    await stage.hear(session_id, *SPEAKING)
    await stage.post(session_id, "say", text="Stop!", item_id="item_1", content_index="0", played_ms="412.6")
    _, cut, _ = await stage.api.expect("response.cancel", "conversation.item.truncate", "conversation.item.create")
    assert (cut["item_id"], cut["content_index"], cut["audio_end_ms"]) == ("item_1", 0, 413)
    assert "response.create" not in [frame["type"] for frame in stage.api.sent]
    stage.api.say({"type": "response.done", "response": {"id": "resp_1", "status": "cancelled"}})
    await stage.api.expect("response.create")
    await flush()
    heard = await Entry.objects.of(session_id).aget(type="heard")
    assert heard.data == {"item_id": "item_1", "played_ms": 413, "why": "text"}


async def test_no_more_was_heard_than_was_received(stage: Stage) -> None:
    """A loudspeaker that claims more than there was does not make the API refuse."""
    session_id = await stage.start()
    await stage.hear(session_id, *SPEAKING)
    await stage.post(session_id, "say", text="Stop!", item_id="item_1", played_ms="5000")
    [cut] = await stage.api.expect("conversation.item.truncate")
    assert cut["audio_end_ms"] == 1000


@pytest.mark.parametrize(("fields", "sentence"), [
    ({"text": ""}, "There is nothing to say: the text is empty."),
    ({"text": " \n"}, "There is nothing to say: the text is empty."),
    ({}, "There is nothing to say: the text is empty."),
    ({"text": "hi", "item_id": "item_1", "played_ms": "soon"}, "Played ms: Enter a number."),
    ({"text": "hi", "item_id": "item_1", "played_ms": "inf"}, "Played ms: Enter a number."),
    ({"text": "hi", "item_id": "item_1", "content_index": "-1"}, "greater than or equal to 0."),
    ({"text": "a\x00b"}, "Null characters are not allowed."),
])  # fmt: skip
async def test_what_cannot_be_said(stage: Stage, fields: dict[str, str], sentence: str) -> None:
    """A form that makes no sense is answered with a sentence, and nothing is sent."""
    assert sentence in await stage.refused(await stage.start(), "say", **fields)


async def test_a_session_that_is_over(stage: Stage) -> None:
    """Nothing can be said to a session that has ended, and the page says so."""
    session_id = await stage.start()
    stage.api.hang_up(1001, "Your session hit the maximum duration of 60 minutes.")
    await stage.runner(session_id)._ended.wait()
    assert "nothing was sent" in await stage.refused(session_id, "say", text="Hello?")


async def test_a_session_that_closes(stage: Stage) -> None:
    """Between the goodbye and the end nothing is sent either; the sentence says where the session stands."""
    session_id = await stage.start()
    stage.runner(session_id).protocol.closing()
    assert "The session is closing; nothing was sent." in await stage.refused(session_id, "say", text="Hello?")


@pytest.mark.parametrize("what", ["say", "mode", "send", "memory", "disconnect", "settings"])
async def test_a_session_nobody_knows(stage: Stage, what: str) -> None:
    """An id that is not there is a 404, whatever is to be done."""
    assert (await stage.post("nobody", what)).status_code == 404


@pytest.mark.parametrize("what", ["say", "mode", "send", "memory", "disconnect", "settings", "rename", "delete"])
async def test_every_form_takes_the_token_of_the_page(stage: Stage, what: str) -> None:
    """A form that comes from elsewhere is refused before anything is done."""
    client = AsyncClient(enforce_csrf_checks=True)
    response = await client.post(f"/sessions/nobody/{what}", {}, headers=HTMX)
    assert response.status_code == 403


async def test_disconnecting_ends_the_session(stage: Stage) -> None:
    """The session is closed with 1000 by this console, is kept, and can be disconnected twice."""
    session_id = await stage.start()
    for _ in range(2):
        assert (await stage.post(session_id, "disconnect")).status_code == 204
    await flush()
    facts = (await stage.client.get(f"/sessions/{session_id}.json")).json()
    assert (facts["status"], facts["close"]) == ("closed", {"by": "console", "code": 1000, "reason": ""})


async def test_disconnecting_what_another_process_left(stage: Stage) -> None:
    """A session that does not run here is left as it is."""
    session_id = await _stored_as_live()
    assert (await stage.post(session_id, "disconnect")).status_code == 204
    assert "nothing was sent" in await stage.refused(session_id, "say", text="Hello?")


async def _stored_as_live() -> str:
    from asgiref.sync import sync_to_async  # noqa: PLC0415

    return str((await sync_to_async(Story)(status="ready")).session.pk)
