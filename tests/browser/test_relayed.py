"""Somebody else's session in a real browser: seen, listened in on, acted in, and listed as it comes and goes."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from realtime.audio import RATE
from tests.browser.conftest import ANSWER, happens
from tests.browser.test_console import VOICE, row, say, until
from tests.waiting import eventually

pytestmark = pytest.mark.browser

MANUAL = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}
SPEAKS = [
    {"type": "conversation.item.create",
     "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}},
    {"type": "response.create"},
]  # fmt: skip
MANY = 350
"""Events that make more rows than a page holds."""
PIECE = 40
"""Milliseconds of sound in one append."""


class Program:
    """Somebody's program, connected to the relay; what it gets is kept."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        assert socket.response is not None
        self.session_id = socket.response.headers["X-Console-Session"]
        self.types: list[str] = []
        self.reading = threading.Thread(target=self._read, name="program", daemon=True)
        self.reading.start()

    def _read(self) -> None:
        try:
            for message in self.socket:
                self.types.append(json.loads(message)["type"])
        except ConnectionClosed:
            return

    def send(self, *events: dict[str, Any]) -> None:
        """Send these."""
        for event in events:
            self.socket.send(json.dumps(event))

    def speak(self, ms: int) -> None:
        """Send a tone into its microphone, as fast as it would come."""
        t = np.arange(RATE * PIECE // 1000) / RATE
        tone = b64encode((0.4 * 32767 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes()).decode()
        for _ in range(ms // PIECE):
            self.send({"type": "input_audio_buffer.append", "audio": tone})
            time.sleep(PIECE / 1000)

    def got(self, type_: str) -> None:
        """Wait until it has got an event of this type."""
        eventually(lambda: type_ in self.types, f"{type_} comes")


@contextmanager
def program(app: Any, label: str = "kiosk", **headers: str) -> Iterator[Program]:
    """Connect a program to the console's relay."""
    url = f"{app.url.replace('http', 'ws')}v1/realtime?model=gpt-realtime-2.1&console_label={label}"
    with connect(url, additional_headers=headers, user_agent_header="OpenAI/Python 3.52.0", compression=None) as socket:
        one = Program(socket)
        one.got("session.created")
        yield one


def show(page: Page, app: Any, one: Program) -> None:
    """Open its session."""
    page.goto(f"{app.url}sessions/{one.session_id}/")
    expect(row(page, "session.created").first).to_be_visible(timeout=ANSWER)


def test_both_sides_of_a_translation(app: Any, page: Page) -> None:
    """Of a beta client's session each changed frame stands twice, bound together, and opens with what became of it."""
    with program(app, **{"OpenAI-Beta": "realtime=v1"}) as one:
        one.send({"type": "session.update", "session": {"voice": "verse", "turn_detection": None}})
        one.got("session.updated")
        show(page, app, one)
        expect(page.locator("#who")).to_contain_text("beta → GA")
        expect(page.locator("#meter")).to_contain_text("ms to the API")
        updates = row(page, "session.update")
        expect(updates).to_have_count(2)
        assert [updates.nth(at).get_attribute("data-joint") for at in (0, 1)] == ["start", "end"]
        updates.first.click()
        expect(page.locator(".change")).to_contain_text("Changed on its way")
        page.locator(".change").get_by_role("link", name="API got").click()
        expect(updates.nth(1)).to_have_attribute("aria-selected", "true")


def test_listening_in(app: Any, page: Page) -> None:
    """The button plays the client's microphone and the model's voice; until it is pressed, and after, there is silence,
    and the microphone of the page is never asked for."""
    with program(app) as one:
        one.send(MANUAL)
        one.got("session.updated")
        show(page, app, one)
        button = page.get_by_role("button", name="Listen in")
        assert page.evaluate(f"{VOICE}.state.link") == "closed"
        button.click()
        until(page, f"{VOICE}.state.link === 'open'")
        expect(page.get_by_role("button", name="Stop listening")).to_have_attribute("aria-pressed", "true")
        one.speak(400)
        until(page, f"{VOICE}.peakOut > 0.05")
        assert page.evaluate(f"{VOICE}.played()") is None  # of the model's voice, nothing yet
        one.send(*SPEAKS)
        until(page, f"{VOICE}.played()?.played_ms > 0")
        assert page.evaluate(f"{VOICE}.state.mic") == "off"
        page.get_by_role("button", name="Stop listening").click()
        until(page, f"{VOICE}.state.link === 'closed'")
        expect(page.get_by_role("button", name="Listen in")).to_have_attribute("aria-pressed", "false")
        expect(page.locator('#timeline tr [data-mark="origin"]')).to_have_count(0)


def test_a_row_that_grows_out_of_sight(app: Any, page: Page) -> None:
    """A row that has left the page at its top grows where it stands, not at the end; scrolled to, it is there as it is."""
    with program(app) as one:
        show(page, app, one)
        one.speak(PIECE)
        spoken = row(page, "input_audio_buffer.append")
        expect(spoken).to_have_count(1)
        for number in range(MANY):
            one.send({"type": f"app.mark.{number}"})  # each makes two rows: itself, and the error that answers it
        happens(page, lambda: one.types.count("error") >= MANY, "each is answered")
        one.send({"type": "app.mark.all"})  # a page so far behind shows the newest rows, and not each of those before
        expect(row(page, "app.mark.all")).to_have_count(1, timeout=ANSWER)
        expect(spoken).to_have_count(0)
        one.speak(5 * PIECE)
        one.send({"type": "app.mark.last"})
        expect(row(page, "app.mark.last")).to_have_count(1, timeout=ANSWER)
        seqs = page.locator("#timeline tr[data-seq]").evaluate_all("rows => rows.map((row) => Number(row.dataset.seq))")
        assert seqs == sorted(seqs)
        expect(spoken).to_have_count(0)

        def scrolled() -> int:
            page.locator("#timeline tr[data-seq]").first.scroll_into_view_if_needed()
            page.wait_for_timeout(50)
            return int(spoken.count())

        happens(page, scrolled, "the row that grew is scrolled to")
        expect(spoken).to_have_attribute("data-count", "6")


def test_acting(app: Any, page: Page) -> None:
    """What the page says is sent as the page's and answered; with the switch on, the client gets nothing of it."""
    with program(app) as one:
        one.send(MANUAL)
        one.got("session.updated")
        show(page, app, one)
        expect(page.get_by_role("button", name="Hold to talk")).to_have_count(0)
        page.get_by_role("switch", name="Keep answers to what this page sends from the client").check()
        expect(row(page, "switch")).to_have_count(1, timeout=ANSWER)
        before = list(one.types)
        say(page, "Hello there")
        expect(row(page, "response.done")).to_have_count(1, timeout=ANSWER)
        said = row(page, "conversation.item.create").locator('[data-mark="origin"]')
        expect(said).to_have_text("page")
        expect(row(page, "response.done").locator('[data-mark="withheld"]')).to_have_text("withheld: console")
        assert [type_ for type_ in one.types[len(before) :] if type_.startswith(("response.", "conversation."))] == []
        page.get_by_role("tab", name="Tools").click()
        page.get_by_role("switch", name="Run tools here").check()
        expect(row(page, "switch")).to_have_count(2, timeout=ANSWER)
        page.get_by_role("button", name="Disconnect").click()
        expect(page.locator("#console")).to_have_attribute("data-state", "closed", timeout=ANSWER)
        one.reading.join(ANSWER / 1000)
        assert one.socket.close_code == 1000


def test_an_idle_page_lists_what_is_live(app: Any, page: Page) -> None:
    """A session appears in the list of a page that shows none, its numbers follow while its menu stays open, and at its
    end it is moved."""
    page.goto(app.url)
    expect(page.locator("#session-list")).to_be_visible()
    with program(app, label="idle-page") as one:
        listed = page.locator(f"#session-{one.session_id}")
        expect(listed).to_contain_text("idle-page", timeout=ANSWER)
        expect(listed).to_contain_text("OpenAI/Python 3.52.0")
        expect(listed).to_have_attribute("data-live", "true")
        listed.hover()
        listed.locator("summary").click()
        one.send(*[{"type": "input_audio_buffer.clear"}] * 60)
        expect(listed.locator(".counts")).to_contain_text("121 ev", timeout=ANSWER)
        expect(listed.get_by_role("link", name="Download log.jsonl")).to_be_visible()
        listed.get_by_role("textbox", name="Name").fill("renamed-page")
        listed.get_by_role("button", name="Save").click()
        expect(listed.locator(".label")).to_have_text("renamed-page")
        one.send(*[{"type": "input_audio_buffer.clear"}] * 10)
        expect(listed.locator(".counts")).to_contain_text("141 ev", timeout=ANSWER)
    expect(listed).to_have_attribute("data-live", "false", timeout=ANSWER)
    expect(page.locator("#session-list > li").filter(has_text="renamed-page")).to_have_count(1)
