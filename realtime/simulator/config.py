"""The session object: its defaults, and what a session.update may do to it: everything named or nothing."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from realtime.simulator.refusals import (
    Refusal,
    expect,
    invalid_value,
    missing,
    out_of_range,
    unknown_parameter,
    wrong_type,
)
from realtime.simulator.voice import VOICES

INSTRUCTIONS = (
    "Your knowledge cutoff is 2023-10. You are a helpful, witty, and friendly AI. Act like a human, but remember that you "
    "are a simulator that runs on this machine. Your voice should be warm, your talk lively and brief."
)
"""Stands for the API's own text; ``instructions: ""`` falls back to it."""
PCM = {"type": "audio/pcm", "rate": 24000}
FORMATS: dict[str, dict[str, Any]] = {"audio/pcm": PCM, "audio/pcmu": {"type": "audio/pcmu"}, "audio/pcma": {"type": "audio/pcma"}}
TRANSCRIPTION_MODELS = (
    "whisper-1", "gpt-transcribe", "gpt-live-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-transcribe-diarize", "gpt-realtime-whisper",
)  # fmt: skip
LOGPROBS = "item.input_audio_transcription.logprobs"
LONGEST_ANSWER = {True: 32_000, False: 4096}
"""Limit of ``max_output_tokens``: of the reasoning models, of the others."""

Check = Callable[["Config", str, Any], Any]
"""Takes the path and the value; returns the value as it will be in force. Raises Refusal."""


def reasons(model: str) -> bool:
    """Whether a model thinks before it speaks: the -2 family, not gpt-realtime-2025-08-28, whose name only holds a date."""
    return re.match(r"gpt-realtime-2(?!\d)", model) is not None


class Config:
    """One session's settings."""

    def __init__(self, session_id: str, model: str, expires_at: int) -> None:
        self.model = model
        self.audio_spoken = False
        """The model has produced sound: its voice can no longer change."""
        self.session: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
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
                    "turn_detection": self._detection_defaults("server_vad"),
                },
                "output": {"format": dict(PCM), "voice": "marin" if reasons(model) else "alloy", "speed": 1.0},
            },
            "include": None,
        }

    @property
    def detection(self) -> dict[str, Any] | None:
        """Turn detection in force; None when turns are taken by hand."""
        found: dict[str, Any] | None = self.session["audio"]["input"]["turn_detection"]
        return found

    def update(self, changes: Any) -> None:
        """Take a ``session.update``. Raises Refusal, and then nothing has changed."""
        if not isinstance(changes, dict):
            raise wrong_type("session", "an object", changes) if changes is not None else missing("session")
        if "type" not in changes:
            raise missing("session.type")
        if changes["type"] == "transcription":
            raise Refusal(None, "Passing a transcription session update to a realtime session is not allowed.")
        if changes["type"] != "realtime":
            raise invalid_value("session.type", changes["type"], ("realtime", "transcription"))
        draft = copy.deepcopy(self.session)
        self._merge(draft, changes, "session")
        self.session = draft

    def merged(self, changes: dict[str, Any], path: str) -> dict[str, Any]:
        """The settings as one response sees them, with its own on top. Raises Refusal."""
        draft = copy.deepcopy(self.session)
        self._merge(draft, changes, path)
        return draft

    def _merge(self, into: dict[str, Any], changes: dict[str, Any], path: str) -> None:
        for key, value in changes.items():
            here = f"{path}.{key}"
            place = here.split(".", 1)[1]
            if place in ("type", "model", "id", "object", "expires_at"):
                continue  # read-only: another model than the current one is silently ignored
            if place in _OBJECTS:
                if not isinstance(value, dict):
                    raise wrong_type(here, "an object", value)
                self._merge(into[key], value, here)
            elif (check := _CHECKS.get(place)) is not None:
                into[key] = check(self, here, value)
            else:
                raise unknown_parameter(here)

    # ── One check per field ────────────────────────────────────────────────────────────────────────────────────────

    def _modalities(self, path: str, value: Any) -> Any:
        if value not in (["audio"], ["text"]):
            raise invalid_value(path, value, (["text"], ["audio"]))
        return value

    def _instructions(self, path: str, value: Any) -> Any:
        return _string(path, value) or INSTRUCTIONS

    def _tools(self, path: str, value: Any) -> Any:
        if not isinstance(value, list):
            raise wrong_type(path, "an array of objects", value)
        for index, tool in enumerate(value):
            here = f"{path}[{index}]"
            if not isinstance(tool, dict):
                raise wrong_type(here, "an object", tool)
            if tool.get("type") not in ("function", "mcp"):
                raise invalid_value(f"{here}.type", tool.get("type"), ("function", "mcp"))
            function = tool["type"] == "function"
            _typed(here, tool, _FUNCTION_FIELDS if function else _MCP_FIELDS, "name" if function else "server_label")
        return value

    def _tool_choice(self, path: str, value: Any) -> Any:
        if not isinstance(value, dict):
            return _one_of(path, value, ("none", "auto", "required"))
        _one_of(f"{path}.type", value.get("type"), tuple(_CHOICES))
        known = _CHOICES[value["type"]]
        _typed(path, value, known, next(iter(known)))
        return value

    def _max_tokens(self, path: str, value: Any) -> Any:
        if value == "inf":
            return value
        return _whole(path, value, 1, LONGEST_ANSWER[reasons(self.model)])

    def _tracing(self, path: str, value: Any) -> Any:
        if isinstance(value, dict):
            _typed(path, value, {"workflow_name": "a string", "group_id": "a string", "metadata": "an object"})
            return value
        return _one_of(path, value, ("auto", None))

    def _truncation(self, path: str, value: Any) -> Any:
        if isinstance(value, dict):
            _one_of(f"{path}.type", value.get("type"), ("retention_ratio",))
            _typed(path, value, {"type": "", "retention_ratio": "", "token_limits": "an object"}, "retention_ratio")
            _number(f"{path}.retention_ratio", value["retention_ratio"], 0, 1)
            limits = value.get("token_limits") or {}
            _fields(f"{path}.token_limits", limits, ("post_instructions",))
            if "post_instructions" in limits:
                _whole(f"{path}.token_limits.post_instructions", limits["post_instructions"], 0, 10**9)
            return value
        return _one_of(path, value, ("auto", "disabled"))

    def _prompt(self, path: str, value: Any) -> Any:
        if value is not None:
            _typed(path, value, {"id": "a string", "version": "a string", "variables": "an object"}, "id")
        return value

    def _include(self, path: str, value: Any) -> Any:
        if value is not None and not isinstance(value, list):
            raise wrong_type(path, "an array of strings", value)
        for index, name in enumerate(value or []):
            _one_of(f"{path}[{index}]", name, (LOGPROBS,))
        return value

    def _reasoning(self, path: str, value: Any) -> Any:
        if not reasons(self.model):
            raise Refusal(None, f"The model '{self.model}' does not support reasoning.")
        _fields(path, value, ("effort",))
        if "effort" in value:
            _one_of(f"{path}.effort", value["effort"], ("minimal", "low", "medium", "high", "xhigh"))
        return value

    def _format(self, path: str, value: Any) -> Any:
        _fields(path, value, ("type", "rate"))
        _one_of(f"{path}.type", value.get("type"), tuple(FORMATS))
        if value["type"] == "audio/pcm" and value.get("rate", 24000) != 24000:
            raise invalid_value(f"{path}.rate", value["rate"], (24000,))
        return dict(FORMATS[value["type"]])

    def _transcription(self, path: str, value: Any) -> Any:
        if value is None:
            return None
        _typed(path, value, _TRANSCRIPTION_FIELDS)
        for name in ("languages", "keywords"):
            for index, word in enumerate(value.get(name) or []):
                expect(f"{path}.{name}[{index}]", word, "a string")
        if value.get("delay") is not None:
            _one_of(f"{path}.delay", value["delay"], ("minimal", "low", "medium", "high", "xhigh"))
        model = value.get("model") or (self.session["audio"]["input"]["transcription"] or {}).get("model")
        if model is None:
            raise missing(f"{path}.model")
        _one_of(f"{path}.model", model, TRANSCRIPTION_MODELS)
        return {"language": None, "prompt": None, **value, "model": model}

    def _noise(self, path: str, value: Any) -> Any:
        if value is None:
            return None
        _fields(path, value, ("type", "strength"))
        _one_of(f"{path}.type", value.get("type"), ("near_field", "far_field"))
        before = self.session["audio"]["input"]["noise_reduction"] or {"strength": 1}
        return {"type": value["type"], "strength": _number(f"{path}.strength", value.get("strength", before["strength"]), 0, 1)}

    def _turn_detection(self, path: str, value: Any) -> Any:
        if value is None:
            return None
        known = set(_DETECTION_CHECKS)
        _fields(path, value, tuple(sorted(known | {"type"})))
        before = self.detection or {}
        kind = _one_of(f"{path}.type", value.get("type", before.get("type")), ("server_vad", "semantic_vad"))
        defaults = self._detection_defaults(kind)
        merged = {**defaults, **{k: v for k, v in before.items() if before.get("type") == kind}}
        for key, given in value.items():
            if key not in defaults:
                raise unknown_parameter(f"{path}.{key}")
            merged[key] = given if key == "type" else _DETECTION_CHECKS[key](f"{path}.{key}", given)
        return merged

    def _detection_defaults(self, kind: str) -> dict[str, Any]:
        create = {"create_response": True, "interrupt_response": True}
        if kind == "semantic_vad":
            return {"type": kind, "eagerness": "auto", **create}
        silence = 500 if reasons(self.model) else 200
        own = {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": silence, "idle_timeout_ms": None}
        return {"type": kind, **own, **create}

    def _voice(self, path: str, value: Any) -> Any:
        if isinstance(value, dict):  # a custom voice; sessions tell of it by its id, as of any other
            _typed(path, value, {"id": "a string"}, "id")
            value = value["id"]
        else:
            _one_of(path, value, tuple(VOICES))
        if self.audio_spoken and value != self.session["audio"]["output"]["voice"]:
            raise Refusal("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.")
        return value

    def _speed(self, path: str, value: Any) -> Any:
        return float(_number(path, value, 0.25, 1.5))

    def _bool(self, path: str, value: Any) -> Any:
        return _boolean(path, value)


def _string(path: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type(path, "a string", value)
    return value


def _boolean(path: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(path, "a boolean", value)
    return value


def _number(path: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(path, "a decimal", value)
    if not low <= value <= high:
        raise out_of_range(path, value, low, high)
    return value


def _whole(path: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(path, "an integer", value)
    return int(_number(path, value, low, high))


def _one_of(path: str, value: Any, supported: tuple[Any, ...]) -> Any:
    if value not in supported:
        raise invalid_value(path, value, supported)
    return value


def _fields(path: str, value: Any, known: tuple[str, ...]) -> None:
    """Raise unless the value is an object of these fields."""
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    for key in value:
        if key not in known:
            raise unknown_parameter(f"{path}.{key}")


def _typed(path: str, value: Any, known: dict[str, str], needed: str = "") -> None:
    """Raise unless the value is an object of these fields and their JSON types (``""``: any); null stands for absent."""
    _fields(path, value, tuple(known))
    if needed and value.get(needed) is None:
        raise missing(f"{path}.{needed}")
    for key, wanted in known.items():
        if wanted and value.get(key) is not None:
            expect(f"{path}.{key}", value[key], wanted)


_OBJECTS = {"audio", "audio.input", "audio.output"}
_FUNCTION_FIELDS = {"type": "", "name": "a string", "description": "a string", "parameters": "an object"}
_MCP_FIELDS = {
    "type": "", "server_label": "a string", "server_url": "a string", "connector_id": "a string", "tunnel_id": "a string",
    "authorization": "a string", "headers": "an object", "server_description": "a string", "allowed_tools": "",
    "require_approval": "", "defer_loading": "a boolean", "allowed_callers": "an array",
}  # fmt: skip
_CHOICES = {
    "function": {"name": "a string", "type": ""},
    "mcp": {"server_label": "a string", "name": "a string", "type": ""},
}
"""Fields of the objects that ``tool_choice`` may be, the necessary one first."""
_TRANSCRIPTION_FIELDS = {
    "model": "a string", "language": "a string", "languages": "an array", "keywords": "an array", "prompt": "a string",
    "delay": "a string",
}  # fmt: skip
_CHECKS: dict[str, Check] = {
    "output_modalities": Config._modalities,
    "instructions": Config._instructions,
    "tools": Config._tools,
    "tool_choice": Config._tool_choice,
    "parallel_tool_calls": Config._bool,
    "max_output_tokens": Config._max_tokens,
    "tracing": Config._tracing,
    "truncation": Config._truncation,
    "prompt": Config._prompt,
    "include": Config._include,
    "reasoning": Config._reasoning,
    "audio.input.format": Config._format,
    "audio.input.transcription": Config._transcription,
    "audio.input.noise_reduction": Config._noise,
    "audio.input.turn_detection": Config._turn_detection,
    "audio.output.format": Config._format,
    "audio.output.voice": Config._voice,
    "audio.output.speed": Config._speed,
}
_DETECTION_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "threshold": lambda path, value: _number(path, value, 0, 1),
    "prefix_padding_ms": lambda path, value: _whole(path, value, 0, 10_000),
    "silence_duration_ms": lambda path, value: _whole(path, value, 0, 30_000),
    "idle_timeout_ms": lambda path, value: None if value is None else _whole(path, value, 5_000, 30_000),
    "eagerness": lambda path, value: _one_of(path, value, ("low", "medium", "high", "auto")),
    "create_response": _boolean,
    "interrupt_response": _boolean,
}
