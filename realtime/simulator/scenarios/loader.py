"""Loads scenarios from YAML or JSON files; errors name the step."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from realtime.simulator.scenarios.steps import (
    Binary,
    Call,
    Close,
    Delay,
    Drop,
    Emit,
    Error,
    Expect,
    Fail,
    Hang,
    Malformed,
    Repeat,
    Say,
    Scenario,
    ScenarioError,
    Step,
    Until,
)
from realtime.simulator.session.scripted_failures import ERRORS
from realtime.simulator.validation.api_errors import json_type


def load(path: str | Path) -> Scenario:
    """A scenario from a file, YAML or JSON. Raises OSError, or ScenarioError."""
    path = Path(path)
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path.name}: {' '.join(str(error).split())}") from None
    try:
        return parse(given, path.stem)
    except RecursionError:
        raise ScenarioError(f"{path.name}: it contains itself") from None
    except ScenarioError as error:
        raise ScenarioError(f"{path.name}: {error}") from None


def parse(given: Any, name: str = "scenario") -> Scenario:
    """Build a scenario from a file's content: a mapping with ``steps``, or the list of steps. Raises ScenarioError."""
    if isinstance(given, list):
        given = {"steps": given}
    if not isinstance(given, Mapping):
        raise ScenarioError(f"a scenario is a mapping with steps, or a list of them, not {json_type(given)}")
    if unknown := set(given) - {"name", "mode", "sessions", "steps"}:
        raise ScenarioError(f"{sorted(map(str, unknown))[0]!r} is unknown; a scenario has name, mode, sessions and steps")
    steps = _steps(given.get("steps"), "")
    return Scenario(steps, given.get("mode", "on top"), given.get("sessions"), str(given.get("name", name)))


def _steps(given: Any, above: str) -> tuple[Step, ...]:
    if not isinstance(given, list):
        where = f"step {above.rstrip('.')}: " if above else ""
        raise ScenarioError(f"{where}steps are a list, not {json_type(given)}")
    return tuple(_step(each, f"{above}{number}") for number, each in enumerate(given, 1))


def _step(given: Any, number: str) -> Step:
    """Read one step; errors name the step's number (3.2: the second within the third)."""
    if isinstance(given, str):  # "- drop"
        given = {str(given): None}
    if not isinstance(given, Mapping) or not given:
        raise ScenarioError(f"step {number}: a step is a mapping such as 'say: Hello.', not {json_type(given)}")
    name = next((str(key) for key in given if key in _READERS), None)
    if name is None:
        raise ScenarioError(f"step {number}: '{next(iter(given))}' is no step; there are {', '.join(_READERS)}")
    read, beside = _READERS[name]
    try:
        if unknown := [str(key) for key in given if key != name and key not in beside]:
            allowed = f"beside {name} there may be {', '.join(beside)}" if beside else f"{name} stands alone"
            raise ScenarioError(f"'{unknown[0]}' is unknown; {allowed}")
        more = {str(key): value for key, value in given.items() if key != name}
        if name == "repeat":
            more["steps"] = _steps(more.get("steps"), f"{number}.")
        return read(given[name], more)
    except ScenarioError as error:
        if str(error).startswith("step "):
            raise
        raise ScenarioError(f"step {number} ({name}): {error}") from None


def _repeat(value: Any, more: dict[str, Any]) -> Step:
    if value != "forever" and type(value) is not int:
        raise ScenarioError(f"repeat is a number or forever, not {value!r}")
    return Repeat(more["steps"], None if value == "forever" else value)


def _error(value: Any, more: dict[str, Any]) -> Step:
    if not isinstance(value, str) or not value:
        raise ScenarioError(f"error is a code, not {json_type(value)}")
    known = {key: text for key, text in ERRORS.get(value, {}).items() if key in ("type", "message")}
    return Error(value, **{**known, **more})


def _binary(value: Any, more: dict[str, Any]) -> Step:
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except ValueError:
            raise ScenarioError("a text must be base64") from None
    return Binary() if value is None else Binary(value)


def _bare(make: Callable[..., Step]) -> Callable[[Any, dict[str, Any]], Step]:
    """Read a step whose value is optional."""
    return lambda value, more: make(**more) if value is None else make(value, **more)


def _drop(value: Any, more: dict[str, Any]) -> Step:
    if value not in (None, True):
        raise ScenarioError(f"drop has no value, but {value!r} is given")
    return Drop()


_READERS: dict[str, tuple[Callable[[Any, dict[str, Any]], Step], tuple[str, ...]]] = {
    "expect": (lambda value, more: Expect(value, **more), ("where", "normally")),
    "until": (lambda value, more: Until(value, **more), ("where",)),
    "emit": (lambda value, more: Emit(value), ()),
    "say": (lambda value, more: Say(value, **more), ("phase",)),
    "call": (lambda value, more: Call(value, **more), ("arguments",)),
    "fail": (_bare(Fail), ("message",)),
    "error": (_error, ("message", "type", "param")),
    "delay": (lambda value, more: Delay(value), ()),
    "drop": (_drop, ()),
    "close": (_bare(Close), ("reason",)),
    "malformed": (_bare(Malformed), ()),
    "binary": (_binary, ()),
    "hang": (_bare(Hang), ()),
    "repeat": (_repeat, ("steps",)),
}
"""Every step: its reader, and the fields allowed beside it."""
STEPS = tuple(_READERS)
"""The names of the steps."""
