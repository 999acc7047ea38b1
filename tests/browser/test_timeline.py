"""The timeline in a real browser: long sessions, filters, folds, times, a lost socket, a paused view."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ANSWER as PATIENCE
from tests.browser.conftest import happens

pytestmark = pytest.mark.browser

EVENTS = 20_000
MOST_ROWS = 1000
"""Rows a page may hold, whatever the session's length."""


def long_log(count: int) -> str:
    """A log of so many events: turns of folded deltas, an error in every fiftieth."""
    head = {"k": "head", "v": 1, "session": "long", "label": f"{count} events", "started_at": "2026-11-20T10:00:00.000000Z",
            "source": "console", "provider": "simulator", "model": "gpt-realtime-2.1", "dialect": "ga",
            "tool": {"name": "test", "version": "1"}}  # fmt: skip
    lines = [json.dumps(head)]

    def add(type_: str, **fields: Any) -> None:
        seq = len(lines)
        raw = json.dumps({"type": type_, "event_id": f"event_{seq}", **fields})
        lines.append(json.dumps({"k": "ev", "seq": seq, "t_us": seq * 10_000, "dir": "received", "leg": "upstream",
                                 "origin": "api", "type": type_, "raw": raw}))  # fmt: skip

    turn = 0
    while len(lines) <= count:
        turn += 1
        ids = {"response_id": f"resp_{turn}", "item_id": f"item_{turn}", "output_index": 0, "content_index": 0}
        add("response.created", response={"id": ids["response_id"], "conversation_id": "conv_1"})
        for number in range(8):
            add("response.output_audio_transcript.delta", **ids, delta=f" word{number}")
        if turn % 50 == 0:
            add("error", error={"type": "invalid_request_error", "code": "x", "message": f"Mistake {turn}.", "param": None})
        add("response.done", response={"id": ids["response_id"], "status": "completed", "output": []})
    lines.append(json.dumps({"k": "close", "t_us": (len(lines) + 1) * 10_000, "by": "client", "code": 1000, "reason": ""}))
    return "\n".join(lines) + "\n"


def upload(page: Page, url: str, path: Path) -> None:
    """Open a log as a person does, by choosing its file."""
    page.goto(url)
    page.locator("#rail input[type=file]").set_input_files(path)
    expect(page.locator("#timeline tr").first).to_be_attached(timeout=PATIENCE)


def live(page: Page, url: str) -> None:
    """Connect to the simulator."""
    page.goto(url)
    page.get_by_role("button", name="Connect").first.click()
    expect(page.locator("#console")).to_have_attribute("data-state", "ready", timeout=PATIENCE)


def say(page: Page, text: str, answers: int) -> None:
    """Say something in writing and wait until so many answers are done."""
    box = page.get_by_role("textbox", name="Say something")
    box.fill(text)
    box.press("Enter")
    expect(page.locator('#timeline tr[data-type="response.done"]')).to_have_count(answers, timeout=PATIENCE)


def seqs(page: Page) -> list[int]:
    """The rows on the page, in the order in which they stand."""
    found: list[int] = page.eval_on_selector_all("#timeline tr[id]", "rows => rows.map(row => Number(row.dataset.seq))")
    return found


class TestLongSession:
    """Twenty thousand events."""

    @pytest.fixture
    def opened(self, app: Any, page: Page, tmp_path: Path) -> Page:
        """A page that shows a session of 20,000 events."""
        path = tmp_path / "long.jsonl"
        path.write_text(long_log(EVENTS))
        upload(page, app.url, path)
        return page

    def test_it_scrolls_from_end_to_beginning_in_a_small_page(self, opened: Page) -> None:
        """Scrolling up fetches row after row until the very first, and the page never holds a thousand."""
        assert seqs(opened)[-1] > EVENTS - 20  # it opens at the tail
        timeline = opened.locator("event-timeline")

        def scrolled_to_the_first() -> bool:
            timeline.evaluate("element => { element.scrollTop = 0 }")
            assert opened.locator("#timeline tr").count() < MOST_ROWS
            opened.wait_for_timeout(60)
            return seqs(opened)[0] == 1

        happens(opened, scrolled_to_the_first, "the first row is fetched")
        shown = seqs(opened)
        assert shown[0] == 1
        assert shown == sorted(set(shown))

    def test_filtering_by_type_counts_and_shows_only_those(self, opened: Page) -> None:
        """A filter shows its matches, says how many of how many, and stays in the address."""
        opened.get_by_role("searchbox", name="Filter").fill("type:error")
        expect(opened.locator("[data-count-of=rows]")).to_contain_text("of", timeout=PATIENCE)
        types = opened.eval_on_selector_all("#timeline tr[id]", "rows => [...new Set(rows.map(row => row.dataset.type))]")
        assert types == ["error"]
        assert "q=type" in opened.url
        opened.reload()
        expect(opened.locator('#timeline tr[data-type="response.done"]')).to_have_count(0, timeout=PATIENCE)
        assert opened.locator("#timeline tr").count() > 10

    def test_a_filter_that_does_not_parse_is_explained(self, opened: Page) -> None:
        """An unknown operator is named, and the rows stay as they were."""
        before = seqs(opened)
        opened.get_by_role("searchbox", name="Filter").fill("colour:red")
        expect(opened.locator("#filter-says")).to_contain_text("colour", timeout=PATIENCE)
        assert seqs(opened) == before

    def test_an_empty_result_says_so(self, opened: Page) -> None:
        """A filter without matches says so."""
        opened.get_by_role("searchbox", name="Filter").fill("type:nothing.like.it")
        expect(opened.locator("#filter-says")).to_contain_text("Nothing matches", timeout=PATIENCE)


class TestRows:
    """One row and what it holds."""

    def test_a_fold_opens_into_its_members(self, app: Any, page: Page) -> None:
        """The badge of a folded row shows each member under it, and closes again."""
        live(page, app.url)
        say(page, "Hello there", 1)
        row = page.locator('#timeline tr[data-type="response.output_audio.delta"]').first
        count = int(row.get_attribute("data-count") or 0)
        row.locator(".fold").click()
        expect(page.locator("#timeline tr[data-member]")).to_have_count(count, timeout=PATIENCE)
        row.locator(".fold").click()
        expect(page.locator("#timeline tr[data-member]")).to_have_count(0)

    def test_a_row_is_shown_in_full(self, app: Any, page: Page) -> None:
        """Selecting a row shows its JSON, its sound and its raw text; the keyboard moves along."""
        live(page, app.url)
        say(page, "Hello there", 1)
        page.locator('#timeline tr[data-type="response.output_audio.delta"]').first.click()
        pane = page.locator("#event-pane")
        expect(pane.locator("h2")).to_contain_text("response.output_audio.delta", timeout=PATIENCE)
        expect(pane.locator("audio")).to_have_attribute("src", re.compile(r"/audio\.wav$"))
        expect(pane.locator("event-json .tree")).to_contain_text('"response_id"')
        page.locator("#timeline").press("ArrowDown")
        expect(pane.locator("h2")).not_to_contain_text("response.output_audio.delta", timeout=PATIENCE)

    def test_a_word_that_was_said_is_found(self, app: Any, page: Page) -> None:
        """A word in the filter leaves the rows whose frames have it, however deep; and an event of some lines stands open."""
        live(page, app.url)
        say(page, "Hello there", 1)
        page.locator("#filter input").fill("hello THERE")
        rows = page.locator("#timeline tr[data-type]")
        expect(page.locator('#timeline tr[data-type="session.created"]')).to_have_count(0, timeout=PATIENCE)
        expect(rows.first).to_contain_text("Hello there")
        rows.first.click()
        expect(page.locator("#event-pane event-json .leaf", has_text="Hello there")).to_be_visible(timeout=PATIENCE)

    def test_four_ways_to_tell_the_time(self, app: Any, page: Page) -> None:
        """The time column counts from the start, from the row before, from the selected one, or shows the clock."""
        live(page, app.url)
        say(page, "Hello there", 1)
        time = page.locator("#timeline tr[id]").nth(3).locator("td.time")
        mode = page.get_by_role("combobox", name="Time")
        forms = {
            "start": r"^(\d+:)?\d\d\.\d{3}$",
            "previous": r"^[+−]\d+ ms$",
            "selected": r"^[+−]\d+ ms$",
            "clock": r"^\d\d:\d\d:\d\d\.\d{3}$",
        }
        for name, form in forms.items():
            mode.select_option(name)
            expect(time).to_have_text(re.compile(form))

    def test_payloads_are_shown_and_never_run(self, app: Any, page: Page) -> None:
        """Markup in a payload is text in the row, in the event and in the conversation."""
        live(page, app.url)
        say(page, "<img src=x onerror=document.body.remove()><b>bold</b>", 1)
        page.get_by_role("tab", name="Conversation").click()
        expect(page.locator("#conversation")).to_contain_text("<b>bold</b>", timeout=PATIENCE)
        page.locator('#timeline tr[data-type="conversation.item.create"]').first.click()
        expect(page.locator("#event-pane event-json")).to_contain_text("onerror", timeout=PATIENCE)
        assert page.locator("#console img, #console .line b").count() == 0


class TestEnded:
    """What stands above the timeline of a session that is over."""

    @pytest.mark.parametrize("width", [1440, 1280, 1024, 390])
    def test_nothing_covers_anything(self, app: Any, page: Page, tmp_path: Path, width: int) -> None:
        """How it ended, the replay's controls and the log's file stand beside or below each other, all of them within."""
        path = tmp_path / "short.jsonl"
        path.write_text(long_log(100))
        upload(page, app.url, path)
        page.set_viewport_size({"width": width, "height": 800})
        boxes = page.eval_on_selector_all(
            "#ended > p, #ended > a, #ended session-player > :is(button, input, output, .whole, label)",
            "parts => parts.map(part => part.getBoundingClientRect()).map(box => [box.left, box.top, box.right, box.bottom])",
        )
        assert len(boxes) == 10
        assert all(0 <= left < right <= width for left, _, right, _ in boxes)
        for number, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[number + 1 :]:
                assert left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1], (boxes[number], other)


class TestLink:
    """The page's own socket."""

    def test_a_killed_socket_misses_and_repeats_nothing(self, app: Any, page: Page) -> None:
        """The socket breaks in the middle of an answer: the page says so, comes back, and has every row once."""
        sockets: list[Any] = []

        def carry(socket: Any) -> None:
            socket.connect_to_server()
            sockets.append(socket)

        page.route_web_socket(re.compile(r"/timeline"), carry)
        live(page, app.url)
        box = page.get_by_role("textbox", name="Say something")
        box.fill("Tell me a long story")
        box.press("Enter")
        expect(page.locator('#timeline tr[data-type="response.output_audio.delta"]').first).to_be_visible(timeout=PATIENCE)
        sockets[-1].close(code=1011, reason="killed")
        last = page.locator('#timeline tr[data-type="rate_limits.updated"]')  # a moment after response.done
        expect(last).to_have_count(1, timeout=PATIENCE)
        expect(page.locator("#link-lost")).to_be_hidden(timeout=PATIENCE)
        assert len(sockets) > 1
        shown = seqs(page)
        assert shown == sorted(set(shown))
        session = page.locator("#console").get_attribute("data-session")
        stored = page.request.get(f"{app.url}sessions/{session}/rows?limit=400").text()
        assert shown == [int(found) for found in re.findall(r'id="row-(\d+)"', stored)]

    def test_a_paused_view_stands_still_while_the_recording_goes_on(self, app: Any, page: Page) -> None:
        """Paused, new rows are counted and not shown; going on shows them."""
        live(page, app.url)
        pause = page.get_by_role("button", name="Pause the view")
        pause.click()
        before = seqs(page)
        box = page.get_by_role("textbox", name="Say something")
        box.fill("Hello there")
        box.press("Enter")
        expect(page.locator("#new-pill")).to_contain_text(re.compile(r"\d+ new"), timeout=PATIENCE)
        assert seqs(page) == before
        pause.click()
        expect(page.locator('#timeline tr[data-type="response.done"]')).to_have_count(1, timeout=PATIENCE)
        expect(page.locator("#new-pill")).to_be_hidden()
