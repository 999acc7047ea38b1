"""Policy: what a relay key allows, and the Guard that keeps one session to it; pure, so that its rules read as tests."""

from __future__ import annotations

import copy
import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from realtime import events, strict_json
from realtime.catalog import BETA_NAMES, GA_NAMES
from realtime.errors import InvalidEvent, InvalidPolicy
from realtime.events import Event
from realtime.fixed import Fixed, checked, shown
from realtime.shapes import Data

if TYPE_CHECKING:
    from realtime.dialects import Dialect

MOST = 1_000_000_000
"""Minutes, sessions and dollars from which a limit is a mistake."""
NAMES = ("type", "session", "response", "item", "input", "role", "model")
"""Keys of a frame that a guard looks at, whatever is fixed."""
TYPES_KEPT = 512
"""Types of event whose judgement is remembered; a client that invents more only makes itself slower."""


@dataclass(frozen=True)
class Policy:
    """What a relay key allows. Everything is allowed that nothing is said about."""

    client_events: tuple[str, ...] = ()
    """Types of event a client may send, ``*`` and ``?`` allowed; empty: all."""
    withhold: tuple[str, ...] = ()
    """Types of event of the API that are kept from the client."""
    session: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """A partial GA session: what it names is fixed, and kept from the client. ``type`` only says which sort it is for."""
    minutes: float | None = None
    """How long a session may last."""
    sessions: int | None = None
    """How many may run at a time."""
    dollars: float | None = None
    """How many US$ may be spent, all sessions together, from the key's making on (``realtime.account``)."""

    @classmethod
    def read(cls, data: Any) -> Policy:
        """A policy from JSON; null and ``{}`` are the one that allows everything. Raises InvalidPolicy."""
        if data is None:
            return cls()
        if not isinstance(data, Mapping):
            raise InvalidPolicy("", f"a policy is a JSON object, not {shown(data)}.")
        for name in data:
            if name not in _READERS:
                raise InvalidPolicy(str(name), f"a policy has no such field; it has {', '.join(_READERS)}.")
        return cls(**{name: _READERS[name](name, value) for name, value in data.items() if value is not None})

    def to_json(self) -> Data:
        """As ``read`` takes it: only what is said."""
        told = {
            "client_events": list(self.client_events), "withhold": list(self.withhold),
            "session": copy.deepcopy(dict(self.session)),
            "minutes": self.minutes, "sessions": self.sessions, "dollars": self.dollars,
        }  # fmt: skip
        return {name: value for name, value in told.items() if value not in (None, [], {})}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A client's event that may not pass."""

    error: Data
    """The ``error`` event that answers it, in the API's shape."""
    sentence: str
    """For the timeline."""


@dataclass(frozen=True, slots=True)
class End:
    """Why a session may not go on."""

    code: str
    """``session_time_limit`` or ``insufficient_quota``."""
    message: str


class Guard:
    """Keeps one session to a policy: ask it about each frame, in order; it does nothing by itself.

    It judges what the API would read, so it stands next to the API: after a translation of what the client sends, and
    before one of what the API says. Instructions that are fixed cannot be gone around by a stored ``prompt`` or by a
    message of the role ``system``; what the client makes the model say in its answers is beyond any relay.
    """

    def __init__(self, policy: Policy, dialect: Dialect = "ga") -> None:
        """``dialect``: of the frames it sees."""
        self.policy = policy
        self.dialect = dialect
        self.fixed = Fixed(policy.session)
        self._allows = _pattern(policy.client_events or ("*",))
        self._withholds = _pattern(policy.withhold)
        self._passing: set[str] = set()
        """Types of the client's that are allowed and cannot name a field: nothing more is asked about them."""
        self._untouched: set[str] = set()
        """Types of the API's that are delivered as they are."""
        self._withheld: set[str] = set()
        """Types of the API's that are not delivered at all."""
        self._refused = 0
        self._checks: dict[str, Callable[[Event], Refusal | None]] = {}
        if self.fixed or "model" in policy.session:
            self._checks |= dict.fromkeys(("session.update", "transcription_session.update"), self._update)
        if self.fixed:
            self._checks["response.create"] = self._response
        if "instructions" in self.fixed.settings:
            self._checks["conversation.item.create"] = self._item
        self._judges = policy != Policy()
        self._reads = bool(self._checks) or policy.dollars is not None
        """Whether a frame that cannot be read may hide what the policy forbids, or what costs money."""
        self._names = {*NAMES, *(name for path in self.fixed.refused for name in path)}
        """Keys by which frames are judged: no parser may take another key for one of them."""

    # ── Before the first frame ─────────────────────────────────────────────────────────────────────────────────────

    def model(self, asked: str) -> str:
        """The model to dial: the one that is fixed, else the one the client asks for."""
        return str(self.policy.session.get("model") or asked)

    def opening(self) -> Data | None:
        """The session.update the API is to be sent before anything of the client's; None when nothing is fixed."""
        if not self.fixed:
            return None
        kind = self.policy.session.get("type", "realtime")
        if self.dialect == "beta":
            prefix = "" if kind == "realtime" else "transcription_"
            return {"type": f"{prefix}session.update", "session": self.fixed.told("beta")}
        return {"type": "session.update", "session": {"type": kind, **self.fixed.told()}}

    def client_secret(self, session: Mapping[str, Any]) -> Refusal | Data:
        """The session to mint a key for, when a client asks for this one: with the fixed fields, or refused, as it would
        be in a session.update. The model is chosen here, so one that is asked for is replaced as it is in dialling."""
        if named := self.fixed.named_in(session):
            return self._field_fixed([f"session.{path}" for path in named], None)
        given = {"type": self.policy.session["type"], **session} if "type" in self.policy.session else session
        wanted = self.fixed.put_into(given, self.dialect)
        return {**wanted, "model": self.policy.session["model"]} if "model" in self.policy.session else wanted

    # ── Frames ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def from_client(self, event: Event) -> Refusal | None:
        """Why an event of the client may not pass; None when it may, as it is."""
        type_ = event.type
        if self._judges:
            try:
                strict_json.check(event.raw, self._names)
            except strict_json.AmbiguousFrame as error:
                return self._ambiguous(str(error), event)
        if type_ in self._passing:
            return None
        if not self._allows(_names(type_)):
            return self._not_allowed(event)
        if check := self._checks.get(type_):
            return check(event)
        if event.flaw:  # the API may read what we cannot
            return self._unreadable(event) if self._reads else None
        if len(self._passing) < TYPES_KEPT:
            self._passing.add(type_)
        return None

    def to_client(self, event: Event) -> str | None:
        """The frame to deliver for one of the API's: mostly the very same text, None when it is withheld."""
        type_ = event.type
        if type_ in self._untouched:
            return event.raw
        if type_ in self._withheld:
            return None
        if self._withholds(_names(type_)):
            if len(self._withheld) < TYPES_KEPT:
                self._withheld.add(type_)
            return None
        holder = _holder(type_) if self.policy.session else ""
        if holder:
            return self._shown(event, holder)
        if len(self._untouched) < TYPES_KEPT:
            self._untouched.add(type_)
        return event.raw

    def shown(self, settings: Data) -> Data:
        """A session or response object as the client may see it; the same object when it holds nothing fixed."""
        told = self.fixed.without(settings)
        if "model" in self.policy.session and "model" in told:
            return {name: value for name, value in told.items() if name != "model"}
        return told

    def _shown(self, event: Event, holder: str) -> str | None:
        data = event.data
        if not data:
            return None  # what cannot be read is rather withheld than shown
        settings = data.get(holder)
        if not isinstance(settings, dict) or (told := self.shown(settings)) is settings:
            return event.raw
        try:
            return events.dump({**data, holder: told})
        except InvalidEvent:  # NaN and the like, which is no JSON
            return None

    # ── Judging ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _update(self, event: Event) -> Refusal | None:
        """An update is refused as a whole, as the API refuses one. The model in use may be named: libraries always do."""
        session = event.data.get("session")
        if not isinstance(session, dict):
            return None if event.data else self._unreadable(event)
        named = self.fixed.named_in(session)
        model = self.policy.session.get("model")
        if model and session.get("model", model) != model:
            named.append("model")
        return self._field_fixed([f"session.{path}" for path in named], event) if named else None

    def _response(self, event: Event) -> Refusal | None:
        """A response would be given with its own fields in place of the session's."""
        response = event.data.get("response")
        if not isinstance(response, dict):
            return None if event.data else self._unreadable(event)
        if named := self.fixed.named_in(response):
            return self._field_fixed([f"response.{path}" for path in named], event)
        items = response.get("input")
        if "instructions" in self.fixed.settings and isinstance(items, list) and any(map(_instructs, items)):
            return self._instructing("response.input", event)
        return None

    def _item(self, event: Event) -> Refusal | None:
        if not event.data:
            return self._unreadable(event)
        return self._instructing("item.role", event) if _instructs(event.data.get("item")) else None

    def _field_fixed(self, named: list[str], event: Event | None) -> Refusal:
        fields = ", ".join(f"'{path}'" for path in named)
        said = f"{fields} {'is' if len(named) == 1 else 'are'} fixed by this relay key and cannot be set"
        return self._refusal("field_fixed", f"{said}. Nothing of it was passed on.", named[0], event)

    def _instructing(self, param: str, event: Event) -> Refusal:
        said = f"The instructions are fixed by this relay key: '{param}' cannot be of the system's role. It was not passed on."
        return self._refusal("field_fixed", said, param, event)

    def _not_allowed(self, event: Event) -> Refusal:
        what = f"The event '{shown(event.type)[1:-1]}'" if event.type else "What is no event"
        said = f"{what} is not allowed by this relay key, which allows {', '.join(self.policy.client_events)}."
        return self._refusal("event_not_allowed", said, "type", event)

    def _ambiguous(self, why: str, event: Event) -> Refusal:
        said = f"Programs may read this frame differently: {why}. A relay key with a policy cannot send such frames; nothing was passed on."
        return self._refusal("duplicate_keys", said, None, event)

    def _unreadable(self, event: Event) -> Refusal:
        said = "This frame cannot be read, so it cannot be told whether it keeps to this relay key's policy. It was not passed on."
        return self._refusal("invalid_event", said, None, event)

    def _refusal(self, code: str, message: str, param: str | None, event: Event | None) -> Refusal:
        self._refused += 1
        about = event.event_id if event is not None and event.event_id else None
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": param, "event_id": about}
        return Refusal({"type": "error", "event_id": f"event_policy_{self._refused}", "error": error}, message)


def _pattern(patterns: tuple[str, ...]) -> Callable[[tuple[str, ...]], bool]:
    """Whether one of a type's names is among these patterns."""
    match = re.compile("|".join(map(fnmatch.translate, patterns))).match if patterns else None
    return lambda names: match is not None and any(map(match, names))


def _names(type_: str) -> tuple[str, ...]:
    """The names of a type of event in either dialect, so that a policy holds in both."""
    other = GA_NAMES.get(type_) or BETA_NAMES.get(type_) or type_.removeprefix("transcription_")
    return (type_, other) if other != type_ else (type_,)


def _holder(type_: str) -> str:
    """The field of an event of the API that holds settings; ``""`` for types that cannot. Others may come to have it."""
    if type_.startswith(("session.", "transcription_session.")):
        return "session"
    return "response" if type_.startswith("response.") and type_.count(".") == 1 else ""


def _instructs(item: Any) -> bool:
    """Whether an item speaks to the model as its instructions do."""
    return isinstance(item, dict) and item.get("role") in ("system", "developer")


# ── Reading a policy ───────────────────────────────────────────────────────────────────────────────────────────────


def _types(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(type_, str) and type_.strip() for type_ in value):
        raise InvalidPolicy(name, f"a list of types of event such as [\"response.*\"] is wanted, not {shown(value)}.")
    return tuple(type_.strip() for type_ in value)


def _amount(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MOST:
        raise InvalidPolicy(name, f"a number above 0 is wanted, not {shown(value)}.")
    return value


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < MOST:
        raise InvalidPolicy(name, f"a whole number above 0 is wanted, not {shown(value)}.")
    return value


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "client_events": _types,
    "withhold": _types,
    "session": lambda name, value: checked(value, name),
    "minutes": _amount,
    "sessions": _whole,
    "dollars": _amount,
}
"""Field of a policy → how it is read."""
