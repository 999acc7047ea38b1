"""Frames nobody thought of: what the tests of the engine feed it when anything may come."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from realtime import catalog
from realtime.events import parse
from realtime.timeline import Direction, Entry

TYPES = sorted(
    {info.type for info in catalog.events()}
    | set(catalog.GA_NAMES)
    | {"transcription_session.updated", "ping", "x", "conversation.item.input_audio_transcription.updated"}
)
"""Every type of the GA API, those of the beta, and a few of neither."""
IDS = st.sampled_from(["item_1", "item_2", "item_3", "resp_1", "call_1", "root", ""])
FIELDS = st.sampled_from(
    """event_id response_id item_id previous_item_id call_id content_index output_index response item error session audio
    delta text transcript arguments output audio_start_ms audio_end_ms part rate_limits name status content role type id
    status_details message code usage input_tokens remaining limit""".split()
)

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.just(1e999) | IDS
    | st.text(st.characters(), max_size=20)
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4), max_leaves=10
)
"""Any JSON, made of the names the API uses; lone surrogates, NaN and numbers beyond any float among it."""
item_objects = st.fixed_dictionaries(
    {
        "id": IDS,
        "type": st.sampled_from(["message", "function_call", "function_call_output", "mcp_call"]) | scalars,
    },
    optional={
        "role": st.sampled_from(["user", "assistant"]), "status": scalars, "call_id": IDS, "arguments": scalars,
        "output": scalars, "content": st.lists(st.dictionaries(FIELDS, scalars, max_size=3), max_size=3) | scalars,
    },
)  # fmt: skip
sounds = st.binary(max_size=200).map(lambda sound: base64.b64encode(sound).decode())
events = st.builds(
    lambda type_, fields: {"type": type_, **fields},
    st.sampled_from(TYPES),
    st.fixed_dictionaries(
        {},
        optional={
            "item_id": IDS, "previous_item_id": IDS | scalars, "response_id": IDS, "event_id": IDS, "call_id": IDS,
            "item": item_objects | values, "delta": sounds | values, "audio": sounds | values, "text": values,
            "transcript": values, "arguments": values, "content_index": st.integers(0, 2) | values, "part": values,
            "audio_start_ms": st.integers(0, 9000) | values, "audio_end_ms": st.integers(-9, 9000) | values,
            "response": values, "session": values, "error": values, "rate_limits": values,
        },
    ),
)  # fmt: skip
"""Events of every type with fields of the right names and any values."""
frames = st.one_of(
    events.map(json.dumps),
    events.map(lambda event: json.dumps(event, ensure_ascii=False)),
    st.text(st.characters(), max_size=50),
    values.map(json.dumps),
)
"""The text of a frame: mostly an event, sometimes anything."""
directions: st.SearchStrategy[Direction] = st.sampled_from(["sent", "received"])


def entry(raw: str | dict[str, Any], seq: int = 1, direction: Direction = "received", t_us: int | None = None) -> Entry:
    """A frame at its place."""
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return Entry(seq, seq * 1000 if t_us is None else t_us, "ev", direction, event=parse(text))


def entries(told: Iterable[tuple[Direction, str]]) -> list[Entry]:
    """A log of these frames."""
    return [entry(raw, seq, direction) for seq, (direction, raw) in enumerate(told, 1)]


logs = st.lists(st.tuples(directions, frames), max_size=25).map(entries)
"""A log of any frames, both ways."""
