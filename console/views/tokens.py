"""The relay's addresses beside its WebSocket: ephemeral keys, calls, and what templates of clients ask their server for."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.csrf import csrf_exempt

from console import minting, relay_keys, rest
from console.access import is_token, keyring
from console.admission import (
    Admitted,
    Denied,
    admit,
    headers_of,
    key_of,
    path_not_allowed,
    within_policy,
)
from console.minting import Failed, failure
from console.origin import is_own
from realtime.dialects import successor
from realtime.errors import Unreachable
from realtime.policy import Policy
from realtime.shapes import renamed_path, secret_to_beta, secret_wish_to_ga, settings_to_ga

log = logging.getLogger(__name__)

PREFIXES = ("v1/realtime", "openai/v1/realtime", "openai/realtime", "realtime", "via/<str:provider>/v1/realtime")
"""Below which clients look for the API."""
CALL = re.compile(r"calls/[\w-]{1,200}/(?:accept|reject|refer|hangup)", re.ASCII)
BETA_KINDS = {"sessions": "realtime", "transcription_sessions": "transcription"}
"""Where the beta's keys are made, and what for."""
SHUT = ("origin_not_allowed", "host_not_allowed")
"""Refusals that a page must not be able to read."""
OURS = ("console_", "api-key", "api_key")
"""What query parameters begin with that are not the provider's."""
PREFLIGHT_AGE = "600"  # seconds a browser may remember what a preflight said
EXPOSED = "Location, X-Request-Id"
"""What a page may read of an answer's headers, as the API itself allows it (protocol 1.3)."""

Door = Callable[..., Awaitable[HttpResponse]]
Headers = Mapping[str, str]


def scope_of(request: HttpRequest) -> dict[str, Any]:
    """The ASGI scope of a request, its query as the bytes a server gives (Django's test client puts text there)."""
    scope = request.scope  # type: ignore[attr-defined]  # every request comes in by ASGI
    return {**scope, "query_string": request.META.get("QUERY_STRING", "").encode("latin-1")}


class Caller:
    """Who asks, once let in."""

    def __init__(self, request: HttpRequest, admitted: Admitted, headers: Headers, *, is_page: bool) -> None:
        self.request = request
        self.admitted = admitted
        self.headers = headers
        given = key_of(scope_of(request), headers)
        self.is_ephemeral = relay_keys.ephemerals.find(given) is not None
        self.own_key = bool(given and admitted.key) and admitted.relay_key is None and not self.is_ephemeral
        """The key is the provider's: the answer is between the two of them."""
        if is_page and not given:  # somebody may have typed a key on this browser's page
            held = keyring.key(request.session.session_key, admitted.provider.name)
            self.admitted = replace(admitted, key=held) if held else admitted

    async def ask(self, what: str, body: bytes, headers: Headers | None = None) -> rest.Answer:
        """Ask the provider, with the client's key, or the console's own for whoever has none of the provider's."""
        query = parse_qsl(self.request.META.get("QUERY_STRING", ""), keep_blank_values=True)
        passed = [(name, value) for name, value in query if not name.startswith(OURS) and not is_token(value)]
        admitted = self.admitted
        return await rest.ask(admitted.provider, what, body, headers or self.headers, key=admitted.key, query=passed)

    async def secret(self, wish: dict[str, Any], what: str = minting.SECRETS) -> dict[str, Any]:
        """A client secret: the provider's for its own key, else one of ours. Raises Failed."""
        self.refuse_ephemeral()
        if not self.own_key:
            return await minting.mint(self.admitted, wish, self.headers, what)
        headers = {**self.headers, "content-type": "application/json"}
        return minting.secret_of(await self.ask(what, json.dumps(wish).encode(), headers), self.admitted.provider)

    def refuse_ephemeral(self) -> None:
        """Keys that were made for somebody do not make other keys. Raises Failed."""
        if self.is_ephemeral:
            raise failure(401, "An ephemeral key opens sessions; it does not make other keys.", "invalid_api_key")


def door(**views: Door) -> Door:
    """A view of one address for its methods: admits, answers preflights, and says what went wrong in the API's shape.

    Who brings a key proves with it that the request is meant, and a cookie alone opens nothing: the check of the page's
    CSRF token, which such clients do not have, is made here, for those without a key.
    """

    @csrf_exempt
    async def answer(request: HttpRequest, **place: str) -> HttpResponse:
        headers = headers_of(scope_of(request))
        try:
            response = await _let_in(request, headers, views, place)
        except Failed as failed:
            response = _json({"error": dict(failed.error)}, failed.status)
            if failed.error.get("code") in SHUT:
                return _unkept(response)
        except RequestDataTooBig:
            response = _json({"error": dict(failure(413, "The body of your request is too large.").error)}, 413)
        return _unkept(_readable(response, headers))

    return answer


async def _let_in(request: HttpRequest, headers: Headers, views: Mapping[str, Door], place: dict[str, str]) -> HttpResponse:
    admitted, is_page = await _judge(request, headers)
    if isinstance(admitted, Denied) and admitted.code in SHUT:
        raise Failed(admitted.status, admitted.body["error"])
    if request.method == "OPTIONS":
        return _preflight(headers, views)
    view = views.get(str(request.method))
    if view is None:
        response = _json({"error": failure(405, f"Method not allowed ({request.method} {request.path})").error}, 405)
        response["Allow"] = ", ".join(views)
        return response
    if isinstance(admitted, Denied):
        raise Failed(admitted.status, admitted.body["error"])
    try:
        return await view(Caller(request, admitted, headers, is_page=is_page), **place)
    except Unreachable as error:
        log.warning("a request could not be passed on: %s", error)  # with the address, which the client is not told
        late = isinstance(error, rest.Unanswered)
        raise failure(504 if late else 502, error.public, "upstream_timeout" if late else "upstream_unreachable") from None


async def _judge(request: HttpRequest, headers: Headers) -> tuple[Admitted | Denied, bool]:
    """Whether somebody is let in, and whether it is a page of this console's without a key.

    Browsers say where a request comes from, and no page can say otherwise: ``Origin`` with every POST and with what is
    asked across origins, ``Sec-Fetch-Site`` with everything to this machine or over https. So an image or a script of a
    foreign page, which is fetched without an ``Origin``, is told from our own page's request.
    """
    scope = scope_of(request)
    site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
    if not origin and site in ("cross-site", "same-site"):
        return Denied(403, "Pages of another origin may not use the relay.", SHUT[0]), False
    if not origin and site == "same-origin":
        origin = f"{request.scheme}://{headers.get('host', '')}"
        scope = {**scope, "headers": [*scope["headers"], (b"origin", origin.encode("latin-1"))]}
    admitted = await admit(scope)
    is_page = is_own(origin, scope) and not key_of(scope, headers)
    if is_page and request.method == "POST" and isinstance(admitted, Admitted) and not _holds_csrf_token(request):
        return Denied(403, "The console's own page sends its CSRF token with this.", "csrf_token_missing"), True
    return admitted, is_page


def _holds_csrf_token(request: HttpRequest) -> bool:
    """Django's own check of the token, which ``csrf_exempt`` left to us."""
    len(request.body)  # read before the check looks into it for a form's field, else nothing would be left to pass on
    return CsrfViewMiddleware(lambda _: HttpResponse()).process_view(request, lambda _: None, (), {}) is None


def _preflight(headers: Headers, views: Mapping[str, Door]) -> HttpResponse:
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = ", ".join(views)
    if asked := headers.get("access-control-request-headers"):
        response["Access-Control-Allow-Headers"] = asked
    if headers.get("access-control-request-private-network") == "true":
        response["Access-Control-Allow-Private-Network"] = "true"  # a page of the internet asks a machine at home
    response["Access-Control-Max-Age"] = PREFLIGHT_AGE
    return response


def _readable(response: HttpResponse, headers: Headers) -> HttpResponse:
    """Let the page of an origin that was let in read the answer."""
    if origin := headers.get("origin"):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = EXPOSED
    return response


def _unkept(response: HttpResponse) -> HttpResponse:
    """Nobody keeps a copy, least of all for another origin."""
    response["Vary"] = "Origin"
    response["Cache-Control"] = "no-store"
    return response


def _json(data: Mapping[str, Any], status: int = 200) -> HttpResponse:
    return JsonResponse(data, status=status, json_dumps_params={"ensure_ascii": False})


def _passed(answer: rest.Answer) -> HttpResponse:
    """A provider's answer as it is."""
    response = HttpResponse(answer.body, status=answer.status)
    del response["Content-Type"]
    for name, value in answer.headers.items():
        response[name] = value
    return response


async def post(caller: Caller, what: str = "", **place: str) -> HttpResponse:
    """What is posted below the API's address."""
    _keep_within_policy(caller, what)
    if what in (minting.SECRETS, f"translations/{minting.SECRETS}"):
        caller.refuse_ephemeral()
        if caller.own_key:
            return _passed(await caller.ask(what, caller.request.body))
        return _json(await caller.secret(minting.read(caller.request.body), what))
    if what in BETA_KINDS:
        return await _beta_session(caller, what)
    if what in ("calls", "translations/calls") or CALL.fullmatch(what):
        return await _call(caller, what)
    raise failure(404, f"Invalid URL ({caller.request.method} {caller.request.path})")


def _keep_within_policy(caller: Caller, what: str) -> None:
    """Raises Failed where a key's policy cannot be kept: a call's sound goes past the relay, other addresses are not known."""
    policy = caller.admitted.policy
    makes, _, below = what.rpartition("/")
    denied = within_policy(policy, f"/{makes}" if makes else "")
    if policy != Policy() and denied is None and below != minting.SECRETS and what not in BETA_KINDS:
        denied = path_not_allowed(f"…/realtime/{what}")
    if denied is not None:
        raise Failed(denied.status, denied.body["error"])


async def _beta_session(caller: Caller, what: str) -> HttpResponse:
    """A session as the beta made it, from a provider that may only know GA's client secrets."""
    if caller.own_key and caller.admitted.provider.dialect == "beta":
        return _passed(await caller.ask(what, caller.request.body))
    wish = secret_wish_to_ga(minting.read(caller.request.body), BETA_KINDS[what])
    if caller.admitted.provider.name == "openai" and isinstance(model := wish["session"].get("model"), str):
        wish["session"]["model"] = successor(model)
    try:
        return _json(secret_to_beta(await caller.secret(wish)))
    except Failed as failed:
        param = failed.error.get("param")
        if not isinstance(param, str):
            raise
        flat = renamed_path(param.removeprefix("session."), to="beta")  # as whoever posted it knows it
        message = str(failed.error.get("message")).replace(f"'{param}'", f"'{flat}'")
        raise Failed(failed.status, {**failed.error, "message": message, "param": flat}) from None


async def _call(caller: Caller, what: str) -> HttpResponse:
    """A call, made or controlled, as it is; its sound travels between the client and the provider alone."""
    answer = await caller.ask(what, caller.request.body)
    if not caller.own_key and answer.status >= 400:  # it may name the key it refuses, which is the console's
        answer = replace(answer, body=rest.for_others(caller.admitted.provider, answer.body.decode("utf-8", "replace")).encode())
    return _passed(answer)


async def websocket_here(caller: Caller, what: str = "", **place: str) -> HttpResponse:
    """What is said to a GET that is no handshake."""
    if what:
        raise failure(404, f"Invalid URL ({caller.request.method} {caller.request.path})")
    error = failure(426, f"A WebSocket opens here ({caller.request.path}): use a WebSocket client.").error
    response = _json({"error": error}, 426)
    response["Upgrade"] = "websocket"
    return response


async def ephemeral(caller: Caller) -> HttpResponse:
    """A key for a page, with what it will speak with. The body may say model, voice, instructions and so on."""
    answer = await caller.secret(_wish(caller, minting.read(caller.request.body)))
    session = answer.get("session")
    told = session if isinstance(session, dict) else {}
    audio = told.get("audio")
    output = audio.get("output") if isinstance(audio, dict) else None
    return _json({
        "client_secret": answer["value"],
        "expires_at": answer["expires_at"],
        "model": told.get("model"),
        "voice": output.get("voice") if isinstance(output, dict) else None,
    })  # fmt: skip


async def token(caller: Caller) -> HttpResponse:
    """A key for a page, and nothing else."""
    answer = await caller.secret(_wish(caller, {}))
    return _json({"clientSecret": answer["value"]})


def _wish(caller: Caller, settings: dict[str, Any]) -> dict[str, Any]:
    """What is asked for when a few words say what is wanted."""
    models = caller.admitted.provider.models
    model = caller.request.GET.get("model") or (models[0] if models else "")
    return {"session": {"type": "realtime", **({"model": model} if model else {}), **settings_to_ga(settings)}}


rest_door = door(POST=post, GET=websocket_here)
ephemeral_door = door(POST=ephemeral)
token_door = door(GET=token)
