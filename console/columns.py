"""What a text or JSON column of every database can hold, and how a value it cannot hold is kept all the same.

PostgreSQL refuses NUL in text and in jsonb; SQLite stores it, but its LIKE and length stop there. Neither takes half
of a surrogate pair. A column therefore holds a readable stand-in, and the exact value is kept beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from realtime import audio, events

WHOLE = -2
"""``Frame.at`` of a frame whose exact text is in ``Frame.audio``, as UTF-8; ``Frame.text`` is the stand-in."""
EXACT = "console_exact"
"""Key in ``Entry.data`` of an entry's exact text and facts, as JSON in one string: ``from_note`` reads it."""
UNSTORABLE = "unstorable"
"""Key in ``Entry.data`` of why only an entry's raw text is kept, in a word or two: ``reading: RecursionError``."""
LARGEST = 2**31 - 1
"""The largest number of an ``integer`` column of PostgreSQL."""
DEEPEST = 256
"""Levels of nesting kept of an entry's facts: SQLite checks JSON to 1,000, PostgreSQL to the depth of its stack."""

_NUL, _NUL_SHOWN = "\0", "\u2400"
_HALF = re.compile(r"[\ud800-\udfff]")

_encode = DjangoJSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encode_ascii = DjangoJSONEncoder(separators=(",", ":")).encode


class Unstorable(ValueError):
    """Raised when facts are of a shape that no JSON column holds; ``str()`` says which."""


def text(value: str) -> str:
    """``value`` as a text column holds it: U+2400 for NUL, U+FFFD for half of a surrogate pair."""
    if _NUL in value:
        value = value.replace(_NUL, _NUL_SHOWN)
    if value.isascii() or not _HALF.search(value):
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # two halves in a row are a whole


def within(microseconds: int | None) -> int | None:
    """A time as an ``integer`` column holds it: 36 minutes at most."""
    return None if microseconds is None else min(max(microseconds, 0), LARGEST)


def split_frame(raw: str, type_: str) -> tuple[str, bytes | None, int]:
    """The columns ``text``, ``audio`` and ``at`` of a frame; ``join_frame`` gives ``raw`` back exactly."""
    shown = text(raw)
    if shown != raw:
        return shown, raw.encode("utf-8", "surrogatepass"), WHOLE
    parts = audio.split(raw, type_)
    return parts.text, parts.audio or None, parts.at


def join_frame(text_: str, sound: Any, at: int) -> str:
    """A frame's exact text from its columns; ``sound`` is ``bytes``, ``memoryview`` or None."""
    if at == WHOLE:
        return bytes(sound or b"").decode("utf-8", "surrogatepass")
    return audio.join(text_, bytes(sound or b""), at)


def facts(data: dict[str, Any]) -> str:
    """``data`` as JSON text for a JSON column, with stand-ins in its strings and keys.

    A number that JSON does not have (NaN, Infinity) stands as a word. Raises Unstorable for what is nested deeper than
    DEEPEST, and TypeError, ValueError or RecursionError for what is not JSON at all.
    """
    written = _encode(data)
    if written.count("[") + written.count("{") > DEEPEST and events.depth(data) > DEEPEST:
        raise Unstorable(f"nested deeper than {DEEPEST} levels")
    if any(odd in written for odd in ("NaN", "Infinity", "\\u0000")) or not (written.isascii() or not _HALF.search(written)):
        # Read as it will be read from the column: a key that was a number is a string by now.
        written = _encode(_shown(json.loads(written, parse_constant=str)))
    return written


def holds(data: dict[str, Any]) -> bool:
    """Whether a JSON column gives ``data`` back as it is: without NUL, halves of characters, NaN, or too much nesting."""
    try:
        return bool(json.loads(facts(data)) == data)
    except (TypeError, ValueError, RecursionError):
        return False


def plain(value: Any) -> Any:
    """A value that was read from JSON as every reader of JSON takes it: NaN and Infinity stand as words."""
    return json.loads(json.dumps(value), parse_constant=str)


def note(text_: str, data: dict[str, Any], mask: Callable[[str], str]) -> tuple[str, str]:
    """The columns ``text`` and ``data`` of an entry, masked; ``from_note`` gives back what was told.

    Only NUL makes a difference between the two: half of a surrogate pair is no character, and stays a stand-in.
    Raises as ``facts`` does.
    """
    text_ = mask(text_)
    shown, written = text(text_), mask(facts(data)) if data else "{}"
    if _NUL in text_ or (data and "\\u0000" in _encode_ascii(data)):
        told = mask(_encode_ascii({"text": text_, "data": data}))
        written = mask(facts({**data, EXACT: told}))
    return shown, written


def from_note(text_: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """An entry's text and facts as they were told, from what its columns hold."""
    if not isinstance(kept := data.get(EXACT), str):
        return text_, data
    try:
        told = plain(events.load(kept))
        return str(told["text"]), dict(told["data"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return text_, data  # somebody else's key of that name


def _shown(value: Any) -> Any:
    """A JSON value with stand-ins for what no column holds."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {text(key): _shown(inner) for key, inner in value.items()}
    return [_shown(inner) for inner in value] if isinstance(value, list) else value
