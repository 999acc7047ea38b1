"""The timeline: one clock, one order, and rows that lose nothing."""

from __future__ import annotations

import base64
import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.events import parse
from realtime.testing import Clock
from realtime.timeline import OPEN_FOLDS, Direction, Entry, Fold, Folder, Timeline, fold_all, is_stream
from tests.realtime.frames import directions, entries, entry, logs

SOUND = base64.b64encode(bytes(4800)).decode()  # 100 ms of PCM16 at 24 kHz, 600 ms of G.711


def heads(log: list[Entry]) -> list[int]:
    """The row of each entry, by the seq of its head."""
    folder = Folder()
    return [folder.fold(one).head for one in log]


def delta(item: str, type_: str = "response.output_text.delta", **more: Any) -> dict[str, Any]:
    """One member of a stream."""
    return {"type": type_, "response_id": "resp_1", "item_id": item, "content_index": 0, "delta": "a", **more}


@given(logs)
def test_folding_loses_nothing(log: list[Entry]) -> None:
    """Every entry belongs to exactly one row, and counts, sizes, sound and times of the rows add up to the log's."""
    folder, measure = Folder(), Folder()
    rows: dict[int, Fold] = {}
    members: dict[int, list[Entry]] = {}
    sound = 0.0
    for one in log:
        sound += measure.audio_ms(one)
        measure.fold(one)
        fold = folder.fold(one)
        rows[fold.head] = fold
        members.setdefault(fold.head, []).append(one)
    assert sum(fold.count for fold in rows.values()) == len(log)
    assert sum(fold.size for fold in rows.values()) == sum(one.size for one in log)
    assert sum(fold.audio_ms for fold in rows.values()) == pytest.approx(sound)
    assert list(rows) == sorted(rows)
    for head, gathered in members.items():
        fold = rows[head]
        times = [one.t_us for one in gathered]
        assert gathered[0].seq == head
        assert (fold.first_us, fold.last_us, fold.count) == (times[0], times[-1], len(gathered))
        assert fold.gap_us == max((b - a for a, b in itertools.pairwise(times)), default=0)
        assert len({(one.direction, one.type) for one in gathered}) == 1
        assert len(gathered) == 1 or is_stream(gathered[0].type)


@given(logs, st.integers(0, 25))
def test_folding_at_once_is_folding_one_by_one(log: list[Entry], cut: int) -> None:
    """An imported log folds as the live session did, wherever one stops to look."""
    folder = Folder()
    rows = {(fold := folder.fold(one)).head: fold for one in log[:cut]}
    assert rows == fold_all(log[:cut])
    rows |= {(fold := folder.fold(one)).head: fold for one in log[cut:]}
    assert rows == fold_all(log)


@given(st.lists(st.tuples(directions, st.sampled_from("abc"), st.sampled_from([0, 1, None])), max_size=40))
def test_interleaved_streams_are_rows_of_their_own(told: list[tuple[Direction, str, int | None]]) -> None:
    """Deltas gather by direction, item and content, however they interleave."""
    log = [entry(delta(item, content_index=index), seq, way) for seq, (way, item, index) in enumerate(told, 1)]
    assert Counter(heads(log)) == Counter({told.index(stream) + 1: count for stream, count in Counter(told).items()})


def test_each_kind_of_stream_is_a_row() -> None:
    """Text and transcript of one item, and the same type of two responses, do not mix."""
    log = [
        entry(delta("i"), 1),
        entry(delta("i", "response.output_audio_transcript.delta"), 2),
        entry(delta("i", response_id="resp_2"), 3),
        entry(delta("i"), 4),
        entry({"type": "response.output_text.done", "response_id": "resp_1", "item_id": "i"}, 5),
    ]
    assert heads(log) == [1, 2, 3, 1, 5]


@pytest.mark.parametrize("end", ["input_audio_buffer.committed", "input_audio_buffer.cleared"])
def test_appended_sound_is_a_row_until_the_buffer_ends(end: str) -> None:
    """Microphone audio has no ids: it is one row until its buffer is committed or cleared."""
    append = {"type": "input_audio_buffer.append", "audio": SOUND}
    log = entries([("sent", parse_text(append))] * 3 + [("received", parse_text({"type": end}))] + [("sent", parse_text(append))])
    rows = fold_all(log)
    assert heads(log) == [1, 1, 1, 4, 5]
    assert (rows[1].count, rows[1].audio_ms, rows[5].audio_ms) == (3, 300.0, 100.0)


def parse_text(data: dict[str, Any]) -> str:
    """An event as its frame."""
    return entry(data).event.raw  # type: ignore[union-attr]  # an event was given


@pytest.mark.parametrize(
    ("session", "input_ms", "output_ms"),
    [
        ({}, 100, 100),
        ({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, 600, 100),
        ({"audio": {"output": {"format": {"type": "audio/pcma"}}}}, 100, 600),
        ({"input_audio_format": "g711_ulaw", "output_audio_format": "g711_alaw"}, 600, 600),
        ({"input_audio_format": "pcm16", "output_audio_format": "pcm16"}, 100, 100),
        ({"audio": {"input": {"format": "audio/pcmu"}, "output": None}}, 100, 100),
        ("none of these", 100, 100),
    ],
)
def test_sound_is_measured_in_the_format_in_force(session: Any, input_ms: float, output_ms: float) -> None:
    """How long sound is follows from the session's formats, in the words of GA and beta, each side its own."""
    folder = Folder()
    folder.fold(entry({"type": "session.updated", "session": session}))
    assert folder.fold(entry({"type": "input_audio_buffer.append", "audio": SOUND}, 2, "sent")).audio_ms == input_ms
    for seq, type_ in enumerate(("response.output_audio.delta", "response.audio.delta"), 3):
        assert folder.fold(entry(delta("i", type_, delta=SOUND), seq)).audio_ms == output_ms


def test_open_streams_are_bounded() -> None:
    """A stream that rested while more than OPEN_FOLDS others ran begins a new row; a busy one goes on."""
    others = [f"item_{number}" for number in range(OPEN_FOLDS - 1)]
    log = [entry(delta(item), seq) for seq, item in enumerate(["rests", "busy", *others, "busy", "rests"], 1)]
    rows = heads(log)
    assert rows[-2:] == [2, len(log)]
    folder = Folder()
    for one in log:
        folder.fold(one)
    assert len(folder.open) == OPEN_FOLDS


def test_entries_are_numbered_and_stamped() -> None:
    """Everything that happens gets the next number and its microsecond since the session began."""
    clock = Clock(1000.0)
    timeline = Timeline(clock)
    told = [timeline.event(parse('{"type":"session.update"}'), "sent", "app", "client")]
    clock.advance(0.25)
    told.append(timeline.note("state", "The session is ready.", {"state": "ready"}))
    clock.advance(1)
    told.append(timeline.close("server", 1001, "bye"))
    assert [(one.seq, one.t_us, one.type) for one in told] == [
        (1, 0, "session.update"), (2, 250_000, "state"), (3, 1_250_000, "close"),
    ]  # fmt: skip
    assert (told[0].direction, told[0].origin, told[0].leg, told[0].size) == ("sent", "app", "client", 25)
    assert (told[1].direction, told[1].text, told[1].data, told[1].size) == (
        "console", "The session is ready.", {"state": "ready"}, 0,
    )  # fmt: skip
    assert told[2].data == {"by": "server", "code": 1001}
    assert [timeline.fold(one).head for one in told] == [1, 2, 3]


@pytest.mark.parametrize(
    ("type_", "stream"),
    [("response.output_text.delta", True), ("input_audio_buffer.append", True), ("response.done", False), ("delta", False)],
)
def test_streams_are_known_by_name(type_: str, stream: bool) -> None:
    """Deltas and appended sound come in runs; nothing else does."""
    assert is_stream(type_) is stream
