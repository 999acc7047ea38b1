"""Frames made to stop a recorder: values no column holds, numbers no integer is, text no parser takes; the same for a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from realtime import catalog

NUMBERS = (
    "18446744073709551616", "-9223372036854775809", "9223372036854775808", "4294967296", "2147483648", "-1", "-2147483649", "0",
    "1e30", "1.5", "-0.0", "1e308", "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 400, "9" * 5000, "5e-324",
)  # fmt: skip
"""As they are written; JSON has not all of them."""
STRINGS = (
    "\\u0000", "a\\u0000b", "\\ud800", "\\udc00x", "\\ud83d\\ude00", "\x00", "a\x00b", "\x01\x1f\x7f", "\x85\u2028\u2029", "\ufeff",
    "\u202e", "💥", "é" * 200, "x" * 700, "%s%%", "';--", "<script>", "{{ x }}", "\\\\", "\\\"", "\\n", "", "item_1", "\U0010ffff\ufffe",
)  # fmt: skip
"""As they stand between quotation marks, escaped or raw."""
OTHERS = ("null", "true", "[]", "{}", "[[]]", '[{"":null}]', '{"id":7}', '{"id":"\\u0000"}', '{"type":"a","type":"b"}')
FIELDS = (
    "event_id", "response_id", "item_id", "previous_item_id", "call_id", "content_index", "output_index", "response", "item", "error",
    "session", "audio", "delta", "text", "transcript", "arguments", "output", "audio_start_ms", "audio_end_ms", "part", "rate_limits",
    "name", "status", "content", "role", "id", "model", "usage", "expires_at", "code", "message", "type", "binary", "withheld",
)  # fmt: skip
TYPES = (*sorted(info.type for info in catalog.events()), "ping", "a\\u0000b", "\\ud800", "x" * 300, "é💥", "")
SECRET = "sk-proj-H0st1leH0st1leH0st1le"
DEEP = (60, 150, 300, 900, 1500, 5000)


def frames(count: int, seed: int) -> Iterator[str]:
    """``count`` frames; each can travel as a text message, so none holds half of a surrogate pair but escaped."""
    chance = random.Random(seed)  # noqa: S311  (frames of a test are no secret)
    for _ in range(count):
        yield chance.choices(MAKERS, WEIGHTS)[0](chance)


def composed(count: int, seed: int) -> Iterator[str]:
    """``count`` events as they are typed into the composer: JSON objects with a type."""
    chance = random.Random(seed)  # noqa: S311
    for _ in range(count):
        yield _event(chance)


def facts(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """``count`` facts of notes, such as a tool's arguments: what Python reads of such JSON, and what is none."""
    chance = random.Random(seed)  # noqa: S311
    made = 0
    while made < count:
        try:
            value = json.loads("{" + ",".join(f'"{key}":{_value(chance)}' for key in chance.sample(NAMES, 3)) + "}")
        except (ValueError, RecursionError):
            continue
        made += 1
        yield value


NAMES = ("key", "value", "name", "arguments", "output", "ok", "code", "by", "query", "address", "binary", "withheld", "refused", "line",
         "state", "dialect", "masked", "call_id", "played_ms", "item_id", "unstorable", "console_exact", "\\u0000", "seconds")  # fmt: skip


def _value(chance: random.Random, depth: int = 0) -> str:
    what = chance.random()
    if what < 0.3:
        return chance.choice(NUMBERS)
    if what < 0.6:
        return f'"{chance.choice(STRINGS)}"'
    if what < 0.8 or depth > 2:
        return chance.choice(OTHERS)
    if what < 0.9:
        return "[" + ",".join(_value(chance, depth + 1) for _ in range(chance.randrange(4))) + "]"
    return "{" + _fields(chance, depth + 1) + "}"


def _fields(chance: random.Random, depth: int = 0) -> str:
    """Fields of known names with any values; now and then one twice."""
    names = chance.choices(FIELDS, k=chance.randrange(1, 6))
    return ",".join(f'"{name}":{_value(chance, depth)}' for name in names)


def _event(chance: random.Random) -> str:
    """An event of a known type whose fields are of no type that is known."""
    return f'{{"type":"{chance.choice(TYPES)}",{_fields(chance)}}}'


def _index(chance: random.Random) -> str:
    """The frame that stopped recording for good: a number that 64 bits do not hold, where an index should be."""
    name = chance.choice(("content_index", "output_index", "audio_end_ms", "audio_start_ms", "expires_at"))
    return f'{{"type":"{chance.choice(TYPES)}","item_id":"item_1","{name}":{chance.choice(NUMBERS)}}}'


def _stream(chance: random.Random) -> str:
    """A delta, which is folded into its stream's row."""
    type_ = chance.choice(("response.output_text.delta", "response.output_audio.delta", "input_audio_buffer.append"))
    sound = chance.choice(("AAAA", "AA==", "A", "-_", "\\u0041AAA", "", "AAA\\u0000", "é"))
    item, index = chance.choice(STRINGS), chance.choice(NUMBERS)
    return f'{{"type":"{type_}","item_id":"{item}","content_index":{index},"delta":"{sound}","audio":"{sound}"}}'


def _told(chance: random.Random) -> str:
    """A session, an item or a response as the API tells it, with values nobody would tell."""
    name = chance.choice(("session", "item", "response", "error", "part", "conversation"))
    type_ = chance.choice([type_ for type_ in TYPES if name in type_] or ["x"])
    return f'{{"type":"{type_}","{name}":{{{_fields(chance, 1)},"audio":{{"input":{_value(chance)},"output":{{{_fields(chance, 1)}}}}}}}}}'


def _deep(chance: random.Random) -> str:
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}")))
    depth = chance.choice(DEEP)
    return f'{{"type":"{chance.choice(TYPES)}","session":{opening * depth}1{closing * depth}}}'


def _torn(chance: random.Random) -> str:
    """Half of an event, or what is none at all."""
    raw = _event(chance)
    half = raw[: chance.randrange(len(raw))]
    return chance.choice((half, "", "null", "[1]", "\x00", '"' * 3, "{" * 300, raw + "\x00", f" {raw}\n", "NaN"))


def _secret(chance: random.Random) -> str:
    """A key, which is masked where it is stored."""
    return f'{{"type":"{chance.choice(TYPES)}","authorization":"{SECRET}","text":"{chance.choice(STRINGS)}"}}'


MAKERS = (_event, _index, _stream, _told, _deep, _torn, _secret)
WEIGHTS = (40, 10, 15, 20, 2, 12, 1)
