"""The whole path in a real browser: connect, talk, watch, change, reload, replay."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ANSWER, becomes

pytestmark = pytest.mark.browser

VOICE = "document.querySelector('voice-link').voice"
"""JavaScript for the page's voice."""


def row(page: Page, type_: str) -> Any:
    """The rows of one type."""
    return page.locator(f'#timeline tr[data-type="{type_}"]')


def connect(page: Page, url: str) -> str:
    """Open the console and connect to the simulator; returns the session's id."""
    page.goto(url)
    page.get_by_role("button", name="Connect").first.click()
    expect(page.locator("#console")).to_have_attribute("data-state", "ready", timeout=ANSWER)
    expect(row(page, "session.created")).to_have_count(1)
    session_id = page.locator("#console").get_attribute("data-session")
    assert session_id
    return session_id


def until(page: Page, condition: str) -> None:
    """Wait for a JavaScript condition."""
    becomes(page, condition)


def say(page: Page, text: str) -> None:
    """Write something and send it."""
    box = page.get_by_role("textbox", name="Say something")
    box.fill(text)
    box.press("Enter")


def payload(page: Page, type_: str, index: int = -1) -> dict[str, Any]:
    """The full event of one row, fetched as the raw view does."""
    rows = row(page, type_)
    chosen = rows.nth(index if index >= 0 else rows.count() + index)
    seq = chosen.get_attribute("data-seq")
    session_id = page.locator("#console").get_attribute("data-session")
    data: dict[str, Any] = page.evaluate(
        "async url => (await fetch(url)).json()", f"/sessions/{session_id}/events/{seq}/raw"
    )
    return data


def assert_rows_are_whole(page: Page) -> None:
    """No row stands twice on the page, and rows are in order."""
    seqs = page.eval_on_selector_all("#timeline tr[data-seq]", "rows => rows.map(r => Number(r.dataset.seq))")
    assert seqs == sorted(set(seqs))


class TestFirstMinute:
    """What a newcomer does."""

    def test_connecting_says_nothing_by_itself(self, app: Any, page: Page) -> None:
        """One click connects to the simulator; nothing is said to the model that the user did not say."""
        connect(page, app.url)
        expect(row(page, "session.updated")).to_have_count(1)
        page.wait_for_timeout(500)
        assert row(page, "conversation.item.create").count() == 0
        assert row(page, "response.create").count() == 0

    def test_a_text_turn(self, app: Any, page: Page) -> None:
        """A written question is answered, in sound and in the conversation, and its deltas are folded rows."""
        connect(page, app.url)
        say(page, "Hello there")
        expect(row(page, "response.done")).to_have_count(1, timeout=ANSWER)
        deltas = row(page, "response.output_audio.delta")
        assert deltas.count() == 1
        assert int(deltas.first.get_attribute("data-count") or 0) > 1
        page.get_by_role("tab", name="Conversation").click()
        expect(page.locator("#conversation")).to_contain_text("Hello there")
        assert_rows_are_whole(page)

    def test_the_weather_is_on_a_map(self, app: Any, page: Page) -> None:
        """Asking for the weather calls get_weather once, shows place and values, and continues once."""
        connect(page, app.url)
        say(page, "What's the weather in Lisbon?")
        expect(row(page, "response.done")).to_have_count(2, timeout=ANSWER)
        page.get_by_role("tab", name="Tools").click()
        expect(page.locator("#weather")).to_contain_text("Lisbon")
        expect(page.locator("weather-map .leaflet-container")).to_be_visible()
        assert row(page, "response.create").count() == 2  # the user's, and one after the tool

    def test_the_memory_is_filled(self, app: Any, page: Page) -> None:
        """Asking to remember fills the memory panel; asking for it is answered from it."""
        connect(page, app.url)
        say(page, "Remember that my name is Ada")
        expect(row(page, "response.done")).to_have_count(2, timeout=ANSWER)
        page.get_by_role("tab", name="Tools").click()
        expect(page.locator("#memory")).to_contain_text("Ada")
        say(page, "What is my name?")
        expect(row(page, "response.done")).to_have_count(3, timeout=ANSWER)
        page.get_by_role("tab", name="Conversation").click()
        expect(page.locator("#conversation")).to_contain_text(re.compile(r"Your name is Ada|Ada"))


class TestVoice:
    """Talking."""

    def test_speech_is_heard_and_answered(self, app: Any, talking_page: Page) -> None:
        """Hands-free: speech_started … response.done appear, and the answer sounds from the loudspeaker."""
        page = talking_page
        connect(page, app.url)
        page.get_by_role("radio", name="VAD").check(force=True)
        for type_ in ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed",
                      "response.created", "response.done"):  # fmt: skip
            expect(row(page, type_).first).to_be_visible(timeout=ANSWER)
        until(page, f"{VOICE}.peakOut > 0.02")

    def test_the_mode_toggles(self, app: Any, page: Page) -> None:
        """The toggle sends only turn_detection, and follows what session.updated says is in force."""
        connect(page, app.url)
        page.get_by_role("radio", name="VAD").check(force=True)
        expect(page.locator("#mode")).to_have_attribute("data-mode", "vad", timeout=ANSWER)
        update = payload(page, "session.update")
        assert update["session"] == {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
        page.get_by_role("radio", name="Manual").check(force=True)
        expect(page.locator("#mode")).to_have_attribute("data-mode", "manual", timeout=ANSWER)
        expect(page.get_by_role("button", name=re.compile("Hold to talk"))).to_be_visible()

    def test_push_to_talk(self, app: Any, talking_page: Page) -> None:
        """Holding the button sends sound; releasing it commits once and asks for one answer."""
        page = talking_page
        connect(page, app.url)
        button = page.get_by_role("button", name=re.compile("Hold to talk|Release to send"))
        expect(button).to_be_enabled()
        button.hover()
        page.mouse.down()
        expect(row(page, "input_audio_buffer.append").first).to_be_visible(timeout=ANSWER)
        page.wait_for_timeout(1200)
        page.mouse.up()
        expect(row(page, "input_audio_buffer.commit")).to_have_count(1, timeout=ANSWER)
        expect(row(page, "response.done")).to_have_count(1, timeout=ANSWER)
        assert row(page, "response.create").count() == 1

    def test_an_interruption_truncates_at_what_was_heard(self, app: Any, page: Page) -> None:
        """Text into a long answer cuts playback at once and truncates within 100 ms of the played position."""
        connect(page, app.url)
        say(page, "Tell me a long story")
        until(page, f"{VOICE}.played()?.played_ms > 1500")
        before = page.evaluate(f"{VOICE}.played().played_ms")
        say(page, "Stop please")
        expect(row(page, "conversation.item.truncate")).to_have_count(1, timeout=ANSWER)
        after = page.evaluate(f"{VOICE}.lastHeard.played_ms")
        truncate = payload(page, "conversation.item.truncate")
        assert before - 100 <= truncate["audio_end_ms"]
        assert abs(truncate["audio_end_ms"] - after) <= 100
        expect(row(page, "conversation.item.truncated")).to_have_count(1, timeout=ANSWER)
        assert row(page, "error").count() == 0

    def test_the_talk_button_interrupts(self, app: Any, talking_page: Page) -> None:
        """Pressing the button in a long answer silences it at once and truncates at what was heard."""
        page = talking_page
        connect(page, app.url)
        say(page, "Tell me a long story")
        until(page, f"{VOICE}.played()?.played_ms > 1500")
        page.get_by_role("button", name=re.compile("Hold to talk")).hover()
        page.mouse.down()
        expect(row(page, "conversation.item.truncate")).to_have_count(1, timeout=ANSWER)
        heard = page.evaluate(f"{VOICE}.lastHeard.played_ms")
        assert abs(payload(page, "conversation.item.truncate")["audio_end_ms"] - heard) <= 100
        assert page.evaluate(f"{VOICE}.played()") is None
        page.mouse.up()
        assert row(page, "error").count() == 0

    def test_speaking_interrupts(self, app: Any, talking_page: Page) -> None:
        """Hands-free: speech in the middle of an answer cuts it, and the API learns how much of it was heard."""
        page = talking_page
        connect(page, app.url)
        page.get_by_role("radio", name="VAD").check(force=True)
        expect(row(page, "input_audio_buffer.committed").first).to_be_visible(timeout=ANSWER)
        say(page, "Tell me a long story")
        expect(row(page, "conversation.item.truncated").last).to_be_attached(timeout=ANSWER)
        page.get_by_role("tab", name="Conversation").click()
        expect(page.locator("#conversation .unheard").last).to_be_attached(timeout=ANSWER)

    def test_a_spoken_question_is_understood(self, app: Any, talking_page: Page) -> None:
        """The microphone hears "What is the weather in Lisbon?": it is written down, the tool is called, the map shows it."""
        pytest.importorskip("pocketsphinx", reason="the simulator has no ears here")
        page = talking_page
        connect(page, app.url)
        page.get_by_role("radio", name="VAD").check(force=True)
        page.get_by_role("tab", name="Tools").click()
        expect(page.locator("#weather")).to_contain_text("Lisbon", timeout=2 * ANSWER)
        page.get_by_role("tab", name="Conversation").click()
        expect(page.locator("#conversation")).to_contain_text("weather in Lisbon?", timeout=ANSWER)


class TestChanging:
    """Settings while it runs."""

    def test_instructions_and_voice_change_live(self, app: Any, page: Page) -> None:
        """Changing voice and instructions sends only these two, and the page shows them in force."""
        connect(page, app.url)
        page.get_by_role("tab", name="Settings").click()
        pane = page.locator("#settings-pane")
        pane.get_by_label("Instructions").fill("Answer like a pirate.")
        pane.locator("[name=voice]").first.select_option("cedar")
        pane.get_by_role("button", name="Send changes").click()
        expect(row(page, "session.updated")).to_have_count(2, timeout=ANSWER)
        update = payload(page, "session.update")["session"]
        assert update == {
            "type": "realtime", "instructions": "Answer like a pirate.", "audio": {"output": {"voice": "cedar"}},
        }  # fmt: skip
        expect(page.locator("#in-force")).to_contain_text("cedar")

    def test_what_is_wrong_is_said_beside_its_field(self, app: Any, page: Page) -> None:
        """A speed out of range is explained at its field, and nothing is sent."""
        connect(page, app.url)
        page.get_by_role("tab", name="Settings").click()
        updates = row(page, "session.update").count()
        pane = page.locator("#settings-pane")
        pane.locator("[name=speed]").fill("9")
        pane.get_by_role("button", name="Send changes").click()
        expect(pane.locator(".errorlist, .field-error").first).to_be_visible()
        assert row(page, "session.update").count() == updates


class TestKeeping:
    """Nothing is lost."""

    def test_a_reload_misses_and_repeats_nothing(self, app: Any, page: Page) -> None:
        """Reloading in the middle of an answer shows every row once, as the log has them."""
        session_id = connect(page, app.url)
        say(page, "Tell me a long story")
        expect(row(page, "response.output_audio.delta").first).to_be_visible(timeout=ANSWER)
        page.reload()
        expect(row(page, "response.done")).to_have_count(1, timeout=ANSWER)
        assert_rows_are_whole(page)
        heads = [json.loads(line)["seq"] for line in page.request.get(f"{app.url}sessions/{session_id}/log.jsonl").text().split("\n")
                 if line and json.loads(line)["k"] == "ev"]  # fmt: skip
        assert heads == sorted(set(heads))

    def test_a_saved_session_replays(self, app: Any, page: Page) -> None:
        """A finished session plays back: rows appear as its clock passes them; a pause holds; a seek jumps."""
        connect(page, app.url)
        say(page, "Hello there")
        expect(row(page, "response.done")).to_have_count(1, timeout=ANSWER)
        page.get_by_role("button", name="Disconnect").click()
        expect(page.locator("#console")).to_have_attribute("data-state", "closed", timeout=ANSWER)
        page.reload()
        player = page.locator("session-player")
        player.get_by_role("button", name=re.compile("Play")).click()
        expect(page.locator("#console")).to_have_attribute("data-replay", "true")
        expect(page.locator("#timeline tr[data-future]").first).to_be_attached()
        expect(row(page, "response.done").first).not_to_have_attribute("data-future", re.compile(".*"), timeout=ANSWER)
