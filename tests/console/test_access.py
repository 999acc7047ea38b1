"""Come in: hosts, origins, the console's token, and what every answer says to the browser."""

from __future__ import annotations

import pytest
from django.test import Client

from console.access import is_loopback
from tests.console.stage import Stage, Story, closing, socket
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db

TOKEN = "open-sesame-é"


@pytest.fixture
def locked(settings: object) -> None:
    """A console that asks for a token."""
    settings.CONSOLE_TOKEN = TOKEN  # type: ignore[attr-defined]


@pytest.mark.usefixtures("locked")
class TestToken:
    """With ``CONSOLE_TOKEN`` set"""

    @pytest.mark.parametrize("path", ["/", "/sessions/", "/sessions.json", "/sessions/x/log.jsonl", "/admin/", "/nothing", "/?token=no"])
    def test_nothing_is_shown_without_it(self, client: Client, path: str) -> None:
        """Every address asks for the token, whatever is behind it, and says how to give it."""
        response = client.get(path)
        assert response.status_code == 401
        assert "open it once with ?token=" in response.content.decode()
        assert not response.cookies

    def test_nothing_is_done_without_it(self, client: Client) -> None:
        """Neither is anything written."""
        assert client.post("/sessions/start", {"provider": "simulator"}).status_code == 401

    def test_it_is_given_once(self, client: Client) -> None:
        """A link with the token sets a cookie that scripts cannot read, and the address goes on without it."""
        response = client.get("/sessions/", {"token": TOKEN, "q": "a b"})
        assert (response.status_code, response["Location"]) == (302, "/sessions/?q=a+b")
        cookie = response.cookies["console_token"]
        assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Strict", 30 * 24 * 3600)
        assert client.get("/sessions/").status_code == 200

    def test_it_does_not_lead_elsewhere(self, client: Client) -> None:
        """The redirect stays on this console, however the path was written."""
        response = client.get("/", {"token": TOKEN}, PATH_INFO="//evil.example/")
        assert response["Location"] == "/%2Fevil.example/"

    def test_a_wrong_cookie(self, client: Client) -> None:
        """A cookie that is not the token is no cookie."""
        client.cookies["console_token"] = "guess"
        assert client.get("/").status_code == 401

    def test_programs_may_ask_whether_it_lives(self, client: Client) -> None:
        """The health check needs no token."""
        assert client.get("/healthz").status_code == 200

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("door", ["timeline", "audio"])
    async def test_sockets_ask_too(self, stage: Stage, door: str) -> None:
        """A socket without the cookie is refused before the handshake is answered; with it, it is not."""
        path = f"/ws/sessions/nobody/{door}"
        assert await socket(path).connect(PATIENCE) == (False, 4401)
        assert await socket(path, (b"cookie", b"console_token=guess")).connect(PATIENCE) == (False, 4401)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", ["timeline", "audio"])
async def test_a_socket_with_the_token(stage: Stage, settings: object, door: str) -> None:
    """A socket that brings the cookie comes in."""
    settings.CONSOLE_TOKEN = "open-sesame"  # type: ignore[attr-defined]
    page = socket(f"/ws/sessions/nobody/{door}", (b"cookie", b"console_token=open-sesame"))
    assert (await page.connect(PATIENCE))[0]
    assert await closing(page) == 4004


def test_without_a_token_none_is_asked(client: Client) -> None:
    """A console without a token takes everybody, also one who brings one."""
    assert client.get("/?token=anything").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8000"])
def test_another_host(client: Client, host: str) -> None:
    """A page that reaches this address under another name gets nothing (DNS rebinding)."""
    assert client.get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000"])
def test_this_host(client: Client, host: str) -> None:
    """The console answers to its own names, on any port."""
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/sessions/", "/sessions.json", "/healthz", "/nothing"])
def test_what_a_browser_may_load(client: Client, path: str) -> None:
    """Every answer forbids inline scripts and frames; only map tiles come from elsewhere."""
    response = client.get(path)
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["img-src"] == "'self' data: https://tile.openstreetmap.org"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert (response["X-Frame-Options"], response["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert response["Referrer-Policy"] == "same-origin"


def test_no_cookie_without_need(client: Client) -> None:
    """Who only looks gets the token for forms and nothing else; programs get no cookie at all."""
    session_id = Story().store()
    for path in ("/healthz", "/sessions.json", f"/sessions/{session_id}.json", f"/sessions/{session_id}/rows"):
        assert not client.get(path).cookies, path
    assert set(client.get("/").cookies) == {"console_csrf"}
    assert set(client.get(f"/sessions/{session_id}/").cookies) <= {"console_csrf"}


@pytest.mark.parametrize(("host", "local"), [
    ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("localhost", True),
    ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("example.org", False), ("", False),
])  # fmt: skip
def test_what_others_can_reach(host: str, local: bool) -> None:
    """Addresses of this machine alone need no token."""
    assert is_loopback(host) is local
