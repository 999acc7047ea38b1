"""Who may come in: the console's token and what stands for it, and the keys people type."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.http import parse_cookie

from console.guesses import guesses
from console.origin import header, is_secure
from console.sign_ins import sign_ins

TOKEN_COOKIE = f"console_token_{settings.INSTALLATION}"
RELAY_PATHS = re.compile(r"/api/realtime/|(?:/via/[^/]+)?(?:/openai)?(?:/v1)?/realtime(?:/|$)")
"""Where programs come in, with keys of their own: ``console.admission`` asks them."""
SECURE_PREFIX = "__Host-"
"""What the names of cookies begin with over https: browsers then keep http from reading and from setting them."""


class Access(Enum):
    """Whether a client of the pages comes in, and by what."""

    OPEN = "no token is asked for"
    COOKIE = "cookie"
    BEARER = "Authorization: Bearer"
    LINK = "?token="
    NONE = "nothing given"
    WRONG = "a wrong token"
    LATER = "too many wrong tokens"

    @property
    def granted(self) -> bool:
        """Whether it comes in."""
        return self in (Access.OPEN, Access.COOKIE, Access.BEARER, Access.LINK)


def is_token(given: str) -> bool:
    """Whether this is ``CONSOLE_TOKEN``, compared in constant time; of a header it comes as Latin-1, of a query as UTF-8."""
    token = settings.CONSOLE_TOKEN.encode()
    same = [hmac.compare_digest(given.encode(encoding, "replace"), token) for encoding in ("latin-1", "utf-8")]
    return bool(token) and any(same)


def cookie_name(scope: Mapping[str, Any]) -> str:
    """The name of the cookie that stands for the token. Cookies know no ports: each installation has a name of its own."""
    return f"{SECURE_PREFIX}{TOKEN_COOKIE}" if is_secure(scope) else TOKEN_COOKIE


def cookies_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """The cookies of an ASGI scope."""
    cookies: dict[str, str] = parse_cookie((header(scope, b"cookie") or "").replace(", ", "; "))
    return cookies


def is_signed_in(scope: Mapping[str, Any]) -> bool:
    """Whether a page may do what pages do: always when no token is set, else by its cookie."""
    return not settings.CONSOLE_TOKEN or sign_ins.holds(cookies_of(scope).get(cookie_name(scope), ""))


def access_of(scope: Mapping[str, Any]) -> Access:
    """How a request or a socket of the pages comes in. Wrong tokens are counted, and slowed, for each client's address."""
    if not settings.CONSOLE_TOKEN:
        return Access.OPEN
    if given := query(scope, "token"):
        return _judge(scope, Access.LINK, given)
    if is_signed_in(scope):
        return Access.COOKIE
    kind, _, given = (header(scope, b"authorization") or "").partition(" ")
    if kind.lower() == "bearer":
        return _judge(scope, Access.BEARER, given.strip())
    if cookies_of(scope).get(cookie_name(scope)):
        return _judge(scope, Access.COOKIE, "")  # of an earlier token, or made up
    return Access.NONE


def _judge(scope: Mapping[str, Any], way: Access, given: str) -> Access:
    address = address_of(scope)
    if guesses.wait(address, way.value):
        return Access.LATER
    if is_token(given):
        return way
    guesses.wrong(address, way.value)
    return Access.WRONG


def address_of(scope: Mapping[str, Any]) -> str:
    """The client's address; behind a proxy the proxy's, whose headers anybody could write."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def query(scope: Mapping[str, Any], name: str) -> str:
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
