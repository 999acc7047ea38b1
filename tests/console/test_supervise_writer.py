"""Supervise the writer: it is always watched, replaced when it ends or hangs, and what ends it is found and given up alone."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection

from console import courier, hang_detection, writer_process
from console.hang_detection import HangDetector
from console.models import Entry, Session
from tests.console.fragile_writer import HANGS, KILLS, SLOW
from tests.console.stage import Story
from tests.console.test_record import numbered, stored
from tests.console.test_write_in_a_process import Desk, until

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 60.0
"""Seconds for what takes a few on a quiet machine."""


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A recorder that runs with a process of its own, with the times it has in use."""
    desk = Desk()
    desk.recorder.start()
    yield desk
    desk.recorder.stop(20)


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> Desk:
    """The same with processes that fail over some entries, and little patience."""
    desk.recorder.stop()
    monkeypatch.setattr(writer_process, "MODULE", "tests.console.fragile_writer")
    monkeypatch.setattr(courier, "AGAIN_AFTER", 0.02)
    monkeypatch.setattr(courier, "AGAIN_MOST", 0.05)
    monkeypatch.setattr(courier, "LOOK_EVERY", 0.05)
    desk.recorder.start()
    return desk


def hang(desk: Desk, *raws: str) -> set[str]:
    """Stop the process as a deadlock does, tell of frames, and wait until they are stored; returns what pages were told."""
    troubles: set[str] = set()
    desk.started[-1].send_signal(signal.SIGSTOP)
    desk.put(*raws)

    def done() -> bool:
        troubles.add(desk.recorder.trouble)
        return desk.recorder.pending == 0

    until(done, PATIENCE)
    return troubles - {""}


class TestHanging:
    """A process that hangs"""

    def test_every_time(self, desk: Desk) -> None:
        """Each one that hangs is replaced within seconds, not only the first, and pages are told meanwhile."""
        desk.put_stored(*numbered(1))
        for number in range(3):
            began = time.monotonic()
            [trouble] = hang(desk, *numbered(5))
            assert trouble.startswith("Recording is held up: the process that writes does not answer; another one takes over.")
            assert time.monotonic() - began < PATIENCE / 2
            assert len(desk.started) == number + 2
            until(lambda: not desk.recorder.trouble)
        assert desk.modest == [True, False, False, False]
        assert desk.recorder.stop()
        assert len(stored(desk.session_id)) == 16
        assert desk.overflown.empty()

    def test_nobody_waits_for_its_pipe(self, desk: Desk) -> None:
        """While it hangs the recorder goes on packing, more than a pipe holds: nothing waits in the loop's queue."""
        desk.put_stored(*numbered(1))
        desk.started[-1].send_signal(signal.SIGSTOP)
        desk.put(*('{"type":"test.big","x":"' + "x" * 100_000 + '"}' for _ in range(60)))
        until(lambda: not desk.recorder._queue, hang_detection.OVERDUE / 2)
        until(lambda: desk.recorder.pending == 0, PATIENCE)
        assert len(stored(desk.session_id)) == 61

    def test_a_locked_database_is_not_that(self, desk: Desk) -> None:
        """One that says that the database is locked is left at it, however long that lasts."""
        desk.put_stored(*numbered(1))
        with connection.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            desk.put(*numbered(5))
            until(lambda: "the database is locked" in desk.recorder.trouble)
            time.sleep(hang_detection.OVERDUE * 1.5)
            cursor.execute("ROLLBACK")
        until(lambda: desk.recorder.pending == 0, PATIENCE)
        assert len(desk.started) == 1
        assert len(stored(desk.session_id)) == 6

    def test_a_slow_machine(self, fragile: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where everything takes longer than a process may be silent, it may be silent longer: a few are replaced, not each."""
        monkeypatch.setattr(hang_detection, "OVERDUE", 0.4)
        for _ in range(4):
            fragile.put_stored(f'{{"type":"{SLOW}"}}')
        assert len(stored(fragile.session_id)) == 4
        assert len(fragile.started) <= 4
        assert fragile.overflown.empty()

    def test_what_is_allowed(self) -> None:
        """Silence that ended well allows for more, for a while; each process that hung doubles it until something is stored."""
        detector = HangDetector()
        detector.begin(replacing=False)
        detector.hear(done=False)
        assert detector.allowed == hang_detection.OVERDUE
        assert not detector.look(2.5)
        detector.hear(done=True)
        assert detector.allowed == pytest.approx(2.5 * hang_detection.FORGET * hang_detection.SLOWER)
        assert not detector.look(4.0)
        assert detector.look(1.0)
        assert not detector.look(100.0)
        detector.begin(replacing=True)
        detector.hear(done=False)
        assert detector.allowed == pytest.approx(2.5 * hang_detection.FORGET * hang_detection.SLOWER * hang_detection.SLOWER)
        for _ in range(20):
            detector.hear(done=True)
        assert detector.allowed == hang_detection.OVERDUE


class TestDying:
    """Processes that end, one after the other"""

    def test_quick_deaths(self, desk: Desk) -> None:
        """However many are killed within seconds: no session is given up, and nothing is missing."""
        desk.put_stored(*numbered(1))
        over = time.monotonic() + 6.0
        killed = 0
        while time.monotonic() < over or killed < 5:
            desk.put(*numbered(3))
            time.sleep(0.1)
            if desk.started[-1].poll() is None:
                desk.started[-1].kill()
                killed += 1
        until(lambda: desk.recorder.pending == 0, PATIENCE)
        assert desk.overflown.empty()
        assert (desk.recorder.stop(), desk.recorder.trouble) == (True, "")
        assert len(stored(desk.session_id)) == desk.timeline.last_seq
        assert not Entry.objects.of(desk.session_id).filter(kind="note").exists()

    @pytest.mark.slow
    @pytest.mark.parametrize("fails", [KILLS, HANGS])
    def test_only_the_culprit_is_given_up(self, fragile: Desk, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
        """Of all that came with an entry that ends each process only that one is missing, and a note stands in its place."""
        monkeypatch.setattr(hang_detection, "OVERDUE", 0.4)
        fragile.put_stored(*numbered(1))
        other = Story(status="ready")
        for number in range(100):
            fragile.put(f'{{"type":"{fails}"}}' if number == 50 else f'{{"n":{number}}}')
            other.raw(f'{{"n":{number}}}')
            fragile.recorder.put(str(other.session.pk), other.entries[-1])
        until(lambda: fragile.recorder.pending == 0, PATIENCE * 2)
        assert stored(str(other.session.pk)) == [f'{{"n":{number}}}' for number in range(100)]
        entries = list(Entry.objects.of(fragile.session_id).order_by("seq"))
        assert [entry.seq for entry in entries] == list(range(1, 102))
        [note] = [entry for entry in entries if entry.kind == "note"]
        assert (note.seq, note.type, note.level) == (52, "problem", "error")
        assert "could not be stored" in note.text
        assert note.data["lost"] == {"type": fails, "direction": "received", "size": len(f'{{"type":"{fails}"}}')}
        assert fragile.overflown.empty()
        assert fragile.recorder.stop(20)

    def test_a_close_is_still_a_close(self, fragile: Desk) -> None:
        """A session whose close ends each process is closed all the same, without its reason."""
        close = fragile.timeline.close("client", 1000, "x")
        batch = courier.Packed()
        batch.take([(fragile.session_id, close)])
        batch.finish()
        part = courier.without_entry(batch)
        assert part is not None
        fragile.recorder._courier._sent.append(part)
        with fragile.recorder._courier._changed:
            fragile.recorder._courier._changed.notify_all()
        until(lambda: Session.objects.get(pk=fragile.session_id).status == "closed")
        session = Session.objects.get(pk=fragile.session_id)
        assert (session.close_by, session.close_code, session.close_reason) == ("client", 1000, "its reason could not be stored")


def test_it_ends_with_the_recorder(desk: Desk) -> None:
    """Nothing that watches stays when the recorder has stopped."""
    desk.put_stored(*numbered(1))
    assert desk.recorder.stop()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("recorder")]


def test_splitting_loses_nothing() -> None:
    """Splitting a batch loses nothing, keeps the order, and counts each byte once."""
    story, batch = Story(status="ready"), courier.Packed()
    for number in range(70):
        story.raw(f'{{"type":"x","n":{number}}}')
    for start in range(0, 70, 32):
        batch.take([("one", entry) for entry in story.entries[start : start + 32]])
    batch.finish()
    parts = courier.split(batch)
    singles = [single for part in parts for single in courier.split(part)]
    assert [part.rows for part in parts] == [32, 32, 6]
    assert [single.rows for single in singles] == [1] * 70
    assert sum(single.size for single in singles) == batch.size
    assert courier.split(singles[0]) == [singles[0]]
