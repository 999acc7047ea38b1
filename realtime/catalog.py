"""Catalog: what the API defines: each event's direction, meaning and fields, and what can be set about a session.

Read from the field's own source, the ``openai`` package's types, when first asked for (about a second, once): nothing of
its texts is copied here, and a newer package brings newer events.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal

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


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event."""

    name: str
    type: str
    required: bool
    help: str


@dataclass(frozen=True, slots=True)
class EventInfo:
    """What the API says of one type of event."""

    type: str
    side: Side
    """Who sends it."""
    meaning: str
    fields: tuple[Field, ...]
    beta_name: str
    """Its name in the beta; the same for most."""


def event(type_: str) -> EventInfo | None:
    """What the API says of a type, by its GA or its beta name; None for one it does not define."""
    known = _events()
    return known.get(type_) or known.get(GA_NAMES.get(type_, ""))


def events() -> list[EventInfo]:
    """Every event of the GA API: the client's first, each side by name."""
    return sorted(_events().values(), key=lambda info: (info.side, info.type))


def session_help(path: str) -> str:
    """What a field of the session object is for, e.g. ``audio.input.turn_detection.threshold``; ``""`` if unknown."""
    return next((text for _, _, text in _resolve(path) if text), "")


def choices(path: str) -> list[str]:
    """The values the API names for a session field, in its order; empty where anything goes."""
    found: dict[str, None] = {}
    for annotation, _, _ in _resolve(path):
        for literal in _literals(annotation):
            found.setdefault(str(literal))
    return list(found)


# ── Reading the package ────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _events() -> dict[str, EventInfo]:
    from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent  # noqa: PLC0415  (costs a second)

    sides: tuple[tuple[Side, Any], ...] = (
        ("client", RealtimeClientEvent),
        ("server", RealtimeServerEvent),
    )
    known = {}
    for side, union in sides:
        for model in _members(union):
            type_ = next(_literals(model.model_fields["type"].annotation), None)
            if isinstance(type_, str):
                meaning = _unwrapped(model.__dict__.get("__doc__") or "")
                known[type_] = EventInfo(type_, side, meaning, _fields(model), BETA_NAMES.get(type_, type_))
    return known


def _fields(model: Any) -> tuple[Field, ...]:
    help_ = _attribute_docs(model)
    return tuple(
        Field(name, _type_name(info.annotation), info.is_required(), help_.get(name, ""))
        for name, info in model.model_fields.items()
    )


@cache
def _attribute_docs(model: Any) -> dict[str, str]:
    """The strings under a class's attributes; they are not kept at run time, so its source is read."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        module = sys.modules.get(base.__module__)
        if module is None or not base.__module__.startswith("openai."):
            continue
        for node in _classes(module.__name__).get(base.__name__, []):
            docs[node[0]] = node[1]
    return docs


@cache
def _classes(module: str) -> dict[str, list[tuple[str, str]]]:
    """Class name → its attributes and the strings under them."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    found: dict[str, list[tuple[str, str]]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        attributes = found.setdefault(node.name, [])
        for here, after in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(here, ast.AnnAssign)
                and isinstance(here.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                attributes.append((here.target.id, _unwrapped(after.value.value)))
    return found


def _unwrapped(text: str) -> str:
    """A docstring as paragraphs: the source's line breaks mean nothing, its lists and empty lines do."""
    return re.sub(r"(?<!\n)\n(?![\n\-*])", " ", inspect.cleandoc(text))


@cache
def _resolve(path: str) -> tuple[tuple[Any, bool, str], ...]:
    """Every field of the session's types at this path: annotation, required, help. A union offers one for each member."""
    from openai.types.realtime import RealtimeSessionCreateRequest  # noqa: PLC0415

    models: list[Any] = [RealtimeSessionCreateRequest]
    found: list[tuple[Any, bool, str]] = []
    for name in path.split("."):
        found = [
            (model.model_fields[name].annotation, model.model_fields[name].is_required(), _attribute_docs(model).get(name, ""))
            for model in models
            if name in model.model_fields
        ]
        models = [member for annotation, _, _ in found for member in _members(annotation)]
    return tuple(found)


def _members(annotation: Any) -> Iterator[Any]:
    """The pydantic models in an annotation, unions and lists opened."""
    if hasattr(annotation, "model_fields"):
        yield annotation
        return
    for inner in _arguments(annotation):
        yield from _members(inner)


def _literals(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) is Literal:
        yield from typing.get_args(annotation)
        return
    if not hasattr(annotation, "model_fields"):
        for inner in _arguments(annotation):
            yield from _literals(inner)


def _arguments(annotation: Any) -> tuple[Any, ...]:
    """What an annotation is made of: members of unions, items of lists, the type inside Annotated."""
    if isinstance(annotation, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        return (annotation.__value__,)
    if hasattr(annotation, "__metadata__"):
        return (annotation.__origin__,)
    if isinstance(annotation, UnionType) or typing.get_origin(annotation) is not None:
        return typing.get_args(annotation)
    return ()


def _type_name(annotation: Any) -> str:
    """An annotation as people read it."""
    if annotation is type(None):
        return "null"
    if values := list(_literals(annotation)):
        rest = [] if typing.get_origin(annotation) is Literal else [
            _type_name(a) for a in _arguments(annotation) if typing.get_origin(a) is not Literal and a is not type(None)
        ]  # fmt: skip
        return " | ".join([*(f'"{value}"' for value in values), *rest])
    origin = typing.get_origin(annotation)
    if origin is list:
        return f"[{_type_name(typing.get_args(annotation)[0])}]"
    if origin is dict:
        return "object"
    if inner := [a for a in _arguments(annotation) if a is not type(None)]:
        return " | ".join(dict.fromkeys(_type_name(a) for a in inner))
    names = {str: "string", int: "integer", float: "number", bool: "boolean", object: "any"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))
