"""The event log file: one JSON object a line, every frame byte for byte, written and read as a stream.

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
LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; a message is at most 32 MiB, and writing it as a JSON string can double it."""
UNKNOWN = "unknown"
"""Kind of the note that holds a line this version does not know."""
KINDS = ("head", "ev", "note", "close")
LAST_SEQ = 2**31 - 1
LAST_US = 2**53
"""The largest whole number that every reader of JSON takes exactly: 285 years."""
OPTIONAL = ("audio", "client", "key_name")
"""Fields of a head that are left out when they are empty."""
LONGEST_NAME = 128
"""Characters of a note's kind."""

_SOUND = {name: re.compile(rf'("{name}"\s*:\s*")[A-Za-z0-9+/=\\]+"') for name in ("audio", "delta")}
"""A field of base64. Inside a string the quotes around its name would be escaped, so text is never taken for one."""


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


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream of bytes into lines, at ``\\n`` only. Raises InvalidLog for a line above LONGEST_LINE."""
    waiting: list[bytes] = []
    length, number = 0, 1
    for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield b"".join([*waiting, end])
            waiting, length, number = [], 0, number + 1
        waiting.append(rest)
        length += len(rest)
        if length > LONGEST_LINE:
            raise InvalidLog(number, f"it is longer than {LONGEST_LINE // 1024**2} MiB")
    if length:
        yield b"".join(waiting)


def read(source: Iterable[bytes | str]) -> tuple[Head, Iterator[Entry]]:
    """Read a log from its lines: the head at once, the entries as they are asked for.

    Raises InvalidLog, naming line and reason, for the first line that is not right: here for the head, and while the
    entries are read for all others. So nothing must be kept before the last entry has come.
    """
    numbered = _numbered(source)
    for number, text in numbered:
        data = strict.load(number, text)
        if data["k"] != "head":
            strict.refuse(number, 'a log begins with a line {"k":"head", ...}')
        return _head(number, data), _entries(numbered)
    raise InvalidLog(0, "the file is empty")


def _numbered(source: Iterable[bytes | str]) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without their ends; empty ones are passed over."""
    for number, line in enumerate(source, 1):
        if len(line) > LONGEST_LINE:
            strict.refuse(number, f"it is longer than {LONGEST_LINE // 1024**2} MiB")
        if isinstance(line, bytes):
            try:
                line = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                strict.refuse(number, f"it is not UTF-8: {error.reason} at byte {error.start}")
        line = line.removesuffix("\n")
        if line.strip():
            yield number, line


def _entries(numbered: Iterable[tuple[int, str]]) -> Iterator[Entry]:
    """Entries of the lines after the head."""
    told = placed = t_us = 0
    for number, text in numbered:
        data = strict.load(number, text)
        kind = data["k"]
        seq: int | None = None
        if kind in ("ev", "note") or (kind == "close" and "seq" in data):
            seq = strict.whole(number, data, "seq", LAST_SEQ, least=1)
        elif kind not in KINDS and type(data.get("seq")) is int and told < data["seq"] <= LAST_SEQ:
            seq = data["seq"]
        if seq is not None:
            if seq <= told:
                strict.refuse(number, f'"seq" is {seq}, but {told} came before it')
            told = seq
        # A line without a number takes the next place; lines after it move up only where they would collide with it.
        placed = max(placed + 1, seq or 0)
        if kind in KINDS[1:] or (type(data.get("t_us")) is int and 0 <= data["t_us"] <= LAST_US):
            t_us = strict.whole(number, data, "t_us", LAST_US)
        yield _entry(number, text, data, placed, t_us)


def _entry(number: int, line: str, data: dict[str, Any], seq: int, t_us: int) -> Entry:
    """One line as an entry."""
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
        case "head":
            return strict.refuse(number, "there is a second head; one file holds one session")
        case kind:
            said = f'A line of a kind that is not known here: "{kind[:LONGEST_NAME]}".'
            return Entry(seq, t_us, "note", note=UNKNOWN, text=said, data={"line": line})


def _event(number: int, data: dict[str, Any]) -> Event:
    """The frame of an ``ev`` line."""
    event = parse(strict.text(number, data, "raw"))
    if strict.text(number, data, "type") != event.type:
        strict.refuse(number, f'"type" is "{data["type"][:80]}", but the frame\'s own type is "{event.type[:80]}"')
    return replace(event, size=strict.whole(number, data, "size", LAST_SEQ)) if "size" in data else event


def _transit(number: int, data: dict[str, Any]) -> Transit | None:
    """What the way through the relay cost; None for what was not relayed or never left."""
    return Transit(strict.whole(number, data, "added_us", LAST_SEQ)) if "added_us" in data else None


def _head(number: int, data: dict[str, Any]) -> Head:
    """The first line as a head; names that are missing are empty."""
    if data.get("v") != VERSION or type(data["v"]) is not int:
        strict.refuse(number, f'"v" is {json.dumps(data.get("v"))[:20]}; this console reads version {VERSION}')
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
