"""Log files: written, read and written again."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from realtime.events import parse
from realtime.logs import jsonl, reader
from realtime.logs.jsonl import Head
from realtime.timeline import Entry, Transit

HEAD = Head("abc123", datetime(2026, 11, 20, 10, tzinfo=UTC), "Lisbon", "console", "openai", "gpt-realtime-2.1")
HEAD_LINE = jsonl.head_line(HEAD)
EV = {"k": "ev", "seq": 1, "t_us": 0, "dir": "sent", "leg": "client", "origin": "app", "type": "a"}
EV["raw"] = '{"type":"a"}'


def read(text: str | bytes) -> tuple[Head, list[Entry]]:
    """Read a whole file."""
    head, *entries = reader.read([text.encode() if isinstance(text, str) else text], reader.Report(), HEAD.started_at)
    assert isinstance(head, Head)
    return head, entries


def write(head: Head, entries: Iterable[Entry]) -> str:
    """Write a whole file."""
    return "".join(jsonl.lines(head, entries))


def line(**fields: Any) -> str:
    """An ``ev`` line with some fields changed; ``...`` takes one out."""
    return json.dumps({key: value for key, value in {**EV, **fields}.items() if value is not ...}) + "\n"


def ev(raw: str, seq: int = 1, **fields: Any) -> Entry:
    """An entry for a frame."""
    said = {"direction": "received", "leg": "upstream", "origin": "api", **fields}
    return Entry(seq, 10 * seq, "ev", event=parse(raw), **said)


texts = st.text()
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=5)
facts = st.dictionaries(texts, values, max_size=3)
evs = st.builds(
    lambda raw, d, leg, origin, pair, data, transit: Entry(
        1, 1, "ev", d, leg, origin, parse(raw), data=data, pair=pair, transit=transit
    ),
    texts | st.dictionaries(texts, texts).map(lambda d: json.dumps({"type": "x.delta", **d}, ensure_ascii=False)),
    st.sampled_from(("sent", "received")), st.sampled_from(("client", "upstream")),
    st.sampled_from(("app", "browser", "tool", "composer", "console", "replay", "api")),
    st.none() | st.integers(1, 2**31 - 1), facts, st.none() | st.builds(Transit, st.integers(0, 2**31 - 1)),
)  # fmt: skip
notes = st.builds(
    lambda kind, text, data: Entry(1, 1, "note", note=kind, text=text, data=data),
    st.text(min_size=1, max_size=20) | st.sampled_from(("unknown", "tool")), texts, facts | st.just({"line": "x\ny"}),
)  # fmt: skip
closes = st.builds(
    lambda by, code, text, more: Entry(1, 1, "close", text=text, data={**more, "by": by, "code": code}),
    st.sampled_from(("client", "server", "console")), st.none() | st.integers(0, 4999), texts, facts,
)  # fmt: skip


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    """Entries in order, with gaps in numbers and time as a filtered log has them."""
    entries, seq, t_us = [], 0, 0
    for entry in draw(st.lists(evs | notes | closes, min_size=1, max_size=6)):
        seq, t_us = seq + draw(st.integers(1, 5)), t_us + draw(st.integers(0, 10**9))
        entries.append(replace(entry, seq=seq, t_us=t_us))
    return entries


class TestRoundTrip:
    """Out, in, and out again."""

    @given(logs(), texts)
    def test_any_entries_come_back_and_give_the_same_bytes(self, entries: list[Entry], label: str) -> None:
        """Whatever a frame, a note or a close holds, it is read as it was, and written again it is the same file."""
        head = Head("s", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), label=label)
        text = write(head, entries)
        read_head, read_entries = read(text)
        assert (read_head, read_entries) == (head, entries)
        assert write(read_head, read_entries) == text

    def test_lines_end_at_newlines_only(self) -> None:
        """Separators that other readers take for line ends stay inside their frame."""
        raw = '{"type":"a","text":"one\u2028two\u2029three\x85four\x0bfive\rsix"}'
        text = write(HEAD, [ev(raw)])
        assert text.count("\n") == 2
        assert read(text)[1][0].event == parse(raw)

    def test_the_form_is_the_documented_one(self) -> None:
        """Names and order of fields are those other programs rely on."""
        entries = [
            ev('{"type":"session.created"}'),
            Entry(2, 41200, "note", note="state", text="Ready.", data={"state": "ready"}),
            Entry(3, 61300000, "close", data={"by": "client", "code": 1000}),
        ]
        assert write(HEAD, entries) == (
            '{"k":"head","v":1,"session":"abc123","label":"Lisbon","started_at":"2026-11-20T10:00:00.000000Z",'
            '"source":"console","provider":"openai","model":"gpt-realtime-2.1","dialect":"ga",'
            f'"tool":{json.dumps(jsonl.TOOL, separators=(",", ":"))}}}\n'
            '{"k":"ev","seq":1,"t_us":10,"dir":"received","leg":"upstream","origin":"api","type":"session.created",'
            '"raw":"{\\"type\\":\\"session.created\\"}"}\n'
            '{"k":"note","seq":2,"t_us":41200,"kind":"state","text":"Ready.","data":{"state":"ready"}}\n'
            '{"k":"close","seq":3,"t_us":61300000,"by":"client","code":1000,"reason":""}\n'
        )

    def test_whose_session_it_was(self) -> None:
        """The head of a relayed session names its client and its key; others have no such fields."""
        head = Head("s", datetime(2026, 1, 2, tzinfo=UTC), client="OpenAI/Python 3.52.0", key_name="shop")
        assert '"client":"OpenAI/Python 3.52.0","key_name":"shop"' in jsonl.head_line(head)
        assert read(jsonl.head_line(head) + line())[0] == head
        assert "client" not in HEAD_LINE

    def test_what_the_relay_cost(self) -> None:
        """A relayed frame has the microseconds it took, one that never left has none."""
        text = write(HEAD, [ev("{}", transit=Transit(70)), ev("{}", 2, transit=Transit())])
        assert ['"added_us":70' in one for one in text.splitlines()] == [False, True, False]
        assert [entry.transit for entry in read(text)[1]] == [Transit(70), None]

    def test_a_close_without_a_number_is_last(self) -> None:
        """The close of another program's file needs no ``seq``."""
        text = HEAD_LINE + line(seq=7) + '{"k":"close","t_us":5,"by":"server","code":1001,"reason":"gone"}\n'
        assert [(e.seq, e.type) for e in read(text)[1]] == [(7, "a"), (8, "close")]

    def test_unknown_lines_are_kept(self) -> None:
        """A line of a later version's kind is a note here, and is written again exactly as it was."""
        later = '{ "k" : "mark",  "what": {"x": 1.0, "é": "\\u00e9"} }'
        text = HEAD_LINE + jsonl.entry_line(ev('{"type":"a"}')) + later + "\n" + jsonl.entry_line(ev('{"type":"b"}', 2))
        entries = read(text)[1]
        assert [(e.seq, e.type) for e in entries] == [(1, "a"), (2, "unknown"), (3, "b")]
        assert "mark" in entries[1].text
        again = write(HEAD, entries)
        assert later in again.split("\n")
        assert write(HEAD, read(again)[1]) == again

    def test_a_note_cannot_smuggle_lines_in(self) -> None:
        """A note that only says it holds a kept line is written as the note it is."""
        for kept in ('{"k":"mark"}\n{"k":"ev"}', '{"k":"ev","seq":1}', "not json", 5):
            note = Entry(1, 1, "note", note="unknown", data={"line": kept})
            assert json.loads(jsonl.entry_line(note))["k"] == "note"

    def test_a_masked_frame_keeps_its_size(self) -> None:
        """Where the stored frame is not the one that travelled, the line says how long that was."""
        entry = ev('{"type":"a","key":"•••wxyz"}', data={"masked": True})
        assert entry.event is not None
        entry = replace(entry, event=replace(entry.event, size=99))
        text = write(HEAD, [entry])
        assert '"size":99,"data":{"masked":true}}' in text
        assert read(text)[1][0].size == 99

    def test_the_writer_is_this_version(self) -> None:
        """The head names the version of the project that wrote the file."""
        project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
        assert {"name": project["name"], "version": project["version"]} == jsonl.TOOL


class TestWithoutAudio:
    """``?audio=none``."""

    @pytest.mark.parametrize(("raw", "bare"), [
        ('{"type":"input_audio_buffer.append", "audio" : "AAAA"}',
         '{"type":"input_audio_buffer.append", "audio" : ""}'),
        ('{"delta":"AA==","type":"response.output_audio.delta","item_id":"i"}',
         '{"delta":"","type":"response.output_audio.delta","item_id":"i"}'),
        ('{"type":"response.audio.delta","delta":"A\\/+="}', '{"type":"response.audio.delta","delta":""}'),
        ('{"type":"conversation.item.retrieved","item":{"content":[{"type":"audio","audio":"AAAA","transcript":"hi"}]}}',
         '{"type":"conversation.item.retrieved","item":{"content":[{"type":"audio","audio":"","transcript":"hi"}]}}'),
    ])  # fmt: skip
    def test_only_the_sound_goes(self, raw: str, bare: str) -> None:
        """The base64 of a sound is replaced by nothing; every other character stays, and so does the size."""
        left = jsonl.without_audio(ev(raw))
        assert left.event is not None
        assert left.event.raw == bare
        assert left.size == len(raw)
        assert left.data == {"audio": "none"}

    @pytest.mark.parametrize("raw", [
        '{"type":"response.output_text.delta","delta":"AAAA"}',
        '{"type":"response.output_audio_transcript.delta","delta":"AAAA"}',
        '{"type":"session.update","session":{"audio":{"output":{"voice":"cedar"}}}}',
        '{"type":"conversation.item.create","item":{"content":[{"type":"input_text","text":"\\"audio\\":\\"AAAA\\""}]}}',
        "not json",
    ])  # fmt: skip
    def test_what_is_no_sound_stays(self, raw: str) -> None:
        """Text that looks like sound is not touched."""
        entry = ev(raw)
        assert jsonl.without_audio(entry) is entry
