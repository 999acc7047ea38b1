"""Lines: what a row says of every kind of event, how serious it is, which family it belongs to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realtime.lines import LONGEST, added, family, fold_line, level, line, paths, seconds, size
from realtime.timeline import Entry, Fold
from tests.realtime.frames import TYPES, entry, frames, values

FAMILIES = {"session", "conversation", "input", "response", "tool", "error", "console", "other"}
folds = st.builds(
    Fold, st.just(1), st.just(0), st.integers(0, 10**12), st.integers(1, 10**6), st.integers(0, 10**9),
    st.floats(0, 10**9), st.integers(0, 10**9),
)  # fmt: skip
notes = st.builds(
    lambda kind, note, text, data: Entry(1, 1, kind, note=note if kind == "note" else "", text=text, data=data),
    st.sampled_from(["note", "close"]), st.sampled_from(["state", "tool", "memory", "skip", "problem", "heard"]),
    st.text(st.characters()), st.dictionaries(st.sampled_from(["by", "code", "ok", "call_id"]), values),
)  # fmt: skip


def nested(type_: str, depth: int) -> str:
    """An event whose session is nested."""
    return f'{{"type":"{type_}","session":' + '{"a":' * depth + "1" + "}" * depth + "}"


@given(frames.map(entry) | notes, folds, st.text(st.characters()))
@example(entry({"type": "input_audio_buffer.speech_started", "audio_start_ms": 10**400}), Fold(1, 0, 0), "")
@example(entry(nested("session.update", 500)), Fold(1, 0, 0), "")
@example(entry(nested("ping", 900)), Fold(1, 0, 0), "")
@example(entry("x" * 100_000), Fold(1, 0, 0), "\ud800" * 1000)
def test_every_entry_has_a_line(one: Entry, fold: Fold, text: str) -> None:
    """Whatever an event holds, its row says something short that a page can show, and has a level and a family."""
    for told in (line(one), fold_line(one, fold, text)):
        assert len(told) <= LONGEST
        assert "\n" not in told
        told.encode()
    assert level(one) in ("", "warning", "error")
    assert family(one.type) in FAMILIES


@given(st.sampled_from(TYPES), st.integers(0, 990))
def test_no_depth_is_too_deep(type_: str, depth: int) -> None:
    """An event nested as deep as JSON can be read still has a line."""
    assert len(line(entry(nested(type_, depth)))) <= LONGEST


def test_a_long_text_is_cut() -> None:
    """A line ends where a reader would open the event."""
    told = line(entry({"type": "response.output_text.done", "text": "word " * 1000}))
    assert len(told) == LONGEST
    assert told.startswith("“word word")
    assert told.endswith("…")


SESSION = {
    "type": "realtime", "model": "gpt-realtime-2", "output_modalities": ["audio"],
    "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}, "output": {"voice": "marin"}},
}  # fmt: skip
MESSAGE = {"type": "message", "role": "user", "status": "completed", "content": [{"type": "input_text", "text": "Hi"}]}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"speed": 1.25}}, "tools": []}},
         "output.speed 1.25 · tools []"),
        ({"type": "session.update", "session": {"tools": [{}, {}], "audio": {"input": {"turn_detection": None}}}},
         "tools [2] · input.turn_detection null"),
        ({"type": "session.update", "session": {"instructions": "x" * 100}}, "instructions " + "x" * 59 + "…"),
        ({"type": "session.created", "session": SESSION}, "gpt-realtime-2 · marin · semantic_vad · audio"),
        ({"type": "session.updated", "session": {"model": "m", "audio": {"input": {"turn_detection": None}}}},
         "m · manual turns"),
        ({"type": "conversation.item.create", "item": MESSAGE}, "user “Hi”"),
        ({"type": "conversation.item.added", "item": {**MESSAGE, "role": "assistant", "status": "in_progress", "content": []}},
         "assistant in_progress"),
        ({"type": "conversation.item.done", "item": {**MESSAGE, "content": [{"type": "input_audio", "transcript": None}]}},
         "user (sound)"),
        ({"type": "conversation.item.added", "item": {**MESSAGE, "content": [{"type": "input_image"}]}}, "user input_image"),
        ({"type": "response.output_item.done", "item": {"type": "function_call", "name": "f", "arguments": "{}"}}, "f {}"),
        ({"type": "response.output_item.added", "item": {"type": "function_call", "name": "f", "arguments": None}}, "f"),
        ({"type": "conversation.item.create", "item": {"type": "function_call_output", "output": "3 °C"}}, "output 3 °C"),
        ({"type": "conversation.item.truncate", "item_id": "item_a", "audio_end_ms": 1500}, "item_a after 1,500 ms"),
        ({"type": "conversation.item.deleted", "item_id": "item_0123456789abcdef"}, "item_…cdef"),
        ({"type": "conversation.item.input_audio_transcription.completed", "transcript": "Hi"}, "“Hi”"),
        ({"type": "conversation.item.input_audio_transcription.failed", "error": {"message": "No.", "code": "c"}}, "No. c"),
        ({"type": "input_audio_buffer.speech_started", "audio_start_ms": 1234, "item_id": "i"}, "at 1.23 s of input · i"),
        ({"type": "input_audio_buffer.commit"}, ""),
        ({"type": "response.create"}, ""),
        ({"type": "response.create", "response": {"conversation": "none"}}, "conversation=none"),
        ({"type": "response.cancel"}, ""),
        ({"type": "response.created", "response": {"id": "resp_1", "output_modalities": ["text"]}}, "resp_1 · text · out of band"),
        ({"type": "response.done", "response": {"status": "completed", "usage": {"input_tokens": 1200, "output_tokens": 7}}},
         "completed · 1,200 in, 7 out tokens"),
        ({"type": "response.done", "response": {"status": "cancelled", "status_details": {"reason": "turn_detected"}}},
         "cancelled: turn_detected"),
        ({"type": "response.done", "response": {"status": "failed", "status_details": {"error": {"message": "Sorry."}}}},
         "failed: Sorry."),
        ({"type": "response.content_part.done", "part": {"type": "audio", "transcript": "Hi"}}, "“Hi”"),
        ({"type": "response.text.done", "text": "Hi"}, "“Hi”"),
        ({"type": "error", "error": {"message": "No.", "code": "bad", "param": "session.x", "event_id": "e1"}},
         "No. bad · at session.x · about e1"),
        ({"type": "error", "error": "flat"}, "flat"),
        ({"type": "error", "error": {"code": "bad"}}, "an error without a message bad"),
        ({"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": 40000, "remaining": 39000}]},
         "tokens 39,000 of 40,000"),
        ({"type": "ping", "event_id": "e", "timestamp": 5, "empty": "", "deep": {"a": 1}}, 'timestamp=5 deep={"a": 1}'),
        ({"type": "response.done", "response": None}, "response=null"),
        ({"type": "rate_limits.updated", "rate_limits": [{"remaining": "odd"}]}, "rate_limits=[1]"),
    ],
)  # fmt: skip
def test_a_line_says_what_matters(event: dict[str, Any], told: str) -> None:
    """Each type's row names what a reader looks for; an odd shape shows what there is."""
    assert line(entry(event)) == told


@pytest.mark.parametrize(
    ("one", "told", "serious"),
    [
        (Entry(1, 0, "note", note="state", text="The session is ready."), "The session is ready.", ""),
        (Entry(1, 0, "note", note="problem", text="No sound."), "No sound.", "error"),
        (Entry(1, 0, "note", note="skip", text="2 frames."), "2 frames.", "warning"),
        (Entry(1, 0, "note", note="slow", text="It waited."), "It waited.", "warning"),
        (Entry(1, 0, "note", note="policy", text="Not allowed."), "Not allowed.", "warning"),
        (Entry(1, 0, "note", note="meter", text="added …"), "added …", ""),
        (Entry(1, 0, "note", note="client", text="A client connected.", data={"query": "x"}), "A client connected.", ""),
        (Entry(1, 0, "note", note="client", text="X connected.", data={"address": "127.0.0.1", "query": {"model": "m"}}),
         "X connected. · from 127.0.0.1 · model=m", ""),
        (Entry(1, 0, "note", note="tool", text="f.", data={"ok": False}), "f.", "error"),
        (Entry(1, 0, "note", note="tool", text="f.", data={"ok": True}), "f.", ""),
        (Entry(1, 0, "close", text="", data={"by": "client", "code": 1000}), "1000 by the client", ""),
        (Entry(1, 0, "close", text="Expired.", data={"by": "server", "code": 1001}), "1001 by the API: Expired.", ""),
        (Entry(1, 0, "close", text="", data={"by": "server", "code": 1011}), "1011 by the API", "error"),
        (Entry(1, 0, "close", text="Lost.", data={"by": "server", "code": None}), "no code by the API: Lost.", "error"),
        (Entry(1, 0, "close", text="", data={"by": "server", "code": None}), "no code by the API", ""),
        (Entry(1, 0, "close", text="Over.", data={"by": "console", "code": 4000}), "4000 by this console: Over.", ""),
        (entry("hello"), "This frame is not JSON: Expecting value: line 1 column 1 (char 0). hello", "error"),
        (entry('{"a":1}'), 'The event has no type. {"a":1}', "error"),
    ],
)  # fmt: skip
def test_notes_closes_and_flaws_are_lines_too(one: Entry, told: str, serious: str) -> None:
    """What is no event says its own sentence, and an end that nobody wanted is an error."""
    assert (line(one), level(one)) == (told, serious)


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0 µs"), (70, "70 µs"), (999, "999 µs"), (1800, "1.8 ms"), (99_940, "99.9 ms"), (250_000, "250 ms"), (2_100_000, "2.1 s")],
)
def test_what_the_relay_added(value: int, told: str) -> None:
    """Microseconds are told in a unit that can be read."""
    assert added(value) == told


@pytest.mark.parametrize(
    ("event", "serious"),
    [
        ({"type": "error"}, "error"),
        ({"type": "response.mcp_call.failed"}, "error"),
        ({"type": "response.done", "response": {"status": "failed"}}, "error"),
        ({"type": "response.done", "response": {"status": "incomplete"}}, "warning"),
        ({"type": "response.done", "response": {"status": "cancelled"}}, ""),
        ({"type": "response.done", "response": []}, ""),
        ({"type": "session.created"}, ""),
    ],
)
def test_levels(event: dict[str, Any], serious: str) -> None:
    """Errors and failures are errors, an incomplete response is a warning."""
    assert level(entry(event)) == serious


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("session.update", "session"), ("transcription_session.updated", "session"), ("rate_limits.updated", "session"),
        ("conversation.item.added", "conversation"), ("conversation.item.input_audio_transcription.delta", "input"),
        ("conversation.item.input_audio_transcription.failed", "error"), ("input_audio_buffer.append", "input"),
        ("response.output_text.delta", "response"), ("output_audio_buffer.started", "response"),
        ("response.function_call_arguments.delta", "tool"), ("mcp_list_tools.completed", "tool"),
        ("response.mcp_call.completed", "tool"), ("error", "error"), ("problem", "error"), ("tool", "tool"),
        ("state", "console"), ("close", "console"), ("acme.ping", "other"), ("", "console"),
    ],
)  # fmt: skip
def test_families(type_: str, name: str) -> None:
    """Every type has its family of colours."""
    assert family(type_) == name


@pytest.mark.parametrize("type_", TYPES)
def test_the_apis_own_types_are_known(type_: str) -> None:
    """No type of the API is a stranger."""
    assert family(type_) not in ("other",)
    assert (family(type_) == "console") == (type_ in ("x", "ping"))


def test_a_row_of_deltas() -> None:
    """Its text so far, its sound, how long it took and the longest gap; of a single delta only what it carries."""
    fold = Fold(1, 0, 2_500_000, count=12, audio_ms=6200.0, gap_us=212_400)
    heard = entry({"type": "response.output_audio_transcript.delta"})
    assert fold_line(heard, fold, "Once upon") == "“Once upon” · 6.2 s of sound · over 2.5 s · longest gap 212 ms"
    assert fold_line(entry({"type": "response.function_call_arguments.delta"}), Fold(1, 0, 0), '{"a"') == '{"a"'
    assert fold_line(heard, Fold(1, 0, 0)) == ""


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0 ms"), (0.212, "212 ms"), (0.9996, "1.0 s"), (6.24, "6.2 s"), (59.94, "59.9 s"), (59.96, "1:00 min"),
        (119.7, "2:00 min"), (252, "4:12 min"), (3725, "62:05 min"),
    ],
)  # fmt: skip
def test_stretches_of_time(value: float, told: str) -> None:
    """As people read them, without 1000 ms or 60.0 s."""
    assert seconds(value) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"), (812, "812 B"), (999, "999 B"), (1000, "1.0 kB"), (1949, "1.9 kB"), (9960, "10 kB"), (398_400, "398 kB"),
        (999_400, "999 kB"), (999_600, "1.0 MB"), (15_728_640, "16 MB"), (2_000_000_000, "2.0 GB"), (5 * 10**12, "5,000 GB"),
    ],
)  # fmt: skip
def test_numbers_of_bytes(count: int, told: str) -> None:
    """As people read them, without 1,000 kB."""
    assert size(count) == told


@given(values)
def test_paths_reach_every_leaf(value: Any) -> None:
    """The leaves of a settings object can be found again where their paths say they stand."""
    for path, leaf in paths({"session": value}):
        found = {"session": value}
        for name in path.split("."):
            found = found[name]
        assert found is leaf
        assert leaf == {} or not isinstance(leaf, dict)


def test_lists_and_null_are_leaves() -> None:
    """A list is a value as a whole."""
    told = dict(paths({"a": {"b": None, "c": [{"d": 1}]}, "e": {}}))
    assert told == {"a.b": None, "a.c": [{"d": 1}], "e": {}}
