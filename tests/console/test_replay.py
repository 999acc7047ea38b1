"""Replay a finished session: its sound in any stretch, and the player on its page."""

from __future__ import annotations

import base64
import io
import wave
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.template.loader import render_to_string
from django.test import AsyncClient

from console.models import Session
from tests.console.stage import Story
from tests.console.stories import APPEND, DELTA, Told, tell

pytestmark = pytest.mark.django_db(transaction=True)

RATE = 24_000
"""Samples a second."""


async def body(response: Any) -> bytes:
    """All of an answer, streamed or not."""
    if not response.streaming:
        return bytes(response.content)
    return b"".join([piece async for piece in response.streaming_content])


async def get(client: AsyncClient, url: str, range_: str = "", **headers: str) -> tuple[Any, bytes]:
    """Ask for a file or a part of it."""
    response = await client.get(url, headers={**({"range": range_} if range_ else {}), **headers})
    return response, await body(response)


class TestTheSound:
    """``GET /sessions/<id>/audio.wav``"""

    async def test_it_is_the_session_as_it_was_heard(self, async_client: AsyncClient, told: Told) -> None:
        """User left, assistant right, each when it sounded; what was not heard of an answer is not there."""
        response, content = await get(async_client, f"/sessions/{told.id}/audio.wav")
        assert (response["Content-Type"], response["Accept-Ranges"]) == ("audio/wav", "bytes")
        assert int(response["Content-Length"]) == len(content)
        with wave.open(io.BytesIO(content)) as file:
            assert (file.getnchannels(), file.getframerate()) == (2, RATE)
            assert file.getnframes() == int(2.4 * RATE)
            left, right = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).T
        said, answered = np.flatnonzero(left), np.flatnonzero(right)
        assert (said[0], said.size, said[-1]) == (RATE, RATE // 10, RATE + RATE // 10 - 1)
        assert (answered[0], answered.size) == (int(1.5 * RATE), int(0.4 * RATE))

    @pytest.mark.parametrize(("range_", "first", "last"), [
        ("bytes=0-", 0, None), ("bytes=0-0", 0, 1), ("bytes=43-44", 43, 45), ("bytes=96001-96010", 96001, 96011),
        ("bytes=-4", -4, None), ("bytes=100-99999999999", 100, None),
    ])  # fmt: skip
    async def test_a_range_is_that_part(
        self, async_client: AsyncClient, told: Told, range_: str, first: int, last: int | None
    ) -> None:
        """Seeking asks for bytes from somewhere: they are those of the whole file."""
        _, whole = await get(async_client, f"/sessions/{told.id}/audio.wav")
        response, part = await get(async_client, f"/sessions/{told.id}/audio.wav", range_)
        begin = first % len(whole)
        assert response.status_code == 206
        assert part == whole[first:last]
        assert response["Content-Range"] == f"bytes {begin}-{begin + len(part) - 1}/{len(whole)}"

    async def test_a_range_beyond_the_end(self, async_client: AsyncClient, told: Told) -> None:
        """What is not there is answered with 416 and the length."""
        _, whole = await get(async_client, f"/sessions/{told.id}/audio.wav")
        response, _ = await get(async_client, f"/sessions/{told.id}/audio.wav", f"bytes={len(whole)}-")
        assert (response.status_code, response["Content-Range"]) == (416, f"bytes */{len(whole)}")

    @pytest.mark.parametrize("range_", ["lines=1-2", "bytes=1-2,5-6", "bytes=-", "bytes=" + "9" * 5000 + "-"])
    async def test_a_range_nobody_understands_is_ignored(
        self, async_client: AsyncClient, told: Told, range_: str
    ) -> None:
        """Such a request is answered with the whole file."""
        response, _ = await get(async_client, f"/sessions/{told.id}/audio.wav", range_)
        assert response.status_code == 200

    async def test_a_part_of_an_older_file_is_not_given(self, async_client: AsyncClient, told: Told) -> None:
        """``If-Range`` with another tag gets the whole file, so that two versions are never mixed."""
        response, _ = await get(async_client, f"/sessions/{told.id}/audio.wav", "bytes=0-9", **{"if-range": '"old"'})
        assert response.status_code == 200
        response, _ = await get(
            async_client, f"/sessions/{told.id}/audio.wav", "bytes=0-9", **{"if-range": response["ETag"]}
        )
        assert response.status_code == 206

    async def test_head_tells_the_length(self, async_client: AsyncClient, told: Told) -> None:
        """HEAD says how long it is."""
        response = await async_client.head(f"/sessions/{told.id}/audio.wav")
        assert int(response["Content-Length"]) == 44 + int(2.4 * RATE) * 4


class TestOneRow:
    """``GET /sessions/<id>/events/<seq>/audio.wav``"""

    async def test_a_row_has_the_sound_of_all_its_members(self, async_client: AsyncClient, told: Told) -> None:
        """The head of a fold plays the whole fold, one of its members only itself."""
        head = told.seq(DELTA)
        for seq, seconds in ((head, 0.5), (head + 1, 0.25), (told.seq(APPEND), 0.1)):
            _, content = await get(async_client, f"/sessions/{told.id}/events/{seq}/audio.wav")
            with wave.open(io.BytesIO(content)) as file:
                assert (file.getnchannels(), file.getnframes()) == (1, int(seconds * RATE))
                assert 0 not in np.frombuffer(file.readframes(file.getnframes()), "<i2")

    async def test_a_row_without_sound_says_so(self, async_client: AsyncClient, told: Told) -> None:
        """There is no file, and a sentence why."""
        response, content = await get(async_client, f"/sessions/{told.id}/events/{told.seq('heard')}/audio.wav")
        assert (response.status_code, content) == (404, b"This event carries no sound.\n")


class Tags(HTMLParser):
    """The tags of a fragment."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep one."""
        self.tags.append((tag, dict(attrs)))


class TestThePlayer:
    """``_player.html``"""

    def test_it_knows_its_session(self, told: Told) -> None:
        """Sound, length and the panes' addresses are the session's; every control has a name; nothing is inline."""
        html = render_to_string("console/_player.html", {"session": Session.objects.get(pk=told.id)})
        parser = Tags()
        parser.feed(html)
        [player] = [attrs for tag, attrs in parser.tags if tag == "session-player"]
        assert player["data-duration-ms"] == "2400"
        assert player["data-conversation-url"] == f"/sessions/{told.id}/conversation"
        assert player["data-tools-url"] == f"/sessions/{told.id}/tools"
        assert [attrs["src"] for tag, attrs in parser.tags if tag == "audio"] == [f"/sessions/{told.id}/audio.wav"]
        assert all(attrs.get("aria-label") for tag, attrs in parser.tags if tag in ("button", "input"))
        assert not [name for _, attrs in parser.tags for name in attrs if name == "style" or name.startswith("on")]


@pytest.fixture
def told(transactional_db: None) -> Told:
    """A stored session."""
    return tell()


def one_event(type_: str, **fields: Any) -> str:
    """A session of one event; returns its id."""
    story = Story()
    story.received(type_, **fields)
    return story.store()


class TestOneEvent:
    """``GET /sessions/<id>/events/<seq>/audio.wav`` for items that bring their sound."""

    async def test_a_retrieved_item_can_be_heard(self, async_client: AsyncClient) -> None:
        """conversation.item.retrieved brings the item's whole sound: it is a WAV file, and the event's pane plays it."""
        pcm = np.arange(2400, dtype="<i2").tobytes()
        part = {"type": "audio", "transcript": "Hi.", "audio": base64.b64encode(pcm).decode()}
        item = {"id": "item_1", "type": "message", "role": "assistant", "content": [part]}
        session_id = await sync_to_async(one_event)("conversation.item.retrieved", item=item)
        response, content = await get(async_client, f"/sessions/{session_id}/events/1/audio.wav")
        assert response.status_code == 200
        with wave.open(io.BytesIO(content)) as file:
            assert file.readframes(file.getnframes()) == pcm
        pane = await async_client.get(f"/sessions/{session_id}/events/1/")
        assert f"/sessions/{session_id}/events/1/audio.wav" in pane.content.decode()

    async def test_an_item_without_sound_has_none(self, async_client: AsyncClient) -> None:
        """Other items are text: there is nothing to be heard."""
        session_id = await sync_to_async(one_event)("conversation.item.done", item={"id": "item_1", "content": None})
        response, _ = await get(async_client, f"/sessions/{session_id}/events/1/audio.wav")
        assert response.status_code == 404
