"""Change what a session remembers, from the page; and see what the model has stored."""

from __future__ import annotations

import pytest

from console.models import Entry
from tests.console.stage import Stage, flush

pytestmark = pytest.mark.django_db(transaction=True)


async def shown(stage: Stage, session_id: str, until: str = "") -> str:
    """The Tools pane."""
    await flush()
    return str((await stage.client.get(f"/sessions/{session_id}/tools", {"until": until})).content.decode())


async def test_a_thing_is_remembered(stage: Stage) -> None:
    """A key and its value are in the session's memory, on its timeline, and on the page; nothing is sent."""
    session_id = await stage.start()
    response = await stage.post(session_id, "memory", key="favourite_colour", new_value="blue <i>")
    assert response.status_code == 204
    assert stage.runner(session_id).context.memory == {"favourite_colour": "blue <i>"}
    assert stage.api.sent == []
    html = await shown(stage, session_id)
    assert "favourite_colour" in html
    assert "blue &lt;i&gt;" in html
    entry = await Entry.objects.of(session_id).aget(type="memory")
    assert entry.data == {"key": "favourite_colour", "value": "blue <i>", "by": "page"}
    assert entry.text == "favourite_colour = blue <i>"


async def test_a_thing_is_forgotten(stage: Stage) -> None:
    """A forgotten key is gone from now on, and still there in what the session knew before."""
    session_id = await stage.start()
    await stage.post(session_id, "memory", key="name", new_value="Grace")
    await flush()
    before = (await Entry.objects.of(session_id).aget(type="memory")).seq
    await stage.post(session_id, "memory", key="name", forget="true")
    assert stage.runner(session_id).context.memory == {}
    assert "Grace" not in await shown(stage, session_id)
    assert "Grace" in await shown(stage, session_id, until=str(before))


async def test_an_empty_value_is_a_value(stage: Stage) -> None:
    """Nothing typed is remembered as an empty text, not forgotten."""
    session_id = await stage.start()
    await stage.post(session_id, "memory", key="name", new_value="")
    assert stage.runner(session_id).context.memory == {"name": ""}


@pytest.mark.parametrize(("fields", "sentence"), [
    ({}, "Key: This field is required."),
    ({"key": "Not A Key", "new_value": "x"}, "is not a key"),
    ({"key": "<script>", "new_value": "x"}, "&lt;script&gt;"),
    ({"key": "1st", "new_value": "x"}, "is not a key"),
    ({"key": "a" * 65, "new_value": "x"}, "is not a key"),
    ({"key": "name", "new_value": "x" * 2001}, "at most 2,000 are kept"),
])  # fmt: skip
async def test_what_is_no_memory(stage: Stage, fields: dict[str, str], sentence: str) -> None:
    """What set_memory would refuse is refused here too, with its sentence, and nothing changes."""
    session_id = await stage.start()
    assert sentence in await stage.refused(session_id, "memory", **fields)
    assert stage.runner(session_id).context.memory == {}


async def test_a_session_that_is_over(stage: Stage) -> None:
    """The memory of a session that has ended stays as it was."""
    session_id = await stage.start()
    await stage.stop(session_id)
    assert "nothing was sent" in await stage.refused(session_id, "memory", key="name", new_value="Grace")


async def test_what_the_model_stores(stage: Stage) -> None:
    """A call of set_memory changes the same memory, and the model is told that it worked."""
    session_id = await stage.start()
    call = {"type": "function_call", "id": "item_1", "call_id": "call_1", "name": "set_memory"}
    stage.api.say({
        "type": "response.function_call_arguments.done", "response_id": "resp_1", "item_id": "item_1",
        "call_id": "call_1", "name": "set_memory", "arguments": '{"key": "name", "value": "Grace"}',
    })  # fmt: skip
    stage.api.say({"type": "response.done", "response": {"id": "resp_1", "status": "completed", "output": [call]}})
    [answer] = await stage.api.expect("conversation.item.create")
    assert answer["item"] == {"type": "function_call_output", "call_id": "call_1", "output": '{"ok": true}'}
    assert stage.runner(session_id).context.memory == {"name": "Grace"}
    assert "Grace" in await shown(stage, session_id)


@pytest.mark.parametrize("until", ["-1", "²", "9" * 5000, "soon", ""])
async def test_a_place_that_is_none(stage: Stage, until: str) -> None:
    """An address whose place on the timeline is no number shows the memory as it is now."""
    session_id = await stage.start()
    await stage.post(session_id, "memory", key="name", new_value="Grace")
    assert "Grace" in await shown(stage, session_id, until=until)
