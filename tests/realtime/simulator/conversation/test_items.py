"""The conversation's items: where they stand, what is kept of them, and what may be done to them."""

from __future__ import annotations

import base64
from typing import Any
from unittest import mock

import pytest

from realtime.simulator.conversation import items
from tests.realtime.simulator.harness import (
    ITEM,
    Event,
    SimulatorHarness,
    encoded,
    errors,
    only,
    silence,
    sound,
    types,
    user,
)


def ids_after(stage: SimulatorHarness, *wishes: tuple[str, str | None]) -> list[str]:
    """Place items, (id, previous_item_id) each; the order they then stand in."""
    for item_id, previous in wishes:
        stage.write("Hello.", previous_item_id=previous) if not item_id else stage.send(
            "conversation.item.create", item=user("Hello.", id=item_id), previous_item_id=previous
        )
    return stage.order


def test_where_an_item_goes() -> None:
    """Without a predecessor it comes last, after ``root`` first, after a known item right there."""
    assert ids_after(SimulatorHarness(), ("a", None), ("b", None), ("c", "root"), ("d", "a")) == ["c", "a", "d", "b"]


def test_an_item_tells_its_predecessor() -> None:
    """Added and done name the item before, null for the first, wherever it was placed."""
    stage = SimulatorHarness()
    ids_after(stage, ("a", None), ("b", None), ("c", "root"), ("d", "a"))
    assert [event["previous_item_id"] for event in stage.all("conversation.item.added")] == [None, "a", None, "a"]
    assert [event["previous_item_id"] for event in stage.all("conversation.item.done")] == [None, "a", None, "a"]


def test_an_unknown_predecessor_is_refused() -> None:
    """Nothing is added after an item that is not there."""
    stage = SimulatorHarness()
    events = stage.write("Hello.", previous_item_id="nope")
    assert errors(events) == [("item_create_invalid_previous_item_id", None)]
    assert events[0]["error"]["message"] == "Error adding item: the previous item with id 'nope' does not exist."
    assert stage.order == []
    assert errors(stage.write("Hello.", previous_item_id={})) == [("invalid_type", "previous_item_id")]


def test_an_id_that_is_taken_replaces() -> None:
    """A second item of one id takes the first one's place in the conversation, and stands where it was asked to."""
    stage = SimulatorHarness()
    assert ids_after(stage, ("a", None), ("b", None), ("c", None), ("a", "b")) == ["b", "a", "c"]
    assert errors(stage.send("conversation.item.create", item=user("Hi.", id="a"), previous_item_id="a")) == [
        ("item_create_invalid_previous_item_id", None)
    ]
    assert stage.order == ["b", "a", "c"]


def test_done_forgets_the_first_item() -> None:
    """For an answer right after the very first item, done says null where added named it; later ones are told alike."""
    stage = SimulatorHarness()
    stage.update(output_modalities=["text"])
    told = []
    for _ in range(2):
        answer = only([event for event in stage.ask("Hello.") if event["type"] == "response.output_item.done"], "response.output_item.done")
        told.append(
            [
                event["previous_item_id"]
                for event in stage.events
                if event["type"] in ITEM and event["item"]["id"] == answer["item"]["id"]
            ]
        )
    first, _, second, _ = stage.order
    assert told == [[first, None], [second, second]]


def test_retrieve_gives_the_sound_back() -> None:
    """An item is retrieved as stored, with the sound that no other event shows."""
    stage = SimulatorHarness()
    stage.update(audio={"input": {"turn_detection": None}})
    spoken = silence(100) + b"\1\0" * 2400
    stage.send("input_audio_buffer.append", audio=encoded(spoken))
    item = only(stage.send("input_audio_buffer.commit"), "conversation.item.done")["item"]
    assert item["content"] == [{"type": "input_audio", "transcript": None}]
    found = only(stage.send("conversation.item.retrieve", item_id=item["id"]), "conversation.item.retrieved")["item"]
    assert found["content"] == [{"type": "input_audio", "transcript": None, "audio": encoded(spoken)}]
    answer = stage.respond()
    item_id = only(answer, "response.output_item.done")["item"]["id"]
    found = only(stage.send("conversation.item.retrieve", item_id=item_id), "conversation.item.retrieved")["item"]
    assert base64.b64decode(found["content"][0]["audio"]) == sound(answer)
    text = stage.write("Hello.")[0]["item"]
    assert only(stage.send("conversation.item.retrieve", item_id=text["id"]), "conversation.item.retrieved")["item"] == text


def test_old_sound_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """When more sound is kept than there is room for, the oldest item loses its own, not its words."""
    monkeypatch.setattr(items, "KEPT_AUDIO", 10_000)
    stage = SimulatorHarness()
    part = {"type": "input_audio", "audio": encoded(silence(150)), "transcript": "Hello."}
    for item_id in ("a", "b"):
        stage.send("conversation.item.create", item={"type": "message", "role": "user", "content": [part], "id": item_id})
    contents = [
        only(stage.send("conversation.item.retrieve", item_id=item_id), "conversation.item.retrieved")["item"]["content"][0]
        for item_id in ("a", "b")
    ]
    assert ["audio" in content for content in contents] == [False, True]
    assert contents[0]["transcript"] == "Hello."


@pytest.mark.parametrize("doing", ["retrieve", "delete", "truncate"])
def test_an_item_that_is_not_there(doing: str) -> None:
    """Each way of asking for an unknown item has its own code."""
    fields = {"content_index": 0, "audio_end_ms": 1} if doing == "truncate" else {}
    answer = SimulatorHarness().send(f"conversation.item.{doing}", item_id="nope", **fields)
    assert errors(answer) == [(f"item_{doing}_invalid_item_id", None)]


def truncate(stage: SimulatorHarness, item_id: str, **fields: Any) -> list[Event]:
    """Cut an item's sound."""
    return stage.send("conversation.item.truncate", item_id=item_id, **{"content_index": 0, "audio_end_ms": 500, **fields})


def test_truncate() -> None:
    """What was not heard leaves the conversation: the sound is cut to the millisecond and the transcript is dropped."""
    stage = SimulatorHarness()
    answer = stage.ask("Tell me a story.")
    item_id = only(answer, "response.output_item.done")["item"]["id"]
    event = only(truncate(stage, item_id), "conversation.item.truncated")
    assert (event["item_id"], event["content_index"], event["audio_end_ms"]) == (item_id, 0, 500)
    found = only(stage.send("conversation.item.retrieve", item_id=item_id), "conversation.item.retrieved")["item"]
    assert found["content"] == [{"type": "output_audio", "transcript": "", "audio": encoded(sound(answer)[: 500 * 48])}]
    assert errors(truncate(stage, item_id, audio_end_ms=501)) == [("invalid_value", None)]
    assert types(truncate(stage, item_id, audio_end_ms=0)) == ["conversation.item.truncated"]


def test_truncate_counts_what_was_sent() -> None:
    """The limit is the item's whole sound, to its last millisecond; the refusal names both lengths."""
    stage = SimulatorHarness()
    answer = stage.ask("Hello.")
    item_id = only(answer, "response.output_item.done")["item"]["id"]
    length = len(sound(answer)) // 48
    event = only(truncate(stage, item_id, audio_end_ms=length + 1), "error")["error"]
    assert event["message"].endswith(f"ms is already shorter than {length + 1}ms")
    assert types(truncate(stage, item_id, audio_end_ms=length)) == ["conversation.item.truncated"]


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"audio_end_ms": None}, "missing_required_parameter", "audio_end_ms"),
        ({"content_index": None}, "missing_required_parameter", "content_index"),
        ({"audio_end_ms": "500"}, "invalid_type", "audio_end_ms"),
        ({"audio_end_ms": 1.5}, "invalid_type", "audio_end_ms"),
        ({"audio_end_ms": True}, "invalid_type", "audio_end_ms"),
        ({"audio_end_ms": -1}, "integer_below_min_value", "audio_end_ms"),
        ({"audio_end_ms": 10**9}, "invalid_value", None),
        ({"content_index": 1}, "unsupported_content_type", None),
        ({"content_index": -1}, "unsupported_content_type", None),
    ],
)
def test_truncate_refuses(fields: dict[str, Any], code: str, param: str | None) -> None:
    """Each wrong way to truncate has its code, and nothing is cut."""
    stage = SimulatorHarness()
    item_id = only(stage.ask("Hello."), "response.output_item.done")["item"]["id"]
    assert errors(truncate(stage, item_id, **fields)) == [(code, param)]
    assert stage.session.items.get(item_id).item["content"][0]["transcript"]


def test_only_the_models_sound_can_be_truncated() -> None:
    """A user's item and written text are refused."""
    stage = SimulatorHarness()
    written = stage.ask("Hello.", output_modalities=["text"])
    for item_id in (stage.order[0], only(written, "response.output_item.done")["item"]["id"]):
        assert errors(truncate(stage, item_id, audio_end_ms=0)) == [("unsupported_content_type", None)]


def test_the_oldest_items_leave() -> None:
    """A conversation holds so many items and characters; beyond that the oldest leave without a word, also its sound."""
    stage = SimulatorHarness()
    with mock.patch.object(items, "MOST_ITEMS", 3):
        assert ids_after(stage, *((name, None) for name in "abcde")) == ["c", "d", "e"]
        assert ids_after(stage, ("f", "root")) == ["f", "d", "e"]
    assert errors(stage.send("conversation.item.retrieve", item_id="a")) == [("item_retrieve_invalid_item_id", None)]
    with mock.patch.object(items, "MOST_CHARACTERS", 2000):
        stage.send("conversation.item.create", item=user("x" * 1500, id="long"))
        assert stage.order == ["f", "d", "e", "long"]
        stage.send("conversation.item.create", item=user("x" * 1500, id="longer"))
        assert stage.order == ["longer"]
        stage.send("conversation.item.create", item=user("x" * 5000, id="longest"))
        assert stage.order == ["longest"]


def test_a_cleared_conversation_weighs_nothing() -> None:
    """What is counted against the bounds is counted back when items are deleted, replaced, cut or completed."""
    stage = SimulatorHarness()
    stage.ask("Count to five.")
    stage.send("conversation.item.create", item=user("Hello.", id="mine"))
    stage.send("conversation.item.create", item=user("Hello, hello.", id="mine"))
    spoken = stage.order[1]
    stage.send("conversation.item.truncate", item_id=spoken, content_index=0, audio_end_ms=100)
    assert stage.session.items._audio_bytes == 100 * 48
    for item_id in stage.order:
        stage.send("conversation.item.delete", item_id=item_id)
    assert (stage.session.items._audio_bytes, stage.session.items._characters) == (0, 0)


def test_truncate_what_is_being_spoken() -> None:
    """An answer may be cut before it is cancelled, to no more than was sent of it; then it is kept as it was cut."""
    stage = SimulatorHarness()
    stage.write("Tell me a long story.")
    stage.send("response.create")
    stage.run(until="response.output_audio.delta")
    sent = len(sound(stage.events)) / 48
    item_id = stage.order[-1]
    beyond = stage.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=int(sent) + 1)
    assert errors(beyond) == [("invalid_value", None)]
    assert types(stage.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=50)) == [
        "conversation.item.truncated"
    ]
    stage.send("response.cancel")
    stored = stage.session.items.get(item_id)
    assert stored is not None
    assert (stored.audio_ms, len(stored.audio), stored.text) == (50, 50 * 48, "")
