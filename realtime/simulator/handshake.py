"""Who is let in: the API's way of refusing (accept, one error, close) and, by model name, plain HTTP refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from realtime.simulator.options import SimulatorOptions
from realtime.simulator.refusals import Refusal

PATHS = ("/v1/realtime", "/realtime")
KNOWN = ("gpt-realtime", "gpt-4o-realtime", "gpt-4o-mini-realtime")
"""What a usable model's name begins with."""
SILENT = ("gpt-realtime-whisper", "gpt-realtime-translate")
"""Models of that name that cannot hold a conversation."""
DROP = "gpt-drop"
"""A model whose connection breaks off without a word after the first response.created: for tests of lost connections."""
HTTP_REFUSALS: dict[int, tuple[str, str]] = {
    401: ("invalid_api_key", "Incorrect API key provided."),
    403: ("access_denied", "You are not allowed to use this model."),
    404: ("call_id_not_found", "No session found for the provided call_id"),
    429: ("rate_limit_exceeded", "Rate limit reached. Please try again in 20s."),
    500: ("server_error", "The server had an error while processing your request."),
    503: ("server_overloaded", "The server is overloaded. Please try again later."),
}
"""``model=gpt-http-401`` and so on are refused with HTTP, as gateways and other providers do."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The session begins."""

    model: str
    drop: bool = False


@dataclass(frozen=True, slots=True)
class Turned:
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


def judge(path: str, query: Mapping[str, str], headers: Mapping[str, str], options: SimulatorOptions) -> Accepted | Turned | Refused:
    """Judge a handshake. ``headers`` have lower-case names."""
    if path not in PATHS:
        return Refused(404, _body(f"Invalid URL (GET {path})", None))
    model = query.get("model", "")
    if model.startswith("gpt-http-"):
        asked = model.removeprefix("gpt-http-")
        status = next((known.value for known in HTTPStatus if known >= 400 and str(known.value) == asked), 500)
        code, message = HTTP_REFUSALS.get(status, ("error", f"HTTP {status} as asked."))
        return Refused(status, _body(message, code))
    key = given_key(headers)
    if key.startswith("sk-bad") or (options.require_key is not None and key != options.require_key):
        message = f"Incorrect API key provided: {key[:7]}…{key[-4:]}. You can find your API key at https://platform.openai.com/account/api-keys."
        return Turned(Refusal("invalid_api_key", message).error(None), 3000)
    beta = "realtime=v1" in headers.get("openai-beta", "") or "openai-beta.realtime-v1" in headers.get("sec-websocket-protocol", "")
    if beta and not options.allow_beta:
        message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        return Turned(Refusal("beta_api_shape_disabled", message).error(None), 4000)
    if not model:
        message = "You must provide a model parameter, for example wss://api.openai.com/v1/realtime?model=gpt-realtime-1.5"
        return Turned(Refusal("missing_model", message).error(None), 4000)
    if model == DROP:
        return Accepted("gpt-realtime", drop=True)
    if not model.startswith(KNOWN) or model.startswith(SILENT):
        return Turned(Refusal("invalid_model", f'Model "{model}" is not supported in realtime mode.').error(None), 4000)
    return Accepted(model)


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
