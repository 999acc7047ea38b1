"""Reading a log file of any length: bytes in, heads and entries out; a line that cannot be read costs only itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from realtime.errors import InvalidLog
from realtime.logs import jsonl, strict
from realtime.logs.lines import LONGEST_LINE, Line, split
from realtime.logs.sniffing import looks_like
from realtime.timeline import Entry

MOST_SKIPPED = 1000
"""Passed-over lines that are named one by one; of more only the number is kept."""
EXCERPT = 4096
"""Bytes of a passed-over line that its note keeps."""
FIRST = 4096
"""Bytes from which is told what a file looks like."""


class Skipped(NamedTuple):
    """A line that was passed over."""

    line: int
    reason: str


@dataclass(slots=True)
class Report:
    """What is known of a file that is being read, or has been."""

    format: str = "jsonl"
    lines: int = 0
    events: int = 0
    guessed: list[str] = field(default_factory=list)
    """Names of what the file does not say and was assumed."""
    missing: list[str] = field(default_factory=list)
    """Names of what the file does not say and stays unknown."""
    skipped: list[Skipped] = field(default_factory=list)
    """At most MOST_SKIPPED of them."""
    skipped_more: int = 0

    def assume(self, name: str) -> None:
        """Say, once, that something was assumed."""
        if name not in self.guessed:
            self.guessed.append(name)


def read(chunks: Iterable[bytes], report: Report, assumed_start: datetime) -> Iterator[jsonl.Head | Entry]:
    """Read a file in our own format from its bytes: each session's head, then its entries in order.

    ``report`` is kept up to date on the way. ``assumed_start`` is when a session is said to have begun whose head is
    missing or unreadable. Nothing is held beyond one line of at most LONGEST_LINE bytes and MOST_SKIPPED notes.

    Raises InvalidLog, naming what the file looks like, a line and its reason, when the file has no entry in it, or
    begins with a head of another version of the format.
    """
    first = bytearray()
    reading = _Reading(report, assumed_start)
    for line in split(_watched(chunks, first)):
        yield from reading.take(line)
    if not reading.found:
        reading.refuse(bytes(first))
    yield from reading.rest()


def _watched(chunks: Iterable[bytes], first: bytearray) -> Iterator[bytes]:
    """The same chunks; the file's first bytes are copied into ``first``."""
    for chunk in chunks:
        if len(first) < FIRST:
            first += chunk[: FIRST - len(first)]
        yield chunk


class _Reading:
    """Where the reading of a file stands."""

    def __init__(self, report: Report, assumed_start: datetime) -> None:
        self.report = report
        self.found = False
        """Whether an entry has come."""
        self._assumed_start = assumed_start
        self._head: jsonl.Head | None = None
        self._waiting: list[tuple[Line, str]] = []
        """Lines passed over before the first session was known."""
        self._told = self._placed = self._t_us = 0

    def take(self, line: Line) -> Iterator[jsonl.Head | Entry]:
        """Heads and entries that a line gives: none, one, or several when it is the first that can be read."""
        self.report.lines = line.number
        try:
            data, text = self._load(line)
            if data is None:
                return
            if data["k"] == "head":
                yield from self._begin(jsonl.head_of(line.number, data))
                return
            if data["k"] not in jsonl.KINDS and self._head is None:
                strict.refuse(line.number, 'a log begins with a line {"k":"head", ...}')
            seq, t_us = self._place(line.number, data)
            entry = jsonl.entry_of(line.number, text, data, seq, t_us)
            if entry.event is not None and data.get("type") != entry.event.type:
                self.report.assume("type")  # the frame's own text is what counts
        except InvalidLog as error:
            if isinstance(error, jsonl.OtherVersion) and self._head is None:
                raise  # nothing after it can be relied on
            yield from self._skip(line, error.reason)
            return
        self.found |= data["k"] in jsonl.KINDS
        del data, text  # a long frame is held once, not three times
        if self._head is None:
            self.report.assume("head")
            self.report.assume("started_at")
            yield from self._begin(jsonl.Head("", self._assumed_start))
            seq = self._placed + 1 if entry.seq <= self._placed else entry.seq
            entry = jsonl.at(entry, seq)
        self._placed, self._t_us = entry.seq, entry.t_us
        self.report.events += entry.event is not None
        yield entry

    def rest(self) -> Iterator[Entry]:
        """What is to be said when the last line has come."""
        if self.report.skipped_more:
            text = f"{self.report.skipped_more} more lines of the file were passed over."
            yield self._note(text, {"lines": self.report.skipped_more})

    def refuse(self, first: bytes) -> None:
        """Raise InvalidLog for a file without an entry."""
        looks = looks_like(first)
        if self.report.skipped:
            line, reason = self.report.skipped[0]
            raise InvalidLog(line, f"{reason} (no event was found in the file; it looks like {looks})")
        raise InvalidLog(0, f"no event was found in the file; it looks like {looks}")

    def _load(self, line: Line) -> tuple[dict[str, Any] | None, str]:
        """A line as an object, and its text; None for an empty one. Raises InvalidLog."""
        if line.data is None:
            strict.refuse(line.number, f"it has {line.size} bytes; a line of at most {LONGEST_LINE // 1024**2} MiB is read")
        try:
            text = line.data.decode("utf-8-sig" if line.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            strict.refuse(line.number, f"it is not UTF-8: {error.reason} at byte {error.start}")
        if not text.strip():
            return None, ""
        if line.size > EXCERPT:
            del line.data[EXCERPT:]  # a long line is held once, not twice; this much is for a note
        return strict.load(line.number, text), text

    def _begin(self, head: jsonl.Head) -> Iterator[jsonl.Head | Entry]:
        """A session's head, and notes of what was passed over before it."""
        self._head = head
        self._told = self._placed = self._t_us = 0
        waiting, self._waiting = self._waiting, []
        yield head
        for line, reason in waiting:
            yield self._skip_note(line, reason)

    def _place(self, number: int, data: dict[str, Any]) -> tuple[int, int]:
        """Place and time of an entry's line. Raises InvalidLog for a known kind without a time.

        A line keeps its number; without one, or with one that does not follow, it takes the next place, and lines
        after it move up only where they would collide with it.
        """
        kind, seq, t_us = data["k"], data.get("seq"), self._t_us
        if type(seq) is not int or not self._told < seq <= jsonl.LAST_PLACE:
            if kind in ("ev", "note") or (kind == "close" and "seq" in data):
                self.report.assume("seq")
            seq = 0
        if kind in jsonl.KINDS or (type(data.get("t_us")) is int and 0 <= data["t_us"] <= jsonl.LAST_US):
            t_us = strict.whole(number, data, "t_us", jsonl.LAST_US)
        self._told = max(self._told, seq)
        return max(self._placed + 1, seq), t_us

    def _skip(self, line: Line, reason: str) -> Iterator[Entry]:
        """Enter a line that is passed over."""
        if len(self.report.skipped) >= MOST_SKIPPED:
            self.report.skipped_more += 1
            return
        self.report.skipped.append(Skipped(line.number, reason))
        if line.data is not None:
            del line.data[EXCERPT:]
        if self._head is None:
            self._waiting.append((line, reason))
        else:
            yield self._skip_note(line, reason)

    def _skip_note(self, line: Line, reason: str) -> Entry:
        """The note that stands in the place of a line that was passed over."""
        excerpt = bytes(line.data or b"").decode("utf-8", "replace").replace("\x00", "\ufffd")
        data = {"line": line.number, "reason": reason, "size": line.size, "text": excerpt}
        return self._note(f"Line {line.number} of the file was passed over: {reason}.", data)

    def _note(self, text: str, data: dict[str, Any]) -> Entry:
        self._placed += 1
        return Entry(self._placed, self._t_us, "note", note="skip", text=text, data=data)
