"""Ids in the API's style."""

from __future__ import annotations

import random
import re

import pytest

from realtime.simulator.shared.ids import ALPHABET, EPOCH, Ids
from tests.realtime.simulator.harness import START, SimulatorHarness


@pytest.mark.parametrize("prefix", ["event", "item", "resp", "conv", "sess"])
def test_an_id_holds_its_time(prefix: str) -> None:
    """After the prefix come 21 base62 characters, the first five of which are the time."""
    made = Ids(random.Random(1), lambda: START + 0.7).make(prefix)  # noqa: S311  (a test's chance)
    found = re.fullmatch(rf"{prefix}_([0-9A-Za-z]{{5}})([0-9A-Za-z]{{16}})", made)
    assert found
    seconds = 0
    for character in found[1]:
        seconds = seconds * 62 + ALPHABET.index(character)
    assert seconds + EPOCH == START


def test_a_recorded_id_reads_back() -> None:
    """An id of July 2026 begins as ids of that second do."""
    assert Ids(random.Random(1), lambda: 1_785_214_048).make("sess").startswith("sess_E6U0")  # noqa: S311  (as above)


def test_all_ids_of_a_session() -> None:
    """Every id in a session has its style, and no event id comes twice."""
    stage = SimulatorHarness()
    stage.update(tools=[{"type": "function", "name": "f"}])
    stage.ask("Hello.", tool_choice="required")
    events = [event["event_id"] for event in stage.events]
    assert len(set(events)) == len(events)
    assert all(re.fullmatch(r"event_[0-9A-Za-z]{21}", event_id) for event_id in events)
    (call,) = stage.all("response.function_call_arguments.done")
    assert re.fullmatch(r"call_[0-9A-Za-z]{16}", call["call_id"])
    assert re.fullmatch(r"item_[0-9A-Za-z]{21}", call["item_id"])
    assert re.fullmatch(r"resp_[0-9A-Za-z]{21}", call["response_id"])
    assert re.fullmatch(r"conv_[0-9A-Za-z]{21}", stage.all("response.done")[0]["response"]["conversation_id"])
    assert re.fullmatch(r"sess_[0-9A-Za-z]{21}", stage.events[0]["session"]["id"])
