"""Come in: hosts, origins, the console's token, and what every answer says to the browser."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from console import access, admission, middleware
from console.guesses import BURST, Guesses
from console.sign_ins import SignIns
from tests.console.asgi_client import BEYOND, OWN, browser, page_socket
from tests.console.stage import Stage, Story, closing
from tests.waiting import PATIENCE

stored = pytest.mark.django_db(transaction=True)
"""For what reads or writes the database by way of the whole application."""

TOKEN = "open-sesame-é"
FOREIGN = "http://127.0.0.1:8001"
"""A page of another program on this machine."""
COOKIE = access.TOKEN_COOKIE


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has guessed and nobody has signed in."""
    count, held = Guesses(), SignIns()
    for module in (access, middleware, admission):
        monkeypatch.setattr(module, "guesses", count)
    for module in (access, middleware):
        if hasattr(module, "sign_ins"):
            monkeypatch.setattr(module, "sign_ins", held)


@pytest.fixture
def locked(settings: Any, tmp_path: Path) -> None:
    """A console that asks for a token."""
    settings.CONSOLE_TOKEN = TOKEN
    settings.CONSOLE_DATA_DIR = tmp_path


def publish(settings: Any) -> None:
    """What CONSOLE_PUBLIC_URL comes to."""
    settings.CONSOLE_PUBLIC_URL = "https://console.example"
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "console.example"]


@pytest.mark.usefixtures("locked")
class TestToken:
    """With ``CONSOLE_TOKEN`` set"""

    @pytest.mark.parametrize("path", ["/", "/sessions/", "/sessions.json", "/sessions/x/log.jsonl", "/admin/", "/nothing", "/?token=no"])
    async def test_nothing_is_shown_without_it(self, path: str) -> None:
        """Every address asks for the token, whatever is behind it, and says how to give it."""
        async with browser() as page:
            response = await page.get(path)
        assert response.status_code == 401
        assert "open it once with ?token=" in response.text
        assert not response.cookies

    async def test_nothing_is_done_without_it(self) -> None:
        """Neither is anything written."""
        async with browser(origin=OWN) as page:
            assert (await page.post("/sessions/start", data={"provider": "simulator"})).status_code == 401

    @stored
    async def test_it_is_given_once(self) -> None:
        """A link with the token sets a cookie that is not the token, that scripts cannot read, and leaves the address."""
        async with browser() as page:
            response = await page.get("/sessions/", params={"token": TOKEN, "q": "a b"})
            assert (response.status_code, response.headers["Location"]) == (302, "/sessions/?q=a+b")
            cookie = SimpleCookie(response.headers["Set-Cookie"])[COOKIE]
            assert (cookie["httponly"], cookie["samesite"], cookie["max-age"], cookie["secure"]) == (True, "Strict", "2592000", "")
            assert len(cookie.value) == 43
            assert (await page.get("/sessions.json")).status_code == 200

    async def test_two_browsers(self) -> None:
        """Each browser has a value of its own."""
        values = set()
        for _ in range(2):
            async with browser() as page:
                values.add((await page.get("/", params={"token": TOKEN})).cookies[COOKIE])
        assert len(values) == 2

    @stored
    async def test_over_https(self) -> None:
        """Over https the cookie is one that http neither sees nor sets."""
        async with browser("https://127.0.0.1:8443") as page:
            response = await page.get("/", params={"token": TOKEN})
            cookie = SimpleCookie(response.headers["Set-Cookie"])[f"__Host-{COOKIE}"]
            assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
            assert (await page.get("/sessions.json")).status_code == 200
        async with browser(cookie=f"{COOKIE}={cookie.value}") as page:
            assert (await page.get("/sessions.json")).status_code == 200  # the value is good; its name is the scheme's
        async with browser("https://127.0.0.1:8443", cookie=f"{COOKIE}={cookie.value}") as page:
            assert (await page.get("/sessions.json")).status_code == 401

    async def test_it_does_not_lead_elsewhere(self) -> None:
        """The redirect stays on this console, however the path was written."""
        async with browser() as page:
            response = await page.get(f"{OWN}//evil.example/", params={"token": TOKEN})
        assert response.headers["Location"] == "/%2Fevil.example/"

    @pytest.mark.parametrize("value", ["guess", "open-sesame-%C3%A9", ""])
    async def test_a_wrong_cookie(self, value: str) -> None:
        """A cookie that was never given is none; nor is the token itself."""
        async with browser(cookie=f"{COOKIE}={value}") as page:
            assert (await page.get("/")).status_code == 401

    @stored
    async def test_programs_bring_it_in_a_header(self) -> None:
        """A program sends the token as a bearer, and needs no CSRF token: nobody can make a browser send that."""
        async with browser(authorization=f"Bearer {TOKEN}".encode()) as program:
            assert (await program.get("/sessions.json")).status_code == 200
            assert (await program.post("/presets/save", data={})).status_code == 422
            assert (await program.post("/presets/save", data={}, headers={"origin": FOREIGN})).status_code == 403
        async with browser(authorization="Bearer guess") as program:
            response = await program.get("/sessions.json")
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="Realtime Console"')

    @stored
    async def test_programs_may_ask_whether_it_lives(self) -> None:
        """The health check needs no token."""
        async with browser() as program:
            assert (await program.get("/healthz")).status_code == 200

    @stored
    async def test_guesses_are_slowed(self) -> None:
        """After some wrong tokens no more are looked at for a moment, not even the right one; who is signed in goes on."""
        async with browser() as signed_in, browser() as guessing, browser(address=BEYOND) as elsewhere:
            await signed_in.get("/", params={"token": TOKEN})
            answers = [(await guessing.get("/", params={"token": f"guess {n}"})).status_code for n in range(BURST + 1)]
            assert answers == [401] * BURST + [429]
            response = await guessing.get("/", params={"token": TOKEN})
            assert (response.status_code, response.headers["Retry-After"]) == (429, "2")
            assert (await signed_in.get("/sessions.json")).status_code == 200
            assert (await elsewhere.get("/", params={"token": TOKEN})).status_code == 302

    @pytest.mark.parametrize("door", ["/ws/rail", "/ws/sessions/nobody/timeline", "/ws/sessions/nobody/audio"])
    async def test_sockets_ask_too(self, door: str) -> None:
        """A socket without the cookie is refused before the handshake is answered."""
        assert await page_socket(door).connect(PATIENCE) == (False, 4401)
        assert await page_socket(door, cookie=f"{COOKIE}=guess").connect(PATIENCE) == (False, 4401)
        assert await page_socket(f"{door}?token=guess").connect(PATIENCE) == (False, 4401)


@stored
@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("door", ["timeline", "audio"])
async def test_a_socket_with_the_token(stage: Stage, door: str) -> None:
    """A socket that brings the cookie comes in."""
    page = page_socket(f"/ws/sessions/nobody/{door}", cookie=f"{COOKIE}={access.sign_ins.issue()}")
    assert (await page.connect(PATIENCE))[0]
    assert await closing(page) == 4004


@pytest.mark.parametrize("door", ["/ws/rail", "/ws/sessions/nobody/timeline", "/ws/sessions/nobody/audio"])
@pytest.mark.parametrize("headers", [
    {"origin": FOREIGN}, {"origin": "http://127.0.0.1"}, {"origin": "https://127.0.0.1:8000"}, {"origin": "http://localhost:8000"},
    {"origin": ""}, {"origin": "null"}, {"origin": "https://friend.example"}, {"host": "evil.example", "origin": "http://evil.example"},
    {"host": "", "origin": OWN},
])  # fmt: skip
@pytest.mark.parametrize("hosts", [["127.0.0.1", "localhost"], ["*", "127.0.0.1"]])
async def test_a_page_of_another_origin(settings: Any, door: str, headers: dict[str, str], hosts: list[str]) -> None:
    """No page of another scheme, host or port has the pages' sockets, nor has a program; friends of the relay neither."""
    settings.ALLOWED_HOSTS = hosts
    settings.RELAY_ALLOWED_ORIGINS = ["https://friend.example"]
    if "*" in hosts and headers.get("host") == "evil.example":
        headers = {"host": "evil.example", "origin": "http://other.example"}
    assert await page_socket(door, **headers).connect(PATIENCE) == (False, 4403)


@stored
async def test_sockets_behind_a_proxy(stage: Stage, settings: Any) -> None:
    """With a public URL the pages' sockets are that origin's, and no other's."""
    publish(settings)
    path = "/ws/sessions/nobody/timeline"
    page = page_socket(path, origin="https://console.example")
    assert (await page.connect(PATIENCE))[0]
    assert await closing(page) == 4004
    assert await page_socket(path, origin=OWN).connect(PATIENCE) == (False, 4403)


class TestForeignPages:
    """Requests that pages of other origins make a browser send"""

    @pytest.mark.parametrize("path", ["/sessions/start", "/keys/", "/sessions/import", "/relay/keys", "/presets/save", "/nothing"])
    @pytest.mark.parametrize("given", [FOREIGN, "https://127.0.0.1:8000", "null", "https://evil.example"])
    async def test_nothing_is_done(self, path: str, given: str) -> None:
        """What may change something is refused by its headers; cookies, which know no ports, do not matter."""
        async with browser(origin=given) as page:
            response = await page.post(path)
        assert response.status_code == 403
        assert OWN in response.text

    @stored
    @pytest.mark.parametrize("site", ["same-site", "cross-site"])
    async def test_nothing_is_shown_inside_them(self, site: str) -> None:
        """What they fetch without naming themselves is refused; a link that is followed is not."""
        async with browser(**{"sec-fetch-site": site}) as page:
            assert (await page.get("/sessions.json", headers={"sec-fetch-mode": "no-cors"})).status_code == 403
            assert (await page.get("/sessions.json", headers={"sec-fetch-mode": "navigate"})).status_code == 200

    @stored
    async def test_the_own_page(self) -> None:
        """The console's own page is served, and checked for its CSRF token; over https its cookies are https's."""
        for base in (OWN, "https://127.0.0.1:8443"):
            async with browser(base, origin=base) as page:
                text = (await page.get("/")).text
                token = re.search(r'"x-csrftoken": "(\w+)"', text)
                assert token is not None
                assert (await page.post("/presets/save")).status_code == 403
                assert (await page.post("/presets/save", headers={"x-csrftoken": token[1]})).status_code == 422
                names = set(page.cookies)
                assert names == {f"__Host-{settings.CSRF_COOKIE_NAME}" if base.startswith("https") else settings.CSRF_COOKIE_NAME}

    @stored
    async def test_behind_a_proxy(self, settings: Any) -> None:
        """With a public URL that is the own origin, for Django's check of forms, cookies and the addresses shown, too."""
        publish(settings)
        async with browser(origin="https://console.example") as page:
            response = await page.get("/relay/")
            assert "wss://console.example/v1/realtime" in response.text
            cookies = SimpleCookie(response.headers["Set-Cookie"])
            name, cookie = next(iter(cookies.items()))
            assert (name.startswith("__Host-console_csrf"), cookie["secure"]) == (True, True)
            token = re.search(r'"x-csrftoken": "(\w+)"', response.text)
            assert token is not None
            headers = {"x-csrftoken": token[1], "cookie": f"{name}={cookie.value}"}
            assert (await page.post("/presets/save", headers=headers)).status_code == 422
            assert (await page.post("/presets/save", headers={**headers, "origin": OWN})).status_code == 403


@stored
async def test_without_a_token_none_is_asked() -> None:
    """A console without a token takes everybody, also one who brings one."""
    async with browser() as page:
        assert (await page.get("/?token=anything")).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8000"])
async def test_another_host(client: Client, host: str, caplog: pytest.LogCaptureFixture) -> None:
    """A page that reaches this address under another name gets a sentence (DNS rebinding), and the terminal nothing."""
    assert client.get("/", headers={"host": host}).status_code == 400
    caplog.clear()
    async with browser(f"http://{host}") as page:
        for path in ("/", "/healthz", "/static/x"):
            response = await page.post(path)
            assert (response.status_code, "CONSOLE_ALLOWED_HOSTS" in response.text) == (400, True)
        assert (await page.post("/v1/realtime/client_secrets")).json()["error"]["code"] == "host_not_allowed"
    assert not caplog.records


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000"])
def test_this_host(client: Client, host: str) -> None:
    """The console answers to its own names, on any port."""
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.django_db
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


@pytest.mark.django_db
def test_no_cookie_without_need(client: Client) -> None:
    """Who only looks gets the token for forms and nothing else; programs get no cookie at all."""
    session_id = Story().store()
    for path in ("/healthz", "/sessions.json", f"/sessions/{session_id}.json", f"/sessions/{session_id}/rows"):
        assert not client.get(path).cookies, path
    assert set(client.get("/").cookies) == {settings.CSRF_COOKIE_NAME}
    assert set(client.get(f"/sessions/{session_id}/").cookies) <= {settings.CSRF_COOKIE_NAME}
