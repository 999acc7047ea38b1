"""Send any event as it was written: a debugger must be able to send nonsense."""

from __future__ import annotations

import json
from typing import Any

import pytest

from console.models import Entry
from tests.console.stage import Stage, flush

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("event", [
    {"type": "response.create"},
    {"type": "response.create", "response": {"conversation": "none", "metadata": {"a": "1"}}},
    {"type": "nobody.knows.this", "deep": [{"é": [1.5, None, True, "\U0001f600 \u2028"]}]},
    {"type": "conversation.item.create", "item": "not an object"},
    {"type": "session.update", "session": None, "event_id": "mine"},
])  # fmt: skip
async def test_any_event_travels(stage: Stage, event: dict[str, Any]) -> None:
    """Every JSON object with a type is sent once, with nothing added or left out, as the composer's."""
    session_id = await stage.start()
    assert (await stage.post(session_id, "send", event=json.dumps(event, indent=2))).status_code == 204
    assert stage.api.sent == [event]
    await flush()
    entry = await Entry.objects.of(session_id).order_by("-seq").afirst()
    assert entry is not None
    assert (entry.type, entry.direction, entry.origin) == (event["type"], "sent", "composer")


@pytest.mark.parametrize(("written", "sentence"), [
    ("", "There is nothing to send: write an event."),
    ("{", "This is not JSON: Expecting property name"),
    ('{"type": "a"} {"type": "b"}', "This is not JSON: Extra data: line 1 column 15"),
    ("[]", "An event is a JSON object: { … }."),
    ('[{"type": "response.create"}]', "An event is a JSON object: { … }."),
    ('"response.create"', "An event is a JSON object: { … }."),
    ("null", "An event is a JSON object: { … }."),
    ("0", "An event is a JSON object: { … }."),
    ("{}", "An event needs a &quot;type&quot; that is a string."),
    ('{"type": 1}', "An event needs a &quot;type&quot; that is a string."),
    ('{"type": ""}', "An event needs a &quot;type&quot; that is a string."),
    ('{"type": "response.create", "n": NaN}', "cannot be written as JSON"),
    ("[" * 100_000, "This is not JSON: "),
])  # fmt: skip
async def test_what_is_no_event(stage: Stage, written: str, sentence: str) -> None:
    """What is no event is answered with a sentence, and nothing is sent."""
    assert sentence in await stage.refused(await stage.start(), "send", event=written)


async def test_what_was_typed_is_shown_as_text(stage: Stage) -> None:
    """The sentence never carries markup that was typed."""
    html = await stage.refused(await stage.start(), "send", event="<script>alert(1)</script>")
    assert "<script" not in html


async def test_a_session_that_is_over(stage: Stage) -> None:
    """Nothing is sent to a session that has ended."""
    session_id = await stage.start()
    await stage.stop(session_id)
    assert "nothing was sent" in await stage.refused(session_id, "send", event='{"type": "response.create"}')


async def test_while_it_is_still_dialling(stage: Stage) -> None:
    """An event sent before the connection stands travels as soon as it does."""
    response = await stage.client.post("/sessions/start", {"provider": "simulator"}, headers={"hx-request": "true"})
    session_id = response["HX-Push-Url"].split("/")[2]
    await stage.post(session_id, "send", event='{"type": "response.create"}')
    await stage.api.expect("response.create")
