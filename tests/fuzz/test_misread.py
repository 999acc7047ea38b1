"""Misread: a frame that the console fails to follow ends no session; it passes, is recorded, and a note says so."""

from __future__ import annotations

from typing import Any

import pytest

from realtime.events import parse
from realtime.passage import Passage
from realtime.policy import Guard, Policy
from realtime.protocol import RealtimeProtocol
from tests.realtime.test_relaying import CREATED, stage
from tests.waiting import soon

SECRET = "what no log may hold"
SENTENCE = "The console could not follow the frame of row {} (ZeroDivisionError)."
DEEP = '{"type":"conversation.item.create","item":' + "[" * 400 + "]" * 400 + "}"


def fail(*args: Any) -> Any:
    """Fail as nobody has foreseen."""
    raise ZeroDivisionError(SECRET)


@pytest.mark.parametrize("what", ["client_sent", "sniff"])
async def test_a_frame_of_the_client(monkeypatch: pytest.MonkeyPatch, what: str, caplog: pytest.LogCaptureFixture) -> None:
    """It reaches the API all the same."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        monkeypatch.setattr(Passage, what, fail)
        on.runner.forward('{"type":"x"}')
        assert on.api.raw_sent == ['{"type":"x"}']
        [row] = [entry.seq for entry in on.tap.entries if entry.event is not None and entry.event.raw == '{"type":"x"}']
        assert on.tap.notes("problem") == [SENTENCE.format(row)]
        monkeypatch.undo()
        on.runner.forward('{"type":"y"}')
        assert on.api.raw_sent[1:] == ['{"type":"y"}']
    assert SECRET not in caplog.text


async def test_a_frame_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reaches the client all the same, and so do those after it."""
    async with stage(CREATED) as on:
        await on.program.until(1)
        with monkeypatch.context() as broken:
            broken.setattr(RealtimeProtocol, "receive", fail)
            on.api.say({"type": "x"})
            await on.program.until(2)
            await soon(lambda: on.tap.notes("problem"), "it is noted")
        on.api.say({"type": "y"})
        await on.program.until(3)
        assert on.program.types[1:] == ["x", "y"]


@pytest.mark.parametrize(("guard", "passes"), [(None, True), (Guard(Policy.read({"withhold": ["nothing.*"]}), "ga"), False)])
async def test_a_frame_that_must_be_judged(monkeypatch: pytest.MonkeyPatch, guard: Guard | None, passes: bool) -> None:
    """Where it cannot be told what becomes of it, it passes as it is; where a policy had to judge it, it does not."""
    async with stage(CREATED, passage=Passage("beta", "ga", guard)) as on:
        await on.program.until(1)
        monkeypatch.setattr(Passage, "from_client", fail)
        monkeypatch.setattr(Passage, "from_api", fail)
        on.runner.forward('{"type":"x"}')
        assert (on.api.raw_sent[-1:] == ['{"type":"x"}']) is passes
        on.api.say({"type": "y"})
        await soon(lambda: len(on.tap.notes("problem")) == 2, "both are noted")
        await soon(lambda: [entry for entry in on.tap.entries if entry.type == "y"], "the API's is recorded")
        assert ("y" in on.program.types) is passes


async def test_one_that_is_nested_too_deep() -> None:
    """It is an event by its type, and what is in it is not followed: nothing fails."""
    assert (parse(DEEP).type, parse(DEEP).data) == ("conversation.item.create", {})
    async with stage(CREATED) as on:
        await on.program.until(1)
        on.runner.forward(DEEP)
        assert on.api.raw_sent == [DEEP]
        assert on.tap.notes("problem") == []
