"""A page of another program on this machine: cookies know no ports, and it gets nothing all the same."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from realtime.audio import RATE
from tests.browser.test_troubles import PATIENCE, connect
from tests.conftest import Console, start_console

pytestmark = pytest.mark.browser

TOKEN = "open-sesame-0123456789"
TRY_SOCKETS = """async ([urls, protocols]) => Object.fromEntries(await Promise.all(urls.map((url) => new Promise((resolve) => {
    const socket = new WebSocket(url, url.includes("/ws/") ? [] : protocols);
    const got = [];
    const tell = () => { resolve([url, got]); socket.close(); };
    socket.onopen = () => got.push("open");
    socket.onmessage = (event) => { got.push("message"); tell(); };
    socket.onclose = (event) => { got.push(`close ${event.code}`); tell(); };
    setTimeout(tell, 2000);
}))))"""
"""Open sockets and say what came of each; a socket that is refused closes with 1006."""
TRY_REQUESTS = """async (urls) => Object.fromEntries(await Promise.all(urls.map(async ([method, url, mode]) => {
    try {
        const response = await fetch(url, { method, mode, credentials: "include", body: method === "POST" ? "x=1" : undefined,
            headers: method === "POST" ? { "Content-Type": "application/x-www-form-urlencoded" } : {} });
        return [`${method} ${url} ${mode}`, response.type === "opaque" ? "opaque" : `${response.status} ${await response.text()}`];
    } catch (error) { return [`${method} ${url} ${mode}`, "failed"]; }
})))"""


class Foreign(http.server.BaseHTTPRequestHandler):
    """An empty page; whatever cookies come with the request are kept."""

    cookies: list[str] = []

    def do_GET(self) -> None:
        """Answer any address."""
        self.cookies.append(self.headers.get("Cookie") or "")
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title>")

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def foreign() -> Iterator[str]:
    """The address of a page on another port of this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as server:
        thread = threading.Thread(target=server.serve_forever, name="foreign")
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["", TOKEN], ids=["without a token", "with a token"])
def console(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Console]:
    """A console of its own that serves any host, as the worst case: the origin alone decides."""
    console = start_console(tmp_path, CONSOLE_TOKEN=request.param, CONSOLE_ALLOWED_HOSTS="*")
    console.token = request.param  # type: ignore[attr-defined]
    yield console
    assert console.stop() == 0


@pytest.fixture
def context(launch: Any) -> Iterator[BrowserContext]:
    """A browser with one person's cookies; what is refused is expected to be said on its console."""
    browser: Browser = launch("silence", bytes(RATE * 2))
    context = browser.new_context()
    yield context
    context.close()


def test_a_page_on_another_port(console: Console, foreign: str, context: BrowserContext) -> None:
    """It opens none of the pages' sockets nor the relay, reads nothing, does nothing, and its server never sees the token."""
    token = console.token  # type: ignore[attr-defined]
    own = context.new_page()
    connect(own, f"{console.url}?token={token}" if token else console.url)
    expect(own).to_have_url(re.compile(r"/sessions/\w+/"), timeout=PATIENCE)
    session = own.url.rstrip("/").rpartition("/")[2]
    ws = console.url.replace("http", "ws")
    pages = [f"{ws}ws/rail", f"{ws}ws/sessions/{session}/timeline", f"{ws}ws/sessions/{session}/audio"]
    relay = [f"{ws}v1/realtime?model=gpt-realtime", f"{ws}via/simulator/v1/realtime?model=gpt-realtime", ws]
    asked = [pages + relay, ["realtime", "openai-insecure-api-key.any"]]

    allowed = own.evaluate(TRY_SOCKETS, asked)
    assert {url: got[0] for url, got in allowed.items()} == dict.fromkeys([*pages, relay[0], relay[1], relay[2]], "open")

    Foreign.cookies.clear()
    page = context.new_page()
    page.goto(foreign)
    refused = page.evaluate(TRY_SOCKETS, asked)
    assert refused == {url: ["close 1006"] for url in [*pages, *relay]}

    paths = ("", "sessions.json", f"sessions/{session}/audio.wav")
    read = [["GET", f"{console.url}{path}", mode] for path in paths for mode in ("cors", "no-cors")]
    done = [["POST", f"{console.url}{path}", "no-cors"] for path in ("sessions/start", f"sessions/{session}/disconnect", "keys/")]
    got = page.evaluate(TRY_REQUESTS, [*read, *done])
    assert set(got.values()) <= {"failed", "opaque"}
    assert page.evaluate("document.cookie") == ""
    own.reload()
    expect(own.get_by_role("button", name="Disconnect", exact=True)).to_be_visible(timeout=PATIENCE)
    assert token == "" or not [cookie for cookie in Foreign.cookies if token in cookie]
    assert len(Foreign.cookies) >= 1
    if token:  # the other program's server receives the cookie, as cookies go; it is not the token, and ends with it
        assert any("console_token_" in cookie for cookie in Foreign.cookies)
