"""Events: what is read of a frame, what is kept of it, what is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import InvalidEvent
from realtime.events import dump, load, parse
from tests.realtime.frames import events, frames

NOTHING = {"response_id": "", "item_id": "", "call_id": "", "about": "", "content_index": None, "output_index": None}


@given(st.text(st.characters()) | frames)
def test_any_text_is_an_event(raw: str) -> None:
    """Parsing never raises, keeps the text exactly, and whatever is no event says why."""
    event = parse(raw)
    assert event.raw == raw
    assert event.size == len(raw.encode("utf-8", "surrogatepass"))
    assert bool(event.flaw) == (event.type == "")
    assert isinstance(event.data, dict)
    assert raw[:117] in str(event)
    for name in ("type", "event_id", "response_id", "item_id", "call_id", "about"):
        getattr(event, name).encode()  # neither a database nor a page takes half a character


@given(events)
def test_the_two_ways_of_reading_agree(data: dict[str, Any]) -> None:
    """The quick look at a frame and its full reading tell the same, whatever its other fields hold."""
    quick, whole = parse(json.dumps(data)), parse(json.dumps(data)).data
    assert quick.type == whole["type"]
    for name in ("event_id", "response_id", "item_id", "call_id"):
        if isinstance(whole.get(name), str) and whole[name]:
            assert getattr(quick, name) == whole[name]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"type": "a", "response_id": "r", "item_id": "i", "content_index": 1, "output_index": 2},
         {"response_id": "r", "item_id": "i", "content_index": 1, "output_index": 2}),
        ({"type": "response.done", "response": {"id": "r", "output": []}}, {"response_id": "r"}),
        ({"type": "conversation.item.added", "item": {"id": "i", "call_id": "c"}}, {"item_id": "i", "call_id": "c"}),
        ({"type": "error", "error": {"type": "invalid_request_error", "event_id": "mine"}}, {"about": "mine"}),
        ({"type": "error", "error": "out of order"}, {}),
        ({"type": "a", "item_id": 7, "content_index": "0", "response": [], "item": None}, {}),
        ({"type": "a", "content_index": True, "item": {"id": ["i"]}, "response": {"id": "r"}}, {"response_id": "r"}),
    ],
)  # fmt: skip
def test_ids_are_found_where_they_stand(data: dict[str, Any], expected: dict[str, Any]) -> None:
    """Ids are read beside the type or inside the response, item or error; what has another form is left out."""
    event = parse(json.dumps(data))
    assert {name: getattr(event, name) for name in NOTHING} == NOTHING | expected
    assert event.data == data


@pytest.mark.parametrize(
    ("raw", "flaw"),
    [
        ("", "This frame is not JSON: "),
        ("hello", "This frame is not JSON: "),
        ('{"type":"a"', "This frame is not JSON: "),
        ("[" * 100_000, "This frame is not JSON: "),
        ('["type"]', "This frame is JSON, but not an object."),
        ("null", "This frame is JSON, but not an object."),
        ('{"event_id":"e"}', "The event has no type."),
        ('{"type":"","item_id":5}', "The event has no type."),
        ('{"type":7}', "The event has no type."),
    ],
)
def test_a_flaw_is_said(raw: str, flaw: str) -> None:
    """A frame that is no event is shown with the reason, and counts as an error."""
    event = parse(raw)
    assert event.flaw.startswith(flaw)
    assert event.is_error
    assert str(event).startswith("no type")


@pytest.mark.parametrize(
    ("type_", "error"),
    [("error", True), ("response.mcp_call.failed", True), ("response.done", False), ("errors", False)],
)
def test_errors_are_known_by_name(type_: str, error: bool) -> None:
    """An error, and whatever has failed."""
    assert parse(dump({"type": type_})).is_error is error


def test_the_size_is_what_travels() -> None:
    """A size is counted in bytes of UTF-8, not in characters."""
    assert parse('{"type":"a","x":"é😀"}').size == len('{"type":"a","x":"é😀"}'.encode())


@pytest.mark.parametrize(("written", "read"), [(r"\ud83d\ude00", "😀"), (r"\ud83d", "\ufffd"), (r"a\udc00b", "a\ufffdb")])
def test_half_a_character_is_replaced_when_read(written: str, read: str) -> None:
    """A lone surrogate, which JSON can escape and nothing can store, is read as U+FFFD; the raw text keeps it."""
    raw = f'{{"type":"x{written}","text":["{written}"]}}'
    event = parse(raw)
    assert (event.raw, event.type, event.data["text"]) == (raw, f"x{read}", [read])
    assert load(f'"{written}"') == read


def test_only_what_is_asked_for_is_decoded() -> None:
    """The whole event is decoded once, when first asked for."""
    event = parse('{"type":"a","x":{"y":1}}')
    assert "data" not in vars(event)
    assert event.data is event.data


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.text(min_size=1))
def test_what_is_written_is_read_again(data: dict[str, Any], type_: str) -> None:
    """An event of ours is compact JSON that a socket takes and that says what was meant."""
    data["type"] = type_
    raw = dump(data)
    assert json.loads(raw.encode()) == data
    assert "\n" not in raw


@pytest.mark.parametrize(
    "data",
    [{}, {"type": ""}, {"type": None}, {"type": 7}, {"type": "a", "x": b"bytes"}, {"type": "a", "x": float("nan")}],
)
def test_what_is_no_event_is_not_written(data: dict[str, Any]) -> None:
    """Without a type, or with values JSON does not have, it is our mistake, and says so."""
    with pytest.raises(InvalidEvent, match=r"An event needs a|cannot be written as JSON"):
        dump(data)


def test_a_bottomless_event_is_not_written() -> None:
    """An event nested beyond what can be written, or containing itself, is refused."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    ring: list[Any] = []
    ring.append(ring)
    for value in (deep, ring):
        with pytest.raises(InvalidEvent):
            dump({"type": "a", "x": value})


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "2147483648", "-1", "1e30", "NaN", "9" * 5000])
@pytest.mark.parametrize("name", ["content_index", "output_index"])
def test_an_index_out_of_range_is_none(name: str, number: str) -> None:
    """A number that no index is, is read as none; the type is read all the same, and the raw text keeps the number."""
    event = parse(f'{{"type":"response.cancel","{name}":{number}}}')
    assert (event.type, getattr(event, name), event.flaw) == ("response.cancel", None, "")
    assert number in event.raw
    assert event.data["type"] == "response.cancel"


def test_the_largest_index() -> None:
    """The largest that a column holds is one."""
    assert parse(f'{{"type":"a","content_index":{2**31 - 1}}}').content_index == 2**31 - 1


@pytest.mark.parametrize(("levels", "read"), [(150, True), (300, False), (990, False), (5000, False)])
def test_what_is_nested_too_deep_is_not_read(levels: int, read: bool) -> None:
    """Whatever walks through an event calls itself for each level: of deeper ones only the head is read."""
    event = parse('{"type":"x","a":' + "[" * levels + "]" * levels + "}")
    assert bool(event.data) is read
