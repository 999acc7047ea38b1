"""Fixed fields: which can be, which of them somebody's settings name, settings without them, settings with them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from realtime.errors import InvalidPolicy
from realtime.shapes import PATHS, Data, settings_to_beta

OBJECTS = ("audio", "audio.input", "audio.output")
"""Objects of a session whose fields are fixed one by one; any other value is fixed as a whole, so that of a fixed
``turn_detection`` no part can be changed either."""
NOT_FIXED = ("type", "model")
"""What a policy's session says of itself, and what is chosen when connecting: no update changes either (protocol 3.1)."""
READ_ONLY = ("id", "object", "expires_at", "client_secret")
"""Fields of a session that nobody sets (protocol 3.1)."""
KINDS = ("realtime", "transcription")
"""Types of session."""
PROMPTS = ("instructions", "tools")
"""Fields that a stored prompt brings with it: who may not set them may not name a ``prompt``."""

Path = tuple[str, ...]


class Fixed:
    """The fields of a session that its server has fixed, by the names of both dialects.

    Settings are a session object, or the ``response`` of a response.create, response.created or response.done: the two
    have the same names for the same things.
    """

    def __init__(self, session: Mapping[str, Any]) -> None:
        """``session``: a partial GA session; all it names is fixed, except NOT_FIXED."""
        self.settings: Data = copy.deepcopy({name: value for name, value in session.items() if name not in NOT_FIXED})
        """As GA has them."""
        self.paths: list[Path] = [named for path in leaves(self.settings) for named in _names_of(path)]
        self.refused: list[Path] = [*self.paths]
        """What no settings may name: the fixed fields, and a stored prompt where that would bring others."""
        if any(name in self.settings for name in PROMPTS) and "prompt" not in self.settings:
            self.refused.append(("prompt",))

    def __bool__(self) -> bool:
        return bool(self.paths)

    def named_in(self, settings: Mapping[str, Any]) -> list[str]:
        """The fixed fields that these settings would change, as dotted paths: named, or replaced with what holds them."""
        return [".".join(path) for path in self.refused if _names(settings, path)]

    def without(self, settings: Data) -> Data:
        """Settings without the fixed fields; what stands beside them stays. The same object when there are none."""
        for path in self.paths:
            settings = _without(settings, path)
        return settings

    def put_into(self, settings: Mapping[str, Any], dialect: str = "ga") -> Data:
        """Settings of a dialect, none of which is fixed, with the fixed ones beside them."""
        return _merged(settings, self.told(dialect))

    def told(self, dialect: str = "ga") -> Data:
        """The fixed fields as settings of a dialect."""
        return copy.deepcopy(self.settings) if dialect == "ga" else settings_to_beta(copy.deepcopy(self.settings))


def leaves(settings: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    """The paths of the fields that partial settings name."""
    for name, value in settings.items():
        path = (*above, name)
        if ".".join(path) in OBJECTS and isinstance(value, Mapping):
            yield from leaves(value, path)
        else:
            yield path


def _names_of(path: Path) -> list[Path]:
    """A field by its GA path and by the beta's name, which some providers take as well."""
    dotted = ".".join(path)
    return [path, *((beta,) for beta, ga in PATHS.items() if ga == dotted)]


def _names(settings: Any, path: Path) -> bool:
    """Whether settings name a field: also ``"audio": null`` says something about ``audio.output.voice``."""
    for name in path:
        if not isinstance(settings, Mapping):
            return True
        if name not in settings:
            return False
        settings = settings[name]
    return True


def _without(settings: Data, path: Path) -> Data:
    name, *rest = path
    if name not in settings:
        return settings
    if not rest:
        return {key: value for key, value in settings.items() if key != name}
    inner = settings[name]
    if not isinstance(inner, dict):
        return settings
    left = _without(inner, tuple(rest))
    return settings if left is inner else {**settings, name: left}


def _merged(settings: Mapping[str, Any], over: Mapping[str, Any]) -> Data:
    merged = dict(settings)
    for name, value in over.items():
        inner = merged.get(name)
        merged[name] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def checked(session: Any, name: str) -> Data:
    """A copy of what is to be fixed. Raises InvalidPolicy, naming the field below ``name``, when it is no partial GA session."""
    if not isinstance(session, Mapping):
        raise InvalidPolicy(name, f"a partial session object is wanted, not {shown(session)}.")
    for key in session:
        if key in PATHS:
            raise InvalidPolicy(f"{name}.{key}", f"this is the beta's name; write it as GA does: {PATHS[key]}.")
        if key in READ_ONLY:
            raise InvalidPolicy(f"{name}.{key}", "the API sets this field; it cannot be fixed.")
    for path in OBJECTS:
        here: Any = session
        for key in path.split("."):
            here = here.get(key, {})
            if not isinstance(here, Mapping):
                raise InvalidPolicy(f"{name}.{path}", f"an object is wanted, not {shown(here)}.")
    if session.get("type", "realtime") not in KINDS:
        raise InvalidPolicy(f"{name}.type", f"{' or '.join(KINDS)} is wanted, not {shown(session['type'])}.")
    model = session.get("model", "any")
    if not isinstance(model, str) or not model:
        raise InvalidPolicy(f"{name}.model", f"a model's name is wanted, not {shown(model)}.")
    try:
        return dict(json.loads(json.dumps(dict(session), allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidPolicy(name, f"it cannot be written as JSON: {error}.") from None


def shown(value: Any) -> str:
    """A value as a sentence names it; a long one is cut."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
