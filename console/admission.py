"""Who may use the relay, with which key, towards which provider: the rules of the handshake, for sockets and requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings

from console import accounts, live, relay_keys
from console.access import address_of, is_signed_in, is_token
from console.guesses import guesses
from console.models import RelayKey
from console.origin import is_local, is_own, serves_host
from console.providers import providers
from realtime.policy import Policy
from realtime.upstream import Provider

KEY_PROTOCOL = "openai-insecure-api-key."
"""What the subprotocol begins with in which a browser, that can set no headers, brings its key."""
NO_KEY = ("", "null", "undefined")
"""What clients send that have none: some templates fill in the word."""
VIA = re.compile(r"^/via/(?P<provider>[^/]+)(?=/|$)")
VENDOR_KEYS = ("sk-", "ek_", "eyJ")
"""What providers' keys begin with. One that begins so, where the console's token does not, is no guess of it."""
AS_KEY, AS_RELAY_KEY = "key for the relay", "relay key"
"""Ways of guessing, for ``console.guesses``: the console's token given as key, and a relay key."""
KNOWN_KEYS = 256
"""Providers' own keys, by digest, that clients have brought lately: each counts as a guess of the token only once."""


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


CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""A control character other than the tab. What came with one cannot travel on: it would end a header or the handshake."""
SIMULATOR = "simulator"
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
    if refusal := foreign(scope):
        return refusal
    key = key_of(scope, headers)
    if CONTROL.search(key):
        return Denied(400, "The key holds a control character, which no key can.", "invalid_key")
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
    if key.startswith(relay_keys.PREFIX) and not is_token(key):
        return await _with_relay_key(scope, key, named, known)
    provider = known[named] if named else next(iter(known.values()))
    if not key:
        return _without_key(scope, headers, provider)
    if denied := _too_many_guesses(scope, key):
        return denied
    if is_token(key):
        return Admitted(provider)
    if provider.name == SIMULATOR and not is_local(scope):
        message = "Beyond this machine the simulator wants a relay key, an ephemeral key or the console's token."
        return Denied(401, f"{message} {UNAUTHORISED}", "invalid_api_key")
    return Admitted(provider, key)


async def _with_relay_key(scope: Mapping[str, Any], key: str, named: str, known: Mapping[str, Provider]) -> Admitted | Denied:
    relay_key = await live.in_reader(relay_keys.find, key)
    if relay_key is None:
        wait = guesses.wait(address_of(scope), AS_RELAY_KEY)
        guesses.wrong(address_of(scope), AS_RELAY_KEY)
        if wait:
            return Denied(429, f"Too many wrong keys came from this address: try again in {wait} s.", "rate_limit_exceeded")
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
    """The console's own key is for its own pages and for the origins it names; the simulator's needs none.

    Any program can write an ``Origin``: it counts for a client on this machine, or beside the cookie of a page that has
    given the token.
    """
    origin = headers.get("origin")
    if origin is None:
        admitted = provider.name == SIMULATOR and is_local(scope)
    elif is_own(origin, scope):
        admitted = is_signed_in(scope) if settings.CONSOLE_TOKEN else is_local(scope)
    else:
        admitted = is_local(scope)
    if admitted:
        return Admitted(provider)
    return Denied(401, f"You didn't provide an API key. {UNAUTHORISED}", "invalid_api_key")


def _too_many_guesses(scope: Mapping[str, Any], key: str) -> Denied | None:
    """Whether this client has brought so many keys that are no token that this one is not even compared with it."""
    token = settings.CONSOLE_TOKEN
    if not token or any(key.startswith(kind) and not token.startswith(kind) for kind in VENDOR_KEYS):
        return None
    digest = relay_keys.digest(key)
    if digest in _known_keys:
        return None
    address = address_of(scope)
    if wait := guesses.wait(address, AS_KEY):
        return Denied(429, f"Too many different keys came from this address: try again in {wait} s.", "rate_limit_exceeded")
    if not is_token(key):
        guesses.wrong(address, AS_KEY)
        while len(_known_keys) >= KNOWN_KEYS:
            del _known_keys[next(iter(_known_keys))]
        _known_keys[digest] = None
    return None


_known_keys: dict[str, None] = {}


def foreign(scope: Mapping[str, Any]) -> Denied | None:
    """A header that is none, a host that is not ours (a name a foreign page has pointed here), or an origin that is not welcome."""
    headers = headers_of(scope)
    if odd := next((name for name, value in headers.items() if CONTROL.search(name) or CONTROL.search(value)), ""):
        said = f"The header {CONTROL.sub('?', odd)} holds a control character, which no header can (RFC 9110 section 5.5)."
        return Denied(400, said, "invalid_header")
    if not serves_host(scope):
        return Denied(403, "This console does not serve that host name (CONSOLE_ALLOWED_HOSTS).", "host_not_allowed")
    origin = headers.get("origin")
    if origin is None or is_own(origin, scope) or origin in settings.RELAY_ALLOWED_ORIGINS:
        return None
    return Denied(403, "Pages of this origin may not use the relay (RELAY_ALLOWED_ORIGINS).", "origin_not_allowed")


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
