"""Catalog: what the API defines: each event's direction, meaning and fields, and what can be set about a session.

Read from the field's own source, the ``openai`` package's types, when first asked for (about a second, once): nothing of
its texts is copied here, and a newer package brings newer events. They are read in a process of their own
(``realtime.sdk_types``): what is told of them takes a hundredth of their 25 MB.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

BETA_NAMES = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "conversation.item.added": "conversation.item.created",
}
"""GA name → the beta's, where they differ (guide "Beta to GA migration")."""
GA_NAMES = {beta: ga for ga, beta in BETA_NAMES.items()}

Side = Literal["client", "server"]


class Field(msgspec.Struct, frozen=True):
    """One field of an event."""

    name: str
    type: str
    required: bool
    help: str


class EventInfo(msgspec.Struct, frozen=True):
    """What the API says of one type of event."""

    type: str
    side: Side
    """Who sends it."""
    meaning: str
    fields: tuple[Field, ...]
    beta_name: str
    """Its name in the beta; the same for most."""


class Setting(msgspec.Struct, frozen=True):
    """What the API says of one field of the session object."""

    help: str
    choices: tuple[str, ...]
    """The values it names, in its order; empty where anything goes."""


class Catalog(msgspec.Struct, frozen=True):
    """All of it."""

    events: dict[str, EventInfo]
    """By type."""
    settings: dict[str, Setting]
    """By path, e.g. ``audio.input.turn_detection.threshold``."""


UNKNOWN = Setting("", ())


def event(type_: str) -> EventInfo | None:
    """What the API says of a type, by its GA or its beta name; None for one it does not define."""
    known = _catalog().events
    return known.get(type_) or known.get(GA_NAMES.get(type_, ""))


def events() -> list[EventInfo]:
    """Every event of the GA API: the client's first, each side by name."""
    return sorted(_catalog().events.values(), key=lambda info: (info.side, info.type))


def session_help(path: str) -> str:
    """What a field of the session object is for, e.g. ``audio.input.turn_detection.threshold``; ``""`` if unknown."""
    return _catalog().settings.get(path, UNKNOWN).help


def choices(path: str) -> list[str]:
    """The values the API names for a session field, in its order; empty where anything goes."""
    return list(_catalog().settings.get(path, UNKNOWN).choices)


_reading = threading.Lock()


def _catalog() -> Catalog:
    with _reading:  # who asks first waits for it, and so does who asks meanwhile
        return _read()


@cache
def _read() -> Catalog:
    """Read the package. Raises subprocess.CalledProcessError when that fails; it has said why on standard error."""
    told = subprocess.run(
        [sys.executable, "-m", "realtime.sdk_types"],
        cwd=Path(__file__).resolve().parents[1], stdout=subprocess.PIPE, check=True,
        start_new_session=True,  # a terminal's Ctrl+C is for us to answer
    )  # fmt: skip
    return msgspec.json.decode(told.stdout, type=Catalog)
