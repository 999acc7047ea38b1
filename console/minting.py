"""Ephemeral keys of our own: the API is asked for one with the console's key, and one of ours takes its place."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from console import relay_keys, rest
from console.admission import Admitted
from realtime import events
from realtime.policy import Guard, Policy, Refusal
from realtime.upstream import Provider

SECRETS = "client_secrets"
"""Where ephemeral keys are made, below a provider's ``/realtime``."""
SHORTEST, USUAL, LONGEST = 10, 600, 7200
"""Seconds a key is good for (protocol 1.3)."""
NONE_THERE = (404, 405, 501)
"""What providers answer that make no ephemeral keys."""

Data = dict[str, Any]


class Failed(Exception):
    """Raised when a request cannot be granted: what its client is answered."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.error = error
        """The value of the body's ``error``."""


def failure(status: int, message: str, code: str | None = None, param: str | None = None) -> Failed:
    """An error in the API's shape; from 500 on it is not the client's fault."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return Failed(status, {"message": message, "type": kind, "param": param, "code": code})


def read(body: bytes) -> Data:
    """A request's JSON object; none at all stands for an empty one. Raises Failed."""
    if not body.strip():
        return {}
    try:
        data = events.load(body.decode())
    except (ValueError, RecursionError):
        raise failure(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(data, dict):
        raise failure(400, "The body of your request is not a JSON object.")
    return data


async def mint(admitted: Admitted, wish: Mapping[str, Any], headers: Mapping[str, str], what: str = SECRETS) -> Data:
    """Make an ephemeral key for somebody who works with the console's own key upstream.

    ``wish`` is what is posted to GA's ``client_secrets``; so is what is returned, with a key of ours, and without the
    settings that a policy hides. The API's own key for it stays here. Raises Failed, and Unreachable.
    """
    session = wish.get("session") or {}
    if not isinstance(session, dict):
        raise failure(400, "Invalid type for 'session': expected an object.", "invalid_type", "session")
    granted = Guard(admitted.policy).client_secret(session)
    if isinstance(granted, Refusal):
        raise Failed(400, granted.error["error"])
    provider = admitted.provider
    if provider.needs_key and not (admitted.key or provider.key):
        raise failure(401, f"This console has no key for {provider.name}: give one of your own.", "invalid_api_key")
    made = await _upstream_s(admitted, {**wish, "session": granted} if granted else dict(wish), headers, what)
    stands_for: Data = {
        "relay_key": admitted.relay_key.pk if admitted.relay_key else None,
        "policy": admitted.policy,
        "model": _text(granted.get("model")),
    }
    if made is None:
        expires_at = int(time.time()) + _lifetime(wish.get("expires_after"))
        stands_for |= {"upstream_key": admitted.key, "session": granted}
        told = {"type": "realtime", "object": "realtime.session", **granted}
    else:
        expires_at, told = made["expires_at"], made.get("session") or {}
        stands_for["upstream_key"] = made["value"]
    key = relay_keys.ephemerals.mint(provider.name, expires_at, **stands_for)
    answer = {**(made or {}), "value": key.value, "expires_at": expires_at, "session": visible(told, admitted.policy)}
    return answer if made is None else dict(_with_ours(answer, made["value"], key.value))


def _with_ours(data: Any, theirs: str, ours: str) -> Any:
    """An answer with our key wherever the API's stands: some sessions repeat it in a ``client_secret`` of their own."""
    if isinstance(data, dict):
        return {name: _with_ours(value, theirs, ours) for name, value in data.items()}
    if isinstance(data, list):
        return [_with_ours(value, theirs, ours) for value in data]
    return ours if data == theirs else data


async def _upstream_s(admitted: Admitted, wish: Data, headers: Mapping[str, str], what: str) -> Data | None:
    """What the API answers to the wish; None when it makes no such keys. Raises Failed with the API's own error."""
    if admitted.provider.dialect == "beta":
        return None
    asked = {name: value for name, value in headers.items() if name != "content-type"} | {"content-type": "application/json"}
    answer = await rest.ask(admitted.provider, what, json.dumps(wish).encode(), asked, key=admitted.key)
    if answer.status in NONE_THERE:
        return None
    return secret_of(answer, admitted.provider)


def secret_of(answer: rest.Answer, provider: Provider) -> Data:
    """A client secret as the API answered it. Raises Failed with the API's error, without any key and its address."""
    try:
        said = answer.body.decode()
        data = events.load(said if answer.status == 200 else rest.for_others(provider, said))
    except (ValueError, RecursionError):
        data = None
    if answer.status != 200:
        error = data.get("error") if isinstance(data, dict) else None
        if isinstance(error, dict):
            raise Failed(answer.status, error)
        raise failure(answer.status, f"The provider answered with HTTP {answer.status}.")
    usable = isinstance(data, dict) and isinstance(data.get("value"), str) and isinstance(data.get("expires_at"), int)
    if not usable or not isinstance(data, dict):
        raise failure(502, "The provider answered with something that is no client secret.")
    return data


def visible(session: Data, policy: Policy) -> Data:
    """A session as its client may read it: without what the policy fixed."""
    return Guard(policy).shown(session)


def _lifetime(given: Any) -> int:
    """Seconds a key is wanted for. Raises Failed."""
    if given is None:
        return USUAL
    seconds = given.get("seconds", USUAL) if isinstance(given, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not SHORTEST <= seconds <= LONGEST:
        message = f"'expires_after.seconds' is a whole number from {SHORTEST} to {LONGEST}."
        raise failure(400, message, "invalid_value", "expires_after.seconds")
    return seconds


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
