"""Import a log: a session as it was, or nothing and the reason."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console import logfiles
from console.models import Entry, Frame, Session
from tests.console.stories import Told, tell

pytestmark = pytest.mark.django_db(transaction=True)


def export(session_id: str) -> bytes:
    """A session's log."""
    return b"".join(logfiles.pieces(Session.objects.get(pk=session_id)))


def rows(session_id: str) -> list[dict[str, Any]]:
    """Everything stored of a session's entries, without whose they are and their keys."""
    return [{**row, "session_id": "", "id": 0} for row in Entry.objects.of(session_id).order_by("seq").values()]


async def upload(client: AsyncClient, content: bytes, **headers: str) -> Any:
    """Send a file as the page's form does."""
    file = SimpleUploadedFile("call.jsonl", content)
    return await client.post("/sessions/import", {"file": file}, headers=headers)


class TestImport:
    """``POST /sessions/import``"""

    async def test_it_goes_to_the_session(self, async_client: AsyncClient, log: bytes) -> None:
        """A form without scripts is redirected to the new session; htmx is told to load it into the page."""
        response = await upload(async_client, log)
        session = await Session.objects.exclude(source="console").aget()
        assert response.status_code == 303
        assert response["Location"] == f"/sessions/{session.pk}/"
        response = await upload(async_client, log, **{"hx-request": "true"})
        newest = await Session.objects.exclude(source="console").exclude(pk=session.pk).aget()
        assert json.loads(response["HX-Location"]) == {
            "path": f"/sessions/{newest.pk}/", "target": "#console", "swap": "outerHTML",
        }  # fmt: skip

    def test_the_session_is_as_it_was(self, told: Told, log: bytes) -> None:
        """Rows, folds, frames and facts are those of the session that was exported; only id and source differ."""
        session = logfiles.store(io.BytesIO(log))
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
        again = export(logfiles.store(io.BytesIO(log)).pk)
        assert again.split(b"\n")[1:] == log.split(b"\n")[1:]
        assert json.loads(again.split(b"\n")[0])["source"] == "import"

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(st.lists(st.text(), max_size=8))
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
        session = logfiles.store(io.BytesIO(content))
        assert export(session.pk).split(b"\n")[1:] == content.split(b"\n")[1:]

    def test_a_log_longer_than_a_batch_folds_as_one(self, log: bytes) -> None:
        """A stream that goes on over many batches is one row with all its members counted."""
        lines = [log.split(b"\n")[0].decode()]
        for seq in range(1, 1202):
            raw = json.dumps({"type": "response.output_text.delta", "item_id": "i", "delta": "a"})
            lines.append(json.dumps({"k": "ev", "seq": seq, "t_us": seq, "dir": "received", "leg": "upstream",
                                     "origin": "api", "type": "response.output_text.delta", "raw": raw}))  # fmt: skip
        session = logfiles.store(f"{line}\n".encode() for line in lines)
        [head] = Entry.objects.of(session).rows()
        assert (head.fold_count, head.fold_last_us, session.events) == (1201, 1201, 1201)

    def test_a_log_that_stops_in_the_middle_is_over(self, log: bytes) -> None:
        """A session without a close, as a crash leaves it, is not taken for a running one."""
        session = logfiles.store(io.BytesIO(b"\n".join(log.split(b"\n")[:4])))
        assert not session.is_live
        assert session.close_code is None

    def test_keys_in_a_foreign_log_are_masked(self, log: bytes) -> None:
        """Secrets never come into the database, whoever wrote the file."""
        head = log.split(b"\n")[0]
        raw = json.dumps({"type": "x", "authorization": "Bearer abcdefghijkl9999"})
        line = {"k": "ev", "seq": 1, "t_us": 0, "dir": "sent", "leg": "client", "origin": "app", "type": "x"}
        session = logfiles.store([head, json.dumps({**line, "raw": raw}).encode()])
        assert b"abcdefghijkl" not in export(session.pk)


class TestRefusals:
    """What cannot be read leaves no trace."""

    @pytest.mark.parametrize("htmx", [True, False])
    async def test_line_and_reason_are_said(self, async_client: AsyncClient, log: bytes, htmx: bool) -> None:
        """A damaged file is refused with 422, the line and the reason; nothing of it is stored."""
        damaged = log.replace(b'"k":"close"', b'"k":"close"}', 1)
        number = damaged.split(b'"k":"close"}')[0].count(b"\n") + 1
        response = await upload(async_client, damaged, **({"hx-request": "true"} if htmx else {}))
        text = response.content.decode()
        assert response.status_code == 422
        assert f"line {number}: it is not JSON" in text
        assert "call.jsonl" in text
        assert ("<" in text) is htmx
        assert await Session.objects.acount() == 1
        assert await Entry.objects.exclude(session__source="console").acount() == 0

    async def test_a_form_without_a_file(self, async_client: AsyncClient, log: bytes) -> None:
        """An empty form is answered with what to do."""
        response = await async_client.post("/sessions/import")
        assert (response.status_code, "choose an event log" in response.content.decode()) == (422, True)

    async def test_a_file_too_large(
        self, async_client: AsyncClient, log: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file above the limit is refused before it is read."""
        monkeypatch.setattr("console.views.files.UPLOAD_LIMIT", 10)
        response = await upload(async_client, log)
        assert response.status_code == 422
        assert await Session.objects.acount() == 1

    def test_an_end_beyond_the_calendar(self, log: bytes) -> None:
        """A session that ends after the year 9999 is refused, not half stored."""
        head = json.loads(log.split(b"\n")[0]) | {"started_at": "9999-12-31T00:00:00Z"}
        lines = [json.dumps(head), json.dumps({"k": "note", "seq": 1, "t_us": 2**52, "kind": "x", "text": ""})]
        with pytest.raises(logfiles.InvalidLog, match="9999"):
            logfiles.store(line.encode() for line in lines)
        assert Session.objects.count() == 1


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

    def test_it_says_what_is_wrong(self, log: bytes, tmp_path: Path) -> None:
        """A file that is not there or cannot be read is named with the reason."""
        (tmp_path / "bad.jsonl").write_bytes(log[:-20])
        with pytest.raises(CommandError, match=r"nothing of it was stored: line \d+: it is not JSON"):
            call_command("import_log", str(tmp_path / "bad.jsonl"))
        with pytest.raises(CommandError, match="could not be read"):
            call_command("import_log", str(tmp_path / "none.jsonl"))


@pytest.fixture
def told(transactional_db: None) -> Told:
    """A stored session."""
    return tell()


@pytest.fixture
def log(told: Told) -> bytes:
    """Its log."""
    return export(told.id)
