"""Which calls are run, and when their outputs may go."""

from __future__ import annotations

import json
from typing import Any

from realtime.calls import Calls
from realtime.events import Event, parse


def item_done(call_id: str, name: str | None = "f", status: str = "completed", **more: Any) -> Event:
    """A response.output_item.done with a call."""
    item = {"id": "item", "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": "{}"}
    return parse(json.dumps({"type": "response.output_item.done", "response_id": "resp_1", "item": item | more}))


def test_it_waits_for_every_call_and_for_the_response() -> None:
    """Outputs are settled when all calls have theirs and the response is done, in whichever order that happens."""
    calls = Calls()
    calls.output_item_done(item_done("call_1"))
    calls.output_item_done(item_done("call_2"))
    first, second = calls.take_completed()
    assert calls.answer(first, "1") is None
    assert calls.response_done("resp_1", "completed") is None
    answers = calls.answer(second, "2")
    assert answers is not None
    assert answers.outputs == {"call_1": "1", "call_2": "2"}


def test_a_call_without_a_name_waits_for_one_that_has() -> None:
    """The beta's arguments.done does not name the function; the item that follows does."""
    calls = Calls()
    arguments = {"type": "response.function_call_arguments.done", "response_id": "resp_1", "call_id": "call_1"}
    calls.arguments_done(parse(json.dumps(arguments)))
    assert calls.take_completed() == []
    calls.output_item_done(item_done("call_1"))
    assert [call.call_id for call in calls.take_completed()] == ["call_1"]


def test_other_items_and_cut_calls_are_not_run() -> None:
    """Messages, incomplete calls and calls without an id are left alone."""
    calls = Calls()
    for event in (item_done("call_1", status="incomplete"), item_done("", "f"), item_done("call_2", type="message")):
        calls.output_item_done(event)
    assert calls.take_completed() == []
    assert calls.response_done("resp_1", "completed") is None


def test_a_second_answer_changes_nothing() -> None:
    """A call that has its output is not answered again."""
    calls = Calls()
    calls.output_item_done(item_done("call_1"))
    call = calls.take_completed()[0]
    calls.response_done("resp_1", "cancelled")
    answers = calls.answer(call, "once")
    assert answers is not None
    assert answers.cancelled
    assert calls.answer(call, "twice") is None


def arguments_done(call_id: str) -> Event:
    """A response.function_call_arguments.done."""
    data = {"type": "response.function_call_arguments.done", "response_id": "resp_1", "call_id": call_id, "item_id": "item",
            "name": "f", "arguments": '{"half":'}  # fmt: skip
    return parse(json.dumps(data))


def test_arguments_of_an_interrupted_call_are_not_run() -> None:
    """The API ends the arguments of a call that was interrupted too; the item or the response says that it was."""
    for tell in (
        lambda calls: calls.output_item_done(item_done("call_1", status="incomplete")),
        lambda calls: calls.response_done("resp_1", "cancelled"),
    ):
        calls = Calls()
        calls.arguments_done(arguments_done("call_1"))
        tell(calls)
        assert calls.take_completed() == []


def test_a_provider_that_tells_no_end_of_items_has_its_calls_run() -> None:
    """Where only the arguments and the response are told, the completed response is the call's end."""
    calls = Calls()
    calls.arguments_done(arguments_done("call_1"))
    assert calls.response_done("resp_1", "completed") is None
    (call,) = calls.take_completed()
    answers = calls.answer(call, "done")
    assert answers is not None
    assert answers.outputs == {"call_1": "done"}
