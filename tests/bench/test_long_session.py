"""How long a long session takes to open, to filter and to fold, beside a short one in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from console import moments
from console.batches import Batch
from console.models import Session
from realtime.events import parse
from realtime.timeline import Folder, Timeline
from tests.bench.test_recording import frames

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]

LONG, SHORT = 100_000, 200
OPEN_WITHIN = 1.0
"""Seconds in which the page of a long session is answered."""


def session_of(count: int) -> Session:
    """A finished session of so many events."""
    session = Session.objects.create(started_at=timezone.now(), status=Session.CLOSED, provider="simulator")
    timeline, folder = Timeline(time.monotonic), Folder()
    raws = frames(count)
    for start in range(0, count, 500):
        batch = Batch()
        for number, raw in enumerate(raws[start : start + 500], start):
            # Every answer has ids of its own, so that rows come as they do in a conversation.
            raw = raw.replace("resp_1", f"resp_{number // 12}").replace("item_1", f"item_{number // 12}")
            batch.add(session.pk, timeline.event(parse(raw), "received", "api"), folder)
        batch.write()
    return session


def best(work: Callable[[], object], rounds: int = 5) -> float:
    """Seconds of the fastest of some rounds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def test_a_long_session_opens_like_a_short_one(client: Client) -> None:
    """A hundred thousand events: the page, a page of rows and a filter take what they take for two hundred, nearly."""
    figures = {}
    for name, count in (("long", LONG), ("short", SHORT)):
        session = session_of(count)
        address = f"/sessions/{session.pk}/"
        figures[name] = {
            "page": best(lambda address=address: client.get(address)),
            "rows": best(lambda address=address: client.get(f"{address}rows")),
            "filter": best(lambda address=address: client.get(f"{address}rows", {"q": "type:*.delta is:audio"})),
            "a word that is nowhere": best(lambda address=address: client.get(f"{address}rows", {"q": "paris"})),
            "a word that is once": best(lambda address=address: client.get(f"{address}rows", {"q": "resp_7777"})),
            "a word that is in half of the rows": best(lambda address=address: client.get(f"{address}rows", {"q": "word"})),
            "conversation": best(lambda session=session: moments.conversation_until(session, session.last_seq or LONG), 2),
        }
    print()
    for what, seconds in figures["long"].items():
        ratio = seconds / figures["short"][what]
        print(f"{what}: {seconds * 1000:.0f} ms for {LONG:,} events, {ratio:.1f} times that of {SHORT}")
    assert figures["long"]["page"] < OPEN_WITHIN
