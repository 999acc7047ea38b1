"""The session object: defaults, and updates, applied completely or not at all."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from realtime.simulator.model.speech_synthesis import VOICES
from realtime.simulator.validation import mcp_tools, turn_detection
from realtime.simulator.validation.api_errors import (
    Refusal,
    expect,
    invalid_value,
    missing,
    unknown_parameter,
    wrong_type,
)
from realtime.simulator.validation.field_checks import boolean, fields, kind_of, number, one_of, string, typed, whole

INSTRUCTIONS = (
    "Your knowledge cutoff is 2023-10. You are a helpful, witty, and friendly AI. Act like a human, but remember that you "
    "are a simulator that runs on this machine. Your voice should be warm, your talk lively and brief."
)
"""In place of the API's own text; the default for ``instructions: ""``."""
PCM = {"type": "audio/pcm", "rate": 24000}
FORMATS: dict[str, dict[str, Any]] = {"audio/pcm": PCM, "audio/pcmu": {"type": "audio/pcmu"}, "audio/pcma": {"type": "audio/pcma"}}
TRANSCRIPTION_MODELS = (
    "whisper-1", "gpt-transcribe", "gpt-live-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-transcribe-diarize", "gpt-realtime-whisper",
)  # fmt: skip
STREAMING_MODELS = ("gpt-realtime-whisper", "gpt-live-transcribe")
"""Models that transcribe during speech."""
LOGPROBS = "item.input_audio_transcription.logprobs"
LONGEST_ANSWER = {True: 32_000, False: 4096}
"""Limit of ``max_output_tokens`` by reasoning: of the reasoning models, of all others."""

Check = Callable[["SessionConfig", str, Any], Any]
"""Takes the path and the value; returns the value in force. Raises Refusal."""


def reasons(model: str) -> bool:
    """Return True for the reasoning models: the -2 family, not gpt-realtime-2025-08-28 with its date."""
    return re.match(r"gpt-realtime-2(?!\d)", model) is not None


class SessionConfig:
    """The settings of one session."""

    def __init__(self, session_id: str, model: str, expires_at: int, kind: str = "realtime") -> None:
        """``kind`` is ``realtime`` or ``transcription``; a transcription session has no model."""
        self.model = model
        self.transcribes = kind == "transcription"
        self.audio_spoken = False
        """The model has produced audio: the voice can no longer change."""
        self.session = self._transcription_session(session_id, expires_at) if self.transcribes else self._realtime(session_id, expires_at)

    def _realtime(self, session_id: str, expires_at: int) -> dict[str, Any]:
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": self.model,
            "output_modalities": ["audio"],
            "instructions": INSTRUCTIONS,
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "expires_at": expires_at,
            "audio": {
                "input": {
                    "format": dict(PCM),
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": self._detection_defaults(),
                },
                "output": {"format": dict(PCM), "voice": "marin" if reasons(self.model) else "alloy", "speed": 1.0},
            },
            "include": None,
        }

    def _transcription_session(self, session_id: str, expires_at: int) -> dict[str, Any]:
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": session_id,
            "expires_at": expires_at,
            "audio": {
                "input": {
                    "format": dict(PCM), "transcription": None, "noise_reduction": None,
                    "turn_detection": self._detection_defaults(),
                },
            },
            "include": None,
        }

    @property
    def detection(self) -> dict[str, Any] | None:
        """Turn detection in force; None for manual turns."""
        found: dict[str, Any] | None = self.session["audio"]["input"]["turn_detection"]
        return found

    @property
    def _silence_ms(self) -> int:
        return 500 if reasons(self.model) else 200

    def _detection_defaults(self) -> dict[str, Any]:
        return turn_detection.defaults("server_vad", self._silence_ms, not self.transcribes)

    def update(self, changes: Any) -> None:
        """Apply a ``session.update``. Raises Refusal, without any change."""
        if not isinstance(changes, dict):
            raise wrong_type("session", "an object", changes) if changes is not None else missing("session")
        if "type" not in changes:
            raise missing("session.type")
        kind = one_of("session.type", changes["type"], ("realtime", "transcription"))
        if kind != self.session["type"]:
            raise Refusal(None, f"Passing a {kind} session update to a {self.session['type']} session is not allowed.")
        draft = copy.deepcopy(self.session)
        self._merge(draft, changes, "session")
        if self.transcribes:
            _check_streaming(draft["audio"]["input"])
        self.session = draft

    def merged(self, changes: dict[str, Any], path: str) -> dict[str, Any]:
        """Return the settings of one response: the session's, with its own on top. Raises Refusal."""
        draft = copy.deepcopy(self.session)
        self._merge(draft, changes, path)
        return draft

    def _merge(self, into: dict[str, Any], changes: dict[str, Any], path: str) -> None:
        for key, value in changes.items():
            here = f"{path}.{key}"
            place = here.split(".", 1)[1]
            if place in ("type", "model") and key in into:
                string(here, value)
                continue  # they stay: another model than the current one is silently ignored
            if here in _NOT_OF_ONE_RESPONSE:
                raise unknown_parameter(here)
            if place in _OBJECTS and key in into:
                expect(here, value, "an object")
                self._merge(into[key], value, here)
            elif (check := _CHECKS.get(place)) is not None and (key in into or not self.transcribes):
                into[key] = check(self, here, value)
            else:
                raise unknown_parameter(here)

    # ── One check per field ────────────────────────────────────────────────────────────────────────────────────────

    def _modalities(self, path: str, value: Any) -> Any:
        if not isinstance(value, list):
            raise wrong_type(path, "an array of strings", value)
        for index, name in enumerate(value):
            one_of(f"{path}[{index}]", name, ("text", "audio"))
        if value not in (["audio"], ["text"]):
            message = f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio']."
            raise Refusal("invalid_value", message, path)
        return value

    def _instructions(self, path: str, value: Any) -> Any:
        if value is None and path == "response.instructions":
            return self.session["instructions"]  # so LiveKit's client asks for a response without any of its own
        return string(path, value) or INSTRUCTIONS

    def _max_tokens(self, path: str, value: Any) -> Any:
        if value == "inf":
            return value
        return whole(path, value, 1, LONGEST_ANSWER[reasons(self.model)])

    def _tracing(self, path: str, value: Any) -> Any:
        if isinstance(value, dict):
            typed(path, value, {"workflow_name": "a string", "group_id": "a string", "metadata": "an object"})
        else:
            one_of(path, value, ("auto", None))
        before = self.session["tracing"]
        if value is not None and before is not None and value != before:  # the API's words for it are unconfirmed
            raise Refusal("cannot_update_tracing", "Cannot update tracing once it has been enabled for a session.", path)
        return value

    def _truncation(self, path: str, value: Any) -> Any:
        if isinstance(value, dict):
            kind_of(path, value, ("retention_ratio",))
            typed(path, value, {"type": "", "retention_ratio": "", "token_limits": "an object"}, "retention_ratio")
            number(f"{path}.retention_ratio", value["retention_ratio"], 0, 1)
            limits = value.get("token_limits") or {}
            fields(f"{path}.token_limits", limits, ("post_instructions",))
            if limits.get("post_instructions") is not None:
                whole(f"{path}.token_limits.post_instructions", limits["post_instructions"], 0, 10**9)
            return value
        return one_of(path, value, ("auto", "disabled"))

    def _prompt(self, path: str, value: Any) -> Any:
        if value is not None:
            typed(path, value, {"id": "a string", "version": "a string", "variables": "an object"}, "id")
        return value

    def _include(self, path: str, value: Any) -> Any:
        if value is not None and not isinstance(value, list):
            raise wrong_type(path, "an array of strings", value)
        for index, name in enumerate(value or []):
            one_of(f"{path}[{index}]", name, (LOGPROBS,))
        return value

    def _reasoning(self, path: str, value: Any) -> Any:
        if not reasons(self.model):
            raise Refusal(None, f"The model '{self.model}' does not support reasoning.")
        fields(path, value, ("effort",))
        if "effort" in value:
            one_of(f"{path}.effort", value["effort"], ("minimal", "low", "medium", "high", "xhigh"))
        return value

    def _format(self, path: str, value: Any) -> Any:
        fields(path, value, ("type", "rate"))
        before = self.session["audio"][path.split(".")[-2]]["format"]
        kind = kind_of(path, {"type": before["type"], **value}, tuple(FORMATS))
        if kind == "audio/pcm" and value.get("rate", 24000) != 24000:
            raise invalid_value(f"{path}.rate", value["rate"], (24000,))
        return dict(FORMATS[kind])

    def _transcription(self, path: str, value: Any) -> Any:
        if value is None:
            return None
        typed(path, value, _TRANSCRIPTION_FIELDS)
        for name in ("languages", "keywords"):
            for index, word in enumerate(value.get(name) or []):
                expect(f"{path}.{name}[{index}]", word, "a string")
        if value.get("languages") == []:
            message = f"Invalid '{path}.languages': empty array. Expected an array with minimum length 1, but got an empty array instead."
            raise Refusal("empty_array", message, f"{path}.languages")
        if value.get("delay") is not None:
            one_of(f"{path}.delay", value["delay"], ("minimal", "low", "medium", "high", "xhigh"))
        before = self.session["audio"]["input"]["transcription"] or {}
        found = {"model": None, "language": None, "prompt": None, **before, **value}
        if found["model"] is None:
            raise missing(f"{path}.model")
        one_of(f"{path}.model", found["model"], TRANSCRIPTION_MODELS)
        return found

    def _noise(self, path: str, value: Any) -> Any:
        if value is None:
            return None
        fields(path, value, ("type", "strength"))
        found = {"strength": 1, **(self.session["audio"]["input"]["noise_reduction"] or {}), **value}
        kind = kind_of(path, found, ("near_field", "far_field"))
        return {"type": kind, "strength": number(f"{path}.strength", found["strength"], 0, 1)}

    def _turn_detection(self, path: str, value: Any) -> Any:
        return turn_detection.merged(path, value, self.detection, self._silence_ms, not self.transcribes)

    def _voice(self, path: str, value: Any) -> Any:
        if isinstance(value, dict):  # a custom voice; the session object holds its id, like the name of any voice
            typed(path, value, {"id": "a string"}, "id")
            value = value["id"]
        else:
            one_of(path, value, tuple(VOICES))
        if self.audio_spoken and value != self.session["audio"]["output"]["voice"]:
            raise Refusal("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.")
        return value

    def _speed(self, path: str, value: Any) -> Any:
        return float(number(path, value, 0.25, 1.5))


def _check_streaming(input_: dict[str, Any]) -> None:
    """Refuse turn detection with a streaming model in a transcription session (guide; the API's wording is unconfirmed)."""
    model = (input_["transcription"] or {}).get("model")
    if model in STREAMING_MODELS and input_["turn_detection"] is not None:
        message = f"Turn detection is not supported for model '{model}'. Set 'session.audio.input.turn_detection' to null."
        raise Refusal("invalid_value", message, "session.audio.input.turn_detection")


_NOT_OF_ONE_RESPONSE = {"response.audio.input", "response.audio.output.speed"}
"""Settings of a session that a response cannot override (protocol 2.2)."""
_OBJECTS = {"audio", "audio.input", "audio.output"}
_TRANSCRIPTION_FIELDS = {
    "model": "a string", "language": "a string", "languages": "an array", "keywords": "an array", "prompt": "a string",
    "delay": "a string",
}  # fmt: skip
_CHECKS: dict[str, Check] = {
    "output_modalities": SessionConfig._modalities,
    "instructions": SessionConfig._instructions,
    "tools": lambda config, path, value: mcp_tools.tools(path, value),
    "tool_choice": lambda config, path, value: mcp_tools.tool_choice(path, value),
    "parallel_tool_calls": lambda config, path, value: boolean(path, value),
    "max_output_tokens": SessionConfig._max_tokens,
    "tracing": SessionConfig._tracing,
    "truncation": SessionConfig._truncation,
    "prompt": SessionConfig._prompt,
    "include": SessionConfig._include,
    "reasoning": SessionConfig._reasoning,
    "audio.input.format": SessionConfig._format,
    "audio.input.transcription": SessionConfig._transcription,
    "audio.input.noise_reduction": SessionConfig._noise,
    "audio.input.turn_detection": SessionConfig._turn_detection,
    "audio.output.format": SessionConfig._format,
    "audio.output.voice": SessionConfig._voice,
    "audio.output.speed": SessionConfig._speed,
}
