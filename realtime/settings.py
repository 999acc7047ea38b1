"""What a session can be told: the smallest update that leads from one state to another, what is locked, what was granted."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VOICE_LOCK = "The voice can only be changed until the model has spoken in this session."
MODEL_LOCK = "The model is chosen when connecting; start a new session for another."

_OBJECTS = ("audio", "audio.input", "audio.output")
"""Objects of the session that session.update merges field by field; all others are replaced as they are given."""
CLEARABLE = {
    "audio.input.transcription": ("language", "prompt", "languages", "keywords", "delay"),
    "audio.input.turn_detection": ("idle_timeout_ms",),
}
"""Sub-fields that null switches off (session object: ``audio.input.transcription``, ``turn_detection``)."""
_READ_ONLY = ("id", "object", "type", "model", "expires_at")


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that was asked for, beside what the API says is in force."""

    path: str
    asked: Any
    in_force: Any

    @property
    def granted(self) -> bool:
        """Whether what is in force is what was asked; the API may add fields of its own."""
        return _covers(self.in_force, self.asked)

    @property
    def asked_text(self) -> str:
        """As people read it."""
        return _shown(self.asked)

    @property
    def in_force_text(self) -> str:
        """As people read it."""
        return _shown(self.in_force)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def with_cleared(wanted: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
    """``wanted`` with null for each sub-field that ``shown`` had and ``wanted`` leaves out: leaving it out would keep it.

    Only for fields the API takes null for, and only of objects that both have and of the same type.
    """
    cleared = copy.deepcopy(dict(wanted))
    for path, names in CLEARABLE.items():
        now, before = _at(cleared, path), _at(shown, path)
        if isinstance(now, dict) and isinstance(before, Mapping) and _type(now) == _type(before):
            now |= {name: None for name in names if before.get(name) is not None and name not in now}
    return cleared


def _at(session: Mapping[str, Any], path: str) -> Any:
    here: Any = session
    for key in path.split("."):
        here = here.get(key) if isinstance(here, Mapping) else None
    return here


def changes(wanted: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The partial session that leads from ``base`` to ``wanted``: only what differs (session.update, field ``session``).

    A setting that ``wanted`` does not name stays as it is. Of a turn detection of the same type only the changed
    parameters are named, beside its type, which the API requires.
    """
    return _changes(wanted, base, "")


def _changes(wanted: Mapping[str, Any], base: Mapping[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in wanted.items():
        here = f"{path}{key}"
        before = base.get(key)
        if here in _OBJECTS and isinstance(value, Mapping):
            inner = _changes(value, before if isinstance(before, Mapping) else {}, f"{here}.")
            if inner:
                found[key] = inner
        elif value == before or (isinstance(value, Mapping) and _covers(before, value)):
            continue
        elif key == "turn_detection" and _type(value) and _type(value) == _type(before):
            assert before is not None  # it has a type
            found[key] = {k: v for k, v in value.items() if k == "type" or v != before.get(k)}
        else:
            found[key] = value
    return found


def _type(value: Any) -> Any:
    return value.get("type") if isinstance(value, Mapping) else None


def _covers(in_force: Any, asked: Any) -> bool:
    """Whether every field that was asked for is in force, whatever else is; null and absent are the same."""
    if isinstance(asked, Mapping) and isinstance(in_force, Mapping):
        return all(_covers(in_force.get(key), value) for key, value in asked.items())
    if isinstance(asked, list) and isinstance(in_force, list):  # a tool comes back with "description": null
        return len(asked) == len(in_force) and all(map(_covers, in_force, asked))
    return bool(asked == in_force)


def compare(asked: Mapping[str, Any], in_force: Mapping[str, Any] | None) -> list[Difference]:
    """Every setting that was ever asked for in a session, beside what is in force, in the session object's order."""
    found: list[Difference] = []

    def walk(asked: Mapping[str, Any], in_force: Any, path: str) -> None:
        for key, value in asked.items():
            here = f"{path}{key}"
            now = in_force.get(key) if isinstance(in_force, Mapping) else None
            if here in _OBJECTS and isinstance(value, Mapping):
                walk(value, now, f"{here}.")
            elif here not in _READ_ONLY:
                found.append(Difference(here, value, now))

    walk(asked, in_force or {}, "")
    return found


def locks(audio_spoken: bool) -> dict[str, str]:
    """Settings of a running session that the API would refuse to change, and why (guide "Realtime conversations")."""
    return {"model": MODEL_LOCK, **({"audio.output.voice": VOICE_LOCK} if audio_spoken else {})}
