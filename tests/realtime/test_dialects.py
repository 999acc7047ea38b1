"""Frames of the beta and of GA, both ways, as they come in conversations, and frames nobody thought of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import Field, TypeAdapter

from realtime import catalog, dialects
from realtime.dialects import BetaApi, BetaClient, Translator, asks_for_beta, between
from tests.realtime.frames import frames
from tests.realtime.simulator.harness import GET_WEATHER, SET_MEMORY, SimulatorHarness, done
from tests.realtime.simulator.watch import SERVER_EVENT

SOUND = "U29tZSBzb3VuZA=="
GA_SESSION = {
    "type": "realtime", "object": "realtime.session", "id": "sess_A", "model": "gpt-realtime", "output_modalities": ["audio"],
    "max_output_tokens": "inf", "audio": {"input": {"turn_detection": None}, "output": {"voice": "alloy"}},
}  # fmt: skip
BETA_SESSION = {
    "object": "realtime.session", "id": "sess_A", "model": "gpt-realtime", "modalities": ["text", "audio"],
    "max_response_output_tokens": "inf", "turn_detection": None, "voice": "alloy",
}  # fmt: skip
TRANSLATORS = [lambda: BetaClient(), lambda: BetaApi(), lambda: Translator()]
"""One of each, new."""

RULED = {*BetaClient.FROM_CLIENT, *BetaClient.FROM_API, *BetaApi.FROM_CLIENT, *BetaApi.FROM_API}


def frame(type_: str, **fields: Any) -> str:
    """An event's text as the API writes it."""
    return json.dumps({"type": type_, "event_id": "event_1", **fields}, separators=(",", ":"))


def read(raws: list[str]) -> list[dict[str, Any]]:
    """Frames as events."""
    return [json.loads(raw) for raw in raws]


@pytest.mark.parametrize(("asked", "given"), [
    ("gpt-4o-realtime-preview", "gpt-realtime"), ("gpt-4o-realtime-preview-2024-10-01", "gpt-realtime"),
    ("gpt-4o-mini-realtime-preview-2024-12-17", "gpt-realtime-mini"),
    ("gpt-4o-realtime-preview-of-mine", "gpt-4o-realtime-preview-of-mine"),
    ("gpt-realtime-2.1", "gpt-realtime-2.1"), ("", ""),
])  # fmt: skip
def test_models_that_went_with_the_beta(asked: str, given: str) -> None:
    """What OpenAI has in place of the beta's models; any other name is left alone."""
    assert dialects.successor(asked) == given


# ── A beta client at a GA API ──────────────────────────────────────────────────────────────────────────────────────


def test_a_session_begins() -> None:
    """The session is told flat, and the conversation that the beta announces after it is added, once."""
    translator = BetaClient()
    told, conversation = read(translator.to_client(frame("session.created", session=GA_SESSION)))
    assert told == {"type": "session.created", "event_id": "event_1", "session": {**BETA_SESSION, "temperature": 0.8}}
    assert conversation == {
        "type": "conversation.created", "event_id": "event_1_conversation",
        "conversation": {"id": "conv_A", "object": "realtime.conversation"},
    }  # fmt: skip
    assert translator.to_client(frame("conversation.created", conversation={"id": "conv_B"})) == []
    assert len(translator.to_client(frame("session.created", session=GA_SESSION))) == 1


def test_a_conversation_that_is_known() -> None:
    """Where the conversation's id is known the announcement bears it; an API that announces it itself is left alone."""
    assert read(BetaClient("conv_X").to_client(frame("session.created", session=GA_SESSION)))[1]["conversation"]["id"] == "conv_X"
    announced = frame("conversation.created", conversation={"id": "conv_B"})
    assert BetaClient().to_client(announced) == [announced]


def test_settings_are_changed() -> None:
    """A flat update becomes a nested one of type realtime; the answer comes back flat."""
    translator = BetaClient()
    [update] = read(translator.to_api(frame("session.update", session={"modalities": ["text"], "voice": "ash"})))
    assert update["session"] == {"type": "realtime", "output_modalities": ["text"], "audio": {"output": {"voice": "ash"}}}
    assert update["event_id"] == "event_1"
    [updated] = read(translator.to_client(frame("session.updated", session=GA_SESSION)))
    assert updated["session"] == {**BETA_SESSION, "temperature": 0.8}


def test_what_the_beta_had_by_default() -> None:
    """The first settings have the beta's voice if they name none, before anything was said; later ones are left alone.
    The temperature a client asked for is told back to it, though nobody has one any longer."""
    translator = BetaClient()
    first, second = frame("session.update", session={"temperature": 0.7}), frame("session.update", session={"speed": 1.1})
    assert read(translator.to_api(first))[0]["session"] == {"type": "realtime", "audio": {"output": {"voice": "alloy"}}}
    assert read(translator.to_api(second))[0]["session"]["audio"] == {"output": {"speed": 1.1}}
    assert read(translator.to_client(frame("session.updated", session=GA_SESSION)))[0]["session"]["temperature"] == 0.7
    late = BetaClient()
    late.to_client(frame("response.created", response={"id": "resp_1"}))
    assert read(late.to_api(first))[0]["session"] == {"type": "realtime"}


def test_a_setting_that_is_gone() -> None:
    """What GA refuses is left out, and said; a secret is not repeated."""
    translator = BetaClient()
    session = {"temperature": 0.7, "client_secret": {"value": "ek_secret"}, "instructions": "Be brief."}
    [update] = read(translator.to_api(frame("session.update", session=session)))
    voice = {"output": {"voice": "alloy"}}
    assert update["session"] == {"type": "realtime", "audio": voice, "instructions": "Be brief."}
    notes = translator.notes_to_tell()
    assert [("temperature 0.7" in note, "ek_" in note) for note in notes] == [(True, False), (False, False)]
    assert translator.notes_to_tell() == []
    translator.to_api(frame("session.update", session={"client_secret": None}))
    assert translator.notes_to_tell() == []


def test_a_transcription_session() -> None:
    """The beta's own names for transcription sessions become a type of session, and the other way round."""
    translator = BetaClient()
    [update] = read(translator.to_api(frame("transcription_session.update", session={"input_audio_format": "pcm16"})))
    assert (update["type"], update["session"]["type"]) == ("session.update", "transcription")
    session = {"type": "transcription", "id": "sess_A", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}}
    for name in ("created", "updated"):
        [told] = read(translator.to_client(frame(f"session.{name}", session=session)))
        assert (told["type"], told["session"]) == (f"transcription_session.{name}", {"id": "sess_A", "input_audio_format": "pcm16"})


def test_a_response_is_wished_for() -> None:
    """The wish's own settings and items are translated."""
    said = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
    wish = {
        "modalities": ["audio", "text"], "voice": "ash", "output_audio_format": "g711_alaw", "temperature": 1,
        "max_response_output_tokens": 9, "input": [said, {"type": "item_reference", "id": "item_1"}], "metadata": {"a": "b"},
    }  # fmt: skip
    [asked] = read(BetaClient().to_api(frame("response.create", response=wish)))
    assert asked["response"] == {
        "output_modalities": ["audio"], "max_output_tokens": 9, "metadata": {"a": "b"},
        "input": [{**said, "content": [{"type": "output_text", "text": "Hello."}]}, {"type": "item_reference", "id": "item_1"}],
        "audio": {"output": {"voice": "ash", "format": {"type": "audio/pcma"}}},
    }  # fmt: skip


def test_an_answer_in_sound() -> None:
    """A whole answer has the beta's names, shapes and order; items are told when they begin, not when they are done."""
    translator = BetaClient()
    ids = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    item = {"id": "item_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    full = {**item, "status": "completed", "content": [{"type": "output_audio", "transcript": "Hi."}]}
    voice = {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"}}
    response = {"id": "resp_1", "object": "realtime.response", "output": [], "output_modalities": ["audio"],
                "max_output_tokens": "inf", "audio": voice, "conversation_id": "conv_1"}  # fmt: skip
    answer = [
        frame("response.created", response=response),
        frame("response.output_item.added", response_id="resp_1", output_index=0, item=item),
        frame("conversation.item.added", previous_item_id=None, item=item),
        frame("response.content_part.added", **ids, part={"type": "audio", "transcript": ""}),
        frame("response.output_audio_transcript.delta", **ids, delta="Hi.", obfuscation="abcdefghijklm"),
        frame("response.output_audio.delta", **ids, delta=SOUND),
        frame("response.output_audio.done", **ids),
        frame("response.output_audio_transcript.done", **ids, transcript="Hi."),
        frame("response.content_part.done", **ids, part={"type": "audio", "transcript": "Hi."}),
        frame("conversation.item.done", previous_item_id=None, item=full),
        frame("response.output_item.done", response_id="resp_1", output_index=0, item=full),
        frame("response.done", response={**response, "output": [full]}),
        frame("rate_limits.updated", rate_limits=[]),
    ]
    told = read([raw for event in answer for raw in translator.to_client(event)])
    assert [event["type"] for event in told] == [
        "response.created", "response.output_item.added", "conversation.item.created", "response.content_part.added",
        "response.audio_transcript.delta", "response.audio.delta", "response.audio.done", "response.audio_transcript.done",
        "response.content_part.done", "response.output_item.done", "response.done", "rate_limits.updated",
    ]  # fmt: skip
    assert told[2]["item"] == {"id": "item_1", "object": "realtime.item", **{k: v for k, v in item.items() if k != "id"}}
    assert told[0]["response"] == {
        "id": "resp_1", "object": "realtime.response", "output": [], "modalities": ["text", "audio"], "max_output_tokens": "inf",
        "output_audio_format": "pcm16", "voice": "alloy", "conversation_id": "conv_1",
    }  # fmt: skip
    assert told[-2]["response"]["output"][0]["content"] == [{"type": "audio", "transcript": "Hi."}]
    assert told[4]["obfuscation"] == "abcdefghijklm"


def test_an_error_names_the_settings_a_client_knows() -> None:
    """Param and message of a refused setting name it as the client wrote it; other errors travel as they are."""
    error = {"type": "invalid_request_error", "code": "invalid_value", "event_id": None,
             "message": "Invalid value: 'x'. 'session.audio.output.voice' is not it.", "param": "session.audio.output.voice"}  # fmt: skip
    [told] = read(BetaClient().to_client(frame("error", error=error)))
    assert told["error"] == {**error, "message": "Invalid value: 'x'. 'session.voice' is not it.", "param": "session.voice"}
    [back] = read(BetaApi().to_client(frame("error", error=told["error"])))
    assert back["error"] == error
    for param in (None, "item.id", "session", 7):
        raw = frame("error", error={**error, "param": param})
        assert BetaClient().to_client(raw) == [raw]
    for flat in ("flat", None):
        raw = frame("error", error=flat)
        assert BetaClient().to_client(raw) == [raw]


# ── A GA client at an API that speaks the beta ─────────────────────────────────────────────────────────────────────


def test_a_beta_session_as_ga() -> None:
    """The session comes nested and with its type, and an update goes out flat and without it."""
    translator = BetaApi()
    [created] = read(translator.to_client(frame("session.created", session=BETA_SESSION)))
    assert created["session"] == GA_SESSION
    [update] = read(translator.to_api(frame("session.update", session=GA_SESSION)))
    assert update["session"] == BETA_SESSION
    [update] = read(translator.to_api(frame("session.update", session={"type": "transcription"})))
    assert (update["type"], update["session"]) == ("transcription_session.update", {})
    [created] = read(translator.to_client(frame("transcription_session.created", session={"id": "sess_A"})))
    assert (created["type"], created["session"]) == ("session.created", {"type": "transcription", "id": "sess_A"})


def test_a_wish_to_a_beta_api() -> None:
    """A response is wished for in the beta's words, and an item told in them."""
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}
    wish = {"output_modalities": ["audio"], "audio": {"output": {"voice": "ash"}}, "max_output_tokens": 9, "input": [said]}
    [asked] = read(BetaApi().to_api(frame("response.create", response=wish)))
    told = {**said, "content": [{"type": "text", "text": "Hello."}]}
    assert asked["response"] == {"modalities": ["text", "audio"], "voice": "ash", "max_response_output_tokens": 9, "input": [told]}
    [created] = read(BetaApi().to_api(frame("conversation.item.create", item=said)))
    assert created["item"] == told


def test_items_of_a_beta_api_are_done_too() -> None:
    """An item that is complete when it enters is done at once; one that is generated, when its output is."""
    translator = BetaApi()
    user = {"id": "item_1", "type": "message", "status": "completed", "role": "user", "content": [{"type": "input_text", "text": "Hi."}]}
    added, done = read(translator.to_client(frame("conversation.item.created", previous_item_id=None, item=user)))
    assert (added["type"], done["type"]) == ("conversation.item.added", "conversation.item.done")
    assert added["item"] == done["item"] == user
    assert added["event_id"] != done["event_id"]
    made = {"id": "item_2", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    [added] = read(translator.to_client(frame("conversation.item.created", previous_item_id="item_1", item=made)))
    full = {**made, "status": "completed", "content": [{"type": "text", "text": "Hello."}]}
    finished = frame("response.output_item.done", response_id="resp_1", output_index=0, item=full)
    done, output = read(translator.to_client(finished))
    assert (done["type"], done["previous_item_id"]) == ("conversation.item.done", "item_1")
    assert done["item"] == output["item"] == {**full, "content": [{"type": "output_text", "text": "Hello."}]}
    assert [event["type"] for event in read(translator.to_client(finished))] == ["response.output_item.done"]


def test_unfinished_items_are_not_hoarded() -> None:
    """An API that never finishes what it begins does not make the translator grow."""
    translator = BetaApi()
    for number in range(2 * dialects.MOST_OPEN):
        translator.to_client(frame("conversation.item.created", item={"id": f"item_{number}", "status": "in_progress"}))
    last = frame("response.output_item.done", item={"id": f"item_{2 * dialects.MOST_OPEN - 1}"})
    first = frame("response.output_item.done", item={"id": "item_0"})
    assert (len(translator.to_client(last)), len(translator.to_client(first))) == (2, 1)


def test_a_beta_response_as_ga() -> None:
    """A response's flat settings are nested, its output's content renamed; what only the beta has is kept."""
    response = {"id": "resp_1", "modalities": ["text", "audio"], "voice": "ash", "temperature": 0.8, "max_output_tokens": 9,
                "output": [{"role": "assistant", "content": [{"type": "audio", "transcript": "Hi."}]}]}  # fmt: skip
    [done] = read(BetaApi().to_client(frame("response.done", response=response)))
    assert done["response"] == {
        "id": "resp_1", "output_modalities": ["audio"], "temperature": 0.8, "max_output_tokens": 9,
        "output": [{"role": "assistant", "content": [{"type": "output_audio", "transcript": "Hi."}]}],
        "audio": {"output": {"voice": "ash"}},
    }  # fmt: skip


# ── Whole conversations ────────────────────────────────────────────────────────────────────────────────────────────

BETA_EVENT: TypeAdapter[Any] = TypeAdapter(
    Annotated[get_args(RealtimeServerEvent)[0], Field(discriminator="type")]  # type: ignore[misc]
)
"""The beta's server events as its makers published them, by ``type``."""


def words() -> SimulatorHarness:
    """Text, a refused setting, a response beside the conversation, and items asked for, deleted and unknown."""
    stage = SimulatorHarness()
    stage.update(output_modalities=["text"], temperature=1)
    stage.update(output_modalities=["text"], max_output_tokens=4096)
    stage.ask("Hello.")
    stage.respond(conversation="none", metadata={"a": "b"})
    stage.send("conversation.item.retrieve", item_id=stage.order[-1])
    stage.send("conversation.item.delete", item_id=stage.order[0])
    stage.send("conversation.item.delete", item_id="item_none")
    return stage


def calls() -> SimulatorHarness:
    """Two functions are called and answered."""
    stage = SimulatorHarness()
    stage.update(output_modalities=["text"], tools=[GET_WEATHER, SET_MEMORY])
    for item in done(stage.ask("What is the weather in Lisbon and in Paris?"))["output"]:
        if item["type"] == "function_call":
            output = {"type": "function_call_output", "call_id": item["call_id"], "output": "{}"}
            stage.send("conversation.item.create", item=output)
    stage.respond()
    return stage


def sounds() -> SimulatorHarness:
    """Sound that is committed by hand, an answer that is cancelled and truncated, and one that is cut for its length."""
    stage = SimulatorHarness(heard="Tell me a long story.")
    stage.update(audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}})
    stage.send("input_audio_buffer.append", audio=SOUND)
    stage.send("input_audio_buffer.commit")
    stage.hear(bytes(48_000))
    stage.send("input_audio_buffer.commit")
    stage.send("response.create")
    stage.run(until="response.output_audio.delta")
    stage.send("response.cancel")
    stage.run(5)
    stage.send("conversation.item.truncate", item_id=stage.order[-1], content_index=0, audio_end_ms=10)
    stage.send("conversation.item.retrieve", item_id=stage.order[0])
    stage.ask("Tell me a long story.", max_output_tokens=20)
    stage.send("input_audio_buffer.clear")
    return stage


@pytest.mark.parametrize("story", [words, calls, sounds])
def test_a_conversation_as_the_beta_tells_it(story: Callable[[], SimulatorHarness]) -> None:
    """Every event a beta client is sent is one of the beta's, of the makers' own types, and holds nothing of GA's names."""
    translator = BetaClient()
    told = [raw for event in story().events for raw in translator.to_client(json.dumps(event))]
    for raw in told:
        BETA_EVENT.validate_json(raw)
        assert '"output_' not in raw.replace('"output_index"', "").replace('"output_audio_format"', "").replace(
            '"output_tokens"', "").replace('"output_token_details"', ""), raw  # fmt: skip
    assert "conversation.item.done" not in {event["type"] for event in read(told)}


@pytest.mark.parametrize("story", [words, calls, sounds])
def test_a_conversation_and_back(story: Callable[[], SimulatorHarness]) -> None:
    """GA told as the beta and that as GA again is GA: the same types in the same order, each of the makers' own types."""
    to_beta, to_ga, events = BetaClient(), BetaApi(), story().events
    back = read([raw for event in events for told in to_beta.to_client(json.dumps(event)) for raw in to_ga.to_client(told)])
    for event in back:
        SERVER_EVENT.validate_python(event)
    back = [event for event in back if event["type"] != "conversation.created"]
    assert [event["type"] for event in back] == [event["type"] for event in events]
    for one, other in zip(events, back, strict=True):
        if one["type"].startswith(("session.", "response.created", "error", "input_audio_buffer.")):
            assert one == other


# ── All of them ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("ga", "beta"), [names for names in catalog.BETA_NAMES.items() if names[0].startswith("response.")])
@pytest.mark.parametrize("head", ['{"type": "%s", "event_id":"e",', '{ "event_id":"e" ,"type":"%s" ,', '{"x":"%s","type":"%s",'])
def test_deltas_are_only_renamed(ga: str, beta: str, head: str) -> None:
    """Of a delta nothing but its type changes, wherever that stands; its sound is not touched."""
    rest = f'"delta":"{SOUND}",  "latency": 1.10}}'
    one, other = (head.replace("%s", "…", head.count("%s") - 1).replace("%s", name) + rest for name in (ga, beta))
    assert BetaClient().to_client(one) == [other]
    assert BetaApi().to_client(other) == [one]


@pytest.mark.parametrize(
    "raw",
    [
        '{"delta":"response.output_text.delta","type":"response.output_text.delta"}',
        '{"x":{"type":"response.output_text.delta"},"type":"response.output_text.delta"}',
        '{"response.output_text.delta":1,"type":"response.output\\u005ftext.delta"}',
    ],
)
def test_a_name_that_stands_elsewhere_too(raw: str) -> None:
    """Only the event's own type is renamed, also where its text occurs before it or it is written with escapes."""
    [told] = BetaClient().to_client(raw)
    assert json.loads(told) == {**json.loads(raw), "type": "response.text.delta"}


@pytest.mark.parametrize(
    "raw",
    [
        "", "{", "[]", "7", '{"type":7}', '{"type":"session.update"}', '{"type": "session.created", "session": null}',
        '{"type":"session.update","session":{"type":"realtime","x":NaN}}', '{"type":"response.created","response":1e999}',
        '{"type":"session.created","session":{"x":' + "[" * 3000 + "]" * 3000 + "}}",
        '{"type":"session.created","session":{"x":' + "9" * 5000 + "}}",
    ],
)
def test_what_is_no_event_travels_on(raw: str) -> None:
    """What cannot be read, or holds no such object, goes to the other side as it is: it will say what is wrong."""
    for make in TRANSLATORS:
        assert make().to_client(raw) == [raw]
        assert make().to_api(raw) == [raw]


@pytest.mark.parametrize("make", TRANSLATORS)
@given(told=st.lists(st.tuples(st.booleans(), frames), max_size=8))
def test_no_frame_raises(make: Any, told: list[tuple[bool, str]]) -> None:
    """Whatever travels either way gives frames again, and what has no rule is not touched."""
    translator = make()
    for from_client, raw in told:
        given = translator.to_api(raw) if from_client else translator.to_client(raw)
        assert all(isinstance(text, str) for text in given)
        if not any(type_ in raw for type_ in RULED) and "\\u" not in raw:
            assert given == [raw]


@given(frames)
def test_the_same_dialect_needs_no_translation(raw: str) -> None:
    """Between two of the same dialect every frame travels as it is."""
    for translator in (between("ga", "ga"), between("beta", "beta")):
        assert translator.to_api(raw) == translator.to_client(raw) == [raw]


def test_who_stands_between() -> None:
    """The two dialects decide on the translator."""
    assert isinstance(between("beta", "ga"), BetaClient)
    assert isinstance(between("ga", "beta"), BetaApi)


def test_frames_that_mean_the_same_keep_their_bytes() -> None:
    """A frame whose object needs no change is the same text again, odd spaces and number forms included."""
    item = '{ "type":"conversation.item.create" , "item":{"role":"user","content":[{"type":"input_text","text":"a"}],"x":1.10}}'
    append = f'{{"type":"input_audio_buffer.append", "audio":"{SOUND}"}}'
    for raw in (item, append, '{"type": "response.create"}', '{"type":"response.cancel" }'):
        assert BetaClient().to_api(raw) == BetaApi().to_api(raw) == [raw]


@pytest.mark.parametrize(
    ("headers", "beta"),
    [
        ({"openai-beta": "realtime=v1"}, True),
        ({"openai-beta": "assistants=v2, realtime=v1"}, True),
        ({"sec-websocket-protocol": "realtime, openai-insecure-api-key.x, openai-beta.realtime-v1"}, True),
        ({"sec-websocket-protocol": "realtime"}, False),
        ({}, False),
    ],
)
def test_who_asks_for_the_beta(headers: dict[str, str], beta: bool) -> None:
    """A header or a subprotocol of the handshake asks for it."""
    assert asks_for_beta(headers) is beta
