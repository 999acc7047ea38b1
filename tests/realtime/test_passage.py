"""What becomes of a relayed frame on its way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from realtime.events import parse
from realtime.passage import Passage
from realtime.policy import Guard, Policy


def event(**data: Any) -> Any:
    """A frame, read."""
    return parse(json.dumps(data))


@pytest.mark.parametrize("both", ["ga", "beta"])
def test_two_of_the_same_dialect_need_nothing(both: Any) -> None:
    """Without a policy and without events of our own every frame passes as it is."""
    assert Passage(both, both).transparent
    assert not Passage("beta", "ga").transparent
    assert not Passage(both, both, Guard(Policy.read({"minutes": 5}))).transparent


def test_it_is_opaque_while_an_answer_of_ours_is_to_be_kept() -> None:
    """From the moment the console sends something whose answers are withheld; the client's own pass all the same."""
    passage = Passage()
    passage.withholds = True
    (raw,) = passage.to_api({"type": "input_audio_buffer.clear"})
    assert not passage.transparent
    assert json.loads(raw)["event_id"].startswith("console_")
    assert passage.from_api(event(type="input_audio_buffer.cleared")).withheld == "console"
    theirs = event(type="input_audio_buffer.cleared")
    assert passage.from_api(theirs).frames == [theirs.raw]


def test_the_policy_judges_what_the_api_would_read() -> None:
    """A beta client's flat field is refused under a policy that names it as GA does; the answer speaks the beta."""
    passage = Passage("beta", "ga", Guard(Policy.read({"session": {"audio": {"output": {"voice": "marin"}}}})))
    passed = passage.from_client(event(type="session.update", event_id="mine", session={"voice": "ash"}))
    assert passed.frames == []
    (refusal,) = passed.refusals
    (answer,) = passage.to_client(refusal.error)
    assert json.loads(answer)["error"]["param"] == "session.voice"
    ((kind, sentence, facts),) = passage.notes_to_tell()
    assert (kind, facts) == ("policy", {"type": "session.update"})
    assert "fixed" in sentence


def test_who_keeps_a_frame_from_the_client() -> None:
    """A policy withholds types it names; a translation what the client's dialect has no word for."""
    policy = Passage("ga", "ga", Guard(Policy.read({"withhold": ["rate_limits.*"]})))
    assert policy.from_api(event(type="rate_limits.updated")).withheld == "policy"
    beta = Passage("beta", "ga")
    assert beta.from_api(event(type="conversation.item.done", item={"id": "i"})).withheld == "translation"


def test_openings_come_in_the_apis_dialect() -> None:
    """The session a key was minted for, then what a policy fixes: before anything of the client's."""
    policy = Policy.read({"session": {"instructions": "Be brief."}})
    passage = Passage("ga", "beta", Guard(policy, "beta"))
    first, second = map(json.loads, passage.openings({"type": "realtime", "output_modalities": ["text"]}))
    assert first["session"] == {"modalities": ["text"]}
    assert second["session"] == {"instructions": "Be brief."}
    assert Passage().openings(None) == []
