"""What the ``openai`` package's types say of the API, as JSON on standard output; run by ``realtime.catalog``."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import typing
from collections.abc import Iterator, Sequence
from functools import cache
from types import UnionType
from typing import Any, Literal

import msgspec
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent, RealtimeSessionCreateRequest

from realtime.catalog import BETA_NAMES, Catalog, EventInfo, Field, Setting, Side


def catalog() -> Catalog:
    """All that can be read."""
    return Catalog(events(), dict(settings([RealtimeSessionCreateRequest])))


def events() -> dict[str, EventInfo]:
    """Every event of the GA API, by type."""
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


def settings(models: Sequence[Any], at: str = "") -> Iterator[tuple[str, Setting]]:
    """Path and setting of every field of these models and what is in them. A union offers one for each member."""
    for name in dict.fromkeys(name for model in models for name in model.model_fields):
        having = [model for model in models if name in model.model_fields]
        annotations = [model.model_fields[name].annotation for model in having]
        values = dict.fromkeys(str(value) for annotation in annotations for value in _literals(annotation))
        help_ = next((text for model in having if (text := _attribute_docs(model).get(name))), "")
        yield at + name, Setting(help_, tuple(values))
        inner = [member for annotation in annotations for member in _members(annotation)]
        yield from settings(inner, f"{at}{name}.")


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


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(catalog()))
