"""Frames nobody should send: valid ones with something wrong in them, and plain noise; the same ones for a seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.fuzz.clients import FORMATS, LOUD, RAW, RESPONSES, SETTINGS
from tests.realtime.simulator.harness import GET_WEATHER, encoded, silence, user

LARGE = 100_000
"""Characters of a value that is meant to be too long."""
HUGE_EVERY = 5_000
"""One in so many frames is larger than any the API takes: 24 MB of text."""
DEEP = 2_000
"""Levels of nesting that are meant to be too many."""

VALID: list[dict[str, Any]] = [
    *({"type": "session.update", "session": {"type": "realtime", **changes}} for changes in SETTINGS),
    {"type": "session.update", "session": {"type": "realtime", "tools": [GET_WEATHER], "tracing": {"group_id": "a"}}},
    {"type": "session.update", "session": {"type": "realtime", "truncation": {"type": "retention_ratio", "retention_ratio": 0.8}}},
    *({"type": "response.create", "response": response} for response in RESPONSES),
    *({"type": "session.update", "session": {"audio": {"input": {"format": format_}}}} for format_ in FORMATS),
    {"type": "input_audio_buffer.append", "audio": encoded(LOUD)},
    {"type": "input_audio_buffer.append", "audio": encoded(silence(200))},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "conversation.item.create", "item": user("Hello."), "previous_item_id": "root", "event_id": "mine"},
    {"type": "conversation.item.create", "item": user("What is the weather in Rome?", id="item_mine")},
    {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "call_1", "output": "{}"}},
    {"type": "conversation.item.create", "item": {"type": "function_call", "name": "get_weather", "call_id": "c", "arguments": "{}"}},
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]},
    },
    {"type": "conversation.item.retrieve", "item_id": "item_mine"},
    {"type": "conversation.item.delete", "item_id": "item_mine"},
    {"type": "conversation.item.truncate", "item_id": "item_mine", "content_index": 0, "audio_end_ms": 0},
    {"type": "response.cancel"},
    {"type": "response.cancel", "response_id": "resp_nobody"},
]
JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, 10**400, 1e308, -0.0, "", "\0", "é\u202e💥", "\ud800", "NaN", "a" * 600, [], {}, [[]], [{}],
    [None], {"": None}, {"type": None}, {"type": {}}, {"id": []}, "__proto__", "item_mine", "audio", "none", "inf",
)  # fmt: skip
TEXTS = ("1e999", "-1e999", "NaN", "Infinity", "9" * 5000, "\\ud800", '"\\udc00"', "\\u0000", '{"a":1,"a":2}')
"""What Python reads and JSON does not, or the other way round; put in place of a value as it stands."""


def frames(count: int, seed: int) -> Iterator[str | bytes]:
    """``count`` frames."""
    chance = random.Random(seed)  # noqa: S311  (frames of a test are no secret)
    for number in range(1, count + 1):
        if number % HUGE_EVERY == HUGE_EVERY // 2:
            yield json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 24_000_000})
        else:
            yield chance.choices(MAKERS, WEIGHTS)[0](chance)


def _valid(chance: random.Random) -> str:
    return json.dumps(chance.choice(VALID))


def _changed(chance: random.Random) -> str:
    """One value or name is another."""
    event = copy.deepcopy(chance.choice(VALID))
    for _ in range(chance.randint(1, 3)):
        place, key = chance.choice(list(_places(event)))
        what = chance.random()
        if what < 0.15 and isinstance(place, dict):
            del place[key]
        elif what < 0.3 and isinstance(place, dict):
            place[chance.choice(("id", "foo", "", "event_id", "status"))] = copy.deepcopy(chance.choice(JUNK))
        else:
            place[key] = copy.deepcopy(chance.choice(JUNK))
        if not event:
            break
    return json.dumps(event)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


def _written(chance: random.Random) -> str:
    """A value that json.dumps would not write."""
    event = copy.deepcopy(chance.choice(VALID))
    place, key = chance.choice(list(_places(event)))
    place[key] = "@here@"
    return json.dumps(event).replace('"@here@"', chance.choice(TEXTS))


def _torn(chance: random.Random) -> str:
    raw = json.dumps(chance.choice(VALID))
    return raw[: chance.randrange(len(raw))] + chance.choice(("", "}", '"', "\0", "]}"))


def _long(chance: random.Random) -> str:
    event = copy.deepcopy(chance.choice(VALID))
    place, key = chance.choice(list(_places(event)))
    place[key] = chance.choice(("a" * LARGE, "A" * LARGE, [0] * (LARGE // 10), {str(n): n for n in range(LARGE // 100)}))
    return json.dumps(event)


def _deep(chance: random.Random) -> str:
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}")))
    depth = chance.choice((60, 70, DEEP))
    return f'{{"type":"session.update","session":{opening * depth}1{closing * depth}}}'


def _noise(chance: random.Random) -> str:
    return "".join(chance.choices('{}[]",:\\ntrue0é💥\0', k=chance.randrange(60)))


def _binary(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(2000))


MAKERS: list[Callable[[random.Random], str | bytes]] = [
    _valid, _changed, _written, _torn, _noise, _binary, lambda chance: chance.choice(RAW), _long, _deep
]  # fmt: skip
WEIGHTS = [25, 40, 10, 8, 6, 3, 6, 1, 1]
