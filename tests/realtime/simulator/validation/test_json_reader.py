"""What is JSON for the API, and what is not."""

from __future__ import annotations

import pytest

from realtime.simulator.validation.json_reader import DEEPEST, read


def nested(levels: int) -> str:
    """An array of arrays."""
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("text", ["{}", "7", '"\\ud83d\\ude00"', '{"a":[1.5,null]}', nested(DEEPEST)])
def test_what_is_read(text: str) -> None:
    """Any JSON is, whole pairs of surrogates and a good deal of nesting too."""
    assert read(text) is not None


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", '{"a":-Infinity}', '"\\ud800"', nested(DEEPEST + 2), nested(100_000), "9" * 5000]
)
def test_what_is_not_read(text: str) -> None:
    """Neither Python's own numbers, nor half a character, nor nesting without end."""
    with pytest.raises(ValueError, match=r"\w"):
        read(text)
