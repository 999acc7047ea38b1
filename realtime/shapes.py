"""Shapes: settings, responses and items as the beta has them, flat, and as GA has them, nested.

Guide "Beta to GA migration". What only one of the two knows stays what it is and where it is; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Data = dict[str, Any]

FORMATS: dict[str, Data] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
"""The beta's name of a format → GA's."""
PLACES = {
    "input_audio_format": ("input", "format"),
    "input_audio_transcription": ("input", "transcription"),
    "input_audio_noise_reduction": ("input", "noise_reduction"),
    "turn_detection": ("input", "turn_detection"),
    "output_audio_format": ("output", "format"),
    "voice": ("output", "voice"),
    "speed": ("output", "speed"),
}
"""The beta's flat field → its place in GA's ``audio``."""
RESPONSE_NAMES = {"modalities": "output_modalities"}
SESSION_NAMES = {**RESPONSE_NAMES, "max_response_output_tokens": "max_output_tokens"}
"""The beta's field → GA's, where only the name differs."""
CONTENT = {"text": "output_text", "audio": "output_audio"}
"""What the model said: the beta's type of content → GA's."""
CONTENT_BACK = {ga: beta for beta, ga in CONTENT.items()}
PATHS = {flat: f"audio.{side}.{name}" for flat, (side, name) in PLACES.items()} | SESSION_NAMES
"""The beta's field of a session or response → GA's path; errors name them."""
GONE_FROM_SESSIONS = {"realtime": ("client_secret", "temperature"), "transcription": ("client_secret", "modalities")}
"""What is posted for a beta's session, by its kind, and has no place in GA's."""
BETA_LIFETIME: Data = {"anchor": "created_at", "seconds": 60}
"""How long the beta's secrets were good for when nobody said (protocol 1.4)."""


def in_ga(settings: Data) -> Data:
    """Settings of either dialect as GA has them: those of GA as they are."""
    beta = any(name in settings for name in PATHS) and "audio" not in settings
    return settings_to_ga(settings) if beta else settings


def settings_to_ga(settings: Data, names: Mapping[str, str] = SESSION_NAMES) -> Data:
    """A beta session's settings as GA's; with RESPONSE_NAMES those of a response object."""
    ga: Data = {}
    given = settings.get("audio")
    audio: Data = _copied(given) if isinstance(given, dict) else {}
    for name, value in settings.items():
        if name == "audio" and isinstance(value, dict):
            continue
        if name in PLACES:
            side, key = PLACES[name]
            if not isinstance(audio.get(side), dict):
                audio[side] = {}
            audio[side][key] = _format_to_ga(value) if key == "format" else value
        elif name == "modalities":
            ga["output_modalities"] = ["audio"] if value in (["text", "audio"], ["audio", "text"]) else value
        else:
            ga[names.get(name, name)] = value
    return {**ga, "audio": audio} if audio else ga


def settings_to_beta(settings: Data, names: Mapping[str, str] = SESSION_NAMES) -> Data:
    """A GA session's settings as the beta's; with RESPONSE_NAMES those of a response object."""
    back = {ga: beta for beta, ga in names.items()}
    beta: Data = {}
    for name, value in settings.items():
        if name == "audio" and isinstance(value, dict):
            beta |= _flattened(value)
        elif name == "output_modalities":
            beta["modalities"] = ["text", "audio"] if value == ["audio"] else value
        else:
            beta[back.get(name, name)] = value
    return beta


def _flattened(audio: Data) -> Data:
    flat: Data = {}
    rest = _copied(audio)
    for name, (side, key) in PLACES.items():
        inner = rest.get(side)
        if isinstance(inner, dict) and key in inner:
            value = inner.pop(key)
            flat[name] = _format_to_beta(value) if key == "format" else value
    left = {side: inner for side, inner in rest.items() if inner != {}}
    return {**flat, "audio": left} if left else flat


def _copied(audio: Data) -> Data:
    return {side: dict(inner) if isinstance(inner, dict) else inner for side, inner in audio.items()}


def _format_to_ga(value: Any) -> Any:
    return dict(FORMATS[value]) if isinstance(value, str) and value in FORMATS else value


def _format_to_beta(value: Any) -> Any:
    return next((name for name, form in FORMATS.items() if value in (form, {"type": form["type"]})), value)


def secret_wish_to_ga(body: Data, kind: str) -> Data:
    """What is posted to the beta's ``sessions`` (``kind`` realtime) or ``transcription_sessions`` as a GA client secret's wish.

    What GA has no place for is left out: temperature, and what a transcription would answer in.
    """
    secret = body.get("client_secret")
    given = secret if isinstance(secret, dict) else {}
    left_out = GONE_FROM_SESSIONS[kind]
    settings = {name: value for name, value in body.items() if name not in left_out}
    return {
        # The SDK's types name it one way for sessions and the other for transcriptions.
        "expires_after": given.get("expires_after") or given.get("expires_at") or dict(BETA_LIFETIME),
        "session": {"type": kind, **settings_to_ga(settings)},
    }


def secret_to_beta(answer: Data) -> Data:
    """A GA client secret as the beta answered: the flat session with the secret in it."""
    session = answer.get("session")
    flat = settings_to_beta(session if isinstance(session, dict) else {})
    flat.pop("type", None)
    return {**flat, "client_secret": {"value": answer.get("value"), "expires_at": answer.get("expires_at")}}


def item_to_ga(item: Any) -> Any:
    """A beta item as GA's."""
    if not isinstance(item, dict) or item.get("role") in ("user", "system"):
        return item  # their content has the same names in both; a model's "text" would be a mistake there
    return _with_content(item, CONTENT)


def item_to_beta(item: Any) -> Any:
    """A GA item as a beta client writes it."""
    return _with_content(item, CONTENT_BACK) if isinstance(item, dict) else item


def told_item_to_beta(item: Any) -> Any:
    """A GA item as the beta's server tells it: it names its ``object``."""
    if not isinstance(item, dict):
        return item
    named = {"id": item["id"]} if "id" in item else {}
    return {**named, "object": "realtime.item", **item_to_beta(item)}


def _with_content(item: Data, names: Mapping[str, str]) -> Data:
    content = item.get("content")
    if not isinstance(content, list):
        return item
    return {**item, "content": [renamed_part(part, names) for part in content]}


def renamed_part(part: Any, names: Mapping[str, str]) -> Any:
    """A part of an item's content under the other dialect's type."""
    type_ = part.get("type") if isinstance(part, dict) else None
    return {**part, "type": names[type_]} if isinstance(type_, str) and type_ in names else part


def renamed_path(path: str, *, to: str) -> str:
    """A setting's path below its session or response (``audio.output.voice``), as ``to``, ``ga`` or ``beta``, names it."""
    for beta, ga in PATHS.items():
        here, there = (beta, ga) if to == "ga" else (ga, beta)
        if path == here or path.startswith((f"{here}.", f"{here}[")):
            return there + path[len(here) :]
    return path


def with_items(data: Data, name: str, translate: Callable[[Any], Any]) -> Data:
    """An object of whose fields one is a list of items: a response's ``output``, a wish's ``input``."""
    items = data.get(name)
    return {**data, name: [translate(item) for item in items]} if isinstance(items, list) else data
