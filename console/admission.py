"""Who may use the relay, with which key, towards which provider: the rules of the handshake, for sockets and requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from console import accounts, live, relay_keys
from console.access import holds_token, is_loopback
from console.models import RelayKey
from console.providers import providers
from realtime.policy import Policy
from realtime.upstream import Provider

KEY_PROTOCOL = "openai-insecure-api-key."
"""What the subprotocol begins with in which a browser, that can set no headers, brings its key."""
NO_KEY = ("", "null", "undefined")
"""What clients send that have none: some templates fill in the word."""
VIA = re.compile(r"^/via/(?P<provider>[^/]+)(?=/|$)")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A client that may come in."""

    provider: Provider
    key: str = field(default="", repr=False)
    """What goes upstream; empty: the provider's own."""
    relay_key: RelayKey | None = None
    policy: Policy = field(default_factory=Policy)
    session: Mapping[str, Any] = field(default_factory=dict)
    """The session an ephemeral key was made for, when the API does not know of it."""
    model: str = ""
    """The model an ephemeral key was made for."""


@dataclass(frozen=True, slots=True)
class Denied:
    """A client that may not, and why, as the API would say it."""

    status: int
    message: str
    code: str | None = None
    type: str = "invalid_request_error"

    @property
    def body(self) -> dict[str, Any]:
        """The API's error shape."""
        return {"error": {"message": self.message, "type": self.type, "param": None, "code": self.code}}


KNOWN_PATHS = ("", "/translations")
"""Behind a provider's own path: sessions whose frames a policy can judge and whose cost can be counted."""
KNOWN_QUERY = re.compile(r"model|deployment|api-version|api[-_]key|intent=(?:transcription|conversation)?|console_.*")
"""Parameters whose effect is known: names, of ``intent`` with its value. ``call_id`` leads into somebody else's call."""


def within_policy(policy: Policy, path: str, query: Iterable[tuple[str, str]] = ()) -> Denied | None:
    """Why a key with this policy may not reach an address, None when it may: only what the console can judge and count.

    ``path`` is what stands behind the provider's own. Fields of a session can be fixed for a Realtime session alone.
    """
    if policy == Policy():
        return None
    if path not in KNOWN_PATHS or (path and policy.session):
        return path_not_allowed(f"…/realtime{path}")
    for name, value in query:
        if not KNOWN_QUERY.fullmatch(f"{name}={value}" if name == "intent" else name):
            return path_not_allowed(f"…/realtime{path} with the parameter “{name[:40]}”")
    return None


def path_not_allowed(what: str) -> Denied:
    """The refusal of an address that a policy cannot be kept at."""
    text = f"This key has a policy or a limit, and what {what} does or costs is not known to the relay: it is not passed on."
    return Denied(403, text, "path_not_allowed")


UNAUTHORISED = "Give a key: Authorization: Bearer KEY, api-key: KEY, or the subprotocol openai-insecure-api-key.KEY."


async def admit(scope: Mapping[str, Any], provider_name: str = "") -> Admitted | Denied:
    """Judge a handshake or a request, an ASGI scope of either type (contract, "The relay").

    The provider is the one named, else the one in a path that begins with ``/via/``, else the key's, else the default.
    """
    headers = headers_of(scope)
    if refusal := _strange(headers):
        return refusal
    key = key_of(scope, headers)
    named = provider_name or (found["provider"] if (found := VIA.match(scope["path"])) else "")
    known = providers()
    if named and named not in known:
        return Denied(404, f'There is no provider "{named}" here; configured: {", ".join(known)}.', "provider_not_found")
    if key and (minted := relay_keys.ephemerals.find(key)):
        if named and named != minted.provider:
            return Denied(403, f"This key is for the provider {minted.provider}.", "wrong_provider")
        owner = await live.in_reader(relay_keys.by_id, minted.relay_key) if minted.relay_key else None
        if minted.relay_key and owner is None:
            return Denied(401, "The key this one was made with has been revoked.", "invalid_api_key")
        if owner is not None and (denied := await _spent(owner)):
            return denied
        return Admitted(known[minted.provider], minted.upstream_key, owner, minted.policy, minted.session, minted.model)
    if key.startswith(relay_keys.PREFIX):
        return await _with_relay_key(key, named, known)
    provider = known[named] if named else next(iter(known.values()))
    if key:
        return Admitted(provider, key)
    return _without_key(scope, headers, provider)


async def _with_relay_key(key: str, named: str, known: Mapping[str, Provider]) -> Admitted | Denied:
    relay_key = await live.in_reader(relay_keys.find, key)
    if relay_key is None or relay_key.revoked_at is not None:
        why = "This relay key has been revoked." if relay_key else "There is no such relay key here."
        return Denied(401, why, "invalid_api_key")
    name = relay_key.provider or next(iter(known))  # made for none: the default, whichever that is now
    if named and named != name:
        return Denied(403, f"This key is for the provider {name}.", "wrong_provider")
    if name not in known:
        return Denied(404, f'The provider of this key, "{name}", is not configured any longer.', "provider_not_found")
    policy = Policy.read(relay_key.policy)
    if denied := await _spent(relay_key):
        return denied
    await live.in_reader(relay_keys.touch, relay_key)
    return Admitted(known[name], "", relay_key, policy)


async def _spent(relay_key: RelayKey) -> Denied | None:
    """Whether a key's account is at its limit, by what is spent and what is reserved for responses under way."""
    account = await accounts.of(relay_key)
    return Denied(429, account.end.message, account.end.code, account.end.code) if account.is_reached else None


def _without_key(scope: Mapping[str, Any], headers: Mapping[str, str], provider: Provider) -> Admitted | Denied:
    """The console's own key is for its own pages and the origins it names; the simulator's needs none."""
    origin = headers.get("origin")
    if origin is not None:
        own = is_own_origin(origin, headers)
        if not own or holds_token(_cookies(headers)):
            return Admitted(provider)
    elif provider.name == "simulator" and is_loopback((scope.get("client") or ("",))[0]):
        return Admitted(provider)
    return Denied(401, f"You didn't provide an API key. {UNAUTHORISED}", "invalid_api_key")


def _strange(headers: Mapping[str, str]) -> Denied | None:
    """A host that is not ours (a name a foreign page has pointed here), or an origin that is not welcome."""
    domain, _ = split_domain_port(headers.get("host", ""))
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        return Denied(403, "This console does not serve that host name (CONSOLE_ALLOWED_HOSTS).", "host_not_allowed")
    origin = headers.get("origin")
    if origin is None or is_own_origin(origin, headers) or origin in settings.RELAY_ALLOWED_ORIGINS:
        return None
    return Denied(403, "Pages of this origin may not use the relay (RELAY_ALLOWED_ORIGINS).", "origin_not_allowed")


def is_own_origin(origin: str, headers: Mapping[str, str]) -> bool:
    """Whether a page of this console asks."""
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() and bool(origin)


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """A scope's headers by lower-case name; repeated ones joined."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def key_of(scope: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """The key a client brings, ``""`` when it brings none; the query is where Azure's and others' clients put it."""
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
    given = [
        bearer if kind.lower() == "bearer" else "",
        headers.get("api-key", ""),
        *(name.removeprefix(KEY_PROTOCOL) for name in subprotocols_of(headers) if name.startswith(KEY_PROTOCOL)),
        query.get("api-key", ""),
        query.get("api_key", ""),
    ]
    return next((key for key in map(str.strip, given) if key not in NO_KEY), "")


def subprotocols_of(headers: Mapping[str, str]) -> list[str]:
    """What a client offers, in order."""
    return [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",") if name.strip()]


def _cookies(headers: Mapping[str, str]) -> dict[str, str]:
    pairs: Iterable[list[str]] = (part.strip().split("=", 1) for part in headers.get("cookie", "").split(";"))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
