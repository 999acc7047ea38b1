"""Download a session's log, its sound's neighbours and its frames, as files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import AsyncClient

from console.models import Session
from tests.console.stories import DELTA, KEY, Told, tell

pytestmark = pytest.mark.django_db(transaction=True)


async def body(response: Any) -> bytes:
    """All of a streamed answer."""
    return b"".join([piece async for piece in response.streaming_content])


class TestTheLog:
    """``GET /sessions/<id>/log.jsonl``"""

    async def test_it_holds_every_frame_byte_for_byte(self, async_client: AsyncClient, told: Told) -> None:
        """Head first, then each entry in order, with the frame's text exactly as it was recorded."""
        response = await async_client.get(f"/sessions/{told.id}/log.jsonl")
        lines = [json.loads(line) for line in (await body(response)).decode().split("\n")[:-1]]
        assert response["Content-Type"] == "application/x-ndjson; charset=utf-8"
        assert lines[0] | {"tool": None} == {
            "k": "head", "v": 1, "session": told.id, "label": "Lisbon “weather” / 1", "source": "console",
            "started_at": "2026-11-20T10:00:00.000000Z", "provider": "simulator", "model": "gpt-realtime-2.1",
            "dialect": "ga", "tool": None,
        }  # fmt: skip
        assert [line["k"] for line in lines[1:]] == [entry.kind for entry in told.entries]
        assert [line["raw"] for line in lines if line["k"] == "ev"] == told.raws

    async def test_its_name_is_the_session_s(self, async_client: AsyncClient, told: Told) -> None:
        """The file is named for the label and the day, with nothing in it that a file system minds."""
        response = await async_client.get(f"/sessions/{told.id}/log.jsonl")
        name = "Lisbon _weather_ _ 1 2026-11-20 10.00.00.jsonl"
        assert response["Content-Disposition"] == f'attachment; filename="{name}"'

    async def test_it_is_longer_than_a_page(
        self, async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch, told: Told
    ) -> None:
        """Page after page goes out; nothing is missing or doubled where one ends."""
        whole = await body(await async_client.get(f"/sessions/{told.id}/log.jsonl"))
        monkeypatch.setattr("console.logfiles.PAGE", 2)
        assert await body(await async_client.get(f"/sessions/{told.id}/log.jsonl")) == whole

    async def test_secrets_are_not_in_it(self, async_client: AsyncClient, told: Told) -> None:
        """A secret is masked, the row says so and how long the frame was that travelled."""
        text = (await body(await async_client.get(f"/sessions/{told.id}/log.jsonl"))).decode()
        assert KEY not in text
        [line] = [json.loads(line) for line in text.split("\n") if "•••" in line]
        assert line["data"] == {"masked": True}
        assert line["size"] == len(told.travelled[line["seq"]].encode())

    async def test_a_filter_lets_through_what_it_says(self, async_client: AsyncClient, told: Told) -> None:
        """``?q=`` leaves the rest out; numbers stay those of the whole log."""
        response = await async_client.get(f"/sessions/{told.id}/log.jsonl", {"q": f"type:{DELTA}"})
        lines = [json.loads(line) for line in (await body(response)).decode().split("\n")[1:-1]]
        assert [line["seq"] for line in lines] == [e.seq for e in told.entries if e.type == DELTA]

    async def test_a_filter_that_does_not_parse_is_explained(self, async_client: AsyncClient, told: Told) -> None:
        """An unknown operator is answered with a sentence."""
        response = await async_client.get(f"/sessions/{told.id}/log.jsonl", {"q": "moon:full"})
        assert response.status_code == 422
        assert "moon" in response.content.decode()

    async def test_sound_can_be_left_out(self, async_client: AsyncClient, told: Told) -> None:
        """``?audio=none`` gives the same lines without base64, and the head says so."""
        response = await async_client.get(f"/sessions/{told.id}/log.jsonl", {"audio": "none"})
        lines = [json.loads(line) for line in (await body(response)).decode().split("\n")[:-1]]
        assert lines[0]["audio"] == "none"
        deltas = [json.loads(line["raw"]) for line in lines[1:] if line.get("type") == DELTA]
        assert deltas
        assert all(delta["delta"] == "" for delta in deltas)

    async def test_there_is_none_for_no_session(self, async_client: AsyncClient, told: Told) -> None:
        """An unknown id is a 404."""
        assert (await async_client.get("/sessions/nobody/log.jsonl")).status_code == 404


class TestOneFrame:
    """``GET /sessions/<id>/events/<seq>/raw``"""

    async def test_it_is_the_frame_s_own_text(self, async_client: AsyncClient, told: Told) -> None:
        """What is answered is the frame, not a reading of it."""
        seq = told.seq("session.created")
        response = await async_client.get(f"/sessions/{told.id}/events/{seq}/raw")
        assert response.content.decode() == told.travelled[seq]
        assert response["Content-Type"] == "application/json"

    async def test_text_that_is_not_json_is_plain(self, async_client: AsyncClient, told: Told) -> None:
        """A frame that is no JSON is not called JSON, and never HTML."""
        response = await async_client.get(f"/sessions/{told.id}/events/{told.seq('')}/raw")
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        assert response["X-Content-Type-Options"] == "nosniff"

    async def test_a_note_is_its_line_in_the_log(self, async_client: AsyncClient, told: Told) -> None:
        """What never travelled is shown as the log has it."""
        response = await async_client.get(f"/sessions/{told.id}/events/{told.seq('heard')}/raw")
        assert response.json()["kind"] == "heard"


class TestTheCommand:
    """``manage.py export_log``"""

    def test_it_prints_the_log(self, capsysbinary: pytest.CaptureFixture[bytes], told: Told) -> None:
        """The log goes to standard output, byte for byte."""
        call_command("export_log", told.id)
        written = capsysbinary.readouterr().out
        assert written.startswith(b'{"k":"head"')
        assert written.count(b"\n") == len(told.entries) + 1

    def test_it_writes_sound_to_a_file(self, tmp_path: Any, told: Told) -> None:
        """``--format wav --output FILE`` writes the session's sound."""
        call_command("export_log", told.id, "--format", "wav", "--output", str(tmp_path / "a.wav"))
        assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"

    def test_it_says_what_is_wrong(self, told: Told) -> None:
        """A session, a filter or a place that is not there is named."""
        with pytest.raises(CommandError, match="no session nobody"):
            call_command("export_log", "nobody")
        with pytest.raises(CommandError, match="moon"):
            call_command("export_log", told.id, "--filter", "moon:full", "--output", "/dev/null")
        with pytest.raises(CommandError, match="could not be written"):
            call_command("export_log", told.id, "--output", "/nowhere/at/all")


@pytest.fixture
def told(transactional_db: None) -> Told:
    """A stored session."""
    told = tell()
    assert Session.objects.get(pk=told.id).last_seq == len(told.entries)
    return told
