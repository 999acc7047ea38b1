"""The conversation: whole turns as they travel, and whatever else may come."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.conversation import Conversation
from realtime.items import Item
from realtime.timeline import Direction, Entry
from tests.realtime.frames import entry, events, item_objects, logs

SECOND = base64.b64encode(bytes(48_000)).decode()  # PCM16 at 24 kHz


class Play:
    """A conversation written as it is drawn: ``>`` to the API, ``<`` from it."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self.seq = 0

    def sent(self, type_: str, **fields: Any) -> set[str]:
        """A frame of the client's."""
        return self._feed("sent", type_, fields)

    def came(self, type_: str, **fields: Any) -> set[str]:
        """A frame of the API's."""
        return self._feed("received", type_, fields)

    def _feed(self, direction: Direction, type_: str, fields: dict[str, Any]) -> set[str]:
        self.seq += 1
        return self.conversation.feed(entry({"type": type_, **fields}, self.seq, direction))

    def added(self, item: dict[str, Any], after: str | None = None, done: bool = True) -> set[str]:
        """An item enters the conversation; a client's is done at once."""
        changed = self.came("conversation.item.added", previous_item_id=after, item=item)
        return changed | (self.came("conversation.item.done", previous_item_id=after, item=item) if done else set())

    def item(self, id_: str) -> Item:
        """One item; there must be one."""
        item = self.conversation.get(id_)
        assert item is not None
        return item

    @property
    def order(self) -> list[str]:
        """Ids as the page lists them."""
        return [item.id for item in self.conversation.items]


def message(id_: str, role: str, *content: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    """A message item."""
    return {"id": id_, "type": "message", "status": status, "role": role, "content": list(content)}


def written(text: str, role: str = "user") -> dict[str, Any]:
    """A part of text."""
    return {"type": "input_text" if role == "user" else "output_text", "text": text}


def spoken(transcript: str | None, role: str = "assistant") -> dict[str, Any]:
    """A part of sound."""
    return {"type": "input_audio" if role == "user" else "output_audio", "transcript": transcript}


def speak(play: Play, id_: str, words: list[str], seconds: int, after: str | None, beta: bool = False) -> None:
    """The model begins an answer: transcript and sound, as far as it came."""
    name = "response.audio" if beta else "response.output_audio"
    started = message(id_, "assistant", status="in_progress")
    play.came("response.output_item.added", response_id="resp_1", output_index=0, item=started)
    play.came(f"conversation.item.{'created' if beta else 'added'}", previous_item_id=after, item=started)
    at = {"response_id": "resp_1", "item_id": id_, "output_index": 0, "content_index": 0}
    for word in words:
        play.came(f"{name}_transcript.delta", **at, delta=word)
    for _ in range(seconds):
        play.came(f"{name}.delta", **at, delta=SECOND)


# ── Turns ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_turn_in_writing() -> None:
    """A question is pending until the API takes it; the answer grows word by word and ends as the API tells it."""
    play = Play()
    question = {"type": "message", "role": "user", "content": [written("Which river is the longest?")]}
    assert play.sent("conversation.item.create", item=question) == {"pending-1"}
    assert [(item.status, item.text, item.role) for item in play.conversation.items] == [
        ("pending", "Which river is the longest?", "user")
    ]
    play.sent("response.create")
    assert play.added({**message("item_q", "user", written("Which river is the longest?"))}) == {"pending-1", "item_q"}
    assert play.order == ["item_q"]
    started = message("item_a", "assistant", status="in_progress")
    play.came("response.output_item.added", response_id="resp_1", output_index=0, item=started)
    play.came("conversation.item.added", previous_item_id="item_q", item=started)
    at = {"response_id": "resp_1", "item_id": "item_a", "output_index": 0, "content_index": 0}
    for word in ("The ", "Nile"):
        assert play.came("response.output_text.delta", **at, delta=word) == {"item_a"}
    assert (play.item("item_a").text, play.item("item_a").status) == ("The Nile", "in_progress")
    play.came("response.output_text.done", **at, text="The Nile.")
    finished = {**message("item_a", "assistant", written("The Nile.", "assistant")), "phase": "final_answer"}
    play.came("conversation.item.done", previous_item_id=None, item=finished)  # null, though added named it
    play.came("response.done", response={"id": "resp_1", "status": "completed", "output": [finished]})
    assert play.order == ["item_q", "item_a"]
    answer = play.item("item_a")
    assert (answer.text, answer.role, answer.status, answer.phase) == ("The Nile.", "assistant", "completed", "final_answer")
    assert not answer.has_audio
    assert answer.seq_first == 5


def test_a_turn_by_voice() -> None:
    """What the user said is there while they speak, before the item is; its length is the stretch of speech."""
    play = Play()
    for _ in range(4):
        play.sent("input_audio_buffer.append", audio=SECOND)
    play.came("input_audio_buffer.speech_started", audio_start_ms=900, item_id="item_u")
    part = "conversation.item.input_audio_transcription"
    assert play.came(f"{part}.delta", item_id="item_u", content_index=0, delta="How ") == {"item_u"}
    play.came(f"{part}.delta", item_id="item_u", content_index=0, delta="late")
    heard = play.item("item_u")
    assert (heard.role, heard.transcript, heard.has_audio) == ("user", "How late", True)
    assert play.came("input_audio_buffer.speech_stopped", audio_end_ms=2400, item_id="item_u") == {"item_u"}
    assert play.came("input_audio_buffer.committed", previous_item_id=None, item_id="item_u") == {"item_u"}
    play.added(message("item_u", "user", spoken(None, "user")))
    play.came(f"{part}.completed", item_id="item_u", content_index=0, transcript="How late is it?")
    speak(play, "item_a", ["Four", " o'clock"], 1, "item_u")
    assert play.order == ["item_u", "item_a"]
    assert (heard.transcript, heard.audio_ms, heard.status) == ("How late is it?", 1500.0, "completed")
    answer = play.item("item_a")
    assert (answer.transcript, answer.audio_ms, answer.text) == ("Four o'clock", 1000.0, "")
    assert not answer.truncated
    assert (answer.heard_text, answer.unheard_text) == ("Four o'clock", "")


def test_a_turn_by_hand_lasts_what_was_appended() -> None:
    """Without a detector, the item's sound is all that was appended since the last commit or clear."""
    play = Play()
    play.sent("input_audio_buffer.append", audio=SECOND)
    play.sent("input_audio_buffer.clear")
    play.came("input_audio_buffer.cleared")
    for id_, seconds in (("item_1", 2), ("item_2", 3)):
        for _ in range(seconds):
            play.sent("input_audio_buffer.append", audio=SECOND)
        play.came("input_audio_buffer.committed", item_id=id_)
        assert (play.item(id_).audio_ms, play.item(id_).role) == (seconds * 1000, "user")


def test_sound_can_be_told_instead_of_carried() -> None:
    """Who has the length of a frame's sound need not bring the sound."""
    conversation = Conversation()
    bare = {"type": "response.output_audio.delta", "item_id": "item_a"}
    conversation.feed(entry(bare, 1), audio_ms=250.0)
    conversation.feed(entry(bare, 2), audio_ms=250.0)
    conversation.feed(entry({"type": "input_audio_buffer.append"}, 3, "sent"), audio_ms=700.0)
    conversation.feed(entry({"type": "input_audio_buffer.committed", "item_id": "item_u"}, 4))
    assert [(item.id, item.audio_ms) for item in conversation.items] == [("item_a", 500.0), ("item_u", 700.0)]


@pytest.mark.parametrize(
    ("heard_ms", "heard", "unheard"),
    [
        (0, "", "One two three four"),
        (2000, "One two", "three four"),
        (4000, "One two three four", ""),
        (9000, "One two three four", ""),
        (-5, "", "One two three four"),
    ],
)
def test_an_interruption(heard_ms: int, heard: str, unheard: str) -> None:
    """A truncated answer shows which of its words were heard, by proportion of time; the others stay readable."""
    play = Play()
    speak(play, "item_a", ["One", " two", " three", " four"], 4, None)
    play.came("input_audio_buffer.speech_started", audio_start_ms=5000, item_id="item_u")
    cut = message("item_a", "assistant", spoken("One two three four"), status="incomplete")
    done = {"id": "resp_1", "status": "cancelled", "status_details": {"type": "cancelled"}, "output": [cut]}
    assert play.came("response.done", response=done) == {"item_a"}
    play.sent("conversation.item.truncate", item_id="item_a", content_index=0, audio_end_ms=heard_ms)
    assert not play.item("item_a").truncated
    assert play.came("conversation.item.truncated", item_id="item_a", content_index=0, audio_end_ms=heard_ms) == {"item_a"}
    answer = play.item("item_a")
    assert answer.truncated
    assert (answer.heard_text, answer.unheard_text, answer.status) == (heard, unheard, "incomplete")
    assert answer.failure == ""


@pytest.mark.parametrize("pending", [True, False])
def test_a_function_call_and_its_output_stand_together(pending: bool) -> None:
    """Arguments grow, the output joins its call, at once when it is sent and as the API has it when it is taken."""
    play = Play()
    play.added(message("item_q", "user", written("Where is parcel 12?")))
    call = {"id": "item_c", "type": "function_call", "status": "in_progress", "call_id": "call_1", "name": "track"}
    play.came("response.output_item.added", response_id="resp_1", item={**call, "arguments": ""})
    play.added({**call, "arguments": ""}, "item_q", done=False)
    at = {"response_id": "resp_1", "item_id": "item_c", "call_id": "call_1"}
    for piece in ('{"parcel"', ":12}"):
        play.came("response.function_call_arguments.delta", **at, delta=piece)
    assert play.item("item_c").arguments == '{"parcel":12}'
    play.came("response.function_call_arguments.done", **at, name="track", arguments='{"parcel": 12}')
    play.came("response.output_item.done", response_id="resp_1", item={**call, "status": "completed", "arguments": '{"parcel": 12}'})
    shown = play.item("item_c")
    assert (shown.kind, shown.name, shown.arguments, shown.output) == ("function_call", "track", '{"parcel": 12}', None)
    output = {"type": "function_call_output", "call_id": "call_1", "output": '{"place":"Lyon"}'}
    if pending:
        assert "item_c" in play.sent("conversation.item.create", item=output)
        assert shown.output == '{"place":"Lyon"}'
        assert play.order == ["item_q", "item_c"]
    assert "item_c" in play.added({"id": "item_o", **output}, "item_c")
    assert (shown.output, shown.status) == ('{"place":"Lyon"}', "completed")
    assert play.order == ["item_q", "item_c"]
    assert play.item("item_o").status == "completed"


def test_outputs_find_their_own_calls() -> None:
    """Of two calls at once each gets its own output, in whichever order; one without a call stands alone."""
    play = Play()
    for number in "12":
        play.added({"id": f"item_{number}", "type": "function_call", "call_id": f"call_{number}", "name": "f"})
    for number in "213":
        output = {"type": "function_call_output", "call_id": f"call_{number}", "output": f"out {number}"}
        play.added({"id": f"item_o{number}", **output})
    play.added({"id": "item_o4", "type": "function_call_output", "output": "whose?"})
    assert [(item.id, item.output) for item in play.conversation.items] == [
        ("item_1", "out 1"), ("item_2", "out 2"), ("item_o3", "out 3"), ("item_o4", "whose?"),
    ]  # fmt: skip


def test_an_output_may_come_before_its_call() -> None:
    """A log that begins with the output, or an item told again, loses neither."""
    play = Play()
    play.added({"id": "item_o", "type": "function_call_output", "call_id": "call_1", "output": "out"})
    assert play.order == ["item_o"]
    play.added({"id": "item_c", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"})
    assert play.order == ["item_c"]
    assert play.item("item_c").output == "out"


def test_a_refused_output_says_so_at_its_call() -> None:
    """An output the API does not take is not lost behind the call it stands with."""
    play = Play()
    play.added({"id": "item_c", "type": "function_call", "call_id": "call_1", "name": "f"})
    output = {"type": "function_call_output", "call_id": "call_1", "output": "out"}
    play.sent("conversation.item.create", event_id="mine", item=output)
    changed = play.came("error", error={"message": "Too long.", "event_id": "mine"})
    assert "item_c" in changed
    assert play.item("item_c").failure == "Too long."


def test_a_deleted_item_is_marked() -> None:
    """Deletion is seen, and the text stays readable; of an unknown item it changes nothing."""
    play = Play()
    play.added(message("item_1", "user", written("Forget this.")))
    play.sent("conversation.item.delete", item_id="item_1")
    assert not play.item("item_1").removed
    assert play.came("conversation.item.deleted", item_id="item_1") == {"item_1"}
    assert (play.item("item_1").removed, play.item("item_1").text) == (True, "Forget this.")
    assert play.came("conversation.item.deleted", item_id="item_9") == set()
    assert play.order == ["item_1"]


@pytest.mark.parametrize(("error", "told"), [({"message": "Too noisy."}, "Too noisy."), ({}, "The transcription failed.")])
def test_a_failed_transcription_says_why(error: dict[str, Any], told: str) -> None:
    """The item stands, with the reason instead of words."""
    play = Play()
    play.came("input_audio_buffer.committed", item_id="item_u")
    play.added(message("item_u", "user", spoken(None, "user")))
    part = {"item_id": "item_u", "content_index": 0, "error": error}
    assert play.came("conversation.item.input_audio_transcription.failed", **part) == {"item_u"}
    assert (play.item("item_u").failure, play.item("item_u").transcript) == (told, "")


def test_a_failed_response_says_why() -> None:
    """The reason stands at what there is of the answer; details of another form are no reason."""
    play = Play()
    speak(play, "item_a", ["One"], 0, None)
    cut = message("item_a", "assistant", spoken("One"), status="incomplete")
    for details in ("unimplemented", None, {"error": "odd"}, {"error": None}):
        play.came("response.done", response={"status": "failed", "status_details": details, "output": [cut]})
        assert (play.item("item_a").failure, play.item("item_a").status) == ("", "incomplete")
    details = {"type": "failed", "error": {"code": "server_error", "message": "We are sorry."}}
    play.came("response.done", response={"status": "failed", "status_details": details, "output": [cut]})
    assert play.item("item_a").failure == "We are sorry."


# ── What a client sends ────────────────────────────────────────────────────────────────────────────────────────────


def said(text: str, **more: Any) -> dict[str, Any]:
    """A user's message as a client sends it."""
    return {"type": "message", "role": "user", "content": [written(text)], **more}


def test_several_pending_items_are_confirmed_in_turn() -> None:
    """Each confirmation replaces the oldest stand-in of its kind, at its place."""
    play = Play()
    play.sent("conversation.item.create", item=said("one"))
    play.sent("conversation.item.create", item=said("own", id="mine"))
    play.sent("conversation.item.create", item=said("two"))
    assert play.order == ["pending-1", "mine", "pending-3"]
    play.added(message("item_1", "user", written("one")))
    assert play.order == ["item_1", "mine", "pending-3"]
    play.added(message("mine", "user", written("own")), "item_1")
    play.added(message("item_2", "user", written("two")), "mine")
    assert [(item.text, item.status) for item in play.conversation.items] == [
        ("one", "completed"), ("own", "completed"), ("two", "completed"),
    ]  # fmt: skip


def test_an_answer_confirms_nothing_of_the_users() -> None:
    """The model's own item is not taken for the one that waits."""
    play = Play()
    play.sent("conversation.item.create", item=said("one"))
    speak(play, "item_a", ["Hello"], 0, None)
    assert play.item("pending-1").status == "pending"
    assert len(play.order) == 2


def test_a_refused_item_says_why() -> None:
    """An error about the event that sent an item is shown there; other errors change no item."""
    play = Play()
    play.sent("conversation.item.create", event_id="mine", item=said("one"))
    assert play.came("error", error={"message": "Not you.", "event_id": "other"}) == set()
    assert play.came("error", error="flat") == set()
    assert play.came("error", error={"message": "No such predecessor.", "event_id": "mine"}) == {"pending-1"}
    item = play.item("pending-1")
    assert (item.status, item.failure, item.text) == ("refused", "No such predecessor.", "one")
    play.added(message("item_2", "user", written("two")))
    assert play.order == ["pending-1", "item_2"]


def test_an_id_that_is_taken_does_not_touch_its_item() -> None:
    """Sending an item under an id that exists leaves the existing one alone, refused or not."""
    play = Play()
    play.added(message("mine", "user", written("first")))
    play.sent("conversation.item.create", event_id="again", item=said("second", id="mine"))
    play.came("error", error={"message": "Duplicate id.", "event_id": "again"})
    item = play.item("mine")
    assert (item.text, item.status, item.failure) == ("first", "completed", "")


# ── Order ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_items_stand_behind_their_predecessors() -> None:
    """``previous_item_id`` decides, not the time of arrival; ``root`` is before all, an unknown one at the end."""
    play = Play()
    play.added(message("b", "user"))
    play.added(message("d", "user"), "b")
    play.added(message("c", "user"), "b")
    play.added(message("a", "user"), "root")
    play.added(message("e", "user"), "unheard-of")
    assert play.order == ["a", "b", "c", "d", "e"]


def test_a_clients_item_stands_where_it_was_sent_to() -> None:
    """Pending items go to their place at once and keep it, with ids of their own and without."""
    play = Play()
    play.added(message("b", "user"))
    play.added(message("d", "user"), "b")
    play.sent("conversation.item.create", previous_item_id="root", item=said("a"))
    play.sent("conversation.item.create", previous_item_id="b", item=said("c", id="c"))
    assert [item.text or item.id for item in play.conversation.items] == ["a", "b", "c", "d"]
    play.added(message("a", "user", written("a")))  # the API says null of the first
    play.added(message("c", "user", written("c")), "b")
    assert play.order == ["a", "b", "c", "d"]


def test_an_item_seen_early_moves_to_its_place() -> None:
    """An answer that shows before its place is known goes there when the API tells it."""
    play = Play()
    play.added(message("q", "user"))
    play.sent("conversation.item.create", item=said("later", id="later"))
    play.came("response.output_item.added", response_id="resp_1", item=message("answer", "assistant", status="in_progress"))
    assert play.order == ["q", "later", "answer"]
    play.came("conversation.item.added", previous_item_id="q", item=message("answer", "assistant", status="in_progress"))
    play.added(message("later", "user", written("later")), "answer")
    assert play.order == ["q", "answer", "later"]


@pytest.mark.parametrize("odd", [["a"], {"id": "a"}, 7, True, "b"])
def test_an_odd_predecessor_loses_no_item(odd: Any) -> None:
    """A predecessor of another type, or the item itself, counts as none."""
    play = Play()
    play.added(message("a", "user"))
    play.came("conversation.item.added", previous_item_id=odd, item=message("b", "user", written("there")))
    play.added(message("c", "user"), "b")
    assert play.order == ["a", "b", "c"]
    assert play.item("b").text == "there"


# ── Other dialects and odd shapes ──────────────────────────────────────────────────────────────────────────────────


def test_the_beta_tells_the_same() -> None:
    """The beta's names make the same conversation."""
    play = Play()
    play.came("conversation.item.created", previous_item_id=None, item=message("q", "user", written("Hello?")))
    speak(play, "a", ["Hi", " you"], 2, "q", beta=True)
    play.came("response.audio_transcript.done", item_id="a", content_index=0, transcript="Hi you!")
    play.came("response.text.delta", item_id="t", content_index=0, delta="In wri")
    play.came("response.text.done", item_id="t", content_index=0, text="In writing")
    assert [(item.id, item.role, item.text or item.transcript) for item in play.conversation.items] == [
        ("q", "user", "Hello?"), ("a", "assistant", "Hi you!"), ("t", "assistant", "In writing"),
    ]  # fmt: skip
    assert play.item("a").audio_ms == 2000.0


@pytest.mark.parametrize(
    ("type_", "fields", "role"),
    [
        ("response.output_text.done", {"text": "x"}, "assistant"),
        ("response.output_audio_transcript.done", {"transcript": "x"}, "assistant"),
        ("conversation.item.input_audio_transcription.completed", {"transcript": "x"}, "user"),
    ],
)
def test_an_end_without_a_beginning_is_enough(type_: str, fields: dict[str, Any], role: str) -> None:
    """A log that begins in the middle, or a server that sends no deltas, still tells who said what."""
    play = Play()
    play.came(type_, item_id="i", content_index=0, **fields)
    item = play.item("i")
    assert (item.role, item.text or item.transcript) == (role, "x")


def test_parts_keep_their_places() -> None:
    """Content is joined in the order of its index, images are named, and what is left out stays as it was."""
    play = Play()
    play.came("response.output_text.delta", item_id="i", content_index=2, delta="c")
    play.added(message("i", "user", written("a"), {"type": "input_image"}, {"type": "input_text"}))
    assert (play.item("i").text, play.item("i").has_audio) == ("a (image) c", False)
    play.came("conversation.item.retrieved", item={"id": "i", "content": [spoken("said", "user")]})
    assert (play.item("i").text, play.item("i").transcript, play.item("i").has_audio) == ("a (image) c", "said", True)


def test_what_names_no_item_makes_none() -> None:
    """An event about an item that does not say which one leaves the conversation as it is."""
    play = Play()
    for type_ in ("response.output_text.delta", "conversation.item.truncated", "input_audio_buffer.committed"):
        assert play.came(type_, delta="a", audio_end_ms=5) == set()
    assert play.came("response.output_audio.delta", delta=SECOND) == set()
    assert play.came("conversation.item.truncated", item_id="i") == set()
    assert play.order == []


def test_what_could_be_read_of_an_odd_item_is_told() -> None:
    """An item whose content has another form still changed, and the page hears of it."""
    play = Play()
    assert play.came("conversation.item.added", item={"id": "i", "role": "user", "content": 7}) == {"i"}
    assert play.item("i").role == "user"


odd_items = st.builds(
    lambda event, item: {**event, "item": item} if item is not None else event, events, st.none() | item_objects
)
odd_logs = st.lists(st.tuples(st.sampled_from(["sent", "received"]), odd_items.map(json.dumps)), max_size=20).map(
    lambda told: [entry(raw, seq, direction) for seq, (direction, raw) in enumerate(told, 1)]
)


@given(logs | odd_logs)
def test_nothing_raises_and_nothing_is_lost(log: list[Entry]) -> None:
    """Any events, both ways and of any form: every item stands at exactly one place, and its texts can be shown."""
    conversation = Conversation()
    told: set[str] = set()
    for one in log:
        told |= conversation.feed(one)
        shown = [item.id for item in conversation.items]
        assert len(shown) == len(set(shown))
        assert set(shown) <= told
        calls = {item.call_id for item in conversation.items if item.kind == "function_call"}
        for hidden in filter(None, map(conversation.get, told - set(shown))):
            assert (hidden.kind, hidden.call_id in calls) == ("function_call_output", True)
        for item in conversation.items:
            assert item.id
            assert (item.heard_text + " " + item.unheard_text).strip().split() == item.transcript.split()
            assert isinstance(item.text, str)
            assert item.audio_ms >= 0


@given(logs | odd_logs)
def test_an_entry_counts_once(log: list[Entry]) -> None:
    """Feeding an entry again, or an older one, changes nothing."""
    conversation = Conversation()
    for number, one in enumerate(log):
        conversation.feed(one)
        before = copy.deepcopy(conversation.items)
        assert [conversation.feed(again) for again in log[: number + 1]] == [set()] * (number + 1)
        assert conversation.items == before


def test_notes_are_no_part_of_it() -> None:
    """The console's own notes change no item."""
    conversation = Conversation()
    assert conversation.feed(Entry(1, 0, "note", note="state")) == set()
    assert conversation.items == []
    assert conversation.get("i") is None
