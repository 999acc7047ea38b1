"""Unstorable: no value in an entry stops a batch; what cannot be read or stored is kept alone, as raw text with a mark."""

from __future__ import annotations

import io
import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from console import batches, columns, gathering, import_process, importing, parcels, recorder
from console.logfiles import pieces
from console.models import Entry, Frame, Session
from console.parcels import Late, Receipt, Told, packed
from console.recorder import Recorder
from console.writer import Writer, explain
from realtime import masking
from realtime.events import Event, parse
from realtime.testing import Clock
from realtime.timeline import Entry as Said
from realtime.timeline import Folder, Timeline
from tests.console.postgres_stage import PostgresStage
from tests.console.stage import Story
from tests.fuzz import hostile
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

POISON = '{"type":"response.output_text.delta","item_id":"poison","delta":"x"}'
KEY = "sk-proj-that-no-log-may-hold"
PLAIN = '{"type":"response.output_text.delta","item_id":"item_1","delta":"y"}'
NUL = '{"type":"a\x00b","text":"c\x00d"}'


class Tape:
    """A recorder of a test's own, and what it said."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.overflown: queue.Queue[set[str]] = queue.Queue()
        self.recorder.overflow = self.overflown.put
        self.recorder.start()

    def put(self, session_id: str, *entries: Said) -> None:
        """Tell it of entries."""
        for entry in entries:
            self.recorder.put(session_id, entry)

    def stored(self) -> None:
        """Wait until all of it is."""
        eventually(lambda: not self.recorder.pending, "what was told is stored")


@pytest.fixture
def tape(transactional_db: None) -> Iterator[Tape]:
    """A recorder that runs."""
    tape = Tape()
    yield tape
    tape.recorder.stop()


def session() -> str:
    """A session to record into."""
    return str(Story(status="ready").session.pk)


def events(*raws: str) -> list[Said]:
    """A session's first frames."""
    timeline = Timeline(Clock())
    return [timeline.event(parse(raw), "received", "api") for raw in raws]


def raws(session_id: str) -> list[str]:
    """The frames stored of a session, in order."""
    return [frame.raw for frame in Frame.objects.filter(entry__session=session_id).order_by("entry__seq")]


def failing(real: Callable[..., Any], is_it: Callable[..., bool]) -> Callable[..., Any]:
    """The same, but for one entry, at which it fails as nobody has foreseen."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        if is_it(*args):
            raise ZeroDivisionError(KEY)
        return real(*args, **kwargs)

    return fail


STAGES: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "masking": (masking, "mask", lambda raw, type_: "poison" in raw),
    "splitting sound": (columns, "split_frame", lambda raw, type_: "poison" in raw and type_ != ""),
    "judging": (batches.lines, "level", lambda entry: "poison" in entry.event.raw),
    "folding": (Folder, "take", lambda folder, entry, sound=None: "poison" in entry.event.raw),
    "summarising": (batches, "_changes", lambda entry, row: "poison" in entry.event.raw),
    "packing": (parcels, "_bare", lambda session_id, entry: "poison" in entry.event.raw),
}


@pytest.mark.parametrize("stage", STAGES)
def test_an_error_in_any_stage(
    tape: Tape, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stage: str
) -> None:
    """It costs at most what that one entry means: its raw text is stored, all others are as ever, and nothing is closed."""
    where, name, is_it = STAGES[stage]
    monkeypatch.setattr(where, name, failing(getattr(where, name), is_it))
    one, other = session(), session()
    tape.put(one, *events(PLAIN, POISON, PLAIN))
    tape.put(other, *events(PLAIN))
    tape.stored()
    assert raws(one) == [PLAIN, POISON, PLAIN]
    assert raws(other) == [PLAIN]
    rows = list(Entry.objects.of(one).order_by("seq"))
    assert [row.row for row in rows] == [1, 2, 1]
    assert (rows[0].fold_count, Session.objects.get(pk=one).events) == (2, 3)
    if stage not in ("summarising", "packing"):  # where nothing of the entry is lost
        assert (rows[1].data, rows[1].level) == ({"unstorable": "reading: ZeroDivisionError"}, "warning")
    assert tape.overflown.empty()
    assert tape.recorder.trouble == ""
    assert "ZeroDivisionError" in caplog.text
    assert KEY not in caplog.text


def test_a_secret_is_not_stored_for_that(tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where masking itself fails, a frame that may hold a secret is not kept."""
    monkeypatch.setattr(masking, "mask", failing(masking.mask, lambda raw, type_: "sk-" in raw))
    one = session()
    tape.put(one, *events('{"type":"x","key":"sk-proj-1234567890"}', PLAIN))
    tape.stored()
    assert raws(one) == [masking.MASK, PLAIN]


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "4294967296", "-1", "1e30"])
@pytest.mark.parametrize("name", ["content_index", "output_index"])
def test_a_number_of_more_bits_than_there_are(tape: Tape, number: str, name: str) -> None:
    """An index that no column and no message between processes holds is read as none, and stays in the raw text."""
    raw = f'{{"type":"response.cancel","{name}":{number}}}'
    one = session()
    tape.put(one, *events(raw, PLAIN))
    tape.stored()
    assert raws(one) == [raw, PLAIN]
    assert getattr(parse(raw), name) is None
    assert Entry.objects.of(one).get(seq=1).data == {}


def test_what_one_process_cannot_read_of_the_other(tape: Tape) -> None:
    """An entry that is not as it must be keeps its place and its raw text; those packed with it are as ever."""
    one = session()
    entry = Timeline(Clock()).event(parse(POISON), "aside", "api")  # type: ignore[arg-type]
    other = session()
    for session_id, told in ((one, entry), (other, events(PLAIN)[0])):
        tape.put(session_id, told)
    tape.stored()
    assert (raws(one), raws(other)) == ([POISON], [PLAIN])
    assert Entry.objects.of(one).get().data == {"unstorable": "unpacking: ValidationError"}


def test_half_of_a_character(tape: Tape) -> None:
    """No socket carries one, but were there one in a frame, or a note, it would be stored: exact in a frame."""
    one, timeline = session(), Timeline(Clock())
    raw = '{"type":"x","text":"\ud800","both":"\ud83d\ude00"}'
    tape.put(one, timeline.event(parse(raw), "received", "api"), timeline.note("tool", "a\udc00", {"\ud800": "\udfff"}))
    tape.stored()
    assert raws(one) == [raw]
    note = Entry.objects.of(one).get(seq=2)
    assert (note.text, note.data) == ("a\ufffd", {"\ufffd": "\ufffd"})


def test_facts_that_are_no_facts(tape: Tape) -> None:
    """A note whose facts are nested too deep, are no JSON, or refer to themselves is stored without them, and says so."""
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    round_: dict[str, Any] = {}
    round_["round"] = round_
    level: Any = 1
    for _ in range(400):
        level = {"a": level}
    one, timeline = session(), Timeline(Clock())
    for data in ({"deep": deep}, round_, {"no": object()}, {"level": level}, {"big": 10**5000}, {("no", "key"): 1}):
        tape.put(one, timeline.note("tool", "ran", data))
    tape.put(one, timeline.note("tool", "ran", {"ok": True}))
    tape.stored()
    notes = list(Entry.objects.of(one).order_by("seq"))
    assert [list(note.data) for note in notes] == [["unstorable"]] * 6 + [["ok"]]
    assert tape.recorder.trouble == ""


def test_a_late_time_that_no_column_holds(tape: Tape) -> None:
    """A frame that waited for more than 35 minutes for its client is said to have waited for 35 minutes."""
    one = session()
    tape.put(one, *events(PLAIN))
    tape.recorder.put(one, Late(1, 2**40))
    tape.stored()
    assert Entry.objects.of(one).get().added_us == columns.LARGEST


class TestRefused:
    """What the database refuses"""

    def test_the_others_are_stored(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a batch of twelve sessions one entry is refused: it is stored as raw text with a mark, all others as ever."""
        monkeypatch.setattr(gathering, "FLUSH_AFTER", 0.3)  # one batch
        ids = [session() for _ in range(12)]
        for number, session_id in enumerate(ids):
            told = events(*[PLAIN] * 5)
            if number == 7:
                told[3] = replace(told[3], pair=-5)
            tape.put(session_id, *told)
        tape.stored()
        for session_id in ids:
            assert raws(session_id) == [PLAIN] * 5
        [marked] = Entry.objects.filter(data__has_key="unstorable")
        assert (marked.session_id, marked.seq, marked.type, marked.level) == (ids[7], 4, "", "warning")
        assert marked.data == {"unstorable": "storing: IntegrityError"}
        assert tape.overflown.empty()

    def test_not_even_its_text(self, tape: Tape) -> None:
        """Where the database refuses that too, a note says so in its place."""
        one = session()
        told = events(PLAIN, PLAIN, PLAIN)
        assert told[1].event is not None
        told[1] = replace(told[1], event=replace(told[1].event, size=-1))
        tape.put(one, *told)
        tape.stored()
        assert [(row.seq, row.kind) for row in Entry.objects.of(one).order_by("seq")] == [
            (1, "ev"),
            (2, "note"),
            (3, "ev"),
        ]
        note = Entry.objects.of(one).get(seq=2)
        assert note.level == "error"
        assert "does not take" in note.text
        assert tape.overflown.empty()

    def test_beside_a_session_that_was_deleted(self, tape: Tape) -> None:
        """A refused entry and a deleted session in one batch: each costs only itself."""
        gone, one = session(), session()
        Session.objects.filter(pk=gone).delete()
        tape.put(gone, *events(PLAIN))
        told = events(PLAIN, POISON)
        tape.put(one, told[0], replace(told[1], pair=-5))
        tape.stored()
        assert (raws(one), raws(gone)) == ([PLAIN, POISON], [])

    def test_the_page_says_so(self, client: Client) -> None:
        """The row of an entry that is kept as raw text bears a mark, on the timeline and in full."""
        story = Story(status="closed", last_seq=1)
        story.raw(POISON)
        story.store()
        Entry.objects.of(story.session).update(data={"unstorable": "storing: DataError"}, level="warning", type="")
        for path in ("", "events/1/"):
            html = client.get(f"/sessions/{story.session.pk}/{path}").content.decode()
            assert "raw text only" in html


class TestTheThread:
    """The recorder's own thread"""

    @pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
    def test_it_goes_on(self, tape: Tape, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
        """Whatever fails in it, even what is meant to end a thread: it goes on, or another one does, and nothing is lost."""
        monkeypatch.setattr(recorder, "FAIL_PAUSE", 0.05)
        packing, left = parcels.packed, [error("once"), error("twice")]

        def once(*args: Any, **kwargs: Any) -> bytearray:
            if left and args[0]:
                raise left.pop()
            return packing(*args, **kwargs)

        monkeypatch.setattr(gathering, "packed", once)
        one = session()
        tape.put(one, *events(PLAIN, POISON))
        tape.stored()
        assert raws(one) == [PLAIN, POISON]
        assert left == []
        eventually(lambda: tape.recorder.trouble == "", "recording goes on")

    def test_it_says_so_meanwhile(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        """While it fails, that is said; when it lasts, no new session may begin; when it ends, all is stored and well."""
        monkeypatch.setattr(recorder, "FAIL_PAUSE", 0.01)
        monkeypatch.setattr(recorder, "HELD_UP_FOR", 0.1)
        packing, broken = parcels.packed, threading.Event()
        broken.set()

        def failing_now(*args: Any, **kwargs: Any) -> bytearray:
            if broken.is_set() and args[0]:
                raise MemoryError
            return packing(*args, **kwargs)

        monkeypatch.setattr(gathering, "packed", failing_now)
        one = session()
        assert tape.recorder.stopped == ""
        tape.put(one, *events(PLAIN))
        eventually(lambda: tape.recorder.stopped, "it says that it has stopped")
        assert "the recorder itself failed (MemoryError)" in tape.recorder.stopped
        broken.clear()
        tape.stored()
        eventually(lambda: not tape.recorder.stopped and not tape.recorder.trouble, "recording goes on")
        assert raws(one) == [PLAIN]

    def test_whoever_is_told_fails(self, tape: Tape) -> None:
        """An error of whoever shows what is recorded is not the recording's."""

        def fail(ids: set[str]) -> None:
            raise RuntimeError("its loop is closed")

        tape.recorder.nudge = fail
        one = session()
        for entry in events(PLAIN, PLAIN):
            tape.put(one, entry)
            tape.stored()
        assert raws(one) == [PLAIN, PLAIN]


class TestExact:
    """What a text column does not hold"""

    def test_nul_in_a_frame(self, client: Client) -> None:
        """A frame with NUL comes out byte for byte; its stand-in is found, behind the NUL as well."""
        story = Story(status="closed", last_seq=1)
        story.raw(NUL)
        session_id = story.store()
        assert raws(session_id) == [NUL]
        assert [e.seq for e in Entry.objects.of(session_id).matching("d")] == [1]
        assert client.get(f"/sessions/{session_id}/events/1/raw").content == NUL.encode()

    def test_a_note_comes_out_of_a_log_as_it_went_in(self) -> None:
        """Text and facts with NUL are the same in an exported log, in the session made of it, and in the log of that."""
        story = Story(status="closed", last_seq=3)
        story.note("tool", "ran\0", arguments={"a\0b": ["\0", 1, None]}, key="sk-proj-1234567890ABCD")
        story.sent("x", text="\0")
        story.close("client", 1000, "by\0e")
        session_id = story.store()
        everything = str([*Entry.objects.values_list(), *Frame.objects.values_list(), *Session.objects.values_list()])
        assert "\\x00" not in everything
        assert "sk-proj" not in everything
        log = b"".join(pieces(Session.objects.get(pk=session_id)))
        exported = log.split(b"\n")
        note = json.loads(exported[1])
        assert (note["text"], note["data"]["arguments"]) == ("ran\0", {"a\0b": ["\0", 1, None]})
        assert json.loads(exported[3])["reason"] == "by\0e"
        [imported] = importing.Importer(import_process.locks()).run([log]).sessions
        again = b"".join(pieces(Session.objects.get(pk=imported))).split(b"\n")
        assert again[1:] == exported[1:]

    @pytest.mark.parametrize("kept", ["", "x", "{}", "[1]", '{"text":1,"data":[1]}', "[" * 5000, '{"text":"a"}'])
    def test_somebody_elses_key_of_that_name(self, kept: str) -> None:
        """An imported note may have anything there."""
        assert columns.from_note("t", {"console_exact": kept})[0] in ("t", "1")

    @settings(max_examples=300, deadline=None)
    @given(
        st.dictionaries(
            st.text(), st.recursive(st.none() | st.floats() | st.text() | st.integers(), st.lists), max_size=3
        ),
        st.text(),
    )
    def test_any_note(self, data: dict[str, Any], text: str) -> None:
        """No NUL and no half of a character reaches a column, and whatever has no such half comes out as it was."""
        shown, written = columns.note(text, data, str)
        assert "\0" not in shown
        assert "\\u0000" not in written.replace("\\\\", "")
        (shown + written).encode()
        told, facts = columns.from_note(shown, json.loads(written))
        if (
            columns.text(text) == text.replace("\0", "\u2400")
            and "ud8" not in json.dumps(data)
            and "\\ud" not in json.dumps(data)
        ):
            assert told == text
            assert facts == json.loads(json.dumps(data), parse_constant=str)

    def test_hostile_notes_are_shown(self, client: Client) -> None:
        """Whatever the facts of notes of every kind are, each page of theirs is shown, and their log imports as the same."""
        kinds = ("tool", "memory", "client", "state", "dialect", "heard", "meter", "unknown", "policy", "problem", "")
        story = Story(status="closed", source="relay", client="x")
        for number, facts in enumerate(hostile.facts(300, seed=11)):
            story.note(kinds[number % len(kinds)] or "x", "a\0b", **facts)
        story.session.last_seq = 300
        story.session.save()
        session_id = story.store()
        for path in (
            "",
            "rows?limit=200",
            "tools",
            "conversation",
            "log.jsonl",
            *(f"events/{seq}/" for seq in range(1, 301, 7)),
        ):
            assert client.get(f"/sessions/{session_id}/{path}").status_code == 200, path
        log = b"".join(pieces(Session.objects.get(pk=session_id)))
        exported = log.split(b"\n")
        [imported] = importing.Importer(import_process.locks()).run([log]).sessions
        again = b"".join(pieces(Session.objects.get(pk=imported))).split(b"\n")
        assert again[1:] == exported[1:]


@pytest.fixture(scope="module")
def on_postgres(postgres_module_url: str) -> Iterator[PostgresStage]:
    """The console's tables on PostgreSQL, and a process that writes there."""
    stage = PostgresStage(postgres_module_url)
    yield stage
    stage.close()


class TestPostgres:
    """The same on PostgreSQL"""

    def test_nul_closes_nobody(self, on_postgres: PostgresStage) -> None:
        """One session's frame, type and id with a raw NUL: all twelve of the batch are stored, byte for byte."""
        ids = [on_postgres.session() for _ in range(12)]
        told: list[Told] = [(session_id, entry) for session_id in ids[1:] for entry in events(PLAIN, PLAIN)]
        odd = [NUL, '{"type":"a\\u0000b","item_id":"\\u0000","event_id":"\\ud800","response":{"id":"x\\u0000"}}', "\0"]
        said = on_postgres.write([*told, *((ids[0], entry) for entry in events(*odd))])
        assert [(receipt.sessions, receipt.trouble) for receipt in said] == [(sorted(ids), "")]
        assert [row[4] for row in on_postgres.rows(ids[0])] == odd
        assert on_postgres.rows(ids[0])[1][2] == "a\u2400b"
        for session_id in ids[1:]:
            assert [row[4] for row in on_postgres.rows(session_id)] == [PLAIN, PLAIN]

    def test_what_it_refuses(self, on_postgres: PostgresStage) -> None:
        """Of a batch one entry is refused, of another not even its text is taken: all else is stored, and nothing is closed."""
        one, other = on_postgres.session(), on_postgres.session()
        told = events(PLAIN, POISON, PLAIN)
        assert told[2].event is not None
        refused = [told[0], replace(told[1], pair=-5), replace(told[2], event=replace(told[2].event, size=2**40))]
        said = on_postgres.write([*((one, entry) for entry in refused), *((other, entry) for entry in events(PLAIN))])
        assert [(receipt.sessions, receipt.trouble) for receipt in said] == [(sorted([one, other]), "")]
        assert [(row[1], row[2], row[4]) for row in on_postgres.rows(one)] == [
            ("ev", "response.output_text.delta", PLAIN), ("ev", "", POISON), ("note", "problem", None),
        ]  # fmt: skip
        assert [row[4] for row in on_postgres.rows(other)] == [PLAIN]

    def test_a_number_out_of_range(self, on_postgres: PostgresStage) -> None:
        """A time that its column does not hold, of an entry and told late, harms nobody."""
        one = on_postgres.session()
        said = on_postgres.write([(one, events(PLAIN)[0]), (one, Late(1, 2**40))])
        assert [receipt.trouble for receipt in said] == [""]

    def test_hostile_notes(self, on_postgres: PostgresStage) -> None:
        """Notes with any facts are stored, each, in one batch."""
        one, timeline = on_postgres.session(), Timeline(Clock())
        notes = [timeline.note("tool", "a\0b", facts) for facts in hostile.facts(400, seed=5)]
        said = on_postgres.write([(one, note) for note in notes])
        assert [receipt.trouble for receipt in said] == [""]
        assert not [
            row
            for row in on_postgres.rows(one)
            if "unstorable" in row[3] and row[3]["unstorable"] == "storing: DataError"
        ]
        assert len(on_postgres.rows(one)) == len(notes)

    def test_a_session_that_is_deleted(self, on_postgres: PostgresStage) -> None:
        """A session that is not there is left out and named; the others of the batch are stored."""
        one = on_postgres.session()
        said = on_postgres.write([("nobody", events(PLAIN)[0]), (one, events(PLAIN)[0])])
        assert [(receipt.trouble, receipt.deleted) for receipt in said] == [("", ["nobody"])]
        assert [row[4] for row in on_postgres.rows(one)] == [PLAIN]


def test_the_words_of_an_error_are_masked() -> None:
    """What a database says is shown without secrets, in a line, and not at any length."""
    said = explain(Exception("invalid value: sk-proj-1234567890\nCONTEXT: " + "x" * 1000))
    assert "sk-proj" not in said
    assert "\n" not in said
    assert len(said) < 400


def test_a_writer_that_goes_on_after_what_it_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes over in the middle stores what comes even if what is stored cannot be read."""
    story = Story()
    story.raw('{"type":"session.created","session":{}}')
    session_id = story.store()
    Frame.objects.filter(entry__session=session_id).delete()
    said: list[Receipt] = []
    writer = Writer(said.append, again=True)
    timeline = Timeline(Clock())
    writer.take([(session_id, timeline.event(parse(PLAIN), "received", "api")) for _ in range(3)])
    writer.store()
    assert [receipt.trouble for receipt in said] == [""]
    assert raws(session_id) == [PLAIN, PLAIN]
    assert connection.vendor == "sqlite"


def test_packing_never_fails() -> None:
    """Whatever an entry holds, what was packed with it can be read at the other end."""
    entry = Said(1, 0, "ev", event=Event('{"type":"\ud800"}', "\ud800", content_index=2**70), data={"x": object()})
    [(told, whole, _)] = parcels.parcels(io.BytesIO(packed([("a", entry), ("a", Late(1, 2**70))])))
    assert not whole
    first = told[0][1]
    assert isinstance(first, Said)
    assert first.event is not None
    assert first.event.raw == '{"type":"\ud800"}'
    assert first.data == {"unstorable": "packing: TypeError"}
