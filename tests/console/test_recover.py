"""Recover: what a console that was killed had recorded is stored at the next start, and what it left open has an honest end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from console import import_process, importing, locks, logfiles, recovering
from console.gathering import Packed
from console.journal import Journal, Segment, read
from console.locks import Refused, end_orphan, hold_as_writer
from console.models import Entry, Session
from console.parcels import Late, Receipt, packed
from console.recorder import Recorder
from console.writer import Writer
from tests.console.stage import Story
from tests.console.test_record import numbered, session, stored
from tests.console.test_write_in_a_process import Desk
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "sk-proj-A1b2C3d4E5f6G7h8I9j0WXYZ"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal in its place."""
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close(stored=True)


def story_of(count: int) -> Story:
    """A running session with so many frames, none stored."""
    story = Story(status="ready")
    for raw in numbered(count):
        story.raw(raw)
    return story


class TestReplay:
    """A journal that was left behind"""

    @pytest.mark.parametrize("already", [0, 1, 17, 40])
    def test_what_is_missing_is_stored(self, journal: Journal, tmp_path: Path, already: int) -> None:
        """Whatever the database has of it already, in the end it has all of it once, in order, and what its way cost."""
        story = story_of(40)
        told = [(str(story.session.pk), entry) for entry in story.entries]
        if already:
            writer = Writer(lambda receipt: None)
            writer.take(told[:already])  # type: ignore[arg-type]
            writer.store()
        for start in range(0, 40, 7):
            journal.append(packed(told[start : start + 7]))
        journal.append(packed([(str(story.session.pk), Late(3, 88))]))
        assert recovering.replay(tmp_path / "journal") == 40 - already
        assert recovering.replay(tmp_path / "journal") == 0
        assert stored(str(story.session.pk)) == numbered(40)
        assert Entry.objects.get(session=story.session, seq=3).added_us == 88
        assert Session.objects.get(pk=story.session.pk).events == 40

    def test_a_session_that_was_deleted(self, journal: Journal, tmp_path: Path) -> None:
        """What is no longer wanted is left out, and all else stored."""
        gone, kept = story_of(5), story_of(5)
        for story in (gone, kept):
            journal.append(packed([(str(story.session.pk), entry) for entry in story.entries]))
        gone.session.delete()
        assert recovering.replay(tmp_path / "journal") == 5
        assert stored(str(kept.session.pk)) == numbered(5)

    def test_a_record_that_cannot_be_read(self, journal: Journal, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """It is said, and what comes after it is stored."""
        story = story_of(2)
        journal.append(b"\x05\0\0\0nonsense")
        journal.append(packed([(str(story.session.pk), entry) for entry in story.entries]))
        assert recovering.replay(tmp_path / "journal") == 2
        assert "a record of the journal cannot be read" in caplog.text

    def test_a_database_that_refuses(self, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The start is refused, the reason said; the journal stays as it is."""
        story = story_of(2)
        journal.append(packed([(str(story.session.pk), entry) for entry in story.entries]))
        monkeypatch.setattr(recovering, "STORE_WITHIN", 0.0)

        def store(self: Any) -> None:
            self._tell(Receipt([], done=False, trouble="the disk is full; free some space"))

        with monkeypatch.context() as full:
            full.setattr(Writer, "store", store)
            with pytest.raises(recovering.NotStored, match="the disk is full"):
                recovering.replay(tmp_path / "journal")
        assert recovering.replay(tmp_path / "journal") == 2


class TestKeeping:
    """What the recorder keeps in the journal"""

    def test_before_it_gathers(self, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An entry is in the journal as soon as it is packed, though its batch still gathers; stored, it is needed no longer."""
        monkeypatch.setattr("console.gathering.FLUSH_AFTER", 600.0)
        recorder, story = Recorder(), story_of(3)
        recorder.journal = journal
        recorder.start()
        for entry in story.entries:
            recorder.put(str(story.session.pk), entry)
        eventually(lambda: len(b"".join(read(tmp_path / "journal"))) > 300, "the journal holds what was told")
        assert stored(str(story.session.pk)) == []
        assert not journal._segments[0].is_stored
        assert recorder.stop()
        assert journal._segments[0].is_stored
        assert stored(str(story.session.pk)) == numbered(3)

    def test_no_secret(self, journal: Journal, tmp_path: Path) -> None:
        """Secrets are masked before they reach any file: in frames, notes and closes; the row says so as ever."""
        story = Story(status="ready")
        story.raw(f'{{"type":"x","client_secret":{{"value":"{KEY}"}}}}')
        story.note("state", f"with {KEY}", key=KEY)
        story.close("server", 1000, f"bad {KEY}")
        batch = Packed()
        journal.append(batch.take([(str(story.session.pk), entry) for entry in story.entries]))
        assert KEY.encode() not in (tmp_path / "journal.0").read_bytes()
        recovering.replay(tmp_path / "journal")
        first = Entry.objects.get(session=story.session, seq=1)
        assert first.data["masked"] is True
        assert first.size == len(story.entries[0].event.raw)  # type: ignore[union-attr]
        assert Session.objects.get(pk=story.session.pk).close_reason.startswith("bad •••")


def log_of(session_id: str) -> list[bytes]:
    """A session's log file, in lines."""
    return b"".join(logfiles.pieces(Session.objects.get(pk=session_id))).splitlines(keepends=True)


class TestAbandoned:
    """Sessions that were open"""

    def test_an_honest_end(self, client: Client) -> None:
        """Each gets a close at its last entry, which says when that was: on the timeline, in the file, in the library."""
        story = Story(status="ready")
        story.clock.advance(61.5)
        story.received("session.created")
        story.clock.advance(1)
        last = story.received("response.created")
        session_id = story.store()
        over = Story(status="closed", close_reason="bye").session.pk
        assert recovering.close_abandoned() == 1
        assert recovering.close_abandoned() == 0
        kept = Session.objects.get(pk=session_id)
        at = Entry.objects.get(session=kept, seq=last)
        close = Entry.objects.get(session=kept, seq=last + 1)
        ended = datetime(2026, 11, 20, 10, tzinfo=UTC) + timedelta(microseconds=at.t_us)
        reason = f"the console stopped; last frame at {ended:%Y-%m-%dT%H:%M:%S.%fZ}"
        assert (kept.status, kept.close_by, kept.close_code, kept.close_reason) == ("closed", "console", None, reason)
        assert (kept.ended_at, kept.duration_us, kept.last_seq, kept.events) == (ended, at.t_us, last + 1, 2)
        assert (close.kind, close.t_us, close.text, close.data) == ("close", at.t_us, reason, {"by": "console", "code": None})
        told = json.loads(log_of(session_id)[-1])
        assert (told["k"], told["by"], told["code"], told["reason"], told["t_us"]) == ("close", "console", None, reason, at.t_us)
        page = client.get(f"/sessions/{session_id}/").content.decode()
        assert f"The console stopped; last frame at {ended:%Y-%m-%dT%H:%M:%S.%fZ}" in page
        assert "the console stopped" in client.get("/sessions/").content.decode()
        assert Session.objects.get(pk=over).close_reason == "bye"

    def test_it_comes_back_from_its_file(self) -> None:
        """Exported and imported, it has the same end."""
        story = Story(status="ready")
        story.received("session.created")
        session_id = story.store()
        recovering.close_abandoned()
        [imported] = importing.Importer(import_process.locks()).run(log_of(session_id)).sessions
        again = Session.objects.get(pk=imported)
        assert again.close_reason == Session.objects.get(pk=session_id).close_reason
        assert again.ended_at == Session.objects.get(pk=session_id).ended_at

    def test_nothing_was_recorded(self) -> None:
        """A session without an entry has no last frame: it ends where it began, and says what is known."""
        session_id = session()
        recovering.close_abandoned()
        kept = Session.objects.get(pk=session_id)
        assert (kept.close_reason, kept.ended_at) == ("the console stopped; nothing had been recorded", kept.started_at)

    def test_those_that_run_are_left_alone(self) -> None:
        """What runs in this process is not over."""
        session_id = session()
        assert recovering.close_abandoned([session_id]) == 0

    def test_many(self) -> None:
        """However many there are, all are closed."""
        for _ in range(2 * recovering.SESSIONS_AT_ONCE + 1):
            Story(status="connecting")
        assert recovering.close_abandoned() == 2 * recovering.SESSIONS_AT_ONCE + 1
        assert not Session.objects.live().exists()


class TestOrphan:
    """A writer whose console is gone"""

    def test_one_that_does_not_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is ended before anything is read, so that no two write."""
        monkeypatch.setattr(locks, "ORPHAN_WITHIN", 0.1)
        code = (
            "import sys, time, pathlib; from console.locks import hold_as_writer\n"
            "held = hold_as_writer(pathlib.Path(sys.argv[1]), 5); print('held', flush=True); time.sleep(600)"
        )
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE)
        assert child.stdout is not None
        with child.stdout:
            assert child.stdout.readline() == b"held\n"
        assert hold_as_writer(tmp_path / "lock", 0.1) is None
        end_orphan(tmp_path / "lock")
        assert child.wait(60) == -9
        held = hold_as_writer(tmp_path / "lock", 5)
        assert held is not None
        held.close()

    def test_there_is_none(self, tmp_path: Path) -> None:
        """A lock that nobody has costs no time, and whose number is in its file is left alone."""
        (tmp_path / "lock").write_text("1")
        began = time.monotonic()
        end_orphan(tmp_path / "lock")
        end_orphan(tmp_path / "no lock")
        assert time.monotonic() - began < locks.ORPHAN_WITHIN * 10

    def test_it_cannot_be_ended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where it stays all the same the start is refused, with a sentence."""
        monkeypatch.setattr(locks, "DEAD_WITHIN", 0.05)
        held = hold_as_writer(tmp_path / "lock", 5)
        assert held is not None
        with pytest.raises(Refused, match="still writes to it"):
            end_orphan(tmp_path / "lock")
        held.close()


def test_a_writer_is_alone(transactional_db: None) -> None:
    """A second process that writes to the same database ends at once and says why."""
    desk = Desk()
    desk.recorder.start()
    desk.put_stored(*numbered(1))
    held = hold_as_writer(recovering.writer_lock(), 0.1)
    assert held is None
    assert desk.recorder.stop()
    held = hold_as_writer(recovering.writer_lock(), 60)
    assert held is not None
    held.close()


def test_a_journal_that_cannot_be_written_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk takes neither rows nor journal, nobody is told that nothing is lost."""
    recorder = Recorder()
    recorder.journal = Journal(tmp_path / "journal")
    recorder._suffer("the disk is full")
    assert "Nothing is lost yet" in recorder.trouble

    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Segment, "append", full)
    recorder.journal.append(b"a record")
    recorder._suffer("the disk is full")
    assert "the journal cannot be written either (no space left): it is lost if the console ends" in recorder.trouble
    recorder.journal.close(stored=False)
