"""The API's REST addresses: ephemeral keys, and the beta's sessions; without I/O."""

from __future__ import annotations

import copy
import random
import secrets
from collections.abc import Mapping
from typing import Any

from realtime.shapes import renamed_path, settings_to_beta, settings_to_ga
from realtime.simulator.server.handshake import PATHS, given_key, posted, refused_key
from realtime.simulator.server.http import HttpRequest, HttpResponse, failure
from realtime.simulator.server.keys import EphemeralKey, EphemeralKeys, is_ephemeral
from realtime.simulator.shared.ids import Ids
from realtime.simulator.shared.options import SimulatorOptions
from realtime.simulator.validation.api_errors import (
    Refusal,
    expect,
    invalid_value,
    out_of_range,
    unknown_parameter,
    wrong_type,
)
from realtime.simulator.validation.json_reader import read
from realtime.simulator.validation.session_config import SessionConfig

SHORTEST, LONGEST = 10, 7200
"""Limits of a key's lifetime in seconds."""
DEFAULT_LIFETIME = 600
"""Default lifetime of a key in seconds."""
BETA_LIFETIME = 60
"""Default lifetime of the beta's keys in seconds."""
BETA_ONLY_FIELDS = {"realtime": ("client_secret", "temperature"), "transcription": ("client_secret", "modalities")}
"""Fields of the beta's session that GA does not have, by kind; ``modalities`` had no meaning without a model."""
BETA_TRANSCRIPTION_FIELDS = ("include", "input_audio_format", "input_audio_noise_reduction", "input_audio_transcription", "turn_detection")
"""Fields of the beta's transcription sessions."""
MODEL = "gpt-realtime"
"""The model in the description of a session whose key names none. The API's own choice is not documented."""


class RestApi:
    """Answers the REST requests of one simulator."""

    def __init__(self, options: SimulatorOptions, keys: EphemeralKeys) -> None:
        self.options = options
        self.keys = keys
        self.ids = Ids(random.Random(options.seed), keys.now)  # noqa: S311  (ids of a simulator are no secret)

    def answer(self, asked: HttpRequest) -> HttpResponse:
        """Return the response to a request. Never raises."""
        answer = self._answer(asked)
        common = {"openai-version": "2020-10-01", "x-request-id": f"req_{secrets.token_hex(16)}"}
        return HttpResponse(answer.status, answer.body, {**common, **answer.headers})

    def _answer(self, asked: HttpRequest) -> HttpResponse:
        path = asked.target.partition("?")[0]
        if path in PATHS and asked.method == "GET":
            return _no_websocket(path, asked.headers)
        if path in PATHS:
            return failure(405, f"Method not allowed ({asked.method} {path}): a WebSocket opens here.", Allow="GET")
        name = posted(path, self.options)
        if not name:
            return failure(404, f"Invalid URL ({asked.method} {path})")
        if asked.method != "POST":
            return failure(405, f"Method not allowed ({asked.method} {path})", Allow="POST")
        key = given_key(asked.headers)
        if not key and self.options.require_key is not None:
            return failure(401, "You didn't provide an API key: send it as Authorization: Bearer YOUR_KEY.")
        refused = refused_key(key, self.options, self.keys)
        if refused is None and is_ephemeral(key):
            refused = Refusal("invalid_api_key", "An ephemeral key opens sessions; it does not make other keys.")
        if refused is not None:
            return failure(401, refused.message, refused.code)
        try:
            return HttpResponse(200, self._made(name, _body(asked.body)))
        except Refusal as refusal:
            return failure(400, refusal.message, refusal.code, refusal.param)

    def _made(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if name == "client_secrets":
            return self._client_secret(body)
        return self._beta_session("transcription" if name == "transcription_sessions" else "realtime", body)

    def _client_secret(self, body: dict[str, Any]) -> dict[str, Any]:
        for name in body:
            if name not in ("expires_after", "session"):
                raise unknown_parameter(name)
        seconds = _lifetime(body.get("expires_after"), "expires_after", DEFAULT_LIFETIME)
        key, session = self._mint(seconds, body.get("session"))
        # Both appear here, though not in sessions (seen in recorded traffic, protocol 1.3).
        for tool in session.get("tools", []):
            if tool["type"] == "function":
                tool.setdefault("description", None)
        detection = session["audio"]["input"]["turn_detection"]
        if detection is not None and detection["type"] == "server_vad":
            detection.setdefault("idle_timeout_ms", None)
        return {"value": key.value, "expires_at": key.expires_at, "session": session}

    def _beta_session(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        for name in body:
            if kind == "transcription" and name not in (*BETA_ONLY_FIELDS[kind], *BETA_TRANSCRIPTION_FIELDS):
                raise unknown_parameter(name)
        seconds = _beta_lifetime(body.get("client_secret"))
        settings = {name: value for name, value in body.items() if name not in BETA_ONLY_FIELDS[kind]}
        try:
            key, session = self._mint(seconds, {"type": kind, **settings_to_ga(settings)})
        except Refusal as refusal:
            raise _of_the_beta(refusal) from None
        flat = {name: value for name, value in settings_to_beta(session).items() if name != "type"}
        return {**flat, "client_secret": {"value": key.value, "expires_at": key.expires_at}}

    def _mint(self, seconds: int, settings: Any) -> tuple[EphemeralKey, dict[str, Any]]:
        """Mint a key and describe its session. Raises Refusal for settings that the API would refuse."""
        given = settings if isinstance(settings, dict) else {}
        kind = "transcription" if given.get("type") == "transcription" else "realtime"
        model = given.get("model") if kind == "realtime" else None
        if model is not None:
            expect("session.model", model, "a string")
        # Nobody knows yet when the session will expire: 0, as in recorded traffic.
        config = SessionConfig(self.ids.make("sess"), model or (MODEL if kind == "realtime" else ""), 0, kind)
        if settings is not None:
            config.update(settings)
        return self.keys.mint(seconds, model or "", copy.deepcopy(settings)), config.session


def _no_websocket(path: str, headers: Mapping[str, str]) -> HttpResponse:
    """Return the error for a GET on a WebSocket address."""
    if "websocket" in headers.get("upgrade", "").lower():
        return failure(400, f"This handshake cannot be read (GET {path}): it is too long, has a body, or its key is no base64.")
    message = f"A WebSocket opens here (GET {path}): use a WebSocket client."
    return failure(426, message, Upgrade="websocket", Connection="Upgrade, close")


def _body(given: bytes) -> dict[str, Any]:
    """Return a request's JSON body; a missing body is an empty object."""
    if not given.strip():
        return {}
    try:
        body = read(given.decode())
    except ValueError:
        raise Refusal(None, "We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise Refusal(None, "The body of your request is not a JSON object.")
    return body


def _lifetime(given: Any, path: str, usual: int) -> int:
    """Seconds a key is wanted for."""
    if given is None:
        return usual
    if not isinstance(given, Mapping):
        raise wrong_type(path, "an object", given)
    for name in given:
        if name not in ("anchor", "seconds"):
            raise unknown_parameter(f"{path}.{name}")
    if given.get("anchor", "created_at") != "created_at":
        raise invalid_value(f"{path}.anchor", given["anchor"], ("created_at",))
    seconds = given.get("seconds", usual)
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise wrong_type(f"{path}.seconds", "an integer", seconds)
    if not SHORTEST <= seconds <= LONGEST:
        raise out_of_range(f"{path}.seconds", seconds, SHORTEST, LONGEST)
    return seconds


def _beta_lifetime(secret: Any) -> int:
    """Seconds a beta session's key is wanted for."""
    if secret is None:
        return BETA_LIFETIME
    expect("client_secret", secret, "an object")
    name = "expires_at" if "expires_at" in secret else "expires_after"  # the SDK's types name it so for transcription
    return _lifetime(secret.get(name), f"client_secret.{name}", BETA_LIFETIME)


def _of_the_beta(refusal: Refusal) -> Refusal:
    """Rewrite a refusal of GA settings for a client that sent them flat, without a session around them."""
    if refusal.param is None:
        return refusal
    param = renamed_path(refusal.param.removeprefix("session."), to="beta")
    return Refusal(refusal.code, refusal.message.replace(f"'{refusal.param}'", f"'{param}'"), param)
