"""Keep up with a session that streams: little is asked and sent meanwhile, and in the end the page says what a fresh one says."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext

from console import fragments, moments, watch
from console.models import Entry
from console.news import news
from console.watch import Watch
from tests.console.relayed_stage import RelayedStory
from tests.console.stage import IN_FORCE, Stage, Story, seqs, socket
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

APPEND, SOUND = "input_audio_buffer.append", "response.output_audio.delta"
WORDS = "response.output_audio_transcript.delta"
LATER = 1e9


def happen(story: Story, chance: random.Random) -> None:
    """Anything that happens in a session."""
    number = chance.randrange(3)
    ids = {"response_id": f"resp_{number}", "item_id": f"item_{number}", "content_index": 0}
    item = {"id": f"item_{number}", "type": "message", "role": "assistant", "status": chance.choice(["in_progress", "completed"])}
    match chance.choice(["mic"] * 6 + ["sound"] * 6 + ["words"] * 4 + ["item", "commit", "note", "memory", "error", "session", "pair"]):
        case "mic":
            story.sent(APPEND, audio="AAAA" * chance.randrange(40))
        case "sound":
            story.received(SOUND, **ids, delta="AAAA" * chance.randrange(200))
        case "words":
            type_ = chance.choice([WORDS, "response.function_call_arguments.delta", "some.other.delta"])
            story.received(type_, **ids, delta=chance.choice(["w ", "w ", "needle "]))
        case "item":
            story.received("conversation.item.added", item=item, previous_item_id=chance.choice([None, "root", "item_1"]))
        case "commit":
            story.received("input_audio_buffer.committed", item_id=f"item_u{story.timeline.last_seq}")
        case "note":
            story.note(chance.choice(["slow", "problem"]), "<b>Something.")
        case "memory":
            story.note("memory", "", key="name", value=f"Ada {number}")
        case "error":
            story.received("error", error={"message": "No."})
        case "session":
            story.received("session.updated", session={**IN_FORCE, "instructions": str(number)})
        case "pair" if isinstance(story, RelayedStory):
            frame = {"type": WORDS, **ids, "delta": "p "}
            story.sides(("upstream", frame), ("client", {**frame, "delta": "q "}), direction="received")


class Page:
    """What a browser has after these messages."""

    def __init__(self, begun: int = 0) -> None:
        self.begun = begun
        """Only rows after this are owed to it."""
        self.rows: dict[int, str] = {}
        self.items: dict[str, str] = {}
        self.sent: list[str] = []

    def take(self, messages: list[str]) -> None:
        """Swap in what came, as htmx does."""
        self.sent += messages
        for html in messages:
            if 'hx-swap-oob="outerHTML:#timeline"' in html:
                self.rows, self.begun = {}, seqs(html)[0] - 1
            self.rows |= rows_in(html)
            if '<ol id="conversation"' in html:
                self.items = {}
            self.items |= items_in(html)


def rows_in(html: str) -> dict[int, str]:
    """Rows of the timeline, in order."""
    return dict(zip(seqs(html), re.findall(r"<tr id=.*?</tr>", html, re.DOTALL), strict=True))


def items_in(html: str) -> dict[str, str]:
    """Items of the conversation, in order, without how they are swapped in."""
    found = re.findall(r'<li id="(item-[^"]+)".*?</li>', html, re.DOTALL)
    whole = re.findall(r'<li id="item-.*?</li>', html.replace(' hx-swap-oob="true"', ""), re.DOTALL)
    return dict(zip(found, whole, strict=True))


def looks(seen: Watch, page: Page) -> None:
    """Look until nothing comes and nothing is held back."""
    while (messages := seen.catch_up()) or seen.held_back:
        page.take(messages)


@pytest.fixture
def streaming() -> Iterator[tuple[Story, Watch, Page]]:
    """A session in which both sides speak, and a page that has seen it so far."""
    story = Story(status="ready")
    story.received("session.created", session=IN_FORCE)
    speak(story)
    speak(story)
    seen, page = Watch(story.session.pk, 0), Page()
    looks(seen, page)
    yield story, seen, page


def speak(story: Story, words: str = "") -> None:
    """A moment in which both sides speak."""
    ids = {"response_id": "resp_1", "item_id": "item_1", "content_index": 0}
    story.sent(APPEND, audio="A" * 1280)
    story.received(SOUND, **ids, delta="A" * 6400)
    if words:
        story.received(WORDS, **ids, delta=words)
    story.store()


@pytest.mark.parametrize("held", [0.0, LATER])
@pytest.mark.parametrize("query", ["", "type:*.delta", "is:error", "Needle"])
@pytest.mark.parametrize(("read", "push", "snapshot"), [(2000, 40, 200), (7, 3, 200), (60, 5, 8)])
@pytest.mark.parametrize("teller", [Story, RelayedStory])
def test_in_the_end_it_says_what_a_fresh_page_says(
    monkeypatch: pytest.MonkeyPatch, held: float, query: str, read: int, push: int, snapshot: int, teller: type[Story]
) -> None:
    """Whenever it looked, and however little it may read and send at once: no row, item or panel stays as it was."""
    chance = random.Random(f"{held} {query} {read} {teller.__name__}")  # noqa: S311  (chance of a test is no secret)
    for name, value in {"REST_EVERY": held, "READ_AT_ONCE": read, "PUSH_ROWS": push, "SNAPSHOT_ROWS": snapshot}.items():
        monkeypatch.setattr(watch, name, value)
    monkeypatch.setattr(moments, "READ_AT_ONCE", read)
    story = teller(status="ready")
    for _ in range(30):
        happen(story, chance)
    story.store()
    begun = chance.choice([0, 12])
    seen, page = Watch(story.session.pk, begun, query), Page(begun)
    for _ in range(60):
        for _ in range(chance.randrange(12)):
            happen(story, chance)
        story.store()
        if chance.random() < 0.6:
            page.take(seen.catch_up())
    story.close()
    story.store()
    looks(seen, page)
    assert seen.catch_up() == []

    rows = Entry.objects.of(story.session).rows().matching(query).order_by("seq")
    truth = rows_in(fragments.rows(watch.rows_of(list(rows))))
    assert page.rows == {seq: html for seq, html in truth.items() if seq in page.rows}
    assert {seq for seq in truth if seq > page.begun} <= set(page.rows)

    story.session.refresh_from_db()
    conversation = moments.conversation_until(story.session, story.session.last_seq)
    assert page.items == items_in(fragments.conversation(conversation.items))

    monkeypatch.undo()
    fresh = Watch(story.session.pk, 0)
    looks(fresh, Page())
    assert seen.shown == fresh.shown
    everything = "".join(page.sent)
    assert all(html in everything for html in seen.shown.values())


def test_a_push_asks_once(streaming: tuple[Story, Watch, Page]) -> None:
    """While rows only grow one query sees to it, and nothing is said; when that is due each is sent once, as it stands."""
    story, seen, _ = streaming
    seen.rest_due = LATER
    for _ in range(3):
        speak(story)
        with CaptureQueriesContext(connection) as asked:
            assert seen.catch_up() == []
        assert len(asked) == 1
    grown, _ = seen.catch_up()
    assert len(seqs(grown)) == 2
    assert all(f"×{number}" in grown for number in Entry.objects.of(story.session).rows().filter(fold_count__gt=1)
               .values_list("fold_count", flat=True))  # fmt: skip


def test_words_ask_for_their_frames(streaming: tuple[Story, Watch, Page]) -> None:
    """Of deltas that are read only the new ones are asked for, however long the text has become."""
    story, seen, page = streaming
    for number in range(5):
        speak(story, f"word {number} ")
    looks(seen, page)
    seen.rest_due = LATER
    speak(story, "and one more")
    with CaptureQueriesContext(connection) as asked:
        assert seen.catch_up() == []
    assert len(asked) == 2
    assert "word 0 word 1 word 2 word 3 word 4 and one more" in seen.catch_up()[0]


def test_items_and_counts_wait(streaming: tuple[Story, Watch, Page]) -> None:
    """While only deltas come their rows, their item and the counts are sent when they are due; then with all that came."""
    story, seen, _ = streaming
    seen.rest_due = LATER
    for number in range(3):
        speak(story, f"word {number} ")
        seen.catch_up()
        assert 0 < seen.patience(1.0) <= 1.0
    seen.rest_due = 0.0
    speak(story, "word 3")
    _, rest = seen.catch_up()
    assert "<p>word 0 word 1 word 2 word 3</p>" in rest
    assert f"<b>{story.timeline.last_seq}</b> events" in rest
    assert seen.catch_up() == []
    assert seen.patience(1.0) == 1.0


def test_what_is_only_counted_waits(streaming: tuple[Story, Watch, Page]) -> None:
    """An event that neither items nor panels are made of has its row at once, and is counted when that is due."""
    story, seen, _ = streaming
    seen.rest_due = LATER
    story.received("rate_limits.updated")
    story.store()
    [rows] = seen.catch_up()
    assert seqs(rows) == [story.timeline.last_seq]
    [rest] = seen.catch_up()
    assert f"<b>{story.timeline.last_seq}</b> events" in rest


def test_what_waited_comes_with_what_does_not(streaming: tuple[Story, Watch, Page]) -> None:
    """What items or panels are made of comes at once, and brings along what was held back."""
    story, seen, _ = streaming
    seen.rest_due = LATER
    speak(story, "Hello")
    [begun] = seen.catch_up()
    speak(story, " there")
    assert seen.catch_up() == []
    story.received("response.done", response={"status": "completed"})
    story.store()
    done, grown, rest = seen.catch_up()
    assert seqs(done) == [story.timeline.last_seq]
    assert set(seqs(begun)) < set(seqs(grown))
    assert "<p>Hello there</p>" in rest


def test_nothing_new(streaming: tuple[Story, Watch, Page], monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that finds nothing new asks for entries and for the session, and renders nothing."""
    _, seen, _ = streaming
    monkeypatch.setattr(fragments, "render_to_string", None)
    with CaptureQueriesContext(connection) as asked:
        assert seen.catch_up() == []
    assert len(asked) == 2


def test_tools_are_read_for_their_own_notes(streaming: tuple[Story, Watch, Page]) -> None:
    """A note of another kind does not have memory and weather read again; the end of the session does, as nothing can be
    stored in its memory then."""
    story, seen, _ = streaming
    story.note("slow", "It is slow.")
    story.store()
    assert 'id="memory"' not in "".join(seen.catch_up())
    story.close()
    story.store()
    assert 'id="memory"' in "".join(seen.catch_up())


async def test_what_was_held_back_comes_by_itself(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the stream stops, nobody tells of news any more: the last words and counts come all the same, and soon."""
    monkeypatch.setattr("console.doors.timeline.LOOK_EVERY", 600.0)
    story = await sync_to_async(Story)(status="ready")
    await sync_to_async(speak)(story, "Hello")
    page = socket(f"/ws/sessions/{story.session.pk}/timeline?after=0")
    assert (await page.connect(PATIENCE))[0]
    text = ""
    while "<p>Hello</p>" not in text:
        text = await page.receive_from(PATIENCE)
    await sync_to_async(speak)(story, " there")
    news.tell([story.session.pk])
    while "<p>Hello there</p>" not in text:
        text = await page.receive_from(PATIENCE)
    assert f"<b>{story.timeline.last_seq}</b> events" in text
    await page.disconnect(timeout=PATIENCE)


def test_what_goes_on_is_followed_without_being_told(streaming: tuple[Story, Watch, Page]) -> None:
    """Who looks hears of rows that begin, not of those that grow: while something comes the next look is near, else far."""
    story, seen, page = streaming
    looks(seen, page)
    assert seen.patience(60.0) == 60.0
    seen.rest_due = 0.0  # all it has is sent, nothing is held back
    speak(story, "Hello")
    assert seen.catch_up()
    assert not seen.held_back
    assert seen.patience(60.0) <= watch.REST_EVERY
    looks(seen, page)
    assert seen.patience(60.0) == 60.0


def test_a_text_of_very_many_deltas(streaming: tuple[Story, Watch, Page], monkeypatch: pytest.MonkeyPatch) -> None:
    """There is an end to the deltas whose text a row joins, whether it was followed from its beginning or found later."""
    monkeypatch.setattr("console.growing.TEXT_MEMBERS", 3)
    story, seen, page = streaming
    for number in range(5):
        speak(story, f"w{number} ")
        looks(seen, page)
    head = Entry.objects.of(story.session).rows().get(type=WORDS)
    assert "“w0 w1 w2 ”" in page.rows[head.seq]
    assert {head.seq: page.rows[head.seq]} == rows_in(fragments.rows(watch.rows_of([head])))
