"""Importing in a real browser: chosen, dropped, stopped, refused, without scripts; and pins by keyboard."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

PATIENCE = 120_000
"""Milliseconds that anything may take on a busy machine."""
HEAD = {"k": "head", "v": 1, "session": "x", "label": "From a file", "started_at": "2026-11-20T10:00:00Z", "provider": "openai"}


def write_log(path: Path, events: int, size: int = 20) -> Path:
    """A log of so many frames with so many characters each."""
    raw = json.dumps({"type": "x", "text": "y" * size})
    line = {"k": "ev", "dir": "sent", "leg": "client", "origin": "app", "type": "x", "raw": raw}
    with path.open("w") as file:
        file.write(json.dumps(HEAD) + "\n")
        file.writelines(json.dumps({**line, "seq": seq, "t_us": seq}) + "\n" for seq in range(1, events + 1))
    return path


def notices(page: Page) -> Any:
    """What the page says."""
    return page.locator("#notices li")


def test_a_chosen_file_is_opened(app: Any, page: Page, tmp_path: Path) -> None:
    """A file that is chosen is imported and its session opened; the address is the session's, and the list has it."""
    page.goto(app.url)
    page.locator("#rail input[type=file]").set_input_files(write_log(tmp_path / "a.jsonl", 3))
    expect(page.locator('#timeline tr[data-type="x"]')).to_have_count(3, timeout=PATIENCE)
    expect(page).to_have_url(re.compile(r"/sessions/\w+/$"))
    expect(page.locator("#session-list li[aria-current]")).to_contain_text("From a file")


def test_a_dropped_file_is_opened_from_the_library(app: Any, page: Page, tmp_path: Path) -> None:
    """A file that is dropped on the library is imported, and its session opened."""
    page.goto(f"{app.url}sessions/")
    content = write_log(tmp_path / "b.jsonl", 3).read_text()
    transfer = page.evaluate_handle(
        "text => { const t = new DataTransfer(); t.items.add(new File([text], 'b.jsonl')); return t; }", content
    )
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    expect(page.locator("body")).to_have_attribute("data-drop", "true")
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.locator('#timeline tr[data-type="x"]')).to_have_count(3, timeout=PATIENCE)


def test_progress_and_stop(app: Any, page: Page, tmp_path: Path) -> None:
    """While a large file is imported the page shows how far it is, also after a reload; Stop leaves nothing of it."""
    page.goto(app.url)
    known = page.request.get(f"{app.url}sessions.json").json()
    path = write_log(tmp_path / "large.jsonl", 1000, 4000)
    database = sqlite3.connect(app.data_dir / "console.sqlite3", isolation_level=None, timeout=PATIENCE / 1000)
    with closing(database):
        database.execute("BEGIN IMMEDIATE")  # the import waits for this: it is not over before it is stopped
        page.locator("#rail input[type=file]").set_input_files(path)
        expect(notices(page)).to_contain_text(
            re.compile(r"Importing “large\.jsonl”: [\d,]+ lines, [\d.]+ of 4\.1 MB"), timeout=PATIENCE
        )
        page.reload()
        bar = page.get_by_role("progressbar", name="Import of large.jsonl")
        expect(bar).to_be_visible(timeout=PATIENCE)
        page.get_by_role("button", name="Stop the import of large.jsonl").click()
        database.execute("ROLLBACK")
    expect(notices(page)).to_have_count(0, timeout=PATIENCE)
    assert page.request.get(f"{app.url}sessions.json").json() == known


def test_a_refused_file(app: Any, page: Page, tmp_path: Path) -> None:
    """A file without an event is refused with a sentence that says what it looks like, and can be dismissed."""
    path = tmp_path / "trace.jsonl"
    path.write_text('{"log": {"entries": []}}')
    page.goto(app.url)
    page.locator("#rail input[type=file]").set_input_files(path)
    expect(notices(page)).to_contain_text("“trace.jsonl” could not be imported, nothing was stored: line 1", timeout=PATIENCE)
    expect(notices(page)).to_contain_text("it looks like a HAR file")
    notices(page).get_by_role("button", name="Dismiss").click()
    expect(notices(page)).to_have_count(0)


def test_a_running_session_is_not_left(app: Any, page: Page, tmp_path: Path) -> None:
    """Who talks stays where they are: what was imported meanwhile is offered as a link."""
    page.goto(app.url)
    page.get_by_role("button", name="Connect").first.click()
    expect(page.locator("#console")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    address = page.url
    page.locator("#rail input[type=file]").set_input_files(write_log(tmp_path / "c.jsonl", 3))
    expect(notices(page)).to_contain_text("“c.jsonl” is imported.", timeout=PATIENCE)
    assert page.url == address
    notices(page).get_by_role("link", name="Open it").click()
    expect(page.locator('#timeline tr[data-type="x"]')).to_have_count(3, timeout=PATIENCE)


def test_without_scripts(app: Any, launch: Any, tmp_path: Path) -> None:
    """Without scripts the form has a button of its own, and leads to the session."""
    context = launch("silence", bytes(48_000)).new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{app.url}sessions/")
    page.locator("input[type=file]").set_input_files(write_log(tmp_path / "d.jsonl", 3))
    page.get_by_role("button", name="Import the file").click(timeout=PATIENCE)
    expect(page).to_have_url(re.compile(r"/sessions/\w+/$"), timeout=PATIENCE)
    context.close()


def test_a_pin_by_keyboard(app: Any, page: Page, tmp_path: Path) -> None:
    """A session is pinned with the keyboard; the focus stays on the button, and the library shows the pin."""
    page.goto(app.url)
    page.locator("#rail input[type=file]").set_input_files(write_log(tmp_path / "e.jsonl", 3))
    expect(page.locator('#timeline tr[data-type="x"]')).to_have_count(3, timeout=PATIENCE)
    pin = page.locator("#session-list li[aria-current] .pin")
    pin.focus()
    page.keyboard.press("Enter")
    expect(pin).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(2500)  # the list's socket brings the row again
    expect(pin).to_be_focused()
    pin.blur()
    expect(pin).to_have_css("opacity", "1")  # seen without pointing at it
    session_id = page.locator("#console").get_attribute("data-session")
    page.goto(f"{app.url}sessions/")
    pin = page.locator(f"#pin-{session_id}")
    expect(pin).to_have_attribute("aria-pressed", "true")
    pin.click()
    expect(pin).to_have_attribute("aria-pressed", "false")
