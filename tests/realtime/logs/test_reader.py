"""Reading a log of any length: what cannot be read costs only itself, and is said."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from realtime.errors import InvalidLog
from realtime.logs import jsonl, lines
from realtime.logs.jsonl import Head
from realtime.logs.reader import MOST_SKIPPED, Report, Skipped, read
from realtime.timeline import Entry

ASSUMED = datetime(2030, 1, 1, tzinfo=UTC)
HEAD = Head("abc123", datetime(2026, 11, 20, 10, tzinfo=UTC), "Lisbon", "console", "openai", "gpt-realtime-2.1")
HEAD_LINE = jsonl.head_line(HEAD)
EV = {"k": "ev", "seq": 1, "t_us": 0, "dir": "sent", "leg": "client", "origin": "app", "type": "a", "raw": '{"type":"a"}'}
NOTE = '{"k":"note","seq":1,"t_us":1,"kind":"x","text":""}\n'


def line(**fields: Any) -> str:
    """An ``ev`` line with some fields changed; ``...`` takes one out."""
    return json.dumps({key: value for key, value in {**EV, **fields}.items() if value is not ...}) + "\n"


def reading(content: str | bytes | Iterable[bytes]) -> tuple[list[Head | Entry], Report]:
    """All that a file gives."""
    report = Report()
    chunks = [content.encode()] if isinstance(content, str) else [content] if isinstance(content, bytes) else content
    return list(read(chunks, report, ASSUMED)), report


def places(items: list[Head | Entry]) -> list[tuple[int, str] | str]:
    """Where each entry stands and what it is; a head by its label."""
    return [one.label if isinstance(one, Head) else (one.seq, one.type) for one in items]


class TestLinesPassedOver:
    """One bad line harms no other"""

    @pytest.mark.parametrize(("bad", "reason"), [
        ("{\n", "not JSON"),
        ("[]\n", "not an object"),
        ('{"seq":1}\n', '"k"'),
        (line(raw=...), '"raw" is missing'),
        (line(raw={"type": "a"}), '"raw" is not a string'),
        (line(t_us=-1), '"t_us"'),
        (line(t_us="0"), '"t_us"'),
        (line(t_us=10**400), '"t_us"'),
        (line(dir="up"), '"dir" is "up"; known are sent, received'),
        (line(leg="left"), '"leg"'),
        (line(origin="moon"), '"origin"'),
        (line(pair="1"), '"pair"'),
        (line(data=[]), '"data" is not an object'),
        (line(data={"x": float("nan")}), "NaN is no number"),
        (line(data=...).replace("}\n", ',"data":{"x":1e999}}\n'), "too large"),
        (line(raw="\ud800"), "surrogate"),
        ('{"k":"note","seq":1,"t_us":1,"kind":"","text":""}\n', '"kind"'),
        ('{"k":"note","seq":1,"t_us":1,"kind":"x"}\n', '"text" is missing'),
        ('{"k":"close","t_us":1,"by":"nobody","code":null,"reason":""}\n', '"by"'),
        ('{"k":"close","t_us":1,"by":"client","code":"1000","reason":""}\n', '"code"'),
        ("[" * 100_000 + "\n", "not JSON"),
        (HEAD_LINE.replace('"ga"', "7"), '"dialect" is not a string'),
        (HEAD_LINE.replace('"v":1', '"v":2'), "version 1"),
    ])  # fmt: skip
    def test_it_becomes_a_note_in_its_place(self, bad: str, reason: str) -> None:
        """A line that cannot be read is a note of kind skip with line, reason and its text; those around it are entries."""
        items, report = reading(HEAD_LINE + line(seq=1) + bad + line(seq=3))
        assert places(items) == ["Lisbon", (1, "a"), (2, "skip"), (3, "a")]
        [skipped] = report.skipped
        assert (skipped.line, report.events, report.lines) == (3, 2, 4)
        assert reason in skipped.reason
        note = items[2]
        assert isinstance(note, Entry)
        assert f"Line 3 of the file was passed over: {skipped.reason}" in note.text
        assert note.data == {
            "line": 3, "reason": skipped.reason, "size": len(bad) - 1, "text": bad[:-1][:4096],
        }  # fmt: skip

    def test_bytes_that_are_no_text(self) -> None:
        """A line that is not UTF-8 is passed over alone."""
        items, report = reading(HEAD_LINE.encode() + b"\xff\xfe\n" + line().encode())
        assert places(items) == ["Lisbon", (1, "skip"), (2, "a")]
        assert report.skipped == [Skipped(2, "it is not UTF-8: invalid start byte at byte 0")]

    def test_a_line_too_long_is_a_remark(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A line above the limit is not decoded; its note has its size."""
        monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
        items, _ = reading([HEAD_LINE.encode(), *[b"x" * 100] * 50, b"\n", line().encode()])
        assert places(items) == ["Lisbon", (1, "skip"), (2, "a")]
        assert isinstance(items[1], Entry)
        assert (items[1].data["size"], items[1].data["text"]) == (5000, "")

    def test_many_are_counted(self) -> None:
        """Of thousands of unreadable lines the first are named, and the rest counted in a last note."""
        items, report = reading(HEAD_LINE + line() + "{\n" * (MOST_SKIPPED + 500))
        assert (len(report.skipped), report.skipped_more, len(items)) == (MOST_SKIPPED, 500, MOST_SKIPPED + 3)
        assert isinstance(items[-1], Entry)
        assert items[-1].text == "500 more lines of the file were passed over."


class TestWhatIsAssumed:
    """What a file does not say"""

    def test_no_head(self) -> None:
        """A log that lacks its head, or whose head is damaged, is a session that began when it was imported, and this is said."""
        for first in ("", "{\n", HEAD_LINE.replace("2026-11-20T", "yesterday")):
            items, report = reading(first + line(seq=5))
            assert [one.started_at for one in items if isinstance(one, Head)] == [ASSUMED]
            assert report.guessed == ["head", "started_at"]
            assert [one.type for one in items if isinstance(one, Entry)] == ["skip", "a"][not first :]

    @pytest.mark.parametrize("seq", [..., 0, True, 1.0, "2", 2**31, 1, -1])
    def test_no_place(self, seq: Any) -> None:
        """A line whose number is missing or does not follow takes the next place."""
        items, report = reading(HEAD_LINE + line(seq=1) + line(seq=seq) + line(seq=9))
        assert places(items) == ["Lisbon", (1, "a"), (2, "a"), (9, "a")]
        assert (report.guessed, report.skipped) == (["seq"], [])

    def test_another_type_than_the_frames(self) -> None:
        """The frame's own text says what it is."""
        items, report = reading(HEAD_LINE + line(type="b"))
        assert places(items) == ["Lisbon", (1, "a")]
        assert report.guessed == ["type"]

    def test_a_mark_at_the_beginning_is_no_fault(self) -> None:
        """A byte order mark, as some editors write it, is passed over."""
        items, report = reading(b"\xef\xbb\xbf" + (HEAD_LINE + line()).encode())
        assert (items[0], report.skipped) == (HEAD, [])


class TestSeveralSessions:
    """Logs one after the other in a file"""

    def test_each_head_begins_one(self) -> None:
        """A second head begins a second session, with places of its own."""
        second = jsonl.head_line(Head("s2", ASSUMED, "Porto"))
        items, report = reading(HEAD_LINE + line(seq=1) + line(seq=2) + second + line(seq=1))
        assert places(items) == ["Lisbon", (1, "a"), (2, "a"), "Porto", (1, "a")]
        assert report.guessed == []


class TestRefusals:
    """Only a file without an event"""

    @pytest.mark.parametrize(("content", "number", "reason"), [
        ("", 0, "an empty file"),
        ("\n\n", 0, "an empty file"),
        (HEAD_LINE, 0, "an event log without an event"),
        ('{"log": {"version": "1.2"}}', 1, "a HAR file"),
        ("Dear diary\n\x0bxx", 1, "plain text"),
        ('{"k":"mark"}\n', 1, "begins with"),
        (HEAD_LINE.replace('"v":1', '"v":2') + line(), 1, "version 1"),
        (HEAD_LINE.replace('"v":1', '"v":true') + line(), 1, "version 1"),
    ])  # fmt: skip
    def test_line_and_reason_are_named(self, content: str, number: int, reason: str) -> None:
        """What the file looks like is said, with the first line that is wrong and why."""
        with pytest.raises(InvalidLog) as refused:
            reading(content)
        assert refused.value.line == number
        assert reason in str(refused.value)

    def test_a_session_that_never_connected(self) -> None:
        """Notes and a close are enough: a session without a frame goes out and comes in again."""
        assert places(reading(HEAD_LINE + NOTE)[0]) == ["Lisbon", (1, "x")]
