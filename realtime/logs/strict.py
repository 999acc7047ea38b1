"""One line of a log file read strictly: what is not as it must be is refused, with the line's number and the reason."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from realtime.errors import InvalidLog

_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


def refuse(number: int, reason: str) -> NoReturn:
    """Raise InvalidLog for a line."""
    raise InvalidLog(number, reason) from None


def load(number: int, line: str) -> dict[str, Any]:
    """A line as an object with a ``k``."""
    try:
        data = json.loads(line, parse_constant=_no_constant, parse_float=_finite)
        if _HALF_PAIR.search(line):
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        refuse(number, "it holds half of a surrogate pair, which no frame can hold")
    except json.JSONDecodeError as error:
        refuse(number, f"it is not JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        refuse(number, f"it is not JSON: {error}")
    if not isinstance(data, dict) or not isinstance(data.get("k"), str):
        refuse(number, 'it is not an object with a "k" that says what it is')
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number


def text(number: int, data: dict[str, Any], name: str) -> str:
    """A field that must be a string."""
    value = data.get(name)
    if not isinstance(value, str):
        refuse(number, f'"{name}" is not a string' if name in data else f'"{name}" is missing')
    return value


def whole(number: int, data: dict[str, Any], name: str, most: int, least: int = 0) -> int:
    """A field that must be a whole number within these bounds; ``true`` and ``1.0`` are none."""
    value = data.get(name)
    if type(value) is not int or not least <= value <= most:
        wrong = f"is not a whole number from {least} to {most}" if name in data else "is missing"
        refuse(number, f'"{name}" {wrong}')
    return value


def one_of(number: int, data: dict[str, Any], name: str, known: tuple[Any, ...]) -> Any:
    """A field that must be one of these words."""
    value = text(number, data, name)
    if value not in known:
        refuse(number, f'"{name}" is "{value[:40]}"; known are {", ".join(known)}')
    return value


def facts(number: int, data: dict[str, Any]) -> dict[str, Any]:
    """The field ``data``: an object, or nothing."""
    value = data.get("data", {})
    if not isinstance(value, dict):
        refuse(number, '"data" is not an object')
    return value
