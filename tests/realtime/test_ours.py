"""What the console put into somebody else's session: known by its answers, whoever else asks at the same time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.events import parse
from realtime.ours import ANSWERS, MOST_ASKS, MOST_IDS, Ours
from tests.realtime.frames import frames

TAG = "Ab3dEf7h"
HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
UPDATE = {"type": "session.update", "session": {"type": "realtime"}}
COMMIT = {"type": "input_audio_buffer.commit"}


@dataclass
class Wire:
    """One session's wire, with what is kept from its client."""

    ours: Ours = field(default_factory=lambda: Ours(TAG))

    def console(self, data: dict[str, Any], withhold: bool = True) -> dict[str, Any]:
        """The console sends this; as it is on the wire."""
        return self.ours.mark(data, withhold)

    def client(self, type_: str, **fields: Any) -> None:
        """The client sends this."""
        self.ours.client_sent(parse(json.dumps({"type": type_, **fields})))

    def hides(self, type_: str, **fields: Any) -> bool:
        """The API says this; whether it is kept from the client."""
        return self.ours.answers(parse(json.dumps({"type": type_, "event_id": "event_1", **fields})))

    def fails(self, about: str | None = None, code: str | None = None, param: str | None = None) -> bool:
        """The API says that an event failed; whether that is kept from the client."""
        return self.hides("error", error={"type": "invalid_request_error", "code": code, "param": param, "event_id": about})


# ── Marks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_event_gets_an_id() -> None:
    """Ours bear ids of their own, so that an error can be traced; the event that was given stays as it is."""
    given_event = dict(COMMIT)
    wire = Wire()
    assert wire.console(given_event, False) == {**COMMIT, "event_id": f"console_{TAG}_1"}
    assert wire.console(given_event)["event_id"] == f"console_{TAG}_2"
    assert given_event == COMMIT


def test_what_a_person_typed_stays() -> None:
    """An id that is there is kept, an item's too."""
    typed = {"type": "conversation.item.create", "event_id": "mine", "item": {"id": "item_mine", **HELLO}}
    assert Wire().console(typed) == typed


def test_an_item_gets_an_id() -> None:
    """It is short enough for the API, and no other item's."""
    wire = Wire()
    ids = {wire.console({"type": "conversation.item.create", "item": HELLO})["item"]["id"] for _ in range(100)}
    assert len(ids) == 100
    assert max(map(len, ids)) <= 32
    assert wire.console({"type": "conversation.item.create", "item": {**HELLO, "id": None}})["item"]["id"] not in ids


def test_a_response_that_is_withheld_is_marked() -> None:
    """Its metadata bears the event's id, beside a person's own; one that is not withheld is sent as it was typed."""
    wire = Wire()
    marked = wire.console({"type": "response.create", "response": {"instructions": "Hi", "metadata": {"topic": "1"}}})
    assert marked["response"] == {"instructions": "Hi", "metadata": {"topic": "1", "console": marked["event_id"]}}
    assert wire.console({"type": "response.create"})["response"] == {"metadata": {"console": f"console_{TAG}_2"}}
    assert wire.console({"type": "response.create", "response": None})["response"]["metadata"]
    assert "response" not in wire.console({"type": "response.create"}, False)


@pytest.mark.parametrize("response", [
    "nonsense", [], {"metadata": "nonsense"}, {"metadata": {str(n): "x" for n in range(16)}},
])  # fmt: skip
def test_a_response_that_has_no_room_for_a_mark(response: Any) -> None:
    """What was typed wrong, or full, goes as it was typed: the API judges it."""
    assert Wire().console({"type": "response.create", "response": response})["response"] == response


def test_two_sessions_do_not_share_ids() -> None:
    """Each has a tag of its own, eight characters of chance."""
    tags = {Ours().tag for _ in range(100)}
    assert len(tags) == 100
    assert {len(tag) for tag in tags} == {8}
    assert all(tag.isalnum() and tag.isascii() for tag in tags)


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_of_ours() -> None:
    """Where the console has done nothing, nothing is withheld, and there is nothing to ask."""
    wire = Wire()
    assert not wire.ours.open
    assert not wire.hides("session.updated", session={})
    assert not wire.hides("response.created", response={"id": "resp_1", "metadata": {"console": f"console_{TAG}_1"}})
    wire.client("input_audio_buffer.append", audio="")
    assert not wire.ours.open


def test_a_client_that_waits_for_its_answer() -> None:
    """While an answer to the client is under way there is something to count, and afterwards no more."""
    wire = Wire()
    wire.client("session.update", session={})
    assert wire.ours.open
    assert not wire.hides("session.updated", session={})
    assert not wire.ours.open


def test_a_turn_of_ours() -> None:
    """Our item, our response and all that belongs to them are kept; the client's turn after it is not."""
    wire = Wire()
    item = wire.console({"type": "conversation.item.create", "item": HELLO})["item"]
    wish = wire.console({"type": "response.create"})
    response = {"id": "resp_A", **wish["response"]}
    ids = {"response_id": "resp_A", "item_id": "item_A", "output_index": 0, "content_index": 0}
    for type_, fields in (
        ("conversation.item.added", {"item": item}),
        ("conversation.item.done", {"item": item}),
        ("response.created", {"response": response}),
        ("response.output_item.added", {"response_id": "resp_A", "output_index": 0, "item": {"id": "item_A"}}),
        ("conversation.item.added", {"item": {"id": "item_A"}}),
        ("response.content_part.added", ids),
        ("response.output_audio.delta", {**ids, "delta": "U29tZQ=="}),
        ("response.output_audio_transcript.done", {**ids, "transcript": "Hi"}),
        ("conversation.item.done", {"item": {"id": "item_A"}}),
        ("response.done", {"response": response}),
        ("conversation.item.truncated", {"item_id": "item_A"}),
    ):
        assert wire.hides(type_, **fields), type_
    assert not wire.hides("rate_limits.updated", rate_limits=[])
    wire.client("response.create")
    for type_, fields in (
        ("response.created", {"response": {"id": "resp_B", "metadata": None}}),
        ("response.output_item.added", {"response_id": "resp_B", "item": {"id": "item_B"}}),
        ("response.output_audio.delta", {"response_id": "resp_B", "item_id": "item_B", "delta": ""}),
        ("conversation.item.done", {"item": {"id": "item_B"}, "previous_item_id": "item_A"}),
        ("response.done", {"response": {"id": "resp_B", "metadata": {"console": wish["event_id"]}}}),
    ):
        assert not wire.hides(type_, **fields), type_


def test_what_is_not_to_be_withheld() -> None:
    """Without the choice the client hears every answer to the console, errors among them."""
    wire = Wire()
    item = wire.console({"type": "conversation.item.create", "item": HELLO}, False)["item"]
    update = wire.console(UPDATE, False)
    wire.console({"type": "response.create"}, False)
    assert not wire.hides("conversation.item.added", item=item)
    assert not wire.fails(about=update["event_id"])
    assert not wire.hides("response.created", response={"id": "resp_A", "metadata": None})


@pytest.mark.parametrize("type_", ["session.update", "input_audio_buffer.commit", "input_audio_buffer.clear"])
def test_who_asked_first_is_answered_first(type_: str) -> None:
    """Answers without an id go to those who asked, in their order."""
    wire = Wire()
    wire.client(type_)
    wire.console({"type": type_})
    wire.client(type_)
    assert [wire.hides(ANSWERS[type_]) for _ in range(4)] == [False, True, False, False]


def test_our_own_committed_sound() -> None:
    """The item that came of our commit is ours, with its transcript."""
    wire = Wire()
    wire.console(COMMIT)
    assert wire.hides("input_audio_buffer.committed", item_id="item_A")
    assert wire.hides("conversation.item.added", item={"id": "item_A"})
    assert wire.hides("conversation.item.input_audio_transcription.completed", item_id="item_A", transcript="Hi")


def test_a_turn_the_api_heard_itself() -> None:
    """Where the API hears the end of speech it commits unasked: that is no answer to our commit, whose error follows."""
    wire = Wire()
    commit = wire.console(COMMIT)
    assert not wire.hides("input_audio_buffer.speech_stopped", item_id="item_V")
    assert not wire.hides("input_audio_buffer.committed", item_id="item_V")
    assert not wire.hides("conversation.item.added", item={"id": "item_V"})
    assert wire.fails(about=commit["event_id"], code="input_audio_buffer_commit_empty")
    wire.client("input_audio_buffer.commit")
    assert not wire.hides("input_audio_buffer.committed", item_id="item_C")


@pytest.mark.parametrize("verb", ["retrieve", "truncate", "delete"])
def test_a_question_about_an_item(verb: str) -> None:
    """The answer goes to who asked about that item, in order; another item's is another question."""
    wire = Wire()
    type_, answer = f"conversation.item.{verb}", ANSWERS[f"conversation.item.{verb}"]
    wire.client(type_, item_id="item_1")
    wire.console({"type": type_, "item_id": "item_2"})
    wire.console({"type": type_, "item_id": "item_1"})
    about = {"item": {"id": "item_1"}} if verb == "retrieve" else {"item_id": "item_1"}
    assert [wire.hides(answer, **about) for _ in range(2)] == [False, True]
    assert wire.hides(answer, item_id="item_2")
    assert not wire.hides(answer, **about)


def test_an_error_goes_to_whom_it_names() -> None:
    """It takes its question out of the row, so that the next answer goes to the next."""
    wire = Wire()
    wire.client("session.update", event_id="evt_1")
    update = wire.console(UPDATE)
    assert wire.fails(about=update["event_id"], param="session.type")
    assert not wire.hides("session.updated")
    update = wire.console(UPDATE)
    wire.client("session.update", event_id="evt_1")
    assert not wire.fails(about="evt_1")
    assert wire.hides("session.updated")


@pytest.mark.parametrize(("type_", "error"), [
    ("session.update", {"code": "unknown_parameter", "param": "session.foo"}),
    ("session.update", {"code": "missing_required_parameter", "param": "session"}),
    ("session.update", {"code": "cannot_update_voice"}),
    ("input_audio_buffer.commit", {"code": "input_audio_buffer_commit_empty"}),
    ("conversation.item.delete", {"code": "item_delete_invalid_item_id"}),
])  # fmt: skip
def test_an_error_that_names_no_event(type_: str, error: dict[str, str]) -> None:
    """Some do not; then what it is about says whose question it takes out: the first of that kind."""
    wire = Wire()
    wire.client(type_, item_id="item_1")
    wire.console({"type": type_, "item_id": "item_1"})
    assert not wire.fails(**error)
    assert wire.hides(ANSWERS[type_], item_id="item_1")
    wire.console({"type": type_, "item_id": "item_1"})
    assert wire.fails(**error)


def test_an_error_about_nothing_of_the_kind() -> None:
    """An error that fits no question is nobody's: it is delivered, and takes nothing out."""
    wire = Wire()
    wire.console(UPDATE)
    assert not wire.fails(code="conversation_already_has_active_response")
    assert not wire.hides("error", error="nonsense")
    assert not wire.hides("error", error={"code": 5, "param": 7})
    assert wire.hides("session.updated")


def test_a_wish_that_fails() -> None:
    """A response that is refused never begins: the error is ours, and nothing is waited for."""
    wire = Wire()
    wish = wire.console({"type": "response.create"})
    assert wire.fails(about=wish["event_id"], code="conversation_already_has_active_response")
    assert not wire.hides("response.created", response={"id": "resp_B", "metadata": {"console": wish["event_id"]}})


def test_a_metadata_of_the_clients_own() -> None:
    """A client that uses our word for something of its own is not taken for us."""
    wire = Wire()
    wire.console({"type": "response.create"})
    for metadata in ({"console": "green"}, {"console": 5}, {"console": ["x"]}, "console", None):
        assert not wire.hides("response.created", response={"id": "resp_B", "metadata": metadata})


def test_the_betas_names() -> None:
    """An API that speaks the beta is followed as well."""
    wire = Wire()
    wire.client("transcription_session.update")
    wire.console({"type": "transcription_session.update", "session": {}})
    item = wire.console({"type": "conversation.item.create", "item": HELLO})["item"]
    assert [wire.hides("transcription_session.updated") for _ in range(2)] == [False, True]
    assert wire.hides("conversation.item.created", item=item)


# ── Bounds ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_memory_is_bounded() -> None:
    """However much is asked of an API that never answers, only so many ids are remembered, the latest."""
    wire = Wire()
    first = wire.console({"type": "conversation.item.create", "item": HELLO})["item"]["id"]
    for number in range(MOST_IDS):
        last = wire.console({"type": "conversation.item.create", "item": HELLO})["item"]["id"]
        wire.console({"type": "response.create"})
        wire.client("session.update", event_id=f"evt_{number}")
    assert not wire.hides("conversation.item.deleted", item_id=first)
    assert wire.hides("conversation.item.deleted", item_id=last)
    ours = wire.ours
    assert max(len(ours._items), len(ours._events), len(ours._wished)) <= MOST_IDS
    assert len(ours._asks) <= MOST_ASKS


# ── Any order ──────────────────────────────────────────────────────────────────────────────────────────────────────

asks = st.lists(
    st.tuples(
        st.sampled_from([*ANSWERS, "conversation.item.create", "response.create"]),
        st.sampled_from(["client", "console", "console, told to all"]),
        st.sampled_from(["answers", "fails"]),
        st.integers(0, 3),
    ),
    max_size=30,
)
"""What is asked, by whom, what comes of it, and how far the API is behind with its answers."""


def answer(data: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """What an API says to an event that it accepts."""
    type_ = data["type"]
    if type_ == "conversation.item.create":
        return [{"type": f"conversation.item.{word}", "item": data["item"]} for word in ("added", "done")]
    if type_ == "response.create":
        response = {"id": f"resp_{number}", "metadata": (data.get("response") or {}).get("metadata")}
        ids = {"response_id": f"resp_{number}", "item_id": f"item_of_{number}"}
        return [
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "response_id": ids["response_id"], "item": {"id": ids["item_id"]}},
            {"type": "conversation.item.added", "item": {"id": ids["item_id"]}},
            {"type": "response.output_text.delta", **ids, "delta": "Hi"},
            {"type": "response.done", "response": response},
        ]
    if type_ == "input_audio_buffer.commit":
        return [{"type": ANSWERS[type_], "item_id": f"item_of_{number}"}]
    if type_ == "conversation.item.retrieve":
        return [{"type": ANSWERS[type_], "item": {"id": data["item_id"]}}]
    return [{"type": ANSWERS[type_], "item_id": data.get("item_id")}]


@given(asks)
def test_whoever_asks_gets_the_answers(told: list[tuple[str, str, str, int]]) -> None:
    """In any order of questions, with any delay and any failures, exactly the answers to the console's are kept."""
    ours = Ours(TAG)
    under_way: list[tuple[bool, list[dict[str, Any]]]] = []

    def hear(most: int) -> None:
        while len(under_way) > most:
            hidden, said = under_way.pop(0)
            for event in said:
                assert ours.answers(parse(json.dumps(event))) == hidden, event

    for number, (type_, who, outcome, behind) in enumerate(told):
        data: dict[str, Any] = {"type": type_, "item_id": "item_1"}
        if type_ == "conversation.item.create":
            data["item"] = dict(HELLO)
        if who == "client":
            data["event_id"] = f"evt_{number}"
            if type_ == "conversation.item.create":
                data["item"]["id"] = f"item_c{number}"
            ours.client_sent(parse(json.dumps(data)))
        else:
            data = ours.mark(data, who == "console")
        said = answer(data, number) if outcome == "answers" else [{"type": "error", "error": {"event_id": data["event_id"]}}]
        under_way.append((who == "console", said))
        hear(behind)
    hear(0)
    assert not ours._asks


@given(st.lists(st.tuples(st.sampled_from(["client", "api", "console"]), frames), max_size=12))
def test_nothing_a_frame_says_raises(told: list[tuple[str, str]]) -> None:
    """Frames of any kind, from either side, and whatever a person typed: nothing here fails."""
    ours = Ours(TAG)
    for who, raw in told:
        event = parse(raw)
        if who == "client":
            ours.client_sent(event)
        elif who == "api":
            assert ours.answers(event) in (True, False)
        else:
            assert "event_id" in ours.mark(event.data, True)
