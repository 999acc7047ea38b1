"""Event: one JSON message as it travelled; type and ids are read cheaply, the rest on demand, raw is kept."""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import Annotated, Any

import msgspec

from realtime.errors import InvalidEvent

_HALF = re.compile(r"[\ud800-\udfff]")
"""A surrogate: half of a character beyond U+FFFF. In a Python string it is always a lone one."""
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")

LARGEST_INDEX = 2**31 - 1
"""Of the indices that count as such; any other number in their place is read as None and stays in the raw text."""
MOST_DIGITS = 4300
"""Of a whole number that Python reads from text (``sys.int_info.default_max_str_digits``)."""
DEEPEST = 200
"""Levels of nesting that are read: what walks through an event calls itself for each, and Python allows 1,000 calls."""

type_ = type  # the API's own word for an event's name shadows the builtin in the class below


_Index = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_INDEX)]


class _Named(msgspec.Struct):
    """The only thing read inside a nested object: its id."""

    id: str | None = None
    event_id: str | None = None
    type: str | None = None
    call_id: str | None = None


class _Head(msgspec.Struct):
    """What the hot path reads of a frame. msgspec skips all other fields without building them."""

    type: str = ""
    event_id: str | None = None
    response_id: str | None = None
    item_id: str | None = None
    call_id: str | None = None
    content_index: _Index | None = None
    output_index: _Index | None = None
    response: _Named | None = None
    item: _Named | None = None
    error: _Named | None = None


_decode_head = msgspec.json.Decoder(_Head).decode


class Event(msgspec.Struct, frozen=True, dict=True, array_like=True):
    """One message of the Realtime API.

    Nothing is required of ``raw``: text that is not JSON, or JSON that is no event, is an event with an empty
    ``type`` and a ``flaw``. What the other side sends is data to show, never an exception.
    """

    raw: str
    """The frame's text, exactly."""
    type: str = ""
    event_id: str = ""
    response_id: str = ""
    item_id: str = ""
    call_id: str = ""
    about: str = ""
    """For an ``error``: the id of the client event it answers."""
    content_index: int | None = None
    output_index: int | None = None
    flaw: str = ""
    """Why this is not a proper event; empty when it is."""
    size: int = 0
    """Length of the frame in bytes of UTF-8."""

    @cached_property
    def data(self) -> dict[str, Any]:
        """The whole event as a dict, decoded when first asked for; empty when it is not a JSON object."""
        try:
            data = load(self.raw)
        except (ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}

    @property
    def is_error(self) -> bool:
        """Whether this event tells of something that went wrong, by its name alone."""
        return bool(self.flaw) or self.type == "error" or self.type.endswith(".failed")

    def __str__(self) -> str:
        shown = self.raw if len(self.raw) <= 120 else f"{self.raw[:117]}..."
        return f"{self.type or 'no type'} {shown}"


def parse(raw: str) -> Event:
    """Read one frame's head. Costs about 1 µs for an audio delta and never raises."""
    size = len(raw) if raw.isascii() else len(raw.encode("utf-8", "surrogatepass"))
    try:
        head = _decode_head(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _parse_leniently(raw, size)
    item = head.item
    return Event(  # by place: every frame comes through here, and names cost a third more
        raw,
        head.type,
        head.event_id or "",
        head.response_id or (head.response.id if head.response else None) or "",
        head.item_id or (item.id if item else None) or "",
        head.call_id or (item.call_id if item else None) or "",
        (head.error.event_id or "") if head.error else "",
        head.content_index,
        head.output_index,
        "" if head.type else "The event has no type.",
        size,
    )


def _parse_leniently(raw: str, size: int) -> Event:
    """Read a frame whose known fields have unexpected types, or say what is wrong with it."""
    try:
        data = _read(raw)
    except (ValueError, RecursionError) as error:
        return Event(raw=raw, flaw=f"This frame is not JSON: {error}.", size=size)
    if not isinstance(data, dict):
        return Event(raw=raw, flaw="This frame is JSON, but not an object.", size=size)

    def text(source: Any, key: str) -> str:
        value = source.get(key) if isinstance(source, dict) else None
        return value if isinstance(value, str) else ""

    def whole(key: str) -> int | None:
        value = data.get(key)
        return value if type_(value) is int and 0 <= value <= LARGEST_INDEX else None

    return Event(
        raw=raw,
        type=text(data, "type"),
        event_id=text(data, "event_id"),
        response_id=text(data, "response_id") or text(data.get("response"), "id"),
        item_id=text(data, "item_id") or text(data.get("item"), "id"),
        call_id=text(data, "call_id") or text(data.get("item"), "call_id"),
        about=text(data.get("error"), "event_id"),
        content_index=whole("content_index"),
        output_index=whole("output_index"),
        flaw="" if text(data, "type") else "The event has no type.",
        size=size,
    )


def load(text: str) -> Any:
    """Read JSON that somebody else wrote. Raises ValueError, or RecursionError, also when it is nested deeper than DEEPEST.

    A lone surrogate, which JSON can escape but neither a socket nor a database takes, is read as U+FFFD.
    """
    data = _read(text)
    if text.count("[") + text.count("{") > DEEPEST and depth(data) > DEEPEST:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    return data


def _read(text: str) -> Any:
    """As ``load``, however deep it is nested."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python reads no more than 4,300 digits
        data = json.loads(text, parse_int=_number)
    if ("\\u" in text and _ESCAPED_HALF.search(text)) or (not text.isascii() and _HALF.search(text)):
        written = json.dumps(data, ensure_ascii=False).encode("utf-16", "surrogatepass")
        data = json.loads(written.decode("utf-16", "replace"))
    return data


def _number(digits: str) -> int | float:
    """A whole number; infinity where it has more digits than Python reads."""
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def depth(value: Any) -> int:
    """How many lists and objects a JSON value has inside one another."""
    found, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list | tuple)]:
        found += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return found


def dump(data: dict[str, Any]) -> str:
    """Write an event of ours as compact JSON text, the way it will travel.

    Raises InvalidEvent when there is no string ``type`` or the data cannot be written as JSON.
    """
    if not isinstance(data.get("type"), str) or not data["type"]:
        raise InvalidEvent("An event needs a \"type\" that is a string.")
    try:
        raw = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        if _HALF.search(raw):  # no socket takes one as it is; escaped it travels
            raw = json.dumps(data, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEvent(f"This event cannot be written as JSON: {error}.") from None
    return raw
