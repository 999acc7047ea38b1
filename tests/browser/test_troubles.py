"""What goes wrong, and how the page says it: one clear sentence, and nothing recorded is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ANSWER as PATIENCE
from tests.conftest import Console, start_console

pytestmark = pytest.mark.browser



@pytest.fixture
def openai_console(tmp_path: Path, simulator: Any) -> Iterator[Console]:
    """A console for which a simulator plays OpenAI, and where nobody answers for the weather or as a custom provider."""
    console = start_console(
        tmp_path,
        OPENAI_BASE_URL=f"http://127.0.0.1:{simulator.port}/v1",
        REALTIME_UPSTREAM_URL="ws://127.0.0.1:9/v1/realtime",
        REALTIME_PROVIDER="simulator",
    )
    yield console
    console.stop()


def connect(page: Page, url: str, provider: str = "simulator", model: str = "gpt-realtime-2.1") -> None:
    """Choose a provider and a model and press Connect."""
    page.goto(url)
    page.locator("select[name=provider]").select_option(provider)
    page.locator("#connect input[name=model]").fill(model)
    page.get_by_role("button", name="Connect", exact=True).first.click()


def hold_key(page: Page, url: str, key: str) -> None:
    """Type a key on the page."""
    page.goto(url)
    page.get_by_label("OpenAI API key").fill(key)
    page.get_by_role("button", name="Hold", exact=True).click()
    expect(page.locator("#key-panel")).to_contain_text(key[-4:], timeout=PATIENCE)


@pytest.mark.parametrize(
    ("provider", "model", "sentence"),
    [
        ("simulator", "gpt-nope", "does not offer this model"),
        ("simulator", "gpt-http-429", "Rate limit reached. Please try again in 20s."),
        ("simulator", "gpt-http-500", "trouble of its own"),
        ("custom", "gpt-realtime", "could not be reached: the connection was refused"),
    ],
)
def test_a_session_that_cannot_begin_says_why(openai_console: Console, page: Page, provider: str, model: str, sentence: str) -> None:
    """An unknown model, a refusing or an absent server: the page says what happened and what to do, once."""
    connect(page, openai_console.url, provider, model)
    expect(page.locator("#ended")).to_contain_text(sentence, timeout=PATIENCE)
    expect(page.locator("#console")).to_have_attribute("data-state", "closed")
    expect(page.locator("#state")).to_have_attribute("data-failed", "true")
    assert page.locator("#notices li").count() <= 1  # the API's own error event, where there was one


def test_a_wrong_key_is_said_to_be_wrong(openai_console: Console, page: Page) -> None:
    """A key the API refuses: the page says so, and shows no more of the key than its end."""
    hold_key(page, openai_console.url, "sk-bad-0123456789-wxyz")
    page.locator("select[name=provider]").select_option("openai")
    page.get_by_role("button", name="Connect", exact=True).first.click()
    expect(page.locator("#ended")).to_contain_text("The key was refused", timeout=PATIENCE)
    assert "sk-bad-0123456789" not in page.content()


def test_without_a_key_nothing_is_dialled(openai_console: Console, page: Page) -> None:
    """A provider that needs a key asks for one instead of failing."""
    connect(page, openai_console.url, "openai")
    expect(page.locator("#console")).to_contain_text("openai needs a key", timeout=PATIENCE)
    expect(page.locator("#console")).to_have_attribute("data-state", "idle")


def test_an_api_that_vanishes_loses_nothing(openai_console: Console, page: Page) -> None:
    """The line breaks in the middle of an answer: what came is there, the page says so, and offers to go on."""
    connect(page, openai_console.url, "simulator", "gpt-drop")
    box = page.get_by_role("textbox", name="Say something")
    expect(box).to_be_enabled(timeout=PATIENCE)
    box.fill("Hello")
    box.press("Enter")
    expect(page.locator("#ended")).to_contain_text("The connection broke off", timeout=PATIENCE)
    expect(page.locator('#timeline tr[data-type="response.created"]')).to_have_count(1)
    page.get_by_role("button", name="Connect", exact=True).first.click()
    expect(page.locator("#console")).to_have_attribute("data-live", "true", timeout=PATIENCE)


def test_weather_that_cannot_be_had_is_told_to_both(openai_console: Console, page: Page) -> None:
    """The weather service is away: the model is told and goes on, and the panel says what to do."""
    connect(page, openai_console.url)
    box = page.get_by_role("textbox", name="Say something")
    expect(box).to_be_enabled(timeout=PATIENCE)
    box.fill("What's the weather in Lisbon?")
    box.press("Enter")
    expect(page.locator('#timeline tr[data-type="response.done"]')).to_have_count(2, timeout=PATIENCE)
    expect(page.locator("#notices")).to_contain_text("The weather service cannot be reached")
    page.get_by_role("tab", name="Tools").click()
    expect(page.locator("#weather")).to_contain_text("OPEN_METEO_URL")


def test_a_console_that_stops_is_missed_and_found_again(tmp_path: Path, page: Page) -> None:
    """The console itself goes away: the page says so; what was recorded is there when it is back."""
    console = start_console(tmp_path)
    connect(page, console.url)
    expect(page.locator("#console")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    session = page.locator("#console").get_attribute("data-session")
    assert console.stop() == 0
    expect(page.locator("#link-lost")).to_be_visible(timeout=PATIENCE)
    again = start_console(tmp_path)
    try:
        page.goto(f"{again.url}sessions/{session}/")
        expect(page.locator('#timeline tr[data-type="session.created"]')).to_have_count(1, timeout=PATIENCE)
        expect(page.locator("#ended")).to_contain_text(re.compile("Closed here"))
    finally:
        again.stop()


def test_a_key_is_forgotten_with_one_click(openai_console: Console, page: Page) -> None:
    """While a session runs its page says which key is held, by its end; one click, and the server has none."""
    hold_key(page, openai_console.url, "sk-good-0123456789-abcd")
    page.locator("select[name=provider]").select_option("openai")
    page.get_by_role("button", name="Connect", exact=True).first.click()
    expect(page.locator("#console")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    held = page.locator("#rail .held")
    expect(held).to_contain_text("…abcd")
    held.get_by_role("button", name="forget").click()
    expect(held).to_have_count(0, timeout=PATIENCE)
    page.goto(openai_console.url)
    expect(page.get_by_label("OpenAI API key")).to_be_visible()
