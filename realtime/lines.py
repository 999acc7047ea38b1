"""The one human line of a row: what matters for that type of event; and how serious it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from realtime.shapes import in_ga
from realtime.timeline import Entry, Fold

LONGEST = 220
"""Characters of a line; the rest is in the event itself."""
LOOKED_AT = 4000
"""Characters of a text that are looked at to make a line: a frame that is no JSON may have megabytes."""
NORMAL_CLOSES = (None, 1000, 1001, 1005)
"""Close codes of a session that simply ended (RFC 6455 section 7.4.1); 1001 is the API's own end after 60 minutes."""

WARNINGS = ("skip", "slow", "policy", "cost")
"""Kinds of notes that tell of something a reader should look at, though nothing failed."""

Family = str
"""session, conversation, input, response, tool, error, console or other."""


def line(entry: Entry) -> str:
    """What a row says. Never raises, whatever the event holds; audio is never decoded."""
    if entry.event is None:
        return _clip(_close(entry) if entry.kind == "close" else _client(entry) if entry.note == "client" else entry.text)
    if entry.event.flaw:
        return _clip(f"{entry.event.flaw} {entry.event.raw}")
    if not entry.event.data:
        return _clip(entry.event.raw)  # nested too deep, or with a number of too many digits
    for tell in (_LINES.get(entry.type, _generic), _generic):
        try:
            return _clip(tell(entry.event.data))
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError, RecursionError):
            continue  # an odd shape: show what is there instead of what should be
    return _clip(entry.event.raw)


def fold_line(entry: Entry, fold: Fold, text: str = "") -> str:
    """What a row of deltas says: its text so far, how much sound, the longest gap between two members."""
    parts = []
    if text:
        parts.append(f"“{text}”" if not entry.type.endswith("arguments.delta") else text)
    if fold.audio_ms:
        parts.append(f"{seconds(fold.audio_ms / 1000)} of sound")
    if fold.count > 1:
        parts.append(f"over {seconds((fold.last_us - fold.first_us) / 1e6)}")
        parts.append(f"longest gap {fold.gap_us / 1000:,.0f} ms")
    return _clip(" · ".join(parts))


def level(entry: Entry) -> str:
    """``error``, ``warning`` or ``""``."""
    if entry.kind == "close":
        failed = entry.data.get("code") not in NORMAL_CLOSES or (entry.data.get("code") is None and entry.text)
        return "error" if failed and entry.data.get("by") != "console" else ""
    if entry.event is None:
        failed = entry.note == "problem" or (entry.note == "tool" and not entry.data.get("ok", True))
        return "error" if failed else "warning" if entry.note in WARNINGS else ""
    if entry.event.is_error:
        return "error"
    if entry.type == "response.done":
        response = entry.event.data.get("response")
        status = response.get("status") if isinstance(response, dict) else ""
        return {"failed": "error", "incomplete": "warning"}.get(str(status), "")
    return ""


def family(type_: str) -> Family:
    """Which family of colours a type belongs to."""
    if type_ == "error" or type_.endswith(".failed") or type_ == "problem":
        return "error"
    if "function_call" in type_ or type_.startswith("mcp") or ".mcp" in type_ or type_ == "tool":
        return "tool"
    for prefix, name in (("session", "session"), ("transcription_session", "session"), ("input_audio", "input"),
                         ("conversation.item.input", "input"), ("conversation", "conversation"), ("response", "response"),
                         ("output_audio", "response"), ("rate_limits", "session")):  # fmt: skip
        if type_.startswith(prefix):
            return name
    return "console" if "." not in type_ else "other"


def seconds(value: float) -> str:
    """A stretch of time as people read it: ``212 ms``, ``6.2 s``, ``4:12 min``."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes}:{rest:02d} min"


def added(microseconds: int) -> str:
    """What the console added to a frame's way, as people read it: ``70 µs``, ``1.8 ms``, ``2.1 s``."""
    if microseconds < 1000:
        return f"{microseconds} µs"
    return f"{microseconds / 1000:.1f} ms" if microseconds < 99_950 else seconds(microseconds / 1e6)


def size(count: int) -> str:
    """A number of bytes as people read it: ``812 B``, ``1.9 kB``, ``398 kB``."""
    if count < 1000:
        return f"{count} B"
    for unit, factor in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < factor * 999.5 or unit == "GB":
            value = count / factor
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"
    raise AssertionError("unreachable: the last unit takes everything")


def paths(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a settings object with their dotted paths; lists and null are leaves."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from paths(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _clip(text: str) -> str:
    # Lone surrogates can stand in JSON escapes but not in a page.
    text = " ".join(text[:LOOKED_AT].split()).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _close(entry: Entry) -> str:
    code = entry.data.get("code")
    who = {"client": "the client", "server": "the API", "console": "this console"}.get(str(entry.data.get("by")), "?")
    return f"{code if code is not None else 'no code'} by {who}{': ' + entry.text if entry.text else ''}"


def _client(entry: Entry) -> str:
    """Who connected to the relay, from where, and what was asked for."""
    query = entry.data.get("query")
    asked = [f"{name}={value}" for name, value in query.items()] if isinstance(query, dict) else []
    address = entry.data.get("address")
    return " · ".join([entry.text, *([f"from {address}"] if address else []), *asked])


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value if len(value) <= 60 else value[:59] + "…"
    if isinstance(value, list):
        return "[]" if not value else f"[{len(value)}]"
    return json.dumps(value, ensure_ascii=False)


def _generic(data: dict[str, Any]) -> str:
    """The first informative fields of an event nobody has told us about."""
    shown = [f"{key}={_short(value)}" for key, value in data.items() if key not in ("type", "event_id") and value != ""]
    return " ".join(shown[:4])


def _session_update(data: dict[str, Any]) -> str:
    return " · ".join(f"{path.removeprefix('audio.')} {_short(value)}" for path, value in paths(data["session"]) if path != "type")


def _session_told(data: dict[str, Any]) -> str:
    session = in_ga(data["session"])
    audio = session.get("audio") or {}
    detection = (audio.get("input") or {}).get("turn_detection")
    turns = detection.get("type", "?") if isinstance(detection, dict) else "manual turns"
    facts = [session.get("model"), (audio.get("output") or {}).get("voice"), turns, "/".join(session.get("output_modalities", []))]
    return " · ".join(str(fact) for fact in facts if fact)


def _item(data: dict[str, Any]) -> str:
    item = data["item"]
    kind = item.get("type")
    if kind == "function_call":
        return f"{item.get('name') or ''} {item.get('arguments') or ''}"
    if kind == "function_call_output":
        return f"output {item.get('output') or ''}"
    texts = []
    for part in item.get("content") or []:
        text = part.get("text") or part.get("transcript")
        texts.append(f"“{text}”" if text else "(sound)" if "audio" in str(part.get("type")) else str(part.get("type")))
    status = item.get("status")
    marks = [str(item.get("role") or kind), *texts]
    if status not in (None, "completed"):
        marks.append(str(status))
    return " ".join(marks)


def _response_created(data: dict[str, Any]) -> str:
    response = data["response"]
    where = "" if response.get("conversation_id") else " · out of band"
    asked = response.get("output_modalities") or response.get("modalities") or []
    return " · ".join(part for part in (_tail(response.get("id")), "/".join(asked)) if part) + where


def _response_done(data: dict[str, Any]) -> str:
    response = data["response"]
    details = response.get("status_details") or {}
    error = details.get("error") or {}
    reason = details.get("reason") or error.get("message") or error.get("code")
    usage = response.get("usage") or {}
    tokens = f"{usage['input_tokens']:,} in, {usage['output_tokens']:,} out" if "input_tokens" in usage else ""
    facts = [str(response.get("status")) + (f": {reason}" if reason else ""), tokens and f"{tokens} tokens"]
    return " · ".join(fact for fact in facts if fact)


def _error(data: dict[str, Any]) -> str:
    error = data["error"]
    if isinstance(error, str):  # some servers send it flat
        return error
    marks = [error.get("code"), error.get("param") and f"at {error['param']}", error.get("event_id") and f"about {error['event_id']}"]
    return f"{error.get('message') or 'an error without a message'}  {' · '.join(str(mark) for mark in marks if mark)}"


def _failed_transcription(data: dict[str, Any]) -> str:
    return f"{data['error'].get('message') or ''} {data['error'].get('code') or ''}"


def _rate_limits(data: dict[str, Any]) -> str:
    return " · ".join(f"{limit['name']} {limit['remaining']:,} of {limit['limit']:,}" for limit in data["rate_limits"])


def _tail(id_: Any) -> str:
    """An id short enough for a row: its prefix and its last four characters."""
    text = str(id_ or "")
    return text if len(text) <= 12 else f"{text.split('_')[0]}_…{text[-4:]}"


def _quoted(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda data: f"“{data[key]}”"


def _at(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda data: f"at {data[key] / 1000:.2f} s of input · {_tail(data.get('item_id'))}"


def _about_item(data: dict[str, Any]) -> str:
    return _tail(data["item_id"])


_LINES: dict[str, Callable[[dict[str, Any]], str]] = {
    "session.update": _session_update,
    "session.created": _session_told,
    "session.updated": _session_told,
    "conversation.item.create": _item,
    "conversation.item.added": _item,
    "conversation.item.created": _item,
    "conversation.item.done": _item,
    "conversation.item.retrieved": _item,
    "conversation.item.truncate": lambda data: f"{_tail(data['item_id'])} after {data['audio_end_ms']:,} ms",
    "conversation.item.truncated": lambda data: f"{_tail(data['item_id'])} after {data['audio_end_ms']:,} ms",
    "conversation.item.delete": _about_item,
    "conversation.item.deleted": _about_item,
    "conversation.item.retrieve": _about_item,
    "conversation.item.input_audio_transcription.completed": _quoted("transcript"),
    "conversation.item.input_audio_transcription.failed": _failed_transcription,
    "input_audio_buffer.speech_started": _at("audio_start_ms"),
    "input_audio_buffer.speech_stopped": _at("audio_end_ms"),
    "input_audio_buffer.committed": _about_item,
    "input_audio_buffer.commit": lambda data: "",
    "input_audio_buffer.clear": lambda data: "",
    "response.create": lambda data: _generic(data.get("response") or {}),
    "response.cancel": lambda data: _tail(data.get("response_id")),
    "response.created": _response_created,
    "response.done": _response_done,
    "response.output_item.added": _item,
    "response.output_item.done": _item,
    "response.content_part.added": lambda data: str(data["part"].get("type")),
    "response.content_part.done": lambda data: f"“{data['part'].get('transcript') or data['part'].get('text') or ''}”",
    "response.output_text.done": _quoted("text"),
    "response.text.done": _quoted("text"),
    "response.output_audio_transcript.done": _quoted("transcript"),
    "response.audio_transcript.done": _quoted("transcript"),
    "response.output_audio.done": _about_item,
    "response.function_call_arguments.done": lambda data: f"{data.get('name') or ''} {data['arguments']}",
    "error": _error,
    "rate_limits.updated": _rate_limits,
}

