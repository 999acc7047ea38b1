"""The model's window: a conversation that is too long is cut at its beginning, or not answered, as the session has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from realtime.simulator.conversation import context_window
from tests.realtime.simulator.harness import SimulatorHarness, done

ROOM = 700
"""Tokens of the window in these tests."""
TURN = "word " * 100
"""Some hundred tokens."""


@pytest.fixture(autouse=True)
def narrow() -> Iterator[None]:
    """A window that a few messages fill."""
    with mock.patch.object(context_window, "READABLE", {True: ROOM, False: ROOM}):
        yield


def crowded(turns: int = 10, **session: Any) -> SimulatorHarness:
    """A conversation of so many long messages."""
    stage = SimulatorHarness()
    stage.update(output_modalities=["text"], instructions="Be brief.", **session)
    for _ in range(turns):
        stage.write(TURN)
    return stage


def read(stage: SimulatorHarness) -> dict[str, Any]:
    """What the next response reads."""
    usage: dict[str, Any] = done(stage.respond())["usage"]
    return usage["input_token_details"] | {"input_tokens": usage["input_tokens"]}


def test_the_oldest_is_left_out() -> None:
    """With truncation auto as much of the end is read as fits; the conversation keeps its items."""
    stage = crowded()
    assert ROOM - 150 < read(stage)["input_tokens"] <= ROOM
    assert len(stage.order) == 11


def test_what_fits_is_read() -> None:
    """A conversation shorter than the window is read as a whole."""
    stage = crowded(turns=3)
    assert read(stage)["text_tokens"] > 3 * 100
    assert not any(stored.left_out for stored in stage.session.items)


def test_nothing_may_be_left_out() -> None:
    """With truncation disabled the response fails, and says why; a shorter conversation is answered again."""
    stage = crowded(truncation="disabled")
    stage.send("response.create")
    failed = stage.all("response.done")[-1]["response"]
    assert (failed["status"], failed["usage"]) == ("failed", None)
    assert failed["status_details"]["error"]["code"] == "context_length_exceeded"
    for item_id in stage.order[:8]:
        stage.send("conversation.item.delete", item_id=item_id)
    assert done(stage.respond())["status"] == "completed"


def test_a_retention_ratio_keeps_the_beginning() -> None:
    """More is left out than must be, so that the next turns begin alike and are read from the cache."""
    stage = crowded(truncation={"type": "retention_ratio", "retention_ratio": 0.5})
    assert read(stage)["input_tokens"] <= ROOM / 2 + 10
    stage.write(TURN)
    assert read(stage)["cached_tokens"] >= 128


def test_a_limit_of_tokens_after_the_instructions() -> None:
    """``token_limits.post_instructions`` makes the window narrower."""
    limits = {"type": "retention_ratio", "retention_ratio": 1, "token_limits": {"post_instructions": 250}}
    assert read(crowded(truncation=limits))["input_tokens"] <= 250 + context_window.fixed_tokens({"instructions": "Be brief.", "tools": []})
