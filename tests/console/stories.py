"""A short session as tests of files and replay store it: speech, an answer that is cut, a secret, an odd frame."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from console.batches import Batch
from console.models import Session
from realtime import masking
from realtime.events import parse
from realtime.testing import Clock
from realtime.timeline import Entry, Folder, Timeline

APPEND, DELTA = "input_audio_buffer.append", "response.output_audio.delta"
KEY = "sk-proj-abcdefghijklmnop1234"
CHUNK_MS = 20
"""Milliseconds of one appended frame; a delta holds 250."""


@dataclass(frozen=True)
class Told:
    """A stored session and what was stored."""

    id: str
    entries: list[Entry]

    @property
    def travelled(self) -> dict[int, str]:
        """Each frame's text as it was on the wire."""
        return {entry.seq: entry.event.raw for entry in self.entries if entry.event}

    @property
    def raws(self) -> list[str]:
        """Each frame's text as it is kept."""
        return [masking.mask(entry.event.raw, entry.type)[0] for entry in self.entries if entry.event]

    def seq(self, type_: str) -> int:
        """The first entry of a type."""
        return next(entry.seq for entry in self.entries if entry.type == type_)


def dump(type_: str, **fields: Any) -> str:
    """A frame's text."""
    return json.dumps({"type": type_, **fields}, ensure_ascii=False)


def sound(ms: int, value: int) -> str:
    """Base64 of a constant sound."""
    return base64.b64encode(value.to_bytes(2, "little") * (24 * ms)).decode()


def script(timeline: Timeline, clock: Clock) -> list[Entry]:
    """What happens: 2.4 s in which 100 ms are said and 400 of 500 ms answered are heard."""
    entries = [timeline.note("state", "Connecting.", {"state": "connecting"})]

    def received(raw: str) -> None:
        entries.append(timeline.event(parse(raw), "received", "api"))

    received(dump("session.created", session={"model": "gpt-realtime-2.1", "audio": {"output": {"voice": "marin"}}}))
    tools = [{"type": "mcp", "server_label": "x", "authorization": KEY}]
    entries.append(timeline.event(parse(dump("session.update", session={"tools": tools})), "sent", "console"))
    clock.advance(1.0)
    for _ in range(5):
        entries.append(timeline.event(parse(dump(APPEND, audio=sound(CHUNK_MS, 1))), "sent", "browser"))
        clock.advance(CHUNK_MS / 1000)
    received(dump("input_audio_buffer.committed", item_id="item_u", text="Olá \u2028 \U0001f600"))
    clock.advance(0.4)
    for _ in range(2):
        received(dump(DELTA, response_id="resp_1", item_id="item_a", content_index=0, delta=sound(250, 2)))
    clock.advance(0.4)
    heard = {"item_id": "item_a", "played_ms": 400, "why": "text"}
    entries.append(timeline.note("heard", "Playback was cut after 400 ms.", heard))
    received("<b>this is no JSON</b>")
    clock.advance(0.5)
    entries.append(timeline.close("client", 1000, "done"))
    return entries


def tell() -> Told:
    """Store the session, as the recorder does."""
    clock = Clock()
    entries = script(Timeline(clock), clock)
    session = Session.objects.create(
        label="Lisbon “weather” / 1", provider="simulator", model="gpt-realtime-2.1",
        started_at=datetime(2026, 11, 20, 10, tzinfo=UTC),
    )  # fmt: skip
    batch, folder = Batch(), Folder()
    for entry in entries:
        batch.add(session.pk, entry, folder)
    batch.write()
    return Told(session.pk, entries)
