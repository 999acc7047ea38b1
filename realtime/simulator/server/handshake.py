"""Handshakes: acceptance, the API's refusal (accept, one error, close) and, by model name, HTTP refusals."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from realtime.dialects import asks_for_beta
from realtime.simulator.server.keys import EphemeralKeys, is_ephemeral
from realtime.simulator.shared.options import SimulatorOptions
from realtime.simulator.validation.api_errors import Refusal, invalid_value
from realtime.simulator.validation.session_config import TRANSCRIPTION_MODELS

PATHS = ("/v1/realtime", "/realtime")
"""Paths of the WebSocket; POST addresses lie below them."""
MODEL_PREFIXES = ("gpt-realtime", "gpt-4o-realtime", "gpt-4o-mini-realtime")
"""Prefixes of usable models."""
NON_CONVERSATIONAL = ("gpt-realtime-whisper", "gpt-realtime-translate")
"""Models with such a prefix that cannot hold a conversation."""
DROP = "gpt-drop"
"""A model whose connection breaks off after the first response.created: for tests of lost connections."""
HTTP_REFUSALS: dict[int, tuple[str, str]] = {
    401: ("invalid_api_key", "Incorrect API key provided."),
    403: ("access_denied", "You are not allowed to use this model."),
    404: ("call_id_not_found", "No session found for the provided call_id"),
    429: ("rate_limit_exceeded", "Rate limit reached. Please try again in 20s."),
    500: ("server_error", "The server had an error while processing your request."),
    503: ("server_overloaded", "The server is overloaded. Please try again later."),
}
"""HTTP refusals for ``model=gpt-http-401`` and so on, in the manner of gateways and some providers."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The session begins."""

    model: str
    drop: bool = False
    kind: str = "realtime"
    """``realtime`` or ``transcription``; the latter has no model."""
    beta: bool = False
    """The client speaks the beta."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The session's initial settings, from its ephemeral key."""


@dataclass(frozen=True, slots=True)
class AcceptedThenClosed:
    """The upgrade succeeds, one error event is sent, and the connection is closed (protocol 1.5)."""

    error: dict[str, Any]
    code: int

    @property
    def reason(self) -> str:
        """The close reason: type and code of the error."""
        return f"{self.error['type']}.{self.error['code']}"


@dataclass(frozen=True, slots=True)
class Refused:
    """The upgrade itself is refused with an HTTP error."""

    status: int
    body: dict[str, Any]


def check_handshake(
    path: str, query: Mapping[str, str], headers: Mapping[str, str], options: SimulatorOptions, keys: EphemeralKeys | None = None
) -> Accepted | AcceptedThenClosed | Refused:
    """Decide about a handshake. ``headers`` have lower-case names; ``keys`` are the ephemeral keys minted here."""
    if posted(path, options):
        return Refused(405, _body(f"Method not allowed (GET {path})", None))
    if path not in PATHS:
        return Refused(404, _body(f"Invalid URL (GET {path})", None))
    model = query.get("model", "")
    if model.startswith("gpt-http-"):
        asked = model.removeprefix("gpt-http-")
        status = next((known.value for known in HTTPStatus if known >= 400 and str(known.value) == asked), 500)
        return refused_by_http(status)
    key = given_key(headers)
    if refusal := refused_key(key, options, keys):
        return AcceptedThenClosed(refusal.error(None), 3000)
    ephemeral = keys.find(key) if keys else None
    settings = copy.deepcopy(ephemeral.settings) if ephemeral else {}  # each session has its own
    model = (ephemeral.model if ephemeral else "") or model
    beta = asks_for_beta(headers)
    if beta and not options.allow_beta:
        message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        return AcceptedThenClosed(Refusal("beta_api_shape_disabled", message).error(None), 4000)
    intent = settings.get("type") or query.get("intent", "realtime")
    if intent not in ("realtime", "transcription"):
        return AcceptedThenClosed(invalid_value("intent", intent, ("realtime", "transcription")).error(None), 4000)
    if intent == "transcription":
        if model:  # refused for certain; code and words are unconfirmed
            message = "You must not provide a model parameter for transcription sessions."
            return AcceptedThenClosed(Refusal("invalid_parameter", message).error(None), 4000)
        return Accepted("", kind=intent, beta=beta, settings=settings)
    if not model:
        message = "You must provide a model parameter, for example wss://api.openai.com/v1/realtime?model=gpt-realtime-1.5"
        return AcceptedThenClosed(Refusal("missing_model", message).error(None), 4000)
    if model == DROP:
        return Accepted("gpt-realtime", drop=True, beta=beta, settings=settings)
    if not model.startswith(MODEL_PREFIXES) or model.startswith(NON_CONVERSATIONAL):
        message = f'Model "{model}" is not supported in realtime mode.'
        if model in TRANSCRIPTION_MODELS:
            message += " A transcription model cannot be the session's model: connect with intent=transcription instead."
        return AcceptedThenClosed(Refusal("invalid_model", message).error(None), 4000)
    return Accepted(model, beta=beta, settings=settings)


def refused_by_http(status: int) -> Refused:
    """Return a refusal with an HTTP status and the body that belongs to it."""
    code, message = HTTP_REFUSALS.get(status, ("error", f"HTTP {status} as asked."))
    return Refused(status, _body(message, code))


def posted(path: str, options: SimulatorOptions) -> str:
    """Return the resource of a POST path: ``client_secrets``, the beta's ``sessions`` or ``transcription_sessions``; empty for none."""
    root, _, name = path.rpartition("/")
    known = ("client_secrets", "sessions", "transcription_sessions") if options.allow_beta else ("client_secrets",)
    return name if root in PATHS and name in known else ""


def refused_key(key: str, options: SimulatorOptions, keys: EphemeralKeys | None) -> Refusal | None:
    """Return the error for a refused key, or None. Ephemeral keys must be known and unexpired, even if no key is required."""
    if is_ephemeral(key):
        good = keys is not None and keys.find(key) is not None
    else:
        good = not key.startswith("sk-bad") and options.require_key in (None, key)
    message = f"Incorrect API key provided: {key[:7]}…{key[-4:]}. You can find your API key at https://platform.openai.com/account/api-keys."
    return None if good else Refusal("invalid_api_key", message)


def given_key(headers: Mapping[str, str]) -> str:
    """The key a client gave: bearer token, ``api-key`` header, or subprotocol."""
    if (bearer := headers.get("authorization", "")).lower().startswith("bearer "):
        return bearer[7:].strip()
    if key := headers.get("api-key", ""):
        return key
    for offered in headers.get("sec-websocket-protocol", "").split(","):
        if offered.strip().startswith("openai-insecure-api-key."):
            return offered.strip().removeprefix("openai-insecure-api-key.")
    return ""


def _body(message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
