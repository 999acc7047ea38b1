"""What is kept and what is removed: limits of age and size, pins, space that is given back."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from console import housekeeping, preparing, retention, storage
from console.models import Entry, Frame, Removal, Session
from console.rail import Rail
from tests.conftest import ROOT, SHIELDED, start_console
from tests.console.stage import HTMX, Story

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "exceeded", "")


def ended(days: float, frames: int = 1, **columns: Any) -> str:
    """A session that ended so many days ago, with frames of 10 kB."""
    began = timezone.now() - timedelta(days=days, minutes=1)
    story = Story(started_at=began, **columns)
    for _ in range(frames):
        story.received("x", text="y" * 10_000)
    story.close()
    session_id = story.store()
    Session.objects.filter(pk=session_id).update(ended_at=began + timedelta(minutes=1))
    return session_id


def ids() -> set[str]:
    """Sessions that are there."""
    return set(Session.objects.values_list("pk", flat=True))


class TestLimits:
    """What the two variables may say"""

    @pytest.mark.parametrize(("days", "disk", "expected"), [
        ("", "", (None, None)),
        ("30", "20GB", (30, 20 * 10**9)),
        ("0.5", "1.5 TB", (0.5, 1_500_000_000_000)),
        (" 7 ", "512MiB", (7, 512 * 2**20)),
        ("1", "1mb", (1, 10**6)),
    ])  # fmt: skip
    def test_what_they_mean(self, settings: Any, days: str, disk: str, expected: tuple[Any, Any]) -> None:
        """Days are a number, sizes a number and a unit."""
        settings.CONSOLE_KEEP_DAYS, settings.CONSOLE_MAX_DISK = days, disk
        found = retention.limits()
        assert (found.days, found.disk) == expected

    @pytest.mark.parametrize(("name", "value"), [
        *(("CONSOLE_KEEP_DAYS", value) for value in ("0", "-1", "soon", "nan", "inf", "1e9", "30d", "99999999999999999999")),
        *(("CONSOLE_MAX_DISK", value) for value in ("20", "0GB", "-1GB", "1KB", "many", "20 G", "1GB2", "9" * 30 + "TB")),
    ])  # fmt: skip
    def test_what_cannot_be_a_limit_is_refused(self, settings: Any, name: str, value: str) -> None:
        """The start is refused with a sentence that names the variable and its value: nothing is removed by mistake."""
        settings.CONSOLE_KEEP_DAYS = settings.CONSOLE_MAX_DISK = ""
        setattr(settings, name, value)
        with pytest.raises(preparing.CannotStart, match=f"^{name} is .*{value!r}"):
            preparing.assert_limits()

    def test_the_console_does_not_start(self, tmp_path: Path) -> None:
        """``manage.py console`` ends at once with that sentence."""
        environment = {**SHIELDED, "CONSOLE_DATA_DIR": str(tmp_path), "CONSOLE_MAX_DISK": "20"}
        command = [sys.executable, "manage.py", "console", "--port", "0"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 1
        assert done.stderr.startswith("CommandError: CONSOLE_MAX_DISK is a size")


class TestAge:
    """``CONSOLE_KEEP_DAYS``"""

    def test_the_older_ones_go(self, caplog: pytest.LogCaptureFixture) -> None:
        """Finished sessions beyond the age go with all they had; pinned, running and younger ones stay. It is logged once."""
        old, older = ended(31), ended(400)
        kept = {ended(29), ended(500, pinned=True), str(Story(status="ready", started_at=timezone.now() - timedelta(900)).session.pk)}
        with caplog.at_level(logging.INFO, "console.retention"):
            pruned = retention.prune(retention.Limits(days=30))
        assert (ids(), pruned.removed) == (kept, {"older than 30 days": 2})
        assert not Session.all_objects.filter(pk__in=[old, older]).exists()
        assert set(Entry.objects.values_list("session_id", flat=True)) <= kept
        assert set(Frame.objects.values_list("entry__session_id", flat=True)) <= kept
        assert [record.message for record in caplog.records] == ["removed 2 sessions older than 30 days"]

    def test_an_imported_one_is_as_old_as_its_import(self) -> None:
        """A log of last year that was imported yesterday is a day old."""
        imported = ended(365, source="import", imported_at=timezone.now() - timedelta(days=1))
        retention.prune(retention.Limits(days=2))
        assert ids() == {imported}
        retention.prune(retention.Limits(days=0.5))
        assert ids() == set()

    def test_no_limit(self) -> None:
        """Without limits nothing goes, however old it is."""
        kept = ended(10_000)
        assert not retention.prune(retention.Limits()).removed
        assert ids() == {kept}

    def test_one_pinned_at_the_last_moment_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A session that is pinned between being found and being removed is not touched."""
        session_id = ended(100)
        hide = retention.hide

        def late(sessions: Any) -> int:
            Session.objects.filter(pk=session_id).update(pinned=True)
            return hide(sessions)

        monkeypatch.setattr(retention, "hide", late)
        assert not retention.prune(retention.Limits(days=30)).removed
        assert Entry.objects.of(session_id).count() == 2


class TestSize:
    """``CONSOLE_MAX_DISK``"""

    def test_the_oldest_go_until_it_fits(self) -> None:
        """The oldest finished sessions go, one by one, until pages in use and the log are below the limit; no more than that."""
        made = [ended(10 - number, frames=200) for number in range(4)]  # 3.2 MB each, a page for each frame
        storage.cut_log(0)
        limit = storage.used() - 5_000_000
        pruned = retention.prune(retention.Limits(disk=limit))
        assert ids() == set(made[2:])
        assert sum(pruned.removed.values()) == 2
        assert not pruned.exceeded
        assert storage.used() <= limit

    def test_only_pinned_and_running_ones_are_left(self, client: Client) -> None:
        """When the limit is exceeded and nothing may go, that is said on every page with a list."""
        kept = {ended(5, frames=150, pinned=True), str(Story(status="ready").session.pk)}
        pruned = retention.prune(retention.Limits(disk=10**6))
        assert ids() == kept
        assert "no session is left that may be removed: unpin or end some, or raise the limit." in pruned.exceeded
        housekeeping.exceeded = pruned.exceeded
        for path in ("/", "/sessions/"):
            assert "unpin or end some" in client.get(path).content.decode()


class TestWhatIsSaid:
    """On pages"""

    def test_the_lists_say_what_was_removed(self, client: Client) -> None:
        """Library and rail say for a day what was removed and why, all of a rule together."""
        for _ in range(2):
            ended(31)
            retention.prune(retention.Limits(days=30))
        Removal.objects.create(rule="to stay below 20 GB", sessions=1)
        Removal.objects.create(rule="older than 9 days", sessions=9)
        Removal.objects.filter(rule="older than 9 days").update(at=timezone.now() - timedelta(days=2))
        for path in ("/", "/sessions/"):
            text = client.get(path).content.decode()
            assert "<p>2 sessions older than 30 days were removed in the last day.</p>" in text
            assert "<p>The oldest session was removed in the last day to stay below 20 GB.</p>" in text
            assert "older than 9 days" not in text

    def test_a_list_that_is_open_is_told(self) -> None:
        """A rail on the page gets the sentence with its next look, once."""
        listed = Rail()
        session_id = ended(31)
        assert f'id="session-{session_id}"' in listed.news()
        retention.prune(retention.Limits(days=30))
        text = listed.news()
        assert '<div id="retention" role="status" hx-swap-oob="true">' in text
        assert "1 session older than 30 days was removed in the last day." in text
        assert listed.news() == ""


class TestPins:
    """``POST /sessions/<id>/pin``"""

    def test_pin_and_unpin(self, client: Client) -> None:
        """A pin is kept, the button comes back pressed, and programs are told."""
        session_id = ended(1, label="Demo")
        for pinned, pressed in (("1", "true"), ("0", "false")):
            text = client.post(f"/sessions/{session_id}/pin", {"pinned": pinned}, headers=HTMX).content.decode()
            assert f'<button type="button" id="pin-{session_id}" class="pin" data-kind="plain" aria-pressed="{pressed}"' in text
            assert client.get("/sessions.json").json()[0]["pinned"] is (pinned == "1")
            for path in ("/", "/sessions/", f"/sessions/{session_id}/"):
                assert f'aria-pressed="{pressed}" aria-label="Pin “Demo”"' in client.get(path).content.decode()
        assert client.post(f"/sessions/{session_id}/pin", {"pinned": "1"})["Location"] == "/sessions/"
        assert client.post("/sessions/nobody/pin", {"pinned": "1"}).status_code == 404

    def test_a_rail_that_is_open_follows(self) -> None:
        """Another page's rail shows the pin."""
        session_id = ended(1)
        listed = Rail()
        listed.news()
        Session.objects.filter(pk=session_id).update(pinned=True)
        assert 'aria-pressed="true"' in listed.news()


def test_a_page_opens_while_somebody_writes(client: Client) -> None:
    """A new connection takes no lock: a page that is opened while an import or a removal writes does not wait for it."""
    session_id = ended(1)
    connection.close()
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert client.get(f"/sessions/{session_id}/").status_code == 200
        assert time.monotonic() - began < connection.settings_dict["OPTIONS"]["timeout"]
        other.execute("ROLLBACK")


class TestDeleting:
    """Deleting a session that is large"""

    def test_it_is_gone_at_once_and_its_rows_a_little_later(self, client: Client) -> None:
        """The answer does not wait for the rows; nobody sees the session any more."""
        session_id = ended(1, frames=300, pinned=True)
        began = threading.Event()
        holds = housekeeping._WORKER.submit(began.wait)
        client.post(f"/sessions/{session_id}/delete", headers=HTMX)
        assert Entry.objects.of(session_id).count() == 301
        assert ids() == set()
        for path in (f"/sessions/{session_id}/", f"/sessions/{session_id}.json", f"/sessions/{session_id}/log.jsonl"):
            assert client.get(path).status_code == 404
        began.set()
        holds.result(10)
        housekeeping.soon().result(60)
        assert not Session.all_objects.exists()
        assert (Entry.objects.count(), Frame.objects.count()) == (0, 0)

    def test_no_transaction_is_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten thousand entries go in many transactions, so that who records can write in between."""
        story = Story(started_at=timezone.now())
        for _ in range(10_000):
            story.received("x", text="y" * 200)
        story.close()
        session_id = story.store()
        sizes = []
        delete = retention._delete
        monkeypatch.setattr(retention, "_delete", lambda ids: (sizes.append(len(ids)), delete(ids)))
        retention.hide(Session.objects.filter(pk=session_id))
        retention.sweep_deleted()
        assert sum(sizes) == 10_001
        assert max(sizes) <= retention.MOST_ROWS

    def test_what_was_interrupted_goes_on(self) -> None:
        """A removal that is stopped on the way stays out of sight, and the next one ends it."""
        session_id = ended(1, frames=300)
        retention.hide(Session.objects.filter(pk=session_id))
        asked = iter([False, False])
        retention.sweep_deleted(lambda: next(asked, True))
        assert 0 < Entry.objects.of(session_id).count() < 301
        assert ids() == set()
        retention.sweep_deleted()
        assert not Session.all_objects.exists()


class TestTheCommand:
    """``manage.py prune_logs``"""

    def test_it_says_what_it_did(self, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """How many sessions went by which rule, and what the recordings take."""
        ended(31), ended(32), ended(1)
        settings.CONSOLE_KEEP_DAYS = "30"
        call_command("prune_logs")
        said = capsys.readouterr().out
        assert "2 sessions removed: older than 30 days.\n" in said
        assert "The recordings take " in said
        assert len(ids()) == 1
        call_command("prune_logs")
        assert "No session had to be removed.\n" in capsys.readouterr().out

    def test_without_limits(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Without a variable it says that all is kept."""
        call_command("prune_logs")
        assert "all sessions are kept" in capsys.readouterr().out

    def test_a_limit_that_is_none(self, settings: Any) -> None:
        """A variable that cannot be a limit is refused, and nothing is removed."""
        kept = ended(900)
        settings.CONSOLE_KEEP_DAYS = "soon"
        with pytest.raises(CommandError, match="CONSOLE_KEEP_DAYS is a number"):
            call_command("prune_logs")
        assert ids() == {kept}

    def test_space_goes_back_to_the_system(self) -> None:
        """A database made by this version gives free pages back, a few at a time, without being written anew."""
        assert storage.shrinks()
        ended(31, frames=500)
        storage.cut_log(0)
        before = Path(connection.settings_dict["NAME"]).stat().st_size
        retention.prune(retention.Limits(days=30))
        assert storage.free() > 4_000_000
        storage.give_back(spare=0)
        storage.cut_log(0)
        assert storage.free() == 0
        assert Path(connection.settings_dict["NAME"]).stat().st_size < before - 4_000_000

    @pytest.mark.slow
    def test_an_old_database_is_compacted(self, tmp_path: Path) -> None:
        """A database of an earlier version keeps its free pages until ``--compact``, and gives them back from then on."""
        path = tmp_path / "console.sqlite3"
        environment = {**SHIELDED, "CONSOLE_DATA_DIR": str(tmp_path)}

        def manage(*arguments: str) -> str:
            done = subprocess.run(
                [sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True,
                check=False, timeout=120,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            return done.stdout

        manage("migrate", "--verbosity", "0", "console", "0005")
        with closing(sqlite3.connect(path)) as database:  # as an earlier version left it: with a session, and without
            database.execute("PRAGMA auto_vacuum=NONE")
            database.execute("VACUUM")
            database.execute("CREATE TABLE filler (x)")
            database.executemany("INSERT INTO filler VALUES (?)", [("y" * 10_000,)] * 300)
            columns = "id, label, source, provider, model, dialect, client, key_name, status, started_at, close_by, close_reason, " \
                "events, errors, last_seq, duration_us"
            database.execute(f"INSERT INTO console_session ({columns}) VALUES "
                             "('a', '', 'console', '', '', 'ga', '', '', 'closed', '2026-01-01', '', '', 0, 0, 0, 0)")
            database.execute("DROP TABLE filler")
            database.commit()
        manage("migrate", "--verbosity", "0")
        assert "prune_logs --compact gives them back" in manage("prune_logs")
        before = path.stat().st_size
        assert "written anew" in manage("prune_logs", "--compact")
        assert path.stat().st_size < before - 2_000_000
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA auto_vacuum").fetchone() == (2,)
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_console_removes_by_itself(tmp_path: Path) -> None:
    """A console that is started removes what is too old, and what an import that was killed has left; it says so."""
    assert start_console(tmp_path).stop() == 0  # it makes the tables
    path = tmp_path / "data" / "console.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        columns = (
            "id, label, source, provider, model, dialect, client, key_name, status, started_at, ended_at, close_by, close_reason, "
            "events, errors, last_seq, duration_us, pinned"
        )
        for name, status, pinned in (("old", "closed", 0), ("pinned", "closed", 1), ("half", "importing", 0), ("gone", "deleting", 0)):
            values = (name, "", "console", "", "", "ga", "", "", status, "2020-01-01 00:00:00", "2020-01-01 00:00:00", "", "nobody",
                      0, 0, 0, 0, pinned)  # fmt: skip
            database.execute(f"INSERT INTO console_session ({columns}) VALUES ({', '.join('?' * len(values))})", values)
        database.commit()
    upload = tmp_path / "data" / "uploads" / "left.upload"
    upload.write_bytes(b"x")
    console = start_console(tmp_path, CONSOLE_KEEP_DAYS="30")
    try:
        deadline = time.monotonic() + 60
        while True:
            with closing(sqlite3.connect(path)) as database:
                left = [row[0] for row in database.execute("SELECT id FROM console_session")]
            if left == ["pinned"]:
                break
            assert time.monotonic() < deadline, f"after 60 s there are still {left}"
            time.sleep(0.1)
        assert not upload.exists()
    finally:
        assert console.stop() == 0
    assert "removed 1 session older than 30 days" in console.log.read_text()
    assert "Traceback" not in console.log.read_text()
