"""Record: everything is stored in order, once, whatever the database does; and it comes out as it went in."""

from __future__ import annotations

import asyncio
import base64
import json
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console import gathering, lifecycle, live, writer
from console import recorder as module
from console.batches import Batch
from console.models import Entry, Frame, Session
from console.recorder import Recorder
from realtime.events import parse
from realtime.testing import Clock
from realtime.timeline import Entry as Told
from realtime.timeline import Folder, Timeline, fold_all
from tests.console.stage import HTMX, Stage, Story, flush
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "sk-proj-A1b2C3d4E5f6G7h8I9j0WXYZ"


class Tape:
    """A recorder of a test's own, and what it said."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.nudged: queue.Queue[set[str]] = queue.Queue()
        self.overflown: queue.Queue[set[str]] = queue.Queue()
        self.recorder.nudge = self.nudged.put
        self.recorder.overflow = self.overflown.put
        self.timeline = Timeline(Clock())

    def put(self, session_id: str, *raws: str) -> None:
        """Tell it of frames."""
        for raw in raws:
            self.recorder.put(session_id, self.timeline.event(parse(raw), "received", "api"))


@pytest.fixture
def tape(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tape]:
    """A recorder that runs, impatient."""
    monkeypatch.setattr(writer, "RETRY_FIRST", 0.01)
    monkeypatch.setattr(writer, "RETRY_MOST", 0.02)
    tape = Tape()
    tape.recorder.start()
    yield tape
    tape.recorder.stop()


def session() -> str:
    """A session to record into."""
    return str(Story(status="ready").session.pk)


def numbered(count: int) -> list[str]:
    """Frames that can be told apart."""
    return [json.dumps({"type": "rate_limits.updated", "n": n}) for n in range(count)]


def stored(session_id: str) -> list[str]:
    """The frames as they come out, in order."""
    return [frame.raw for frame in Frame.objects.filter(entry__session=session_id).order_by("entry__seq")]


class TestWriting:
    """The thread that writes"""

    def test_nothing_is_lost_at_stop(self, tape: Tape) -> None:
        """What was told before the stop is stored when stop returns, however much it is; and in order."""
        session_id, frames = session(), numbered(3 * module.BATCH_ROWS + 7)
        tape.put(session_id, *frames)
        assert tape.recorder.stop()
        assert stored(session_id) == frames
        assert tape.recorder.pending == 0
        kept = Session.objects.get(pk=session_id)
        assert (kept.events, kept.last_seq) == (len(frames), len(frames))

    def test_it_writes_in_batches_and_then_says_so(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each batch is one transaction of at most BATCH_ROWS; who shows is told after it is stored."""
        monkeypatch.setattr(gathering, "FLUSH_AFTER", 10.0)
        session_id = session()
        tape.put(session_id, *numbered(module.BATCH_ROWS))  # full: it does not wait for more
        assert tape.nudged.get(timeout=PATIENCE) == {session_id}
        assert Entry.objects.of(session_id).count() == module.BATCH_ROWS

    def test_who_shows_a_row_that_only_grows_is_not_told(self, tape: Tape) -> None:
        """Pages are told of sessions in which rows begin; those that show a stream follow it by themselves."""
        session_id, timeline = session(), Timeline(Clock())
        told = []
        for delta in ("Hel", "lo"):
            raw = f'{{"type":"response.output_text.delta","item_id":"item_1","delta":"{delta}"}}'
            tape.recorder.put(session_id, timeline.event(parse(raw), "received", "api"))
            told.append(tape.nudged.get(timeout=PATIENCE))
        assert told == [{session_id}, set()]
        assert Entry.objects.of(session_id).get(seq=1).fold_count == 2

    def test_it_is_there_at_once_after_a_rest(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        """A thread that has slept for want of entries is woken by the next one."""
        monkeypatch.setattr(gathering, "FLUSH_AFTER", 0.001)
        monkeypatch.setattr(module, "REST_AFTER", 1)
        session_id = session()
        for _ in range(3):
            eventually(lambda: tape.recorder._rests, "the thread rests", every=0.001)
            tape.put(session_id, *numbered(1))
            assert tape.nudged.get(timeout=PATIENCE) == {session_id}
        assert Entry.objects.of(session_id).count() == 3

    def test_what_a_page_shows_does_not_wait_for_the_rest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sessions nobody looks at gather longer; a page that opens has all of them stored first."""
        monkeypatch.setattr(module, "FEW", -1)
        monkeypatch.setattr(module, "OTHER_MORE", PATIENCE * 10)
        monkeypatch.setattr(module, "OTHER_MOST", PATIENCE * 10)
        tape, shown, other = Tape(), session(), session()
        tape.recorder.shown = lambda: frozenset([shown])
        tape.recorder.start()
        tape.put(other, *numbered(3))
        tape.put(shown, *numbered(2))
        assert tape.nudged.get(timeout=PATIENCE) == {shown}
        assert (len(stored(shown)), len(stored(other))) == (2, 0)
        tape.recorder.shown = lambda: frozenset([shown, other])
        assert tape.nudged.get(timeout=PATIENCE) == {other}
        assert tape.recorder.stop()
        assert (stored(shown), stored(other)) == (numbered(2), numbered(3))

    def test_pages_that_come_and_go(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever begins or ends to look, and whenever: each session is written in the order in which it was told."""
        monkeypatch.setattr(module, "FEW", 2)
        chance, sessions = random.Random(5), [session() for _ in range(4)]  # noqa: S311  (chance of a test is no secret)
        told: dict[str, list[str]] = {session_id: [] for session_id in sessions}
        for number, frame in enumerate(numbered(1500)):
            told[chosen := chance.choice(sessions)].append(frame)
            tape.put(chosen, frame)
            if number % 40 == 0:
                shown = frozenset(chance.sample(sessions, chance.randrange(4)))
                tape.recorder.shown = shown.copy
                time.sleep(chance.choice([0, 0.01, 0.07]))
        assert tape.recorder.stop()
        for session_id, frames in told.items():
            assert [frame.raw for frame in Frame.objects.filter(entry__session=session_id).order_by("pk")] == frames

    def test_who_can_wait_is_asked_to(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        """While more is told than can be written, the taps say so; not while the database is in trouble, for who knows when that ends."""
        monkeypatch.setattr(module, "BEHIND", 5_000)
        go_on, write = threading.Event(), Batch.write

        def slow(batch: Batch) -> None:
            go_on.wait(PATIENCE)
            write(batch)

        monkeypatch.setattr(Batch, "write", slow)
        session_id = session()
        tap = tape.recorder.tap(session_id)
        assert not tap.behind
        tape.put(session_id, *numbered(100))
        assert tap.behind
        tape.recorder.trouble = "the database is locked"
        assert not tap.behind
        tape.recorder.trouble = ""
        go_on.set()
        tape.nudged.get(timeout=PATIENCE)
        assert tape.recorder.stop()
        assert not tap.behind

    def test_many_sessions_share_a_batch(self, tape: Tape) -> None:
        """Entries of thirty sessions that came in turns are stored each in its own session, in order; nothing is lost."""
        ids = [session() for _ in range(30)]
        told = [(session_id, Timeline(Clock())) for session_id in ids]
        for raw in numbered(5):
            for session_id, timeline in told:
                tape.recorder.put(session_id, timeline.event(parse(raw), "received", "api"))
        nudged: set[str] = set()
        while len(nudged) < len(ids):
            nudged |= tape.nudged.get(timeout=PATIENCE)
        assert tape.recorder.stop()
        assert all(stored(session_id) == numbered(5) for session_id in ids)

    def test_it_starts_again(self, tape: Tape) -> None:
        """A recorder that was stopped can be started; stopping or starting twice does nothing."""
        session_id = session()
        tape.put(session_id, *numbered(1))
        assert tape.recorder.stop()
        assert tape.recorder.stop()
        tape.recorder.start()
        tape.recorder.start()
        tape.put(session_id, *numbered(1))
        assert tape.recorder.stop()
        assert Entry.objects.of(session_id).count() == 2

    def test_sessions_may_be_mixed(self, tape: Tape) -> None:
        """Two sessions in one batch keep their own folds and numbers."""
        ids = [session(), session()]
        told = [Timeline(Clock()), Timeline(Clock())]
        raw = '{"type":"response.output_text.delta","item_id":"item_1","delta":"a"}'
        for _ in range(3):
            for session_id, timeline in zip(ids, told, strict=True):
                tape.recorder.put(session_id, timeline.event(parse(raw), "received", "api"))
        assert tape.recorder.stop()
        for session_id in ids:
            [row] = Entry.objects.of(session_id).rows()
            assert (row.seq, row.fold_count) == (1, 3)

    def test_a_fold_grows_over_batches(self, tape: Tape) -> None:
        """A row whose members come in several batches is one row, with all of them counted."""
        session_id = session()
        for _ in range(3):
            tape.put(session_id, '{"type":"response.output_text.delta","item_id":"item_1","delta":"a"}')
            tape.nudged.get(timeout=PATIENCE)
        [row] = Entry.objects.of(session_id).rows()
        assert row.fold_count == 3

    def test_secrets_are_masked(self, tape: Tape) -> None:
        """A key is nowhere in what is stored: neither in a frame, nor a note, its facts, or the reason of a close."""
        session_id = session()
        tape.put(session_id, json.dumps({"type": "session.update", "session": {"tools": [{"authorization": KEY}]}}))
        tape.recorder.put(session_id, tape.timeline.note("tool", f"failed with {KEY}", {"output": {"error": KEY}}))
        tape.recorder.put(session_id, tape.timeline.close("server", 3000, f"invalid key: {KEY}"))
        assert tape.recorder.stop()
        everything = [*Entry.objects.values_list(), *Frame.objects.values_list(), *Session.objects.values_list()]
        assert KEY not in str(everything)
        assert Entry.objects.of(session_id).get(seq=1).data == {"masked": True}
        assert Session.objects.get(pk=session_id).close_reason == "invalid key: •••WXYZ"

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
    def test_a_number_that_is_none(self, tape: Tape, number: str) -> None:
        """Facts with a number that JSON does not have are stored all the same: it stands as a word."""
        session_id = session()
        arguments = json.loads(f'{{"lat": {number}, "said": "NaN"}}')
        tape.recorder.put(session_id, tape.timeline.note("tool", "", {"arguments": arguments}))
        assert tape.recorder.stop()
        kept = Entry.objects.of(session_id).get().data["arguments"]
        assert kept == {"lat": number.replace("1e999", "Infinity"), "said": "NaN"}


class TestTrouble:
    """When the database cannot be written"""

    def test_a_locked_database(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        """While another program holds the database it is said, tried again, and in the end nothing is missing."""
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.01)
        session_id, frames = session(), numbered(50)
        holder = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        tape.put(session_id, *frames[:25])
        assert tape.nudged.get(timeout=PATIENCE) == {session_id}
        assert tape.recorder.trouble == (
            "Recording is held up: the database is locked by another program. Nothing is lost yet; it is tried again."
        )
        tape.put(session_id, *frames[25:])
        assert tape.recorder.pending > 0
        holder.rollback()
        holder.close()
        assert tape.recorder.stop()
        assert (stored(session_id), tape.recorder.trouble, tape.recorder.pending) == (frames, "", 0)

    def test_a_full_disk(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        """A full disk is said with what to do; when there is room again nothing is missing."""
        options = connection.settings_dict["OPTIONS"]
        with connection.cursor() as cursor:
            pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        with monkeypatch.context() as full:
            full.setitem(options, "init_command", f"{options['init_command']}; PRAGMA max_page_count={pages}")
            session_id, frames = session(), [json.dumps({"type": "x", "text": "y" * 100_000})] * 20
            tape.put(session_id, *frames)
            assert tape.nudged.get(timeout=PATIENCE) == {session_id}
            assert "the disk is full; free some space" in tape.recorder.trouble
        assert tape.recorder.stop()
        assert stored(session_id) == frames

    @pytest.mark.parametrize(("said", "sentence"), [
        ("attempt to write a readonly database", "the database cannot be written to (read-only)"),
        ("something else", "the database said: something else"),
    ])  # fmt: skip
    def test_other_trouble(self, tape: Tape, monkeypatch: pytest.MonkeyPatch, said: str, sentence: str) -> None:
        """Whatever the database says is said on, and the batch is tried until it is stored."""
        write, tries = Batch.write, iter([OperationalError(said), OperationalError(said)])

        def failing(batch: Batch) -> None:
            if error := next(tries, None):
                raise error
            write(batch)

        monkeypatch.setattr(Batch, "write", failing)
        session_id = session()
        troubles: list[str] = []
        tape.recorder.nudge = lambda ids: troubles.append(tape.recorder.trouble)
        tape.put(session_id, *numbered(1))
        assert tape.recorder.stop()
        assert [sentence in trouble for trouble in troubles] == [True, True, False]
        assert len(stored(session_id)) == 1

    def test_too_much_waits(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        """When more waits than memory may hold, the sessions are named once, to be closed; what waits is kept."""
        monkeypatch.setattr(module, "PENDING_LIMIT", 10_000)
        go_on = threading.Event()
        write = Batch.write

        def failing(batch: Batch) -> None:
            if not go_on.is_set():
                raise OperationalError("database is locked")
            write(batch)

        monkeypatch.setattr(Batch, "write", failing)
        session_id, frames = session(), numbered(100)
        tape.put(session_id, *frames)
        assert tape.overflown.get(timeout=PATIENCE) == {session_id}
        for _ in range(5):
            tape.nudged.get(timeout=PATIENCE)
        assert tape.overflown.empty()
        go_on.set()
        assert tape.recorder.stop()
        assert stored(session_id) == frames

    def test_it_cannot_be_written_in_time(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stop that runs out of time says so."""
        go_on = threading.Event()
        write = Batch.write

        def failing(batch: Batch) -> None:
            if not go_on.is_set():
                raise OperationalError("database is locked")
            write(batch)

        monkeypatch.setattr(Batch, "write", failing)
        thread = tape.recorder._thread
        tape.put(session(), *numbered(1))
        assert not tape.recorder.stop(timeout=0.05)
        go_on.set()
        assert thread is not None
        thread.join(PATIENCE)

    def test_a_session_that_is_deleted(self, tape: Tape, caplog: pytest.LogCaptureFixture) -> None:
        """A session deleted while it is recorded is left out, the log says so, and all others are recorded on."""
        gone, kept = session(), session()
        tape.put(gone, *numbered(1))
        tape.nudged.get(timeout=PATIENCE)
        Frame.objects.filter(entry__session=gone).delete()
        Entry.objects.of(gone).delete()
        Session.objects.filter(pk=gone).delete()
        tape.put(gone, *numbered(2))
        tape.put(kept, *numbered(2))
        tape.put(gone, *numbered(2))
        assert tape.recorder.stop()
        assert (len(stored(kept)), stored(gone)) == (2, [])
        assert f"sessions deleted while they were being recorded: {gone}" in caplog.text

    def test_what_the_database_never_takes(self, tape: Tape, caplog: pytest.LogCaptureFixture) -> None:
        """A batch that can never be stored ends its sessions, loudly; the recorder goes on with all others."""
        session_id, other = session(), session()
        tape.put(session_id, *numbered(1))
        tape.nudged.get(timeout=PATIENCE)
        entry = Told(1, 0, "ev", "received", event=parse('{"type":"x"}'), origin="api")  # a number that is taken
        tape.recorder.put(session_id, entry)
        assert tape.overflown.get(timeout=PATIENCE) == {session_id}
        assert f"entries of {session_id} could not be stored" in caplog.text
        tape.put(other, *numbered(3))
        assert tape.recorder.stop()
        assert len(stored(other)) == 3

    async def test_no_session_runs_unrecorded(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """When nothing more can be recorded, every running session is closed, and how it went is stored in the end."""
        await flush()
        monkeypatch.setattr(writer, "RETRY_FIRST", 0.01)
        monkeypatch.setattr(module, "PENDING_LIMIT", 2_000)
        for name in ("nudge", "overflow"):  # what starts here is put back afterwards
            monkeypatch.setattr(module.recorder, name, getattr(module.recorder, name))
        await lifecycle.startup()
        full = threading.Event()
        write = Batch.write

        def failing(batch: Batch) -> None:
            if full.is_set():
                raise OperationalError("database or disk is full")
            write(batch)

        monkeypatch.setattr(Batch, "write", failing)
        session_id = await stage.start()
        await flush()
        task = live._running[session_id][1]
        full.set()
        for frame in numbered(20):
            stage.api.say(frame)
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(task)
        assert live.running() == []
        page = await stage.client.get(f"/sessions/{session_id}/", headers=HTMX)
        assert "the disk is full; free some space" in page.content.decode()
        full.clear()
        await lifecycle.shutdown()
        kept = await Session.objects.aget(pk=session_id)
        assert (kept.status, kept.close_by) == ("closed", "console")


def frames() -> st.SearchStrategy[str]:
    """Frames nobody thought of: any text, odd JSON, sound with odd base64, streams that interleave."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    ids = st.sampled_from(["", "item_1", "item_2", "\\ud800", "é\\u0000"])
    sound = st.one_of(
        st.binary(max_size=60).map(lambda b: base64.b64encode(b).decode()),
        st.sampled_from(["", "A", "AA", "AAA", "AAA=", "AB==", "AA==A", "AAAA\\n", "AA\\u0041A", "-_-_", " AAAA", "é"]),
    )
    types = st.sampled_from([
        "input_audio_buffer.append", "response.output_audio.delta", "response.audio.delta", "response.output_text.delta",
        "input_audio_buffer.committed", "session.updated", "a\\ud83d", "error", "response.done", "x" * 200,
    ])  # fmt: skip
    event = st.builds(
        lambda t, i, s, spaced: (
            f'{{{spaced}"type":{spaced}"{t}","item_id":"{i}","audio"{spaced}:"{s}",{spaced}"delta":"{s}","session":'
            f'{{"model":"{i}","audio":{{"input":{{"format":{{"type":"audio/pcmu"}}}}}}}}}}'
        ),
        types, ids, sound, st.sampled_from(["", " ", "\n\t"]),
    )  # fmt: skip
    value = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | text, lambda inner: st.lists(inner, max_size=3))
    anything = st.dictionaries(text | st.sampled_from(["type", "response", "item", "error", "delta"]), value, max_size=4)
    return st.one_of(event, text, anything.map(json.dumps), anything.map(lambda data: json.dumps(data, ensure_ascii=False)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(frames(), st.sampled_from(["sent", "received"])), max_size=25), st.integers(1, 9))
def test_any_frames_come_out_as_they_went_in(told: list[tuple[str, Any]], batches: int) -> None:
    """Whatever travels, the frames read back are those that were written, in order, and their rows are the engine's."""
    story = Story()
    for number, (raw, direction) in enumerate(told):
        story._add(story.timeline.event(parse(raw), direction, "api"))
        if number % batches == 0:
            story.store()
    session_id = story.store() if len(story.entries) > story.stored else str(story.session.pk)
    assert stored(session_id) == [raw for raw, _ in told]
    rows = {entry.seq: entry.fold() for entry in Entry.objects.of(session_id).rows().order_by("seq")}
    assert rows == fold_all(story.entries)
    again = [entry.to_entry(entry.frame().raw) for entry in Entry.objects.of(session_id).order_by("seq")]
    assert again == story.entries


async def test_readers_give_their_connections_back(stage: Stage) -> None:
    """When the console stops no reader's connection to the database stays open."""
    together = threading.Barrier(live.READERS._max_workers)
    connections: list[Any] = []

    def read() -> None:
        together.wait(PATIENCE)
        Session.objects.count()
        connections.append(connection._connections[connection._alias])

    await asyncio.gather(*(live.in_reader(read) for _ in range(live.READERS._max_workers)))
    assert len({id(opened) for opened in connections}) == live.READERS._max_workers
    assert all(opened.connection is not None for opened in connections)
    await asyncio.to_thread(live.close_readers)
    assert [opened.connection for opened in connections] == [None] * live.READERS._max_workers
    assert await sync_to_async(Session.objects.count)() == 0


@pytest.mark.django_db(transaction=True)
def test_it_ended_when_it_closed() -> None:
    """The end of a session is the time of its close, however late that is written."""
    session = Story(status="ready").session
    began = session.started_at - timedelta(hours=1)
    Session.objects.filter(pk=session.pk).update(started_at=began)
    batch = Batch()
    batch.add(session.pk, Told(1, 5_000_000, "close", data={"by": "client", "code": 1000}), Folder())
    batch.write()
    assert Session.objects.get(pk=session.pk).ended_at == began + timedelta(seconds=5)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("field", ["type", "event_id", "response_id", "item_id"])
def test_a_key_in_the_place_of_a_name(field: str) -> None:
    """A key that stands where a type or an id is expected is masked in the columns, too."""
    raw = json.dumps({"type": "x", field: "ek_SECRET0123456789"})
    story, batch = Story(status="ready"), Batch()
    batch.add(story.session.pk, Timeline(Clock()).event(parse(raw), "received", "api"), Folder())
    batch.write()
    assert "SECRET" not in str([*Entry.objects.values_list(), *Frame.objects.values_list()])
