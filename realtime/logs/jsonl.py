"""The event log file: one JSON object a line, every frame byte for byte, line by line.

A file is a ``head``, then ``ev``, ``note`` and ``close`` lines in order. Lines end at ``\\n`` only, so a frame may hold
any character. A line of a kind this version does not know is kept as it is and written again as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, get_args

from msgspec.structs import replace

from realtime import audio
from realtime.errors import InvalidLog
from realtime.events import Event, parse
from realtime.logs import strict
from realtime.timeline import RECEIVED, SENT, Entry, Leg, Origin, Transit

VERSION = 1
"""Of the format; a file with a higher one is refused, since its lines may mean something else."""
TOOL = {"name": "realtime-console", "version": "0.1.0"}
UNKNOWN = "unknown"
"""Kind of the note that holds a line this version does not know."""
KINDS = ("head", "ev", "note", "close")
LAST_SEQ = 2**31 - 1
LAST_PLACE = LAST_SEQ // 2
"""The highest ``seq`` that is taken from a file: a billion lines without one find a place after it."""
LAST_US = 2**53
"""The largest whole number that every reader of JSON takes exactly: 285 years."""
OPTIONAL = ("audio", "client", "key_name")
"""Fields of a head that are left out when they are empty."""
LONGEST_NAME = 128
"""Characters of a note's kind."""

_SOUND = {name: re.compile(rf'("{name}"\s*:\s*")[A-Za-z0-9+/=\\]+"') for name in ("audio", "delta")}
"""A field of base64. Inside a string the quotes around its name would be escaped, so text is never taken for one."""


class OtherVersion(InvalidLog):
    """Raised for a head of a version of the format that this console does not read."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line: which session this is the log of."""

    session: str
    started_at: datetime
    label: str = ""
    source: str = ""
    provider: str = ""
    model: str = ""
    dialect: str = "ga"
    tool: dict[str, Any] = field(default_factory=lambda: dict(TOOL))
    """Who wrote the file."""
    audio: str = ""
    """``none`` when the sound was left out."""
    client: str = ""
    """Of a relayed session: the client's library."""
    key_name: str = ""
    """Of a relayed session: the relay key it came with."""


def lines(head: Head, entries: Iterable[Entry]) -> Iterator[str]:
    """Write a log, line by line, each with its ``\\n``. Raises ValueError for a number that JSON cannot hold."""
    yield head_line(head)
    for entry in entries:
        yield entry_line(entry)


def head_line(head: Head) -> str:
    """The first line."""
    data: dict[str, Any] = {
        "k": "head", "v": VERSION, "session": head.session, "label": head.label,
        "started_at": head.started_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z",
        "source": head.source, "provider": head.provider, "model": head.model, "dialect": head.dialect,
        "tool": head.tool,
    }  # fmt: skip
    data |= {name: said for name in OPTIONAL if (said := getattr(head, name))}
    return _dump(data)


def entry_line(entry: Entry) -> str:
    """The line of one entry.

    Beside what every line has, ``size`` says how many bytes travelled where ``raw`` is not the whole frame (a secret
    masked, sound left out), ``added_us`` for how many microseconds the relay had the frame, and ``data`` what else is
    known of an event or a close.
    """
    place: dict[str, Any] = {"seq": entry.seq, "t_us": entry.t_us}
    if entry.event is not None:
        raw = entry.event.raw
        data = {"k": "ev", **place, "dir": entry.direction, "leg": entry.leg, "origin": entry.origin}
        data |= {"type": entry.event.type, "raw": raw}
        if entry.pair is not None:
            data["pair"] = entry.pair
        if entry.event.size != (len(raw) if raw.isascii() else len(raw.encode())):
            data["size"] = entry.event.size
        if entry.transit is not None and entry.transit.added_us is not None:
            data["added_us"] = entry.transit.added_us
        return _dump(data, entry.data or None)
    if entry.kind == "close":
        data = {"k": "close", **place, "by": entry.data.get("by", "console"), "code": entry.data.get("code")}
        more = {key: value for key, value in entry.data.items() if key not in ("by", "code")}
        return _dump({**data, "reason": entry.text}, more or None)
    if entry.note == UNKNOWN and _is_unknown(kept := entry.data.get("line")):
        return f"{kept}\n"
    return _dump({"k": "note", **place, "kind": entry.note, "text": entry.text}, entry.data)


def without_audio(entry: Entry) -> Entry:
    """The same entry with its sound left out: the base64 is replaced by nothing, all else stays, and it says so.

    Sound is the ``audio`` of an append, the ``delta`` of an audio delta, and ``audio`` inside an item's content.
    """
    event = entry.event
    if event is None:
        return entry
    name = audio.AUDIO_FIELDS.get(event.type)
    if name is None and not (event.type.startswith("conversation.item.") and '"audio"' in event.raw):
        return entry
    raw, found = _SOUND[name or "audio"].subn(r'\1"', event.raw)
    if not found:
        return entry
    bare = replace(parse(raw), size=event.size)
    return replace(entry, event=bare, data={**entry.data, "audio": "none"})


def at(entry: Entry, seq: int) -> Entry:
    """The same entry at another place."""
    return entry if entry.seq == seq else replace(entry, seq=seq)


def entry_of(number: int, line: str, data: dict[str, Any], seq: int, t_us: int) -> Entry:
    """One line, decoded as ``data``, as the entry at this place and time. Raises InvalidLog."""
    match data["k"]:
        case "ev":
            pair = strict.whole(number, data, "pair", LAST_SEQ) if data.get("pair") is not None else None
            return Entry(
                seq, t_us, "ev",
                direction=strict.one_of(number, data, "dir", (SENT, RECEIVED)),
                leg=strict.one_of(number, data, "leg", get_args(Leg)),
                origin=strict.one_of(number, data, "origin", get_args(Origin)),
                event=_event(number, data), data=strict.facts(number, data), pair=pair, transit=_transit(number, data),
            )  # fmt: skip
        case "note":
            kind = strict.text(number, data, "kind")
            if not 0 < len(kind) <= LONGEST_NAME:
                strict.refuse(number, f'"kind" has {len(kind)} characters; 1 to {LONGEST_NAME} are possible')
            text = strict.text(number, data, "text")
            return Entry(seq, t_us, "note", note=kind, text=text, data=strict.facts(number, data))
        case "close":
            by = strict.one_of(number, data, "by", ("client", "server", "console"))
            code = strict.whole(number, data, "code", LAST_SEQ) if data.get("code") is not None else None
            told = {**strict.facts(number, data), "by": by, "code": code}
            return Entry(seq, t_us, "close", text=strict.text(number, data, "reason"), data=told)
        case kind:
            said = f'A line of a kind that is not known here: "{kind[:LONGEST_NAME]}".'
            return Entry(seq, t_us, "note", note=UNKNOWN, text=said, data={"line": line})


def _event(number: int, data: dict[str, Any]) -> Event:
    """The frame of an ``ev`` line."""
    event = parse(strict.text(number, data, "raw"))
    return replace(event, size=strict.whole(number, data, "size", LAST_SEQ)) if "size" in data else event


def _transit(number: int, data: dict[str, Any]) -> Transit | None:
    """What the way through the relay cost; None for what was not relayed or never left."""
    return Transit(strict.whole(number, data, "added_us", LAST_SEQ)) if "added_us" in data else None


def head_of(number: int, data: dict[str, Any]) -> Head:
    """A session's first line as a head; names that are missing are empty. Raises InvalidLog, for another version OtherVersion."""
    if data.get("v") != VERSION or type(data["v"]) is not int:
        raise OtherVersion(number, f'"v" is {json.dumps(data.get("v"))[:20]}; this console reads version {VERSION}')
    try:
        started_at = datetime.fromisoformat(strict.text(number, data, "started_at"))
        started_at = started_at.replace(tzinfo=UTC) if started_at.tzinfo is None else started_at.astimezone(UTC)
    except (ValueError, OverflowError):
        strict.refuse(number, '"started_at" is not a date and time')
    tool = data.get("tool", {})
    if not isinstance(tool, dict):
        strict.refuse(number, '"tool" is not an object')
    names = ("session", "label", "source", "provider", "model", "dialect", *OPTIONAL)
    said = {name: strict.text(number, data, name) for name in names if name in data}
    return Head(**{"session": "", **said}, started_at=started_at, tool=tool)


def _is_unknown(line: Any) -> bool:
    """Whether a kept line may be written as it is: one line, and of a kind that is not ours to write."""
    if not isinstance(line, str) or "\n" in line:
        return False
    try:
        return strict.load(0, line)["k"] not in KINDS
    except InvalidLog:
        return False


def _dump(data: dict[str, Any], facts: dict[str, Any] | None = None) -> str:
    """A line. Facts come last and with their keys in order, since a database may keep them in an order of its own."""
    line = _encode(data)
    return line + "\n" if facts is None else f'{line[:-1]},"data":{_encode_sorted(facts)}}}\n'


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_encode_sorted = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True).encode
