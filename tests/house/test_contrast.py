"""Every colour that carries words can be read on every ground it stands on, in both themes (WCAG 2.2, 1.4.3 AA)."""

from __future__ import annotations

import re

import pytest

from tests.house.test_floors import ROOT

TOKENS = (ROOT / "static/console/css/tokens.css").read_text()
ENOUGH = 4.5
"""Contrast ratio for text of normal size."""
WORDS = ("ink", "ink-soft", "sent", "received", "tool", "warning", "error", "accent", "string", "number", "keyword", "key")
GROUNDS = ("surface", "surface-2", "selected")
WASHES = {"error": "error-wash", "warning": "warning-wash", "on-accent": "accent"}


def declarations(block: str) -> dict[str, str]:
    """Custom properties of one rule."""
    return dict(re.findall(r"--([\w-]+):\s*([^;]+);", block))


def themes() -> dict[str, dict[str, str]]:
    """Meaning → colour, for light and for dark. Dark redefines raw values only."""
    light = declarations(re.search(r":root \{(.*?)\n  \}", TOKENS, re.DOTALL).group(1))
    found = {}
    for name, pattern in (("light", None), ("dark", r':root\[data-theme="dark"\] \{(.*?)\n  \}')):
        values = dict(light)
        if pattern:
            values |= declarations(re.search(pattern, TOKENS, re.DOTALL).group(1))
        found[name] = {key: values[value[6:-1]] if value.startswith("var(") else value for key, value in values.items()}
    return found


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_can_be_read(theme: str) -> None:
    """Each colour of words on each ground has a ratio of at least 4.5."""
    colours = themes()[theme]
    pairs = [(word, ground) for word in WORDS for ground in GROUNDS] + list(WASHES.items())
    weak = {f"{word} on {ground}": round(contrast(colours[word], colours[ground]), 2) for word, ground in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < ENOUGH} == {}


def test_both_ways_into_the_dark_are_one() -> None:
    """The system's dark theme and the one chosen by hand are the same colours."""
    by_system = re.search(r':root:not\(\[data-theme="light"\]\) \{(.*?)\n    \}', TOKENS, re.DOTALL).group(1)
    by_hand = re.search(r':root\[data-theme="dark"\] \{(.*?)\n  \}', TOKENS, re.DOTALL).group(1)
    assert declarations(by_system) == declarations(by_hand)
