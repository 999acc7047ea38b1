"""Follow a timeline as it grows: over a page's socket, each row once, whatever was missed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator

from console import watch
from console.models import Entry, Frame, Session
from console.news import news
from tests.console.stage import Stage, Story, closing, seqs, socket
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def following(session_id: str, query: str = "after=0") -> AsyncIterator[WebsocketCommunicator]:
    """A page that shows a session."""
    page = socket(f"/ws/sessions/{session_id}/timeline?{query}")
    accepted, _ = await page.connect(PATIENCE)
    assert accepted
    yield page
    await page.disconnect(timeout=PATIENCE)


async def nudge(session_id: str) -> None:
    """Say that there is news."""
    news.tell([session_id])


async def rows_until(page: WebsocketCommunicator, last: int) -> list[int]:
    """The rows that come, in order, up to this one."""
    found: list[int] = []
    while last not in found:
        found += seqs(await page.receive_from(PATIENCE))
    return found


async def told(rows: int, **columns: str) -> Story:
    """A session of so many rows."""
    return await sync_to_async(_told)(rows, columns)


def _told(rows: int, columns: dict[str, str]) -> Story:
    story = Story(**columns)
    for number in range(rows):
        story.received("rate_limits.updated", number=number)
    story.store()
    return story


async def test_rows_after_the_one_it_has(stage: Stage) -> None:
    """A page that comes back says what it has, and gets what came after it, in order."""
    story = await told(12)
    async with following(story.session.pk, "after=7") as page:
        assert await rows_until(page, 12) == [8, 9, 10, 11, 12]


async def test_nothing_twice(stage: Stage) -> None:
    """What comes later is sent when it comes, and no row that was sent before comes again."""
    story = await told(3, status="ready")
    sid = story.session.pk
    async with following(sid) as page:
        found = await rows_until(page, 3)
        for number in range(4, 7):
            story.received("rate_limits.updated")
            await sync_to_async(story.store)()
            await nudge(sid)
            await nudge(sid)
            found += await rows_until(page, number)
    assert found == [1, 2, 3, 4, 5, 6]


async def test_a_lost_nudge_costs_a_moment(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nudges may be lost: the page gets what is new all the same."""
    monkeypatch.setattr("console.doors.timeline.LOOK_EVERY", 0.02)
    story = await told(1, status="ready")
    async with following(story.session.pk) as page:
        await rows_until(page, 1)
        story.received("rate_limits.updated")
        await sync_to_async(story.store)()
        assert await rows_until(page, 2) == [2]


async def test_a_row_that_grows_comes_again(stage: Stage) -> None:
    """A fold that is on the page is sent anew when it has more members, under the same id."""
    story = await sync_to_async(Story)(status="ready")
    story.received("response.output_text.delta", item_id="item_1", delta="Hel")
    await sync_to_async(story.store)()
    async with following(story.session.pk) as page:
        assert await rows_until(page, 1) == [1]
        story.received("response.output_text.delta", item_id="item_1", delta="lo")
        await sync_to_async(story.store)()
        await nudge(story.session.pk)
        text = ""
        while not seqs(text):
            text = await page.receive_from(PATIENCE)
    assert seqs(text) == [1]
    assert "“Hello”" in text
    assert "×2" in text


async def test_only_what_matches(stage: Stage) -> None:
    """With a filter only rows that match are pushed; the rest of the page keeps up all the same."""
    story = await sync_to_async(Story)(status="ready")
    story.received("error", error={"message": "No."})
    for _ in range(3):
        story.received("rate_limits.updated")
    last = story.received("error", error={"message": "Never."})
    await sync_to_async(story.store)()
    async with following(story.session.pk, "after=0&q=is:error") as page:
        assert await rows_until(page, last) == [1, last]


async def test_far_behind(stage: Stage) -> None:
    """A page that is more than two pages behind gets the newest rows in place of all it had, not each."""
    rows = 2 * watch.SNAPSHOT_ROWS + 50
    story = await told(rows)
    async with following(story.session.pk) as page:
        text = await page.receive_from(PATIENCE)
    assert 'hx-swap-oob="outerHTML:#timeline"' in text
    assert seqs(text) == list(range(rows - watch.SNAPSHOT_ROWS + 1, rows + 1))


async def test_a_little_behind(stage: Stage) -> None:
    """Rows that were missed come in pushes a browser can take, each row once."""
    rows = 2 * watch.SNAPSHOT_ROWS
    story = await told(rows)
    async with following(story.session.pk, f"after={rows - 100}") as page:
        pushes = []
        while not pushes or pushes[-1][-1] != rows:
            if found := seqs(await page.receive_from(PATIENCE)):
                pushes.append(found)
    assert [len(push) for push in pushes] == [watch.PUSH_ROWS, watch.PUSH_ROWS, 100 - 2 * watch.PUSH_ROWS]
    assert [seq for push in pushes for seq in push] == list(range(rows - 99, rows + 1))


async def test_what_stands_around_it(stage: Stage) -> None:
    """State, settings in force, memory and notices follow, each only when it has changed; markup stays text."""
    story = await told(1, status="ready")
    sid = story.session.pk
    async with following(sid, "after=1") as page:
        first = await page.receive_from(PATIENCE)
        for part in ("conversation", "state", "in-force", "memory", "weather", "mode", "trouble"):
            assert f'id="{part}"' in first, part
        story.note("memory", "", key="name", value="<i>Ada")
        story.note("problem", "<b>No.")
        await sync_to_async(story.store)()
        await nudge(sid)
        assert await rows_until(page, 3) == [2, 3]
        then = await page.receive_from(PATIENCE)
    assert 'id="memory"' in then
    assert "&lt;i&gt;Ada" in then
    assert 'hx-swap-oob="beforeend:#notices"' in then
    assert "&lt;b&gt;No." in then
    assert 'id="in-force"' not in then
    assert 'id="weather"' not in then
    assert "<b>No." not in then


async def test_the_conversation_follows(stage: Stage) -> None:
    """A new item is appended, a known one replaced, and one that belongs between others brings the list anew."""
    story = await sync_to_async(Story)(status="ready")
    sid = story.session.pk
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}

    async def push(type_: str, **fields: object) -> str:
        story.received(type_, **fields)
        await sync_to_async(story.store)()
        await nudge(sid)
        await page.receive_from(PATIENCE)  # the rows
        return str(await page.receive_from(PATIENCE))

    async with following(sid) as page:
        await page.receive_from(PATIENCE)
        added = await push("conversation.item.added", item={**item, "id": "item_1"}, previous_item_id=None)
        assert '<ol hx-swap-oob="beforeend:#conversation"><li id="item-item_1"' in added
        grown = await push("conversation.item.done", item={**item, "id": "item_1", "status": "incomplete"})
        assert re.search(r'<li id="item-item_1"[^>]* hx-swap-oob="true"', grown)
        between = await push("conversation.item.added", item={**item, "id": "item_0"}, previous_item_id="root")
        assert '<ol id="conversation"' in between or 'beforeend:#conversation"><li id="item-item_0"' in between


async def test_how_it_ended(stage: Stage) -> None:
    """When the session ends the page learns why, and may connect again."""
    story = await told(1, status="ready")
    async with following(story.session.pk, "after=1") as page:
        await page.receive_from(PATIENCE)
        story.close("server", 1001, "Your session hit the maximum duration of 60 minutes.")
        await sync_to_async(story.store)()
        await nudge(story.session.pk)
        assert await rows_until(page, 2) == [2]
        text = await page.receive_from(PATIENCE)
    assert "maximum duration of 60 minutes" in text
    assert 'data-state="closed"' in text
    assert f'name="continues" value="{story.session.pk}"' in text


async def test_a_session_nobody_knows(stage: Stage) -> None:
    """An unknown session is closed with 4004, and the page does not try again."""
    page = socket("/ws/sessions/nobody/timeline")
    assert (await page.connect(PATIENCE))[0]
    assert await closing(page) == 4004


async def test_a_session_that_is_deleted(stage: Stage) -> None:
    """A page that shows a session which is deleted is told the same."""
    story = await told(1, status="ready")
    page = socket(f"/ws/sessions/{story.session.pk}/timeline")
    await page.connect(PATIENCE)
    await rows_until(page, 1)
    for model in (Frame, Entry, Session):
        await sync_to_async(model.objects.all().delete)()
    await nudge(story.session.pk)
    assert await closing(page) == 4004


async def test_a_filter_that_cannot_be_read(stage: Stage) -> None:
    """A page whose filter does not parse is told so by a close, not by silence."""
    story = await told(1)
    page = socket(f"/ws/sessions/{story.session.pk}/timeline?q=moon:full")
    await page.connect(PATIENCE)
    assert await closing(page) == 4004


@pytest.mark.parametrize("after", ["", "-1", "²", "soon", "9" * 5000])
async def test_a_place_that_is_none(stage: Stage, after: str) -> None:
    """A page that does not say what it has, or says nonsense, gets all of it."""
    story = await told(2)
    async with following(story.session.pk, f"after={after}") as page:
        assert await rows_until(page, 2) == [1, 2]


@pytest.mark.parametrize("door", ["timeline", "audio"])
@pytest.mark.parametrize("origin", [b"http://evil.example", b"http://localhost.evil.example", b"null", b""])
async def test_only_the_console_s_own_pages(stage: Stage, door: str, origin: bytes) -> None:
    """A page from elsewhere is refused before the handshake is answered."""
    story = await told(1)
    accepted, code = await socket(f"/ws/sessions/{story.session.pk}/{door}", (b"origin", origin)).connect(PATIENCE)
    assert (accepted, code) == (False, 4403)
