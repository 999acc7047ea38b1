"""Import a log: a session as it was, or nothing and the reason."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console import import_process, importing, imports, logfiles, retention
from console.batches import Batch
from console.models import Entry, Frame, Session
from tests.console.stories import Told, tell

pytestmark = pytest.mark.django_db(transaction=True)


def export(session_id: str) -> bytes:
    """A session's log."""
    return b"".join(logfiles.pieces(Session.objects.get(pk=session_id)))


def rows(session_id: str) -> list[dict[str, Any]]:
    """Everything stored of a session's entries, without whose they are and their keys."""
    return [{**row, "session_id": "", "id": 0} for row in Entry.objects.of(session_id).order_by("seq").values()]


def store(*chunks: bytes) -> Session:
    """Import a log of one session in this process."""
    [session_id] = importing.Importer(import_process.locks()).run(chunks).sessions
    return Session.objects.get(pk=session_id)


async def upload(client: AsyncClient, content: bytes, **headers: str) -> Any:
    """Send a file as the page's form does."""
    file = SimpleUploadedFile("call.jsonl", content)
    return await client.post("/sessions/import", {"file": file}, headers=headers)


class TestImport:
    """``POST /sessions/import``"""

    async def test_it_goes_to_the_session(self, async_client: AsyncClient, log: bytes) -> None:
        """A form is answered when the import is over, and redirected to the new session."""
        response = await upload(async_client, log)
        session = await Session.objects.exclude(source="console").aget()
        assert response.status_code == 303
        assert response["Location"] == f"/sessions/{session.pk}/"

    async def test_several_sessions_in_a_file(self, async_client: AsyncClient, log: bytes) -> None:
        """Logs one after the other in a file are as many sessions, and the answer leads to the library."""
        response = await upload(async_client, log + log)
        assert (response.status_code, response["Location"]) == (303, "/sessions/")
        assert await Session.objects.filter(source="import").acount() == 2

    def test_the_session_is_as_it_was(self, told: Told, log: bytes) -> None:
        """Rows, folds, frames and facts are those of the session that was exported; only id and source differ."""
        session = store(log)
        original = Session.objects.get(pk=told.id)
        assert rows(session.pk) == rows(told.id)
        assert [f.raw for f in Frame.objects.filter(entry__session=session).order_by("entry__seq")] == told.raws
        for name in ("label", "provider", "model", "dialect", "started_at", "status", "close_by", "close_code",
                     "close_reason", "events", "errors", "last_seq", "duration_us"):  # fmt: skip
            assert getattr(session, name) == getattr(original, name), name
        assert (session.source, session.is_live) == ("import", False)
        assert (session.ended_at - session.started_at).total_seconds() == pytest.approx(session.duration_us / 1e6)

    def test_exporting_again_gives_the_same_lines(self, told: Told, log: bytes) -> None:
        """Export, import, export: every line but the head is the same, byte for byte."""
        again = export(store(log).pk)
        assert again.split(b"\n")[1:] == log.split(b"\n")[1:]
        assert json.loads(again.split(b"\n")[0])["source"] == "import"

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(st.lists(st.text(), min_size=1, max_size=8))
    def test_any_frames_survive(self, log: bytes, raws: list[str]) -> None:
        """Whatever a frame holds, it comes out of the database as it went in."""
        lines = [log.split(b"\n")[0].decode()]
        for seq, text in enumerate(raws, 1):
            raw = json.dumps({"type": "x.delta", "delta": text}, ensure_ascii=False) if seq % 2 else text + "x"
            lines.append(json.dumps({
                "k": "ev", "seq": seq, "t_us": seq, "dir": "sent", "leg": "client", "origin": "app",
                "type": "x.delta" if seq % 2 else "", "raw": raw,
            }, ensure_ascii=False, separators=(",", ":")))  # fmt: skip
        content = "".join(f"{line}\n" for line in lines).encode()
        session = store(content)
        assert export(session.pk).split(b"\n")[1:] == content.split(b"\n")[1:]

    def test_a_log_longer_than_a_batch_folds_as_one(self, log: bytes) -> None:
        """A stream that goes on over many batches is one row with all its members counted."""
        lines = [log.split(b"\n")[0].decode()]
        for seq in range(1, 1202):
            raw = json.dumps({"type": "response.output_text.delta", "item_id": "i", "delta": "a"})
            lines.append(json.dumps({"k": "ev", "seq": seq, "t_us": seq, "dir": "received", "leg": "upstream",
                                     "origin": "api", "type": "response.output_text.delta", "raw": raw}))  # fmt: skip
        session = store(*(f"{line}\n".encode() for line in lines))
        [head] = Entry.objects.of(session).rows()
        assert (head.fold_count, head.fold_last_us, session.events) == (1201, 1201, 1201)

    def test_a_log_that_stops_in_the_middle_is_over(self, log: bytes) -> None:
        """A session without a close, as a crash leaves it, is not taken for a running one."""
        session = store(b"\n".join(log.split(b"\n")[:4]))
        assert not session.is_live
        assert session.close_code is None

    def test_keys_in_a_foreign_log_are_masked(self, log: bytes) -> None:
        """Secrets never come into the database, whoever wrote the file."""
        head = log.split(b"\n")[0]
        raw = json.dumps({"type": "x", "authorization": "Bearer abcdefghijkl9999"})
        line = {"k": "ev", "seq": 1, "t_us": 0, "dir": "sent", "leg": "client", "origin": "app", "type": "x"}
        session = store(head, b"\n", json.dumps({**line, "raw": raw}).encode())
        assert b"abcdefghijkl" not in export(session.pk)


class TestDamagedFiles:
    """What can be read of a file is kept, what cannot is said."""

    async def test_a_line_passed_over_is_a_note(self, async_client: AsyncClient, log: bytes) -> None:
        """A file with a damaged line is imported; a note in the line's place says which and why, also after export."""
        damaged = log.replace(b'"k":"close"', b'"k":"close"}', 1)
        number = damaged.split(b'"k":"close"}')[0].count(b"\n") + 1
        response = await upload(async_client, damaged)
        assert response.status_code == 303
        session = await Session.objects.exclude(source="console").aget()
        note = await Entry.objects.of(session).aget(type="skip")
        assert note.data["line"] == number
        assert f"Line {number} of the file was passed over: it is not JSON" in note.text
        assert note.seq == session.last_seq
        page = await async_client.get(response["Location"])
        assert f"Line {number} of the file was passed over" in page.content.decode()

    async def test_a_file_without_an_event_is_refused(self, async_client: AsyncClient, log: bytes) -> None:
        """A file in which there is no event is refused with 422, what it looks like, line and reason; nothing is stored."""
        response = await upload(async_client, b'{"log": {"entries": []}}')
        text = response.content.decode()
        assert (response.status_code, "“call.jsonl”" in text, "HAR" in text, "line 1" in text) == (422, True, True, True)
        assert await Session.all_objects.acount() == 1

    async def test_a_form_without_a_file(self, async_client: AsyncClient, log: bytes) -> None:
        """An empty form is answered with what to do."""
        response = await async_client.post("/sessions/import")
        assert (response.status_code, "choose an event log" in response.content.decode()) == (422, True)

    async def test_a_file_too_large(
        self, async_client: AsyncClient, log: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file above the limit is refused before it is read."""
        monkeypatch.setattr("console.views.imports.UPLOAD_LIMIT", 10)
        response = await upload(async_client, log)
        assert response.status_code == 422
        assert await Session.objects.acount() == 1

    def test_an_end_beyond_the_calendar(self, log: bytes) -> None:
        """Of a session that would end after the year 9999 the end is unknown; the rest is as it was."""
        head = json.loads(log.split(b"\n")[0]) | {"started_at": "9999-12-31T00:00:00Z"}
        lines = [json.dumps(head), json.dumps({"k": "note", "seq": 1, "t_us": 2**52, "kind": "x", "text": ""})]
        session = store("\n".join(lines).encode())
        assert (session.ended_at, session.duration_us) == (None, 2**52)

    def test_nul_in_the_head(self, log: bytes) -> None:
        """A NUL in a label, which not every database takes, is shown as what it is not."""
        head = json.loads(log.split(b"\n")[0]) | {"label": "a\0b", "client": "\0", "dialect": "x\0"}
        session = store(json.dumps(head).encode(), b"\n", b"\n".join(log.split(b"\n")[1:]))
        assert (session.label, session.client, session.dialect) == ("a\ufffdb", "\ufffd", "x\ufffd")


class TestForPrograms:
    """``POST /sessions/import`` with ``Accept: application/json``, and the address it answers"""

    async def test_progress_and_end(self, async_client: AsyncClient, log: bytes) -> None:
        """It is answered at once; the address tells how far it is, at the end what became of it."""
        response = await upload(async_client, log, accept="application/json")
        assert response.status_code == 202
        facts = await over(async_client, response.json()["import"])
        session = await Session.objects.filter(source="import").aget()
        assert facts == {
            "import": response.json()["import"], "file": "call.jsonl", "state": "done", "size": len(log), "bytes": len(log),
            "lines": log.count(b"\n"), "events": session.events, "skipped": 0, "sessions": [session.pk],
            "page": f"/sessions/{session.pk}/", "error": None,
            "report": {"format": "jsonl", "events": session.events, "guessed": [], "missing": [], "skipped": []},
        }  # fmt: skip

    async def test_a_refusal(self, async_client: AsyncClient, log: bytes) -> None:
        """A refused file says so there, in a sentence."""
        response = await upload(async_client, b"Dear diary", accept="application/json")
        facts = await over(async_client, response.json()["import"])
        assert (facts["state"], facts["sessions"], "plain text" in facts["error"]) == ("refused", [], True)

    async def test_stopping(self, async_client: AsyncClient, log: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        """DELETE stops it, whether it waits or runs; nothing of it stays, not even rows nobody sees."""
        content = long_log(log, 20_000)
        running = (await upload(async_client, content, accept="application/json")).json()["import"]
        waiting = (await upload(async_client, content, accept="application/json")).json()["import"]
        await until(lambda: importing_rows() > 0, "rows of the import")
        assert (await async_client.get(waiting)).json()["state"] == "waiting"
        assert (await async_client.delete(waiting)).json()["state"] == "stopped"
        assert (await async_client.get("/sessions.json")).json()[0]["source"] == "console"  # nobody sees what is half there
        await async_client.delete(running)
        assert (await over(async_client, running))["state"] == "stopped"
        assert await Session.all_objects.acount() == 1
        assert await Entry.objects.exclude(session__source="console").acount() == 0

    async def test_what_is_not_there(self, async_client: AsyncClient, log: bytes) -> None:
        """An import nobody knows is a 404; a form without a file a sentence in JSON."""
        assert (await async_client.get("/sessions/imports/nobody")).status_code == 404
        response = await async_client.post("/sessions/import", headers={"accept": "application/json"})
        assert (response.status_code, "choose an event log" in response.json()["error"]) == (422, True)


class TestABrokenImport:
    """Nothing stays of what did not end well"""

    async def test_its_process_is_killed(self, async_client: AsyncClient, log: bytes) -> None:
        """When the process is killed that is said, and the next sweep leaves nothing of it."""
        address = (await upload(async_client, long_log(log, 20_000), accept="application/json")).json()["import"]
        await until(lambda: importing_rows() > 0, "rows of the import")
        one = imports.find(address.rpartition("/")[2])
        assert one is not None and one._process is not None
        os.kill(one._process.pid, signal.SIGKILL)
        facts = await over(async_client, address)
        assert (facts["state"], "its process ended" in facts["error"]) == ("failed", True)
        assert importing_rows() > 0
        await sync_to_async(retention.sweep_imports)(import_process.locks())
        assert (importing_rows(), await Session.all_objects.acount()) == (0, 1)

    def test_the_database_refuses(self, log: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        """When the disk is full on the way a sentence says so, and nothing is stored."""
        write, calls = Batch.write, []

        def full(batch: Batch) -> None:
            calls.append(1)
            if len(calls) > 2:
                raise OperationalError("database or disk is full")
            write(batch)

        monkeypatch.setattr(Batch, "write", full)
        with pytest.raises(importing.Failed, match="disk is full"):
            store(long_log(log, 500))
        assert (importing_rows(), Session.all_objects.count()) == (0, 1)

    def test_an_import_that_runs_is_left_alone(self, log: bytes) -> None:
        """A sweep beside a running import takes nothing of it."""
        swept = []

        def chunks() -> Iterator[bytes]:
            content = long_log(log, 500)
            yield content[: len(content) // 2]
            yield b""
            retention.sweep_imports(import_process.locks())
            swept.append(importing_rows())
            yield content[len(content) // 2 :]

        [session_id] = importing.Importer(import_process.locks()).run(chunks()).sessions
        assert swept[0] > 0
        assert Session.objects.get(pk=session_id).events >= 500


class TestTheCommand:
    """``manage.py import_log``"""

    def test_it_prints_the_sessions(self, log: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Each file becomes a session, whose id is printed."""
        file = tmp_path / "a.jsonl"
        file.write_bytes(log)
        call_command("import_log", str(file), str(file))
        ids = capsys.readouterr().out.split()
        assert [Session.objects.get(pk=id_).source for id_ in ids] == ["import", "import"]

    def test_it_reads_standard_input(self, log: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        """``-`` is standard input."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(log)))
        call_command("import_log", "-")
        assert Session.objects.filter(source="import").count() == 1

    def test_it_says_what_is_wrong(self, log: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A file that is not there or has no event is named with the reason, the others are imported all the same: exit 1."""
        (tmp_path / "bad.jsonl").write_bytes(b"{}")
        (tmp_path / "good.jsonl").write_bytes(log[:-20])
        with pytest.raises(CommandError, match="2 of 3 files") as failed:
            call_command("import_log", *(str(tmp_path / f"{name}.jsonl") for name in ("bad", "none", "good")))
        said = capsys.readouterr()
        assert failed.value.returncode == 1
        assert "bad.jsonl could not be imported, nothing of it was stored: line 1: it is not an object" in said.err
        assert "none.jsonl could not be read: No such file" in said.err
        assert "good.jsonl: 1 line was passed over, the first at line" in said.err
        assert Session.objects.get(source="import").pk == said.out.strip()

    def test_for_programs(self, log: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With ``--json`` each file is an object on a line, a refused one too."""
        (tmp_path / "bad.jsonl").write_bytes(b"{}")
        (tmp_path / "good.jsonl").write_bytes(log[:-20])
        names = [str(tmp_path / f"{name}.jsonl") for name in ("good", "bad")]
        with pytest.raises(CommandError):
            call_command("import_log", *names, "--json")
        good, bad = map(json.loads, capsys.readouterr().out.splitlines())
        session = Session.objects.get(source="import")
        number = log.count(b"\n")
        reason = good["skipped"][0]["reason"]
        assert reason.startswith("it is not JSON")
        assert good == {
            "file": names[0], "format": "jsonl", "sessions": [session.pk], "events": session.events, "guessed": [],
            "missing": [], "skipped": [{"line": number, "reason": reason}],
        }  # fmt: skip
        assert (bad["file"], bad["sessions"], bad["events"], "no event" in bad["error"]) == (names[1], [], 0, True)


def long_log(log: bytes, events: int) -> bytes:
    """A log of so many frames of 2 kB more."""
    raw = json.dumps({"type": "x", "text": "y" * 2000})
    line = {"k": "ev", "t_us": 0, "dir": "sent", "leg": "client", "origin": "app", "type": "x", "raw": raw}
    return log + b"".join(json.dumps({**line, "seq": 100 + number}).encode() + b"\n" for number in range(events))


def importing_rows() -> int:
    """Entries of imports that are not over, seen over a connection of its own: this is asked from the loop, too."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as database:
        return int(database.execute(
            "SELECT COUNT(*) FROM console_entry e JOIN console_session s ON s.id = e.session_id WHERE s.status = 'importing'"
        ).fetchone()[0])  # fmt: skip


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something, a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited 60 s for {what}"
        await asyncio.sleep(0.01)


async def over(client: AsyncClient, address: str) -> dict[str, Any]:
    """What an import's address says when it is over."""
    deadline = time.monotonic() + 60
    while (facts := (await client.get(address)).json())["state"] in ("waiting", "running"):
        assert time.monotonic() < deadline, f"the import was not over after 60 s: {facts}"
        await asyncio.sleep(0.05)
    return dict(facts)


@pytest.fixture
def told(transactional_db: None) -> Told:
    """A stored session."""
    return tell()


@pytest.fixture
def log(told: Told) -> bytes:
    """Its log."""
    return export(told.id)
