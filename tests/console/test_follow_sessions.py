"""Follow the list of sessions: over a socket of its own, a row at a time, and at no cost while nobody looks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator

from console import fragments, rail
from console.models import Session
from console.news import RAIL, news
from console.rail import Rail
from console.watch import Watch
from tests.console.relayed_stage import RelayedStory
from tests.console.stage import Stage, socket
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The templates that are rendered from now on, in order."""
    names: list[str] = []
    for module in (fragments, rail):
        render = module.render_to_string

        def counted(name: str, *given: Any, render: Any = render) -> str:
            names.append(name.removeprefix("console/"))
            return str(render(name, *given))

        monkeypatch.setattr(module, "render_to_string", counted)
    return names


def stories(count: int, **columns: Any) -> list[RelayedStory]:
    """So many live sessions, the newest first."""
    made = [RelayedStory(label=f"app {number}", model="gpt-realtime", **columns) for number in range(count)]
    for number, story in enumerate(made):
        story.session.started_at = story.session.started_at.replace(minute=number)
        story.session.save()
    return made[::-1]


def grow(story: RelayedStory, events: int = 1) -> None:
    """Something happens in a session."""
    for _ in range(events):
        story.frame({"type": "input_audio_buffer.append", "audio": "AAAA"})
    story.store()


def ids(html: str) -> list[str]:
    """The elements a message holds, in order."""
    return re.findall(r'<(?:li|ul|span)[^>]* id="([^"]+)"', html)


class TestTheList:
    """What a message holds"""

    def test_what_each_row_says(self) -> None:
        """Label, client, model, age and events of each live session stand in its row, under how many there are."""
        [story, _] = stories(2)
        grow(story, 3)
        text = Rail().news()
        assert '<li id="session-group-live" class="group">Live <b>2</b></li>' in text
        for shown in ("app 1", "OpenAI/Python 3.52.0 · gpt-realtime", "3 ev", f'data-since="{story.session.started_at.isoformat()}"'):
            assert shown in text

    def test_nothing_happened(self, rendered: list[str]) -> None:
        """When nothing has changed nothing is sent, and nothing rendered."""
        grow(stories(3)[0])
        listed = Rail()
        assert listed.news()
        rendered.clear()
        assert listed.news() == ""
        assert rendered == []

    def test_only_counts_changed(self, rendered: list[str]) -> None:
        """Of a session that goes on only its numbers are sent: no row, no list, and no other session's."""
        made = stories(30)
        listed = Rail()
        listed.news()
        rendered.clear()
        for story in made[:2]:
            grow(story)
        text = listed.news()
        assert rendered == ["_session_counts.html"] * 2
        assert text.count("hx-swap-oob") == 2
        assert set(re.findall(r'id="counts-(\w+)"', text)) == {story.session.pk for story in made[:2]}

    def test_one_that_begins_and_one_that_ends(self) -> None:
        """A new session is put on top, one that is over moves to the others, both alone; the number of live ones follows."""
        first, second, third = stories(3)
        listed = Rail()
        listed.news()
        third.close()
        third.store()
        [new] = stories(1)
        new.session.started_at = new.session.started_at.replace(minute=50)
        new.session.save()
        text = listed.news()
        assert f'<li id="session-{third.session.pk}" hx-swap-oob="delete"></li>' in text
        assert re.search(rf'afterend:#session-group-live"><li[^>]* id="session-{new.session.pk}"', text)
        last = rf'afterend:#session-{second.session.pk}"><li id="session-group-over" class="group">Earlier</li>'
        assert re.search(rf'{last}\s*<li data-live="false"[^>]* id="session-{third.session.pk}"', text)
        assert first.session.pk not in text.replace(f"#session-{first.session.pk}", "")

    def test_a_name_that_changes(self) -> None:
        """A row whose name changed comes anew, under its own id."""
        [story] = stories(1)
        listed = Rail(story.session.pk)
        listed.news()
        Session.objects.update(label="other <b>")
        text = listed.news()
        assert ids(text)[0] == f"session-{story.session.pk}"
        assert 'aria-current="true" hx-swap-oob="true"' in text
        assert "other &lt;b&gt;" in text

    def test_many_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """When very much has moved the list comes as a whole."""
        monkeypatch.setattr(rail, "MOST_MOVES", 2)
        listed = Rail()
        stories(1)
        listed.news()
        Session.objects.all().delete()
        stories(3)
        assert 'id="session-list" hx-swap-oob="true"' in listed.news()

    def test_the_first_and_the_last(self) -> None:
        """From nothing to a session and back: the list says that there are none."""
        listed = Rail()
        assert "No sessions yet." in listed.news()
        assert listed.news() == ""
        stories(1)
        assert "app 0" in listed.news()
        Session.objects.all().delete()
        assert "No sessions yet." in listed.news()


async def nudge() -> None:
    """Say that something was recorded."""
    news.tell([RAIL])


async def listing(query: str = "") -> tuple[WebsocketCommunicator, str]:
    """A page's socket, and the list it gets first."""
    page = socket(f"/ws/rail{query}")
    assert (await page.connect(PATIENCE))[0]
    return page, await page.receive_from(PATIENCE)


async def test_an_idle_page_follows(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page without any session is told when one begins, and when one goes on."""
    monkeypatch.setattr("console.doors.sessions.SessionsConsumer.every", 0.01)
    page, first = await listing()
    assert "No sessions yet." in first
    [story] = await sync_to_async(stories)(1)
    await nudge()
    assert "app 0" in await page.receive_from(PATIENCE)
    await sync_to_async(grow)(story)
    await nudge()
    assert "1 ev" in await page.receive_from(PATIENCE)
    await page.disconnect()


async def test_the_session_on_the_page(stage: Stage) -> None:
    """The page says which session it shows, and that one is marked."""
    [story] = await sync_to_async(stories)(1)
    page, first = await listing(f"?current={story.session.pk}")
    assert first.count('aria-current="true"') == 1
    await page.disconnect()


async def test_no_more_often_than_can_be_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is recorded, the next message waits for its time."""
    monkeypatch.setattr("console.doors.sessions.SessionsConsumer.every", 2 * PATIENCE)
    page, _ = await listing()
    [story] = await sync_to_async(stories)(1)
    for _ in range(20):
        await sync_to_async(grow)(story)
        await nudge()
    assert await page.receive_nothing(0.2)
    await page.disconnect()


async def test_recording_renders_nothing(stage: Stage, rendered: list[str]) -> None:
    """Sessions that are only recorded render nothing at all; who follows one renders nothing of the others."""
    made = await sync_to_async(stories)(20)
    for story in made:
        await sync_to_async(grow)(story, 50)
        await nudge()
    assert rendered == []
    seen = Watch(made[0].session.pk, 0)
    while await sync_to_async(seen.catch_up)():
        rendered.clear()
    for story in made[1:]:
        await sync_to_async(grow)(story, 50)
    assert await sync_to_async(seen.catch_up)() == []
    assert rendered == []


@pytest.mark.parametrize("origin", [b"http://evil.example", b"null", b""])
async def test_only_the_console_s_own_pages(stage: Stage, origin: bytes) -> None:
    """A page from elsewhere learns nothing of the sessions there are."""
    accepted, _ = await socket("/ws/rail", (b"origin", origin)).connect(PATIENCE)
    assert not accepted
