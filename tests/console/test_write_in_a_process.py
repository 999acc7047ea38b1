"""Write in a process: what is recorded reaches the database whatever becomes of the process that writes it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console import courier, gathering, writer, writer_process
from console.gathering import Packed
from console.models import Entry, Session
from console.parcels import LENGTH, Late, Receipt, Told, packed, parcels, receipts, signed
from console.recorder import Recorder
from console.reopening import reopened
from console.writer import Turns, Writer
from realtime.events import parse
from realtime.testing import Clock
from realtime.timeline import Folder, Timeline, Transit, fold_all
from tests.console.stage import Story
from tests.console.test_record import frames, numbered, stored
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.django_db(transaction=True)

DELTA = '{"type":"response.output_text.delta","item_id":"item_1","delta":"a"}'


class Desk:
    """A recorder with a real process, and each process it has started."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self.modest: list[bool] = []
        self.recorder = Recorder()
        self.recorder._courier.launch = self._launch  # type: ignore[method-assign]  # (tests write in a thread otherwise)
        self.nudged: queue.Queue[set[str]] = queue.Queue()
        self.overflown: queue.Queue[set[str]] = queue.Queue()
        self.recorder.nudge, self.recorder.overflow = self.nudged.put, self.overflown.put
        self.session_id = str(Story(status="ready").session.pk)
        self.timeline = Timeline(Clock())

    def _launch(self, again: bool, modest: bool) -> subprocess.Popen[bytes]:
        self.started.append(writer_process.start(again, modest))
        self.modest.append(modest)
        return self.started[-1]

    def put(self, *raws: str) -> None:
        """Tell it of frames."""
        for raw in raws:
            self.recorder.put(self.session_id, self.timeline.event(parse(raw), "received", "api"))

    def put_stored(self, *raws: str) -> None:
        """Tell it of frames, and wait until they are stored."""
        self.put(*raws)
        until(lambda: self.recorder.pending == 0)

    def kill(self) -> None:
        """End the process as a system short of memory does."""
        self.started[-1].kill()
        self.started[-1].wait(PATIENCE)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A recorder that runs with a process of its own."""
    monkeypatch.setattr(courier, "AGAIN_AFTER", 0.01)
    desk = Desk()
    desk.recorder.start()
    yield desk
    desk.recorder.stop()


def until(true: Callable[[], Any], what: str = "another thread or process does it") -> None:
    """Wait for something that another thread or process does."""
    eventually(true, what)


class TestTheProcess:
    """The process that writes"""

    def test_it_stores_what_is_told_and_ends(self, desk: Desk) -> None:
        """What was told is stored, in order, by a process that ends when the recorder stops."""
        told = numbered(1200)
        desk.put(*told)
        assert desk.recorder.stop()
        assert stored(desk.session_id) == told
        assert [process.returncode for process in desk.started] == [0]

    def test_signals_are_for_the_console(self, desk: Desk) -> None:
        """A terminal's Ctrl+C and a supervisor's signals, which all processes get, are left to the console."""
        desk.put_stored(*numbered(1))
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            desk.started[0].send_signal(signum)
        desk.put_stored(*numbered(1))
        assert len(desk.started) == 1
        assert len(stored(desk.session_id)) == 2

    @pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux has an idle class")
    def test_it_takes_what_time_is_left(self, desk: Desk) -> None:
        """It never holds up a frame: the system lets it run when nobody else wants to."""
        desk.put_stored(*numbered(1))
        threads = [int(task.name) for task in Path(f"/proc/{desk.started[0].pid}/task").iterdir()]
        assert sorted(map(os.sched_getscheduler, threads)) == [os.SCHED_OTHER, os.SCHED_IDLE]

    def test_it_is_small(self, desk: Desk) -> None:
        """It loads of Django what writing needs: no pages, no numpy, nothing of the API's types."""
        code = (
            "import sys, runpy\n"
            "try:\n    runpy.run_module('console.writer_process', run_name='__main__')\n"
            "finally:\n    sys.stderr.write(' '.join(sorted(sys.modules)))"
        )
        told = {"database": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}, "again": False, "modest": False}
        done = subprocess.run(
            [sys.executable, "-c", code], input=json.dumps(told).encode() + b"\n", capture_output=True, timeout=PATIENCE,
            cwd=Path(writer_process.__file__).parents[1], check=True,
        )  # fmt: skip
        loaded = set(done.stderr.decode().split())
        assert "console.writer" in loaded
        assert not loaded & {"numpy", "openai", "pydantic", "channels", "twisted", "django.urls", "django.http", "httpx"}

    def test_the_console_ends_without_a_word(self) -> None:
        """What was told before the console was killed is stored all the same, and nothing stays behind."""
        session_id = str(Story(status="ready").session.pk)
        process = writer_process.start(again=False, modest=True)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        timeline = Timeline(Clock())
        told = [(session_id, timeline.event(parse(raw), "received", "api")) for raw in numbered(40)]
        for start in range(0, 40, 10):
            process.stdin.write(packed(told[start : start + 10], whole=start == 0))
        process.stdin.write(packed(told, whole=True)[:50])  # it ended in the middle of this
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
        assert stored(session_id) == numbered(40)


class TestTurns:
    """The two threads of that process"""

    def test_whoever_is_late_is_relieved(self) -> None:
        """A batch that comes late is followed by one that is not left to idle time, until none is late any longer."""
        lateness: Iterator[float | None] = iter([0.01, 0.5, 0.4, 0.02, 0.03, None])
        did: list[str] = []
        me = threading.current_thread().name

        def step() -> float | None:
            did.append("urgent" if threading.current_thread().name == me else "modest")
            return next(lateness)

        Turns(step, lambda: None).run()
        assert did == ["modest", "modest", "urgent", "urgent", "modest", "modest"]

    @pytest.mark.parametrize("steps", [0, 1])
    def test_what_goes_wrong_ends_both(self, steps: int) -> None:
        """What either thread cannot deal with ends the process."""
        lateness = iter([1.0] * steps)

        def step() -> float:
            if (late := next(lateness, None)) is None:
                raise ValueError("broken")
            return late

        with pytest.raises(ValueError, match="broken"):
            Turns(step, lambda: None).run()


class TestAnother:
    """A process that ends before its time"""

    def test_it_is_killed(self, desk: Desk) -> None:
        """Another one takes over: nothing is missing, nothing is there twice, and a growing row goes on growing."""
        desk.put_stored(DELTA, DELTA)
        for _ in range(3):
            desk.put(DELTA)
            desk.kill()
            desk.put(DELTA)
            until(lambda: desk.recorder.pending == 0)
        assert desk.recorder.trouble == ""
        assert desk.recorder.stop()
        assert stored(desk.session_id) == [DELTA] * 8
        [row] = Entry.objects.of(desk.session_id).rows()
        assert (row.seq, row.fold_count) == (1, 8)
        assert Session.objects.get(pk=desk.session_id).events == 8

    def test_it_is_killed_while_nothing_comes(self, desk: Desk) -> None:
        """It is replaced at once, not when the next frame comes."""
        desk.put_stored(*numbered(1))
        desk.kill()
        until(lambda: len(desk.started) == 2)
        desk.put_stored(*numbered(1))
        assert len(stored(desk.session_id)) == 2

    def test_what_it_knew_nothing_of_is_not_its_fault(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """A batch that is still gathering when process after process ends is stored by the next one."""
        desk.put_stored(*numbered(1))
        monkeypatch.setattr(gathering, "FLUSH_AFTER", 60.0)
        desk.put(DELTA)
        until(lambda: any(desk.recorder._batches))
        for _ in range(courier.DEATHS):
            died = desk.started[-1]
            desk.kill()
            until(lambda died=died: desk.started[-1] is not died)  # type: ignore[misc]
        assert desk.recorder.stop()
        assert desk.recorder.trouble == ""
        assert len(stored(desk.session_id)) == 2

    def test_it_had_stored_and_not_said_so(self) -> None:
        """A batch that is told again after it was stored is not stored twice."""
        session_id, told = str(Story(status="ready").session.pk), Timeline(Clock())
        entries: list[Told] = [(session_id, told.event(parse(DELTA), "received", "api")) for _ in range(6)]
        said: list[Receipt] = []
        for writes, some in ((Writer(said.append), entries[:4]), (Writer(said.append, again=True), entries)):
            writes.take(some)
            writes.take([(session_id, Late(2, 70))])
            writes.store()
        assert [receipt.done for receipt in said] == [True, True]
        assert stored(session_id) == [DELTA] * 6
        [row] = Entry.objects.of(session_id).rows()
        assert (row.fold_count, Entry.objects.get(session_id=session_id, seq=2).added_us) == (6, 70)
        assert Session.objects.get(pk=session_id).events == 6

    def test_the_database_is_in_trouble_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that takes over while the database cannot even be read waits for it, and says so."""
        monkeypatch.setattr(writer, "RETRY_FIRST", 0.01)
        session_id, told = str(Story(status="ready").session.pk), Timeline(Clock())
        entries: list[Told] = [(session_id, told.event(parse(DELTA), "received", "api")) for _ in range(3)]
        refusals = iter([OperationalError("the connection is closed"), OperationalError("the connection is closed")])

        def refusing(session_id: str) -> tuple[Folder, int]:
            if error := next(refusals, None):
                raise error
            return reopened(session_id)

        monkeypatch.setattr(writer, "reopened", refusing)
        said: list[Receipt] = []
        taking_over = Writer(said.append, again=True)
        taking_over.take(entries)
        taking_over.store()
        assert [(receipt.done, "connection is closed" in receipt.trouble) for receipt in said] == [(False, True)] * 2 + [(True, False)]
        assert stored(session_id) == [DELTA] * 3

    def test_what_ends_every_process(self, desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        """A parcel that no process can read, and the console cannot either, is given up at last, and the console goes on."""
        monkeypatch.setattr(courier, "AGAIN_MOST", 0.02)
        other = Story(status="ready")
        unreadable = bytearray(LENGTH.pack(1) + b"\xc1")  # no MessagePack begins with this byte
        desk.recorder._courier.send(Packed([unreadable], {desk.session_id}, rows=1))
        assert desk.overflown.get(timeout=PATIENCE) == {desk.session_id}
        assert len(desk.started) in (courier.DEATHS, courier.DEATHS + 1)
        assert f"entries of {desk.session_id} could not be stored" in caplog.text
        assert "could not be stored: the process that writes has ended" in desk.recorder.trouble
        other.raw(DELTA)
        desk.recorder.put(str(other.session.pk), other.entries[0])
        until(lambda: desk.recorder.pending == 0)
        assert stored(str(other.session.pk)) == [DELTA]

    def test_there_can_be_none(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        """When no process can be started it is tried again until one can; what comes meanwhile is kept."""
        desk.put_stored(*numbered(1))
        refusals = iter([OSError("no memory"), OSError("no memory")])
        launch = desk._launch

        def refusing(again: bool, modest: bool) -> Any:
            if error := next(refusals, None):
                raise error
            return launch(again, modest)

        desk.recorder._courier.launch = refusing  # type: ignore[method-assign]
        desk.kill()
        desk.put(*numbered(3))
        until(lambda: desk.recorder.pending == 0)
        assert "Recording is held up: no process that writes can be started (no memory). Nothing is lost yet" in caplog.text
        assert len(stored(desk.session_id)) == 4

    def test_a_stop_that_takes_too_long(self, desk: Desk) -> None:
        """A process that does not end is ended, and the console says that something is missing."""
        desk.put_stored(*numbered(1))
        desk.started[-1].send_signal(signal.SIGSTOP)
        desk.put(*numbered(1))
        thread = desk.recorder._thread
        assert thread is not None
        assert not desk.recorder.stop(timeout=0.3)
        thread.join(PATIENCE)
        assert desk.started[-1].wait(PATIENCE) == -signal.SIGKILL


class TestTrouble:
    """A database that cannot be written, seen from another process"""

    def test_a_locked_database(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is said on the page, tried again, and in the end nothing is missing."""
        desk.recorder.stop()
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.01)
        desk.recorder.start()
        with connection.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            desk.put(*numbered(5))
            until(lambda: desk.recorder.trouble)
            assert "the database is locked by another program. Nothing is lost yet" in desk.recorder.trouble
            cursor.execute("ROLLBACK")
        until(lambda: not desk.recorder.trouble)
        assert stored(desk.session_id) == numbered(5)

    def test_the_console_is_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that nobody listens to any longer does not try for ever."""
        session_id = str(Story(status="ready").session.pk)
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.01)
        process = writer_process.start(again=False, modest=False)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        with connection.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            told = Timeline(Clock()).event(parse(DELTA), "received", "api")
            process.stdin.write(packed([(session_id, told)], whole=True))
            process.stdin.close()
            assert process.wait(PATIENCE) != 0
            cursor.execute("ROLLBACK")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(frames(), st.sampled_from(["sent", "received"])), max_size=30), st.integers(0, 30))
def test_a_folder_reopened_anywhere(told: list[tuple[str, Any]], at: int) -> None:
    """Whoever takes over in the middle of a session folds on as if it had folded from the beginning."""
    story = Story()
    for number, (raw, direction) in enumerate(told):
        if number == at:
            if story.entries:
                story.store()
            story.folder, last = reopened(str(story.session.pk))
            assert last == number
        story._add(story.timeline.event(parse(raw), direction, "api"))
    if len(story.entries) > story.stored:
        story.store()
    rows = {entry.seq: entry.fold() for entry in Entry.objects.of(story.session).rows().order_by("seq")}
    assert rows == fold_all(story.entries)


class TestParcels:
    """What travels between the two"""

    def test_entries_arrive_as_they_were(self) -> None:
        """Frames, notes with any facts, closes, and what a frame's way cost: all arrive as they were, in order."""
        timeline = Timeline(Clock())
        facts = {"big": 10**40, "no number": float("inf"), "é\u2028": ["x", None, 1.5], "nested": {"a": {}}}
        told: list[Any] = [
            ("one", timeline.event(parse('{"type":"x","é":"\\ud83d"}'), "sent", "app", leg="client", pair=1)),
            ("two", timeline.event(parse("no JSON"), "received", "api", transit=Transit(7))),
            ("one", timeline.note("tool", "é", facts)),
            ("one", timeline.close("client", None, "gone")),
        ]
        read, write = os.pipe()
        with os.fdopen(read, "rb") as inward, os.fdopen(write, "wb") as outward:
            outward.write(packed(told) + packed([("two", Late(2, 9))], whole=True))
            outward.close()
            assert [parcel[:2] for parcel in parcels(inward)] == [(told, False), ([("two", Late(2, 9))], True)]

    def test_a_receipt_arrives_as_it_was(self) -> None:
        """Whose entries, what became of them, and why."""
        receipt = Receipt(["one"], done=False, trouble="the disk is full", deleted=["two"], details="é")
        read, write = os.pipe()
        with os.fdopen(read, "rb") as inward, os.fdopen(write, "wb") as outward:
            outward.write(signed(receipt) + signed(receipt)[:-1])
            outward.close()
            assert list(receipts(inward)) == [receipt]


def test_nothing_of_it_stays() -> None:
    """A recorder that has stopped leaves neither threads nor processes, also after one of them was replaced."""
    before = set(threading.enumerate())
    recorder = Recorder()
    started: list[subprocess.Popen[bytes]] = []

    def launch(again: bool, modest: bool) -> subprocess.Popen[bytes]:
        started.append(writer_process.start(again, modest))
        return started[-1]

    recorder._courier.launch = launch  # type: ignore[method-assign]
    recorder.start()
    started[0].kill()
    until(lambda: len(started) == 2)
    assert recorder.stop()
    until(lambda: set(threading.enumerate()) <= before)
    assert [process.poll() for process in started] == [-signal.SIGKILL, 0]
