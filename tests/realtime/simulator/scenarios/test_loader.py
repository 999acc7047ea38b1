"""Scenario files: every step is read, and what is wrong in one is told with its step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from realtime.simulator.scenarios.loader import STEPS, load, parse
from realtime.simulator.scenarios.steps import (
    Binary,
    Call,
    Close,
    Delay,
    Drop,
    Emit,
    Error,
    Expect,
    Fail,
    Hang,
    Malformed,
    Repeat,
    Say,
    Scenario,
    ScenarioError,
    Step,
    Until,
)

STORY = """\
name: a bad day
mode: only
sessions: 1
steps:
  - emit: {type: session.created, session: "{session}"}
  - expect: response.create
    where: {response.metadata.topic: weather}
    normally: true
  - say: The weather is fine.
    phase: commentary
  - call: get_weather
    arguments: {location: Oslo}
  - fail: rate_limit_exceeded
  - until: response.done
  - delay: 0.5
  - emit: plain text
  - emit: !!binary AAEC
  - error: server_error
  - error: my_code
    message: Mine.
    param: session.voice
  - malformed
  - malformed: array
  - binary
  - binary: AAEC
  - hang: 2
  - repeat: 2
    steps:
      - repeat: forever
        steps: [{expect: "*"}]
  - close: 1011
    reason: tired
  - drop
"""
SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
STEPS_OF_STORY: tuple[Step, ...] = (
    Emit({"type": "session.created", "session": "{session}"}),
    Expect("response.create", {"response.metadata.topic": "weather"}, normally=True),
    Say("The weather is fine.", "commentary"),
    Call("get_weather", {"location": "Oslo"}),
    Fail("rate_limit_exceeded"),
    Until("response.done"),
    Delay(0.5),
    Emit("plain text"),
    Emit(b"\0\1\2"),
    Error("server_error", SERVER_ERROR, "server_error"),
    Error("my_code", "Mine.", param="session.voice"),
    Malformed(),
    Malformed("array"),
    Binary(),
    Binary(b"\0\1\2"),
    Hang(2),
    Repeat((Repeat((Expect("*"),)),), 2),
    Close(1011, "tired"),
    Drop(),
)


def test_every_step_is_read(tmp_path: Path) -> None:
    """A YAML file gives the same steps as Python objects do."""
    (tmp_path / "day.yaml").write_text(STORY)
    assert load(tmp_path / "day.yaml") == Scenario(STEPS_OF_STORY, "only", 1, "a bad day")
    assert {type(step).__name__.lower() for step in STEPS_OF_STORY} == set(STEPS)


def test_json_will_do(tmp_path: Path) -> None:
    """A scenario may be JSON, or nothing but the list of its steps; its name is the file's."""
    (tmp_path / "short.json").write_text(json.dumps([{"say": "Hello."}, {"drop": None}]))
    assert load(tmp_path / "short.json") == Scenario((Say("Hello."), Drop()), name="short")


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        ("hello", "steps are a list, not a string"),
        ([1], "step 1: a step is a mapping such as 'say: Hello.', not an integer"),
        ([{"drop": None}, {"expct": "x"}], "step 2: 'expct' is no step; there are expect, until, emit"),
        ([{"expect": "x", "were": {}}], "step 1 (expect): 'were' is unknown; beside expect there may be where, normally"),
        ([{"delay": 1, "say": "x"}], "step 1 (delay): 'say' is unknown; delay stands alone"),
        ([{"expect": ""}], 'step 1 (expect): a type is wanted, not ""'),
        ([{"expect": "x", "where": 1}], "step 1 (expect): where is wanted, not 1"),
        ([{"until": None}], "step 1 (until): a type is wanted, not null"),
        ([{"emit": {"tipe": "x"}}], "step 1 (emit): an event needs a type"),
        ([{"emit": {"type": "x", "at": object}}], "step 1 (emit): not everything in it is JSON"),
        ([{"emit": {"type": "x", "id": "{itm_id}"}}], "step 1 (emit): {itm_id} is no placeholder; to have it literally, write {{itm_id}}"),
        ([{"say": 5}], "step 1 (say): a text is wanted, not 5"),
        ([{"say": "x", "phase": "loud"}], "step 1 (say): phase is commentary or final_answer, not 'loud'"),
        ([{"call": "f", "arguments": 5}], "step 1 (call): arguments is wanted, not 5"),
        ([{"delay": "soon"}], 'step 1 (delay): seconds are wanted, not "soon"'),
        ([{"delay": -1}], "step 1 (delay): seconds are wanted, not -1"),
        ([{"hang": True}], "step 1 (hang): seconds are wanted, not true"),
        ([{"error": 5}], "step 1 (error): error is a code, not an integer"),
        ([{"close": 1006}], "step 1 (close): 1006 is no code that can be sent"),
        ([{"close": 1000, "reason": "x" * 124}], "step 1 (close): a reason has at most 123 bytes"),
        ([{"malformed": "very"}], "step 1 (malformed): malformed is one of truncated, text, array"),
        ([{"binary": "&"}], "step 1 (binary): a text must be base64"),
        ([{"drop": 5}], "step 1 (drop): drop has no value, but 5 is given"),
        ([{"repeat": "often", "steps": [{"drop": None}]}], "step 1 (repeat): repeat is a number or forever, not 'often'"),
        ([{"repeat": 0, "steps": [{"drop": None}]}], "step 1 (repeat): repeat is 1 to 100000 times"),
        ([{"repeat": 2}], "step 1: steps are a list, not null"),
        ([{"repeat": 2, "steps": []}], "step 1 (repeat): a repeat needs steps"),
        ([{"repeat": "forever", "steps": [{"say": "x"}]}], "step 1 (repeat): what is repeated forever needs"),
        ([{"drop": None}, {"repeat": 2, "steps": [{"say": "x"}, {"say": 1}]}], "step 2.2 (say): a text is wanted, not 1"),
    ],
)
def test_what_is_wrong_is_told_with_its_step(steps: Any, wrong: str) -> None:
    """An error names the step by its number, the kind of step, what is wrong, and what would be right."""
    with pytest.raises(ScenarioError) as error:
        parse({"steps": steps})
    assert str(error.value).startswith(wrong)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (5, "a scenario is a mapping with steps, or a list of them, not an integer"),
        ({"steps": [], "modus": 1}, "'modus' is unknown; a scenario has name, mode, sessions and steps"),
        ({"steps": [], "mode": "off"}, "mode is on top or only, not 'off'"),
        ({"steps": [], "sessions": 0}, "sessions is a number from 1, not 0"),
    ],
)
def test_what_is_wrong_with_the_whole(given: Any, wrong: str) -> None:
    """Beside the steps there are a name, a mode and a number of sessions."""
    with pytest.raises(ScenarioError) as error:
        parse(given)
    assert str(error.value).startswith(wrong)


@pytest.mark.parametrize("text", ["steps: [", "steps: &again [{repeat: 2, steps: *again}]", "\x00", "- say: [x"])
def test_files_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    """A file that is no YAML, or contains itself, is named with what is wrong."""
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=r"broken\.yaml: "):
        load(tmp_path / "broken.yaml")
