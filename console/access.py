"""Who may come in: hosts and origins by Django and Channels, the console's token here, and the keys people type."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import escape_leading_slashes, urlencode

TOKEN_COOKIE = "console_token"
TOKEN_AGE = 30 * 24 * 3600  # seconds the cookie lasts
OPEN_PATHS = ("/healthz",)
RELAY_PATHS = re.compile(r"/api/realtime/|(?:/via/[^/]+)?(?:/openai)?(?:/v1)?/realtime(?:/|$)")
"""Where programs come in, with keys of their own: ``console.admission`` asks them."""


def is_loopback(host: str) -> bool:
    """Whether this address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def holds_token(cookies: dict[str, str]) -> bool:
    """Whether a request may come in: always when no token is set, else by its cookie, compared in constant time."""
    return not settings.CONSOLE_TOKEN or hmac.compare_digest(
        cookies.get(TOKEN_COOKIE, "").encode(), settings.CONSOLE_TOKEN.encode()
    )


class TokenMiddleware:
    """Asks for ``CONSOLE_TOKEN`` once: a link with ``?token=`` sets a cookie and leaves the token out of the address."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if RELAY_PATHS.match(request.path):
            return self.get_response(request)
        given = request.GET.get("token", "")
        if settings.CONSOLE_TOKEN and given:
            if hmac.compare_digest(given.encode(), settings.CONSOLE_TOKEN.encode()):
                rest = {key: value for key, value in request.GET.items() if key != "token"}
                response = HttpResponseRedirect(
                    escape_leading_slashes(request.path) + (f"?{urlencode(rest)}" if rest else "")
                )
                response.set_cookie(
                    TOKEN_COOKIE, given, max_age=TOKEN_AGE, httponly=True, samesite="Strict", secure=request.is_secure()
                )
                return response
        elif request.path in OPEN_PATHS or holds_token(request.COOKIES):
            return self.get_response(request)
        return HttpResponse(
            "This console asks for its token: open it once with ?token=… (the value of CONSOLE_TOKEN).\n",
            status=401,
            content_type="text/plain; charset=utf-8",
        )


class TokenDoor:
    """The same question for a WebSocket: refuses before the handshake is answered."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if holds_token(scope.get("cookies", {})):
            await self.app(scope, receive, send)
        else:
            await receive()  # the connect
            await send({"type": "websocket.close", "code": 4401, "reason": "token needed"})


def query(scope: dict[str, Any], name: str) -> str:
    """One query parameter of a WebSocket's address, or ``""``."""
    values = parse_qs(scope.get("query_string", b"").decode("latin-1")).get(name, [""])
    return values[-1]


class Keyring:
    """Keys typed on the page: in this process's memory only, for the browser that typed them, until it forgets."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], str] = {}

    def hold(self, browser: str, provider: str, key: str) -> None:
        """Keep a key for one browser (its session cookie) and one provider."""
        self._keys[browser, provider] = key

    def key(self, browser: str | None, provider: str) -> str:
        """The key held, or ``""``; only for dialling, never for a page."""
        return self._keys.get((browser or "", provider), "")

    def hint(self, browser: str | None, provider: str) -> str:
        """The last four characters of the key held, all a page may show; ``""`` when none is held."""
        key = self.key(browser, provider)
        return key[-4:] if key else ""

    def forget(self, browser: str | None) -> None:
        """Drop every key of one browser."""
        for held in [held for held in self._keys if held[0] == browser]:
            del self._keys[held]


keyring = Keyring()
"""This process's keyring."""
