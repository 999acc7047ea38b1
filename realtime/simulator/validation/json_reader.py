"""JSON as the API reads it: stricter than Python, and not nested without end."""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 64
"""Levels of nesting a client's JSON may have: what is kept is also copied and written."""


def read(text: str) -> Any:
    """What a client wrote. Raises ValueError when it is no JSON, or nested too deeply."""
    try:
        data = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        if "\\u" in text:
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair cannot be sent back
        _fathom(data, DEEPEST)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return data


def _no_number(name: str) -> None:
    """Python reads NaN and Infinity, JSON does not know them."""
    raise ValueError(name)


def _finite(digits: str) -> float:
    """Python reads 1e999 as infinity, which could not be sent back."""
    if not math.isfinite(number := float(digits)):
        raise ValueError(digits)
    return number


def _fathom(value: Any, left: int) -> None:
    """Raise RecursionError when a value is nested deeper than ``left``."""
    if left < 0:
        raise RecursionError
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _fathom(inner, left - 1)
