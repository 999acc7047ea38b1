"""ASGI middleware that judges requests and page sockets when their headers are in, and Django's counterpart for cookies."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import escape_leading_slashes, urlencode

from console import origin
from console.access import RELAY_PATHS, SECURE_PREFIX, Access, access_of, address_of, cookie_name
from console.admission import Denied, foreign
from console.guesses import guesses
from console.sign_ins import LIFETIME, sign_ins

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
Scope = dict[str, Any]

OPEN_PATHS = ("/healthz",)
SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing."""
SLACK = 64 * 1024
"""Bytes a body may have beside what it is about: boundaries, the names and other fields of its form."""
USUAL_BODY = 4 * 1024 * 1024
"""Bytes: settings with long instructions and tools, the offer of a call."""
LIMITS = (
    (re.compile(r"/sessions/import"), 4 * 1024**3 + SLACK),
    (re.compile(r"/sessions/[^/]+/send"), settings.DATA_UPLOAD_MAX_MEMORY_SIZE + SLACK),
)
"""Bytes of a body at addresses that take more: a log file, which the application spools to disk, and any event."""
BY_BEARER = "console.by_bearer"
"""The key of a scope whose client gave the token in a header, which no foreign page can make a browser send."""

HOST_REFUSED = "This console does not serve that host name: CONSOLE_ALLOWED_HOSTS lists those it does."
ORIGIN_REFUSED = "Only the console's own pages may do this: {own} (CONSOLE_PUBLIC_URL, where a proxy stands before it)."
TOKEN_NEEDED = (
    "This console asks for its token: open it once with ?token=… (the value of CONSOLE_TOKEN); "
    "programs send Authorization: Bearer …"
)
TOO_MANY = "Too many wrong tokens came from this address: try again in {wait} s."
TOO_LARGE = "The body of this request is larger than the {limit} bytes this address takes."


class OwnOriginMiddleware:
    """Shows the application the address people open, where ``CONSOLE_PUBLIC_URL`` says it."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        await self.app(origin.as_public(scope) if scope["type"] in ("http", "websocket") else scope, receive, send)


class RequestGuard:
    """Refuses a request by its headers, before its body is read, and a body that is larger than its address takes."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        refusal = refuse_request(scope)
        limit = limit_of(scope["path"])
        if refusal is None and (declared := origin.header(scope, b"content-length") or "").isdecimal() and int(declared) > limit:
            refusal = refused(scope, 413, TOO_LARGE.format(limit=limit))
        if refusal is not None:
            await respond(send, refusal)
            return
        seen = 0
        started = False

        async def receive_limited() -> dict[str, Any]:
            nonlocal seen
            message: dict[str, Any] = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= limit else {"type": "http.disconnect"}

        async def send_unless_too_large(message: dict[str, Any]) -> None:
            nonlocal started
            if seen <= limit or started:
                started = True
                await send(message)

        await self.app(scope, receive_limited, send_unless_too_large)
        if seen > limit and not started:
            await respond(send, refused(scope, 413, TOO_LARGE.format(limit=limit)))


class PageSocketGuard:
    """Serves the sockets of pages to the console's own origin, with the token's cookie where a token is set."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        refusal = refuse_page_socket(scope)
        if refusal is None:
            await self.app(scope, receive, send)
            return
        await receive()  # the connect
        if "websocket.http.response" in scope.get("extensions", {}):
            await respond(send, refusal, "websocket.http.response")
        else:
            await send({"type": "websocket.close", "code": 4000 + refusal.status_code, "reason": refusal.reason_phrase})


def refuse_request(scope: Scope) -> HttpResponse | None:
    """What a request is answered that may not come in, or that only signs a browser in; None when it is served."""
    path = scope["path"]
    if not origin.serves_host(scope):
        return refused(scope, 400, HOST_REFUSED, "host_not_allowed")
    if RELAY_PATHS.match(path):
        denied = foreign(scope)
        return None if denied is None else refused(scope, denied.status, denied.message, denied.code)
    if path in OPEN_PATHS:
        return None
    access = access_of(scope)
    if not access.granted:
        return refuse_access(scope, access)
    if access is Access.LINK:
        return sign_in(scope)
    if is_foreign_page(scope):
        return refused(scope, 403, ORIGIN_REFUSED.format(own=origin.own(scope)))
    if access is Access.BEARER:
        scope[BY_BEARER] = True
    return None


def is_foreign_page(scope: Scope) -> bool:
    """Whether a page of another origin asks for more than a link's target.

    Browsers name it in ``Origin`` where something may change, and in ``Sec-Fetch-Site`` on this machine and over https.
    """
    given = origin.header(scope, b"origin")
    if given is not None and scope["method"] not in SAFE:
        return not origin.is_own(given, scope)
    site = origin.header(scope, b"sec-fetch-site")
    followed = scope["method"] in SAFE and origin.header(scope, b"sec-fetch-mode") == "navigate"
    return site in ("cross-site", "same-site") and not followed


def refuse_page_socket(scope: Scope) -> HttpResponse | None:
    """What the handshake of a page's socket is answered that may not come in; None when it is served."""
    if not origin.serves_host(scope):
        return refused(scope, 403, HOST_REFUSED)
    if not origin.is_own(origin.header(scope, b"origin"), scope):
        return refused(scope, 403, ORIGIN_REFUSED.format(own=origin.own(scope)))
    access = access_of(scope)
    return None if access in (Access.OPEN, Access.COOKIE) else refuse_access(scope, access)


def refuse_access(scope: Scope, access: Access) -> HttpResponse:
    """What a client is answered that has not given the token."""
    if access is not Access.LATER:
        response = refused(scope, 401, TOKEN_NEEDED)
        response["WWW-Authenticate"] = 'Bearer realm="Realtime Console"'
        return response
    wait = max(guesses.wait(address_of(scope), way.value) for way in Access)
    response = refused(scope, 429, TOO_MANY.format(wait=wait))
    response["Retry-After"] = str(wait)
    return response


def sign_in(scope: Scope) -> HttpResponse:
    """Give a browser a cookie that stands for the token, and leave the token out of its address."""
    rest = [(key, value) for key, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True) if key != "token"]
    path = quote(escape_leading_slashes(scope["path"]), safe="/%:@!$&'()*+,;=~")
    response = HttpResponseRedirect(path + (f"?{urlencode(rest)}" if rest else ""))
    secure = origin.is_secure(scope)
    name, value = cookie_name(scope), sign_ins.issue()
    response.set_cookie(name, value, max_age=LIFETIME, httponly=True, samesite="Strict", secure=secure)
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response


def limit_of(path: str) -> int:
    """Bytes a body may have at this address."""
    return next((limit for pattern, limit in LIMITS if pattern.fullmatch(path)), USUAL_BODY)


def refused(scope: Scope, status: int, sentence: str, code: str | None = None) -> HttpResponse:
    """A refusal: a sentence, at the relay's addresses in the API's error shape."""
    if RELAY_PATHS.match(scope["path"]):
        body, kind = json.dumps(Denied(status, sentence, code).body), "application/json"
    else:
        body, kind = f"{sentence}\n", "text/plain; charset=utf-8"
    response = HttpResponse(body, status=status, content_type=kind)
    response["Content-Length"] = str(len(response.content))
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


async def respond(send: Any, response: HttpResponse, kind: str = "http.response") -> None:
    """Send a response as ASGI messages of this kind."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"set-cookie", cookie.OutputString().encode("latin-1")) for cookie in response.cookies.values()]
    await send({"type": f"{kind}.start", "status": response.status_code, "headers": headers})
    await send({"type": f"{kind}.body", "body": response.content})


class PageMiddleware:
    """Django's part: cookies that https alone sees, no CSRF token asked of programs, nothing shown inside foreign pages."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        scope: Mapping[str, Any] = getattr(request, "scope", {})
        if scope.get(BY_BEARER):
            request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]  # as Django's own test client asks for it
        secure = request.is_secure()
        if secure:
            for name in [name for name in request.COOKIES if name in OWN_COOKIES]:
                del request.COOKIES[name]
            for name in OWN_COOKIES:
                if (value := request.COOKIES.get(f"{SECURE_PREFIX}{name}")) is not None:
                    request.COOKIES[name] = value
        response = self.get_response(request)
        if secure:
            for name in [name for name in response.cookies if name in OWN_COOKIES]:
                _prefix(response, name)
        if not RELAY_PATHS.match(request.path):  # there pages of other origins may read what CORS lets them
            response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


OWN_COOKIES = (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)


def _prefix(response: HttpResponse, name: str) -> None:
    """Give a cookie the name and the mark by which browsers keep it from http."""
    morsel = response.cookies.pop(name)
    given = {key: value for key, value in morsel.items() if value}
    new = f"{SECURE_PREFIX}{name}"
    response.cookies[new] = morsel.value
    response.cookies[new].update({**given, "secure": True})
