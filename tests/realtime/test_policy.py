"""A policy and its guard: what a client may send, what it gets to see, and when it is over."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeErrorEvent

from realtime.errors import InvalidPolicy
from realtime.events import parse
from realtime.fixed import leaves
from realtime.policy import Guard, Policy, Refusal
from realtime.shapes import settings_to_beta
from tests.realtime.frames import frames, values
from tests.realtime.test_fixed import at, sessions

BRIEF = {"instructions": "Be brief.", "audio": {"output": {"voice": "marin"}}}
SYSTEM = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be long."}]}
HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}


def guard(dialect: Literal["ga", "beta"] = "ga", **policy: Any) -> Guard:
    """The guard of a policy."""
    return Guard(Policy.read(policy), dialect)


def frame(type_: str, **fields: Any) -> str:
    """A frame with an id."""
    return json.dumps({"type": type_, "event_id": "evt_7", **fields})


def refused(watch: Guard, type_: str, **fields: Any) -> dict[str, Any] | None:
    """The error a client's event is answered with; None when it passes."""
    refusal = watch.from_client(parse(frame(type_, **fields)))
    return refusal.error["error"] if refusal else None


def shown(watch: Guard, type_: str, **fields: Any) -> dict[str, Any] | None:
    """What a client gets of an API's event; None when it is withheld."""
    raw = watch.to_client(parse(frame(type_, **fields)))
    return None if raw is None else json.loads(raw)


# ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_policy_is_read() -> None:
    """From JSON and back; what it does not say is allowed."""
    data = {
        "client_events": ["response.*", "input_audio_buffer.append"], "withhold": ["rate_limits.updated"],
        "session": BRIEF, "minutes": 2.5, "sessions": 3, "dollars": 1,
    }  # fmt: skip
    policy = Policy.read(data)
    assert policy.client_events == ("response.*", "input_audio_buffer.append")
    assert policy.to_json() == data
    assert Policy.read({}) == Policy.read(None) == Policy() == Policy.read({"minutes": None})
    assert Policy().to_json() == {}


@given(st.lists(st.sampled_from(["response.*", "error"])), sessions, st.none() | st.integers(1, 9), st.none() | st.floats(0.01, 99))
def test_reading_what_was_written(types: list[str], session: dict[str, Any], sessions: int | None, dollars: float | None) -> None:
    """A policy that is written and read again is the same."""
    policy = Policy.read({"client_events": types, "session": session, "sessions": sessions, "dollars": dollars})
    assert Policy.read(json.loads(json.dumps(policy.to_json()))) == policy


@pytest.mark.parametrize(("data", "sentence"), [
    ([], "The policy: a policy is a JSON object, not []."),
    ({"minuets": 3}, "minuets: a policy has no such field; it has client_events, withhold, session, minutes, sessions, dollars."),
    ({"client_events": "response.create"},
     'client_events: a list of types of event such as ["response.*"] is wanted, not "response.create".'),
    ({"withhold": [1]}, 'withhold: a list of types of event such as ["response.*"] is wanted, not [1].'),
    ({"minutes": 0}, "minutes: a number above 0 is wanted, not 0."),
    ({"minutes": True}, "minutes: a number above 0 is wanted, not true."),
    ({"dollars": float("nan")}, "dollars: a number above 0 is wanted, not NaN."),
    ({"dollars": 10**400}, f"dollars: a number above 0 is wanted, not 1{'0' * 56}...."),
    ({"sessions": 1.5}, "sessions: a whole number above 0 is wanted, not 1.5."),
    ({"session": {"voice": "marin"}}, "session.voice: this is the beta's name; write it as GA does: audio.output.voice."),
])  # fmt: skip
def test_a_mistake_in_a_policy(data: Any, sentence: str) -> None:
    """It names the field and says what is wanted."""
    with pytest.raises(InvalidPolicy) as raised:
        Policy.read(data)
    assert str(raised.value) == sentence


names = st.sampled_from(["client_events", "withhold", "session", "minutes", "sessions", "dollars", "x"])


@given(values | st.dictionaries(names, values))
def test_any_json_is_a_policy_or_a_mistake(data: Any) -> None:
    """Whatever is stored as a policy, it is read or InvalidPolicy says why not."""
    try:
        Guard(Policy.read(data)).from_client(parse(frame("session.update", session={})))
    except InvalidPolicy as error:
        assert str(error)


# ── What a client may send ─────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_policy_everything_passes() -> None:
    """A key without a policy is asked about nothing."""
    watch = guard()
    assert refused(watch, "session.update", session={"instructions": "Be long."}) is None
    assert watch.from_client(parse("not JSON")) is None
    assert watch.opening() is None


def test_an_event_that_is_not_allowed() -> None:
    """It is answered as the API answers: with an error that says what, and which event of the client's."""
    watch = guard(client_events=["response.*", "input_audio_buffer.append"])
    assert refused(watch, "response.create") is None
    assert refused(watch, "input_audio_buffer.append", audio="") is None
    assert refused(watch, "session.update", session={}) == {
        "type": "invalid_request_error", "code": "event_not_allowed", "param": "type", "event_id": "evt_7",
        "message": "The event 'session.update' is not allowed by this relay key, which allows response.*, input_audio_buffer.append.",
    }  # fmt: skip
    assert refused(watch, "response.create") is None


def test_what_is_no_event_is_not_allowed_either() -> None:
    """Where only some types may pass, a frame without one does not."""
    refusal = guard(client_events=["response.*"]).from_client(parse("hello"))
    assert refusal is not None
    assert refusal.error["error"]["message"] == "What is no event is not allowed by this relay key, which allows response.*."
    assert guard(client_events=["*"]).from_client(parse("hello")) is None


def test_a_policy_knows_both_dialects() -> None:
    """A type that is named as GA names it is meant in the beta, too; the other way round it is not widened."""
    assert refused(guard("beta", client_events=["session.update"]), "transcription_session.update") is None
    assert refused(guard(client_events=["transcription_session.update"]), "session.update") is not None
    assert shown(guard("beta", withhold=["response.output_audio.*"]), "response.audio.delta") is None
    assert shown(guard(withhold=["response.audio.*"]), "response.output_audio.delta") is None


@pytest.mark.parametrize(("session", "param"), [
    ({"instructions": "Be long."}, "session.instructions"),
    ({"type": "realtime", "audio": {"output": {"voice": "cedar"}}}, "session.audio.output.voice"),
    ({"audio": {"output": {"voice": "marin"}}}, "session.audio.output.voice"),
    ({"audio": {"output": None}}, "session.audio.output.voice"),
    ({"voice": "cedar"}, "session.voice"),
    ({"prompt": {"id": "pmpt_1"}}, "session.prompt"),
])  # fmt: skip
def test_a_fixed_field_cannot_be_changed(session: dict[str, Any], param: str) -> None:
    """An update that names one is refused as a whole, as the API refuses one with a mistake in it."""
    error = refused(guard(session=BRIEF), "session.update", session=session)
    assert error == {
        "type": "invalid_request_error", "code": "field_fixed", "param": param, "event_id": "evt_7",
        "message": f"'{param}' is fixed by this relay key and cannot be set. Nothing of it was passed on.",
    }  # fmt: skip


def test_other_fields_can_be() -> None:
    """What is not fixed is the client's, and its frame passes as it is."""
    watch = guard(session=BRIEF)
    assert refused(watch, "session.update", session={"type": "realtime", "audio": {"output": {"speed": 1.2}}, "tools": []}) is None
    assert refused(watch, "session.update", session="nonsense") is None
    assert refused(watch, "response.create") is None
    assert refused(watch, "response.create", response={"metadata": {"topic": "1"}, "input": [HELLO]}) is None
    assert refused(watch, "conversation.item.create", item=HELLO) is None


def test_several_fields_are_named_together() -> None:
    """The message names them all, the param is the first."""
    error = refused(guard(session=BRIEF), "session.update", session={"instructions": "", "voice": "ash"})
    assert error is not None
    assert error["message"].startswith("'session.instructions', 'session.voice' are fixed by this relay key")


@pytest.mark.parametrize(("response", "param"), [
    ({"instructions": "Be long."}, "response.instructions"),
    ({"audio": {"output": {"voice": "cedar"}}}, "response.audio.output.voice"),
    ({"voice": "cedar"}, "response.voice"),
    ({"prompt": {"id": "pmpt_1"}}, "response.prompt"),
    ({"input": [HELLO, SYSTEM]}, "response.input"),
])  # fmt: skip
def test_a_response_cannot_go_around_them(response: dict[str, Any], param: str) -> None:
    """What a session has fixed, a single response cannot have otherwise."""
    error = refused(guard(session=BRIEF), "response.create", response=response)
    assert error is not None
    assert (error["code"], error["param"]) == ("field_fixed", param)


@pytest.mark.parametrize("field", [
    {"tools": []}, {"tool_choice": "none"}, {"output_modalities": ["text"]}, {"max_output_tokens": 4}, {"reasoning": {"effort": "low"}},
])  # fmt: skip
def test_every_field_of_a_response(field: dict[str, Any]) -> None:
    """Whatever a response may have in place of its session's can be fixed, by the beta's names as well."""
    watch = guard(session=field)
    assert refused(watch, "response.create", response=field) is not None
    assert refused(watch, "response.create", response=settings_to_beta(field)) is not None


def test_the_system_speaks_only_once() -> None:
    """With fixed instructions nobody may add to them by an item of the system's; without, anybody may."""
    error = refused(guard(session=BRIEF), "conversation.item.create", item=SYSTEM)
    assert error is not None
    assert (error["code"], error["param"]) == ("field_fixed", "item.role")
    assert refused(guard(session={"tools": []}), "conversation.item.create", item=SYSTEM) is None


def test_a_frame_that_cannot_be_read_may_hide_anything() -> None:
    """Where fields are fixed, what we cannot read is not passed on: the API might read it."""
    watch = guard(session=BRIEF)
    for raw in ("hello", '{"type":"session.update","session":' + "[" * 100_000):
        refusal = watch.from_client(parse(raw))
        assert refusal is not None
        assert refusal.error["error"]["code"] == "invalid_event"


@pytest.mark.parametrize("raw", [
    '{"type":"session.update","session":{"instructions":"Be long."},"session":{}}',
    '{"type":"session.update","session":{},"session":{"instructions":"Be long."}}',
    '{"type":"session.update","type":"input_audio_buffer.append","audio":"","session":{"instructions":"Be long."}}',
    '{"type":"input_audio_buffer.append","type":"session.update","audio":"","session":{"instructions":"Be long."}}',
    '{"type":"input_audio_buffer.append","\\u0074ype":"session.update","session":{"instructions":"Be long."}}',
    '{"type":"session.update","\\u0073ession":{"instructions":"Be long."},"session":{}}',
    '{"type":"session.update","session":{"audio":{"output":{"voice":"ash"},"output":{}}}}',
    '{"type":"response.create","response":{"metadata":{"a":"1","a":"2"}}}',
    '{"type":"input_audio_buffer.append","audio":"QUJD\\"","audio":"QUJD"}',
    '{"type":"input_audio_buffer.append","audio":"","audio":"QUJD"}',
    '{"type":"x","y":[[{"a":NaN,"a":1e999}]]}',
])  # fmt: skip
@pytest.mark.parametrize("policy", [{"session": BRIEF}, {"dollars": 1}, {"minutes": 5}, {"client_events": ["*"]}])
def test_a_key_that_stands_twice(raw: str, policy: dict[str, Any]) -> None:
    """Parsers differ in which of two equal keys they take, so such a frame is refused wherever a policy applies."""
    refusal = guard(**policy).from_client(parse(raw))
    assert refusal is not None
    assert refusal.error["error"]["code"] == "duplicate_keys"
    assert guard().from_client(parse(raw)) is None


@pytest.mark.parametrize("raw", [
    '{"type":"session.update","Session":{"instructions":"Be long."}}',
    '{"type":"session.update","\u017fession":{"instructions":"Be long."}}',
    '{"type":"session.update","session":{"INSTRUCTIONS":"Be long."}}',
    '{"type":"session.update","session":{"audio":{"Output":{"voice":"ash"}}}}',
    '{"type":"response.create","response":{"input":[{"Role":"system"}]}}',
    '{"Type":"session.update","session":{"instructions":"Be long."}}',
])  # fmt: skip
def test_a_key_that_differs_in_case(raw: str) -> None:
    """Go's parser takes ``Session`` for ``session``, so a key that is nearly one a policy looks at is refused."""
    refusal = guard(session=BRIEF).from_client(parse(raw))
    assert refusal is not None
    assert refusal.error["error"]["code"] == "duplicate_keys"


def test_names_of_ones_own_may_differ_in_case() -> None:
    """What a tool or metadata calls its fields is the client's business."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"Type": {"type": "string"}, "Session": {}}}}
    watch = guard(session=BRIEF)
    assert refused(watch, "response.create", response={"metadata": {"Type": "a", "Role": "b"}}) is None
    assert refused(guard(dollars=1), "session.update", session={"tools": [tool]}) is None


@pytest.mark.parametrize("raw", [
    '\ufeff{"type":"response.create"}', '{"type":"response.create","x":' + "[" * 100_000 + "]" * 100_000 + "}",
])  # fmt: skip
@pytest.mark.parametrize("policy", [{"session": BRIEF}, {"dollars": 1}, {"client_events": ["response.create"]}])
def test_what_another_parser_might_read(raw: str, policy: dict[str, Any]) -> None:
    """A byte order mark or more nesting than ours takes: not passed on where the frame may cost money or change what is fixed."""
    assert guard(**policy).from_client(parse(raw)) is not None


def test_sound_passes_quickly() -> None:
    """Of a frame of sound all but the sound is checked, and it passes as the object it came as."""
    watch = guard(session=BRIEF)
    for fields in ('"type":"input_audio_buffer.append","audio":"QUJD"', '"audio":"QUJD","event_id":"e","type":"input_audio_buffer.append"'):
        raw = "{" + fields + "}"
        assert watch.from_client(parse(raw)) is None


def test_the_model() -> None:
    """The fixed model is dialled whatever is asked; an update may name it, as libraries do, but no other."""
    watch = guard(session={"model": "gpt-realtime-mini"})
    assert watch.model("gpt-realtime-2.1") == "gpt-realtime-mini"
    assert watch.opening() is None
    assert refused(watch, "session.update", session={"model": "gpt-realtime-mini", "instructions": "Hi"}) is None
    error = refused(watch, "session.update", session={"model": "gpt-realtime-2.1"})
    assert error is not None
    assert error["param"] == "session.model"
    assert guard().model("gpt-realtime-2.1") == "gpt-realtime-2.1"


def test_a_refusal_is_an_error_of_the_api() -> None:
    """Libraries read it as one of theirs: each with an id of its own, and null for the event that had none."""
    watch = guard(session=BRIEF)
    first = watch.from_client(parse(frame("session.update", session=BRIEF)))
    second = watch.from_client(parse(json.dumps({"type": "session.update", "session": BRIEF})))
    assert first is not None and second is not None
    for refusal in (first, second):
        RealtimeErrorEvent.model_validate(refusal.error)
        assert refusal.sentence == refusal.error["error"]["message"]
    assert first.error["event_id"] != second.error["event_id"]
    assert second.error["error"]["event_id"] is None


# ── What a client gets to see ──────────────────────────────────────────────────────────────────────────────────────


def test_fixed_fields_are_not_shown() -> None:
    """Neither in a session nor in a response, whichever name they have there; what stands beside them is."""
    watch = guard(session={**BRIEF, "model": "gpt-realtime"})
    session = {"id": "sess_1", "model": "gpt-realtime", "instructions": "Be brief.", "tools": [],
               "audio": {"input": {"format": None}, "output": {"voice": "marin", "speed": 1.0}}}  # fmt: skip
    seen = {"id": "sess_1", "tools": [], "audio": {"input": {"format": None}, "output": {"speed": 1.0}}}
    for type_ in ("session.created", "session.updated", "transcription_session.updated"):
        assert shown(watch, type_, session=session) == {"type": type_, "event_id": "evt_7", "session": seen}
    response = {"id": "resp_1", "output": [], "audio": {"output": {"voice": "marin", "format": None}}, "instructions": "Be brief."}
    for type_ in ("response.created", "response.done"):
        told = shown(watch, type_, response=response)
        assert told is not None
        assert told["response"] == {"id": "resp_1", "output": [], "audio": {"output": {"format": None}}}
    flat = shown(watch, "session.created", session={"voice": "marin", "speed": 1.0})
    assert flat is not None
    assert flat["session"] == {"speed": 1.0}


def test_what_holds_no_settings_is_the_very_same() -> None:
    """Sound and words are delivered as the object they came as."""
    watch = guard(session=BRIEF, withhold=["rate_limits.updated"])
    for type_ in ("response.output_audio.delta", "conversation.item.added", "x", "session.created", "response.done"):
        event = parse(frame(type_, delta="U29tZQ=="))
        assert watch.to_client(event) is event.raw
        assert watch.to_client(event) is event.raw


def test_withheld_events() -> None:
    """Types that are withheld are not delivered, the first time and any other."""
    watch = guard(withhold=["conversation.item.*", "rate_limits.updated"])
    for _ in range(2):
        assert shown(watch, "rate_limits.updated") is None
        assert shown(watch, "conversation.item.input_audio_transcription.delta") is None
        assert shown(watch, "response.done") is not None


def test_a_session_that_cannot_be_written_again() -> None:
    """Where something is to be taken out of it and cannot be, it is withheld rather than shown."""
    raw = '{"type":"session.created","session":{"instructions":"Be brief.","x":NaN}}'
    assert guard(session=BRIEF).to_client(parse(raw)) is None
    assert guard(session={"tools": []}).to_client(parse(raw)) is raw


@given(sessions, sessions, st.sampled_from(["session.created", "session.updated", "response.created", "response.done"]))
def test_nothing_fixed_is_ever_shown(fixed: dict[str, Any], settings: dict[str, Any], type_: str) -> None:
    """Whatever is fixed and whatever the API says, in either dialect, no fixed field is in what the client gets."""
    watch = guard(session=fixed)
    holder = type_.split(".")[0]
    for told in (settings, settings_to_beta(settings)):
        event = parse(frame(type_, **{holder: told}))
        raw = watch.to_client(event)
        assert raw is not None
        seen = json.loads(raw)[holder]
        assert not set(leaves(seen)) & set(watch.fixed.paths)
        assert (raw is event.raw) == (seen == told)


@given(sessions, st.lists(frames, max_size=6))
def test_nothing_a_frame_says_raises(fixed: dict[str, Any], raws: list[str]) -> None:
    """Frames of any kind, both ways, are judged without a fault, and a refusal can always be sent."""
    watch = guard(session=fixed, client_events=["[a-z]*"], withhold=["response.*"])
    for raw in raws:
        event = parse(raw)
        refusal = watch.from_client(event)
        assert refusal is None or parse(json.dumps(refusal.error)).type == "error"
        told = watch.to_client(event)
        assert told is None or parse(told).type == event.type


# ── Beginning and end ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_opening() -> None:
    """The API is told the fixed fields first, in its own dialect and as an update of its kind of session."""
    assert guard(session=BRIEF).opening() == {"type": "session.update", "session": {"type": "realtime", **BRIEF}}
    assert guard("beta", session=BRIEF).opening() == {
        "type": "session.update", "session": {"instructions": "Be brief.", "voice": "marin"},
    }  # fmt: skip
    scribe = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    assert guard(session=scribe).opening() == {"type": "session.update", "session": scribe}
    assert guard("beta", session=scribe).opening() == {
        "type": "transcription_session.update", "session": {"input_audio_transcription": {"model": "whisper-1"}},
    }  # fmt: skip
    assert guard(session={"type": "realtime"}).opening() is None


@given(sessions, st.sampled_from(["ga", "beta"]))
def test_what_opens_a_session_is_closed_to_its_client(fixed: dict[str, Any], dialect: Literal["ga", "beta"]) -> None:
    """The client itself could not send the opening: all of it is fixed."""
    watch = guard(dialect, session=fixed)
    opening = watch.opening()
    assert (opening is None) == (not list(leaves(fixed)))
    assert opening is None or watch.from_client(parse(json.dumps(opening))) is not None


def test_minting_a_key() -> None:
    """The session a key is minted for has the fixed fields, and the fixed model whichever was asked for."""
    watch = guard(session={**BRIEF, "model": "gpt-realtime"})
    asked = {"type": "realtime", "model": "gpt-realtime-2.1", "audio": {"output": {"speed": 1.1}}}
    assert watch.client_secret(asked) == {
        "type": "realtime", "model": "gpt-realtime", "instructions": "Be brief.", "audio": {"output": {"speed": 1.1, "voice": "marin"}},
    }  # fmt: skip
    refusal = watch.client_secret({"instructions": "Be long."})
    assert isinstance(refusal, Refusal)
    assert refusal.error["error"]["param"] == "session.instructions"
    assert guard().client_secret(asked) == asked
    assert guard("beta", session=BRIEF).client_secret({"speed": 1.1}) == {"speed": 1.1, "instructions": "Be brief.", "voice": "marin"}
    assert guard(session={"type": "transcription"}).client_secret({}) == {"type": "transcription"}


@given(sessions, sessions)
def test_a_minted_session_keeps_the_policy(fixed: dict[str, Any], asked: dict[str, Any]) -> None:
    """It is refused exactly when an update with it would be; else every fixed field has its value in it."""
    watch = guard(session=fixed)
    minted = watch.client_secret(asked)
    assert isinstance(minted, Refusal) == (watch.from_client(parse(frame("session.update", session=asked))) is not None)
    if not isinstance(minted, Refusal):
        assert all(at(minted, path) == at(fixed, path) for path in leaves(fixed))
