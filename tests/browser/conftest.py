"""Chromium, driven by Playwright: with a silent microphone, or with one that hears somebody speak."""

from __future__ import annotations

import os
import shutil
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from realtime.audio import RATE
from realtime.pcm import resample
from tests.conftest import START_WITHIN, utterance
from tests.waiting import PATIENCE, eventually

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MICROPHONE_RATE = 48_000
"""Samples per second of the fake microphone, as most real ones have."""
SILENCE_AFTER = 6
"""Seconds until the fake microphone's sentence begins again: an answer fits between."""
ARGUMENTS = [
    "--no-sandbox",  # Chromium's own sandbox does not run as root in a container
    "--headless=new",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
EXPECTED = ("net::ERR", "status of 4", "[object Event]")
"""Chromium's complaints that are no defect: map tiles without a network, a form that is answered with what is wrong, and
htmx's own word for a socket that broke."""
ANSWER = PATIENCE * 1000
"""Milliseconds anything may take on a busy machine before a test gives up."""
SIZE = {"width": 1440, "height": 900}


def chromium() -> str:
    """The browser's path; skips the test where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here (apt-get install chromium, or set CHROMIUM to its path)")
    return found


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    """Playwright itself; one module's, since its event loop must be gone before another can begin."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    sync_api.expect.set_options(timeout=ANSWER)
    with sync_api.sync_playwright() as started:
        yield started


def happens(page: Any, condition: Callable[[], Any], what: str) -> Any:
    """Return the first true value of ``condition``; the page goes on meanwhile."""
    return eventually(condition, what, sleep=lambda seconds: page.wait_for_timeout(seconds * 1000))


def becomes(page: Any, condition: str) -> None:
    """Wait for a JavaScript condition. Playwright's own wait evaluates strings, which the page's policy forbids."""
    happens(page, lambda: page.evaluate(condition), condition)


def write_wav(path: Path, sound: bytes) -> Path:
    """A WAV file for the fake microphone; Chromium plays it again and again."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MICROPHONE_RATE)
        file.writeframes(resample(sound, RATE, MICROPHONE_RATE))
    return path


@pytest.fixture(scope="module")
def launch(playwright: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Launches Chromium with a microphone that hears this sound, once for each name."""
    running: dict[str, Any] = {}

    def browser(name: str, sound: bytes) -> Any:
        if name not in running:
            wav = write_wav(tmp_path_factory.mktemp("microphone") / f"{name}.wav", sound)
            running[name] = playwright.chromium.launch(
                executable_path=chromium(), args=[*ARGUMENTS, f"--use-file-for-fake-audio-capture={wav}"],
                timeout=START_WITHIN * 1000,
            )
        return running[name]

    yield browser
    for browser_ in running.values():
        browser_.close()


def new_page(browser: Any) -> Iterator[Any]:
    """A page in a context of its own; whatever its scripts throw or the browser refuses fails the test."""
    context = browser.new_context(viewport=SIZE, permissions=["microphone"])
    context.set_default_timeout(ANSWER)
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert [text for text in trouble if not any(word in text for word in EXPECTED)] == []


@pytest.fixture
def page(launch: Any) -> Iterator[Any]:
    """A page whose microphone hears nothing."""
    yield from new_page(launch("silence", bytes(RATE * 2)))


@pytest.fixture
def talking_page(launch: Any) -> Iterator[Any]:
    """A page whose microphone hears a sentence, silence, the sentence again …"""
    sentence = bytes(RATE) + utterance("What is the weather in Lisbon?") + bytes(RATE * 2 * SILENCE_AFTER)
    yield from new_page(launch("speech", sentence))
