"""Steps of a scenario: the simulator's words and actions, in order."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from realtime.simulator.scenarios.placeholders import check
from realtime.simulator.session.scripted_failures import ERRORS

Mode = Literal["on top", "only"]
"""``on top``: events without a step are processed as usual. ``only``: nothing happens without a step."""
MOST_TIMES = 100_000
"""Limit of a repeat with a number; beyond the limit use ``forever``."""
JUNK = {
    "truncated": '{"type":"response.output_text.delta","event_id":"event_broken","delta":"Hel',
    "text": "This is not JSON.",
    "array": "[1,2,3]",
    "no_type": '{"event_id":"event_typeless"}',
    "null": "null",
    "empty": "",
}
"""The texts sent by ``malformed``, by name."""


class ScenarioError(ValueError):
    """Raised for an invalid scenario; ``str()`` names the step and the fault."""


@dataclass(frozen=True, slots=True)
class Expect:
    """Wait for an event of the client. All events before it pass by."""

    type: str
    """``*`` matches any."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """Required fields, by name or path (``item.content.0.text``); ``*`` matches any value."""
    normally: bool | None = None
    """Process the event as usual before the next step; None: as the mode says."""

    def __post_init__(self) -> None:
        _want("a type", self.type, str)
        _want("where", self.where, Mapping)
        if self.normally is not None:
            _want("normally", self.normally, bool)


@dataclass(frozen=True, slots=True)
class Until:
    """Wait until the simulator itself has sent an event."""

    type: str
    where: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _want("a type", self.type, str)
        _want("where", self.where, Mapping)


@dataclass(frozen=True, slots=True)
class Emit:
    """Send an event (with an ``event_id`` added if missing), a text or bytes."""

    what: Mapping[str, Any] | str | bytes

    def __post_init__(self) -> None:
        _want("an event, text or bytes", self.what, Mapping, str, bytes)
        if isinstance(self.what, Mapping) and not isinstance(self.what.get("type"), str):
            raise ScenarioError("an event needs a type")
        _want_json(self.what)
        _check_names(self.what)


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with these words, spoken or written: the waiting response, or a new one."""

    text: str
    phase: Literal["commentary", "final_answer"] = "final_answer"

    def __post_init__(self) -> None:
        _want("a text", self.text, str)
        if self.phase not in ("commentary", "final_answer"):
            raise ScenarioError(f"phase is commentary or final_answer, not {self.phase!r}")
        _check_names(self.text)


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function, as ``Say`` says words."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    """A text is sent unchanged, JSON or not."""

    def __post_init__(self) -> None:
        _want("a function's name", self.name, str)
        _want("arguments", self.arguments, Mapping, str)
        _want_json(self.arguments)
        _check_names(self.arguments)


@dataclass(frozen=True, slots=True)
class Fail:
    """Let the response fail, after the words of earlier steps."""

    code: str = "server_error"
    message: str = ""

    def __post_init__(self) -> None:
        _want("a code", self.code, str)
        _want("message", self.message, str)

    @property
    def error(self) -> dict[str, Any]:
        """Return the error for ``status_details``."""
        known = ERRORS.get(self.code, {"type": "server_error", "code": self.code, "message": f"Failed with {self.code}."})
        return {**known, "message": self.message or known["message"]}


@dataclass(frozen=True, slots=True)
class Error:
    """Send an ``error`` event about the client's last event."""

    code: str
    message: str = ""
    type: str = "invalid_request_error"
    param: str | None = None

    def __post_init__(self) -> None:
        for name in ("code", "message", "type"):
            _want(name, getattr(self, name), str)
        if self.param is not None:
            _want("param", self.param, str)


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait."""

    seconds: float

    def __post_init__(self) -> None:
        _want_seconds(self.seconds)


@dataclass(frozen=True, slots=True)
class Drop:
    """Break the connection off without a word."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection."""

    code: int = 1000
    reason: str = ""

    def __post_init__(self) -> None:
        _want("a code", self.code, int)
        _want("reason", self.reason, str)
        if self.code not in {*range(1000, 1015), *range(3000, 5000)} - {1004, 1005, 1006}:
            raise ScenarioError(f"{self.code} is no code that can be sent: 1000 to 1014 without 1004 to 1006, or 3000 to 4999")
        if len(self.reason.encode()) > 123:
            raise ScenarioError("a reason has at most 123 bytes")


@dataclass(frozen=True, slots=True)
class Malformed:
    """Send a text that is not an event: a name of ``JUNK``."""

    kind: str = "truncated"

    def __post_init__(self) -> None:
        if self.kind not in JUNK:
            raise ScenarioError(f"malformed is one of {', '.join(JUNK)}, not {self.kind!r}")


@dataclass(frozen=True, slots=True)
class Binary:
    """Send a binary frame, unlike the API."""

    data: bytes = bytes(range(16))

    def __post_init__(self) -> None:
        _want("bytes", self.data, bytes)


@dataclass(frozen=True, slots=True)
class Hang:
    """Stop reading and sending; pings are not answered either."""

    seconds: float | None = None
    """Time until the connection continues; None: never."""

    def __post_init__(self) -> None:
        if self.seconds is not None:
            _want_seconds(self.seconds)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Repeat steps."""

    steps: tuple[Step, ...]
    times: int | None = None
    """None: for ever."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ScenarioError("a repeat needs steps")
        if self.times is not None and not 1 <= self.times <= MOST_TIMES:
            raise ScenarioError(f"repeat is 1 to {MOST_TIMES} times, or forever")
        if self.times is None and not any(map(_takes_time, self.steps)):
            raise ScenarioError("what is repeated forever needs an expect, an until or a delay, or it would never rest")


Step = Expect | Until | Emit | Say | Call | Fail | Error | Delay | Drop | Close | Malformed | Binary | Hang | Repeat


Placed = tuple[str, Step]
"""A step and its number in the scenario (3.2: the second within the third)."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps, taken in order in every session."""

    steps: tuple[Step, ...] = ()
    mode: Mode = "on top"
    sessions: int | None = None
    """Number of sessions that follow the scenario, the first ones; None: all."""
    name: str = "scenario"

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ScenarioError(f"mode is {' or '.join(get_args(Mode))}, not {self.mode!r}")
        if self.sessions is not None and (type(self.sessions) is not int or self.sessions < 1):
            raise ScenarioError(f"sessions is a number from 1, not {self.sessions!r}")


def describe(step: Step) -> str:
    """A step in a few words: ``expect response.create``."""
    first = "" if isinstance(step, Drop | Emit | Binary | Repeat) else getattr(step, next(iter(step.__dataclass_fields__)))
    if isinstance(step, Emit):
        first = step.what["type"] if isinstance(step.what, Mapping) else f"{len(step.what)} of {type(step.what).__name__}"
    return f"{type(step).__name__.lower()} {'' if first is None else first}".strip()


def walk(steps: Sequence[Step], above: str = "") -> Iterator[Placed]:
    """Yield the steps in the order of execution, repeats included."""
    for number, step in enumerate(steps, 1):
        if not isinstance(step, Repeat):
            yield f"{above}{number}", step
            continue
        for _ in range(step.times) if step.times is not None else itertools.count():
            yield from walk(step.steps, f"{above}{number}.")


def numbered(steps: Sequence[Step], above: str = "") -> Iterator[Placed]:
    """Yield every step once, with its number."""
    for number, step in enumerate(steps, 1):
        if isinstance(step, Repeat):
            yield from numbered(step.steps, f"{above}{number}.")
        else:
            yield f"{above}{number}", step


def _want(what: str, value: Any, *kinds: type) -> None:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds) or (value == "" and what.startswith("a ")):
        raise ScenarioError(f"{what} is wanted, not {json.dumps(value, default=repr)}")


def _want_seconds(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ScenarioError(f"seconds are wanted, not {json.dumps(value, default=repr)}")


def _want_json(value: Any) -> None:
    try:
        json.dumps("" if isinstance(value, bytes) else value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"not everything in it is JSON: {error}") from None


def _check_names(value: Any) -> None:
    if unknown := check(value):
        raise ScenarioError(f"{{{unknown}}} is no placeholder; to have it literally, write {{{{{unknown}}}}}")


def _takes_time(step: Step) -> bool:
    if isinstance(step, Repeat):
        return any(map(_takes_time, step.steps))
    return isinstance(step, Expect | Until) or (isinstance(step, Delay) and step.seconds > 0)
