"""How fast a session is recorded: beside writing the bare frames to the same disk, in the same run."""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from pathlib import Path

import pytest
from django.utils import timezone

from console.models import Entry, Session
from console.recorder import Recorder
from realtime.events import parse
from realtime.timeline import Timeline

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]

EVENTS = 20_000
LEAST = 10_000
"""Recorded events a second: the figure to reach for one session, flat out."""


def frames(count: int) -> list[str]:
    """Audio deltas of 250 ms and text deltas, as an answer brings them."""
    sound = base64.b64encode(bytes(range(256)) * 25).decode()
    ids = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    audio = {"type": "response.output_audio.delta", "event_id": "event_1", **ids, "delta": sound}
    text = {"type": "response.output_audio_transcript.delta", "event_id": "event_2", **ids, "delta": " word"}
    both = [json.dumps(audio), json.dumps(text)]
    return [both[number % 2] for number in range(count)]


def bare(path: Path, raws: list[str]) -> float:
    """Seconds to write the frames as they are, in batches of the recorder's size."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE frame (seq INTEGER PRIMARY KEY, raw TEXT)")
    began = time.perf_counter()
    for start in range(0, len(raws), 500):
        connection.executemany("INSERT INTO frame VALUES (?, ?)", list(enumerate(raws[start : start + 500], start)))
        connection.commit()
    seconds = time.perf_counter() - began
    connection.close()
    return seconds


def recorded(raws: list[str]) -> tuple[float, float]:
    """Seconds until everything is stored, and the CPU seconds it cost."""
    session = Session.objects.create(started_at=timezone.now(), status=Session.READY)
    recorder = Recorder()
    recorder.start()
    timeline, tap = Timeline(time.monotonic), recorder.tap(session.pk)
    began, cpu = time.perf_counter(), time.process_time()
    for raw in raws:
        tap.record(timeline.event(parse(raw), "received", "api"))
    assert recorder.stop(timeout=60)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert Entry.objects.of(session).count() == len(raws)
    return seconds, cpu


def test_a_session_is_recorded_faster_than_it_can_come(tmp_path: Path) -> None:
    """One session, flat out: parsed, split, folded and stored at least ten thousand times a second."""
    raws = frames(EVENTS)
    rounds = [(bare(tmp_path / f"{number}.sqlite3", raws), *recorded(raws)) for number in range(3)]
    plain = min(one for one, _, _ in rounds)
    seconds = min(one for _, one, _ in rounds)
    cpu = min(one for _, _, one in rounds)
    print(
        f"\nrecorded {EVENTS / seconds:,.0f} events/s, {cpu / EVENTS * 1e6:.0f} µs of CPU each; "
        f"bare frames {EVENTS / plain:,.0f}/s: {seconds / plain:.1f} times that"
    )
    assert EVENTS / seconds > LEAST
