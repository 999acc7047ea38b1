"""Placeholders in scenarios: ``{item_id}`` and the like, filled with what the session knows when it is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

NAMES = ("session_id", "conversation_id", "item_id", "previous_item_id", "response_id", "call_id", "event_id", "session")
"""Ids the session has told last, the id of the client's last event, and the settings in force."""
FAMILIES = ("event", "new")
"""``{event.item.content.0.text}``: of the client's event that was expected last. ``{new.item.first}``: an id ``item_…``,
made where it is first used, the same wherever ``first`` stands again."""
_PLACEHOLDER = re.compile(r"\{\{(\w[\w.]*)\}\}|\{([a-z_][\w.]*)\}", re.IGNORECASE)


class Unfilled(LookupError):
    """Raised when there is nothing yet that a placeholder could stand for; ``str()`` is its name."""


class Known:
    """What placeholders stand for in one session."""

    def __init__(self, make: Callable[[str], str], settings: Callable[[], dict[str, Any]], ids: dict[str, str]) -> None:
        """``make`` makes an id of a prefix, ``settings`` gives those in force, ``ids`` stand from the beginning."""
        self.make = make
        self.settings = settings
        self.event: dict[str, Any] = {}
        """The client's event that was expected last."""
        self._ids: dict[str, Any] = dict(ids)
        self._made: dict[str, str] = {}

    def learn(self, event: dict[str, Any]) -> None:
        """Keep the ids an event for the client tells."""
        item, response = event.get("item"), event.get("response")
        item = item if isinstance(item, dict) else {}
        told = {
            "item_id": event.get("item_id") or item.get("id"),
            "call_id": event.get("call_id") or item.get("call_id"),
            "response_id": event.get("response_id") or (response.get("id") if isinstance(response, dict) else None),
            "previous_item_id": event.get("previous_item_id"),
        }
        self._ids.update((name, value) for name, value in told.items() if value is not None)

    def value_of(self, name: str) -> Any:
        """What a name stands for. Raises Unfilled."""
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
    """The first placeholder in a value, however deep, that there is not; None when all are good."""
    if isinstance(value, str):
        for found in _PLACEHOLDER.finditer(value):
            name = found[2]
            if name and name not in NAMES and not _is_of_a_family(name):
                return name
        return None
    inner = [*value, *value.values()] if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return next((name for name in map(check, inner) if name is not None), None)


def fill(value: Any, known: Callable[[str], Any]) -> Any:
    """A value with its placeholders filled; a text that is nothing but one may become any JSON.

    ``known`` gives what a name stands for, or raises Unfilled, as this does then.
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
    """What stands at a path such as ``item.content.0.text``. Raises Unfilled."""
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
    """Whether a value has all that is wanted of it: fields by name or path, lists one by one, ``*`` for anything."""
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
