"""JSON reader: stricter than Python's, with a limit of nesting."""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 64
"""Levels of nesting allowed in a client's JSON, as stored values are also copied and written."""


def read(text: str) -> Any:
    """Parse a client's JSON. Raises ValueError for invalid JSON or too deep nesting."""
    try:
        data = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        if "\\u" in text:
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair cannot be sent back
        _check_depth(data, DEEPEST)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return data


def _no_number(name: str) -> None:
    """Refuse NaN and Infinity, which Python accepts and JSON does not know."""
    raise ValueError(name)


def _finite(digits: str) -> float:
    """Refuse 1e999, which Python reads as infinity and could not send back."""
    if not math.isfinite(number := float(digits)):
        raise ValueError(digits)
    return number


def _check_depth(value: Any, levels: int) -> None:
    """Raise RecursionError for a value nested deeper than ``levels``."""
    if levels < 0:
        raise RecursionError
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(inner, levels - 1)
