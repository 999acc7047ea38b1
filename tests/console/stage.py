"""What tests of the console play on: live sessions whose API is a script, stored ones told in a few words, and sockets."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from typing import Any

from channels.testing import WebsocketCommunicator
from django.test import AsyncClient

from console import live
from console.asgi import application
from console.batches import Batch
from console.models import Session
from console.recorder import recorder
from realtime.events import parse
from realtime.protocol import READY
from realtime.runner import SessionRunner
from realtime.testing import Clock, ScriptedUpstream
from realtime.timeline import Entry, Folder, Timeline
from realtime.upstream import Provider
from tests.waiting import PATIENCE

HTMX = {"hx-request": "true"}
HOST = b"localhost"
IN_FORCE: dict[str, Any] = {
    "type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "gpt-realtime-2.1",
    "output_modalities": ["audio"], "instructions": "", "tools": [], "tool_choice": "auto", "max_output_tokens": "inf",
    "tracing": None, "truncation": "auto", "prompt": None, "include": None, "expires_at": 1_790_000_000,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000}, "transcription": None, "noise_reduction": None,
            "turn_detection": None,
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
    },
}  # fmt: skip
"""A session as an API tells it that takes turns by hand."""


class Stage:
    """A console whose API is a script: what is dialled is kept, and answers as the test says."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.dialled: list[tuple[Provider, str, str]] = []
        """Provider, model and key of each connection."""
        self.api = ScriptedUpstream()
        """The other side of the session that was started last."""

    async def dial(self, provider: Provider, model: str, key: str = "", passing: Any = None) -> ScriptedUpstream:
        """Stands in for ``upstream.dial``."""
        self.dialled.append((provider, model, key))
        return self.api

    async def start(self, in_force: dict[str, Any] | None = None, **form: str) -> str:
        """Start a session as the page does, and let the API greet; returns its id."""
        self.api = ScriptedUpstream()
        response = await self.client.post("/sessions/start", {"provider": "simulator", **form}, headers=HTMX)
        assert response.status_code == 200, response.content.decode()
        session_id = str(response["HX-Push-Url"]).split("/")[2]
        self.api.say({"type": "session.created", "session": in_force or IN_FORCE})
        await self.api.expect("session.update")
        self.api.sent.clear()
        return session_id

    def runner(self, session_id: str) -> SessionRunner:
        """The session as it runs."""
        runner = live.find(session_id)
        assert runner is not None
        return runner

    async def hear(self, session_id: str, *events: dict[str, Any]) -> None:
        """Let the API say these, and wait until the session has heard them."""
        runner = self.runner(session_id)
        due = runner.timeline.last_seq + len(events)
        for event in events:
            self.api.say(event)
        async with asyncio.timeout(PATIENCE):
            while runner.timeline.last_seq < due:
                await asyncio.sleep(0)
        assert runner.protocol.state is READY

    async def post(self, session_id: str, what: str, **fields: Any) -> Any:
        """Post a form of the session's page."""
        return await self.client.post(f"/sessions/{session_id}/{what}", fields, headers=HTMX)

    async def refused(self, session_id: str, what: str, **fields: Any) -> str:
        """Post what must be refused: 422, and not a frame was sent. Returns what the page says."""
        before = list(self.api.raw_sent)
        response = await self.post(session_id, what, **fields)
        assert response.status_code == 422
        assert self.api.raw_sent == before
        return str(response.content.decode())

    async def stop(self, session_id: str) -> None:
        """End the session, and wait until all of it is stored."""
        await live.stop(session_id)
        await flush()


async def flush() -> None:
    """Wait until everything recorded so far is stored."""
    assert await asyncio.to_thread(recorder.stop)
    recorder.start()


class Story:
    """A session told in a few words, to be stored as the recorder does it."""

    def __init__(self, **columns: Any) -> None:
        self.clock = Clock()
        self.timeline = Timeline(self.clock)
        self.entries: list[Entry] = []
        self.folder = Folder()
        self.stored = 0
        """Entries stored already."""
        self.session = Session.objects.create(**{
            "provider": "simulator", "started_at": datetime(2026, 11, 20, 10, tzinfo=UTC), **columns,
        })  # fmt: skip

    def _add(self, entry: Entry) -> int:
        self.entries.append(entry)
        self.clock.advance(0.01)
        return entry.seq

    def received(self, type_: str, **fields: Any) -> int:
        """An event of the API."""
        return self.raw(json.dumps({"type": type_, **fields}))

    def sent(self, type_: str, **fields: Any) -> int:
        """An event of the page's."""
        return self._add(self.timeline.event(parse(json.dumps({"type": type_, **fields})), "sent", "browser"))

    def raw(self, text: str) -> int:
        """A frame of the API, whatever it is."""
        return self._add(self.timeline.event(parse(text), "received", "api"))

    def note(self, kind: str, text: str, **data: Any) -> int:
        """A note."""
        return self._add(self.timeline.note(kind, text, data))

    def close(self, by: str = "console", code: int | None = 1000, reason: str = "") -> int:
        """The end."""
        return self._add(self.timeline.close(by, code, reason))

    def store(self) -> str:
        """Store what is new; returns the session's id."""
        batch = Batch()
        for entry in self.entries[self.stored :]:
            batch.add(self.session.pk, entry, self.folder)
        batch.write()
        self.stored = len(self.entries)
        return str(self.session.pk)


class Patient(WebsocketCommunicator):
    """A page's socket that waits for what comes as long as every test does; the library's own waits for one second."""

    async def receive_output(self, timeout: float = PATIENCE) -> Any:
        """Return the next message, however short the caller's time is."""
        return await super().receive_output(max(timeout, PATIENCE))

    async def wait(self, timeout: float = PATIENCE) -> None:
        """Return when the application has ended."""
        await super().wait(max(timeout, PATIENCE))


def socket(path: str, *headers: tuple[bytes, bytes]) -> WebsocketCommunicator:
    """A page's socket, not yet connected; by default from the console's own origin."""
    given = dict([(b"host", HOST), (b"origin", b"http://" + HOST), *headers])
    return Patient(application, path, headers=[(name, value) for name, value in given.items() if value])


async def closing(socket: WebsocketCommunicator) -> int:
    """Read on until the socket is closed; returns the code."""
    while True:
        message = await socket.receive_output(PATIENCE)
        if message["type"] == "websocket.close":
            return int(message["code"])


def seqs(html: str) -> list[int]:
    """The rows a piece of HTML holds, in order."""
    return [int(seq) for seq in re.findall(r'<tr id="row-(\d+)"', html)]
