"""Placeholders in scenarios: ``{item_id}`` and the like, filled at the time of the step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

NAMES = ("session_id", "conversation_id", "item_id", "previous_item_id", "response_id", "call_id", "event_id", "session")
"""The ids in the session's latest events, the id of the client's last event, and the settings in force."""
FAMILIES = ("event", "new")
"""``{event.item.content.0.text}``: a field of the last expected client event. ``{new.item.first}``: an id ``item_…``, made at
its first use, the same for every later ``first``."""
_PLACEHOLDER = re.compile(r"\{\{(\w[\w.]*)\}\}|\{([a-z_][\w.]*)\}", re.IGNORECASE)


class Unfilled(LookupError):
    """Raised when a placeholder has no value yet; ``str()`` is its name."""


class Known:
    """The values of placeholders in one session."""

    def __init__(self, make: Callable[[str], str], settings: Callable[[], dict[str, Any]], ids: dict[str, str]) -> None:
        """``make`` makes an id with a prefix, ``settings`` returns the settings in force, ``ids`` are known from the beginning."""
        self.make = make
        self.settings = settings
        self.event: dict[str, Any] = {}
        """The client's event that was expected last."""
        self._ids: dict[str, Any] = dict(ids)
        self._made: dict[str, str] = {}

    def learn(self, event: dict[str, Any]) -> None:
        """Remember the ids in an event to the client."""
        item, response = event.get("item"), event.get("response")
        item = item if isinstance(item, dict) else {}
        found = {
            "item_id": event.get("item_id") or item.get("id"),
            "call_id": event.get("call_id") or item.get("call_id"),
            "response_id": event.get("response_id") or (response.get("id") if isinstance(response, dict) else None),
            "previous_item_id": event.get("previous_item_id"),
        }
        self._ids.update((name, value) for name, value in found.items() if value is not None)

    def value_of(self, name: str) -> Any:
        """Return the value of a name. Raises Unfilled."""
        family, _, rest = name.partition(".")
        try:
            if family == "event":
                return look_up(self.event, rest)
            if family == "new":
                return self._made.get(rest) or self._made.setdefault(rest, self.make(rest.partition(".")[0]))
            if name == "session":
                return self.settings()
            return self.event["event_id"] if name == "event_id" else self._ids[name]
        except LookupError:
            raise Unfilled(name) from None


def check(value: Any) -> str | None:
    """Return the first unknown placeholder in a value, however deep; None if all are known."""
    if isinstance(value, str):
        for found in _PLACEHOLDER.finditer(value):
            name = found[2]
            if name and name not in NAMES and not _is_of_a_family(name):
                return name
        return None
    inner = [*value, *value.values()] if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return next((name for name in map(check, inner) if name is not None), None)


def fill(value: Any, known: Callable[[str], Any]) -> Any:
    """Fill the placeholders in a value; a text with nothing but a placeholder may become any JSON.

    ``known`` returns the value of a name or raises Unfilled, which passes through.
    """
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        if whole is not None and whole[2]:
            return known(whole[2])
        return _PLACEHOLDER.sub(lambda found: f"{{{found[1]}}}" if found[1] else str(known(found[2])), value)
    if isinstance(value, Mapping):
        return {fill(key, known): fill(inner, known) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fill(inner, known) for inner in value]
    return value


def look_up(value: Any, path: str) -> Any:
    """Return the value at a path such as ``item.content.0.text``. Raises Unfilled."""
    if isinstance(value, Mapping) and path in value:
        return value[path]
    name, _, rest = path.partition(".")
    if isinstance(value, Mapping) and name in value:
        inner = value[name]
    elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        inner = value[int(name)]
    else:
        raise Unfilled(path)
    return look_up(inner, rest) if rest else inner


def matches(wanted: Any, value: Any) -> bool:
    """Return True if a value matches: fields by name or path, lists element by element, ``*`` for anything."""
    if wanted == "*":
        return True
    if isinstance(wanted, Mapping):
        try:
            return all(matches(inner, look_up(value, str(path))) for path, inner in wanted.items())
        except Unfilled:
            return False
    if isinstance(wanted, list | tuple):
        return isinstance(value, list) and len(wanted) == len(value) and all(map(matches, wanted, value))
    return (type(wanted) is type(value) and bool(wanted == value)) or _same_number(wanted, value)


def _same_number(one: Any, other: Any) -> bool:
    """1 and 1.0 are the same, 1 and true are not."""
    return {type(one), type(other)} <= {int, float} and bool(one == other)


def _is_of_a_family(name: str) -> bool:
    family, _, rest = name.partition(".")
    return family in FAMILIES and bool(rest) and (family != "new" or rest.count(".") == 1)
