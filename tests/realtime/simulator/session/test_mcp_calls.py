"""MCP servers: their tools are listed, asked for, called, and told of."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest

from realtime.simulator.session.mcp_calls import SERVERS, ServerTool
from tests.realtime.simulator.harness import (
    ENDED,
    GET_WEATHER,
    Event,
    SimulatorHarness,
    done,
    only,
    spoken_words,
    types,
)

LIST = ["conversation.item.added", "mcp_list_tools.in_progress"]
CALL = [
    "response.created", "response.output_item.added", "conversation.item.added", "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done", "response.mcp_call.in_progress", "response.output_item.done", *ENDED,
]  # fmt: skip
"""A call as the response tells of it; its outcome comes later."""


def server(url: str = "simulator://dice", label: str = "dice", **fields: Any) -> dict[str, Any]:
    """A tool of type mcp."""
    return {"type": "mcp", "server_label": label, "server_url": url, "require_approval": "never", **fields}


def table(*tools: dict[str, Any], **session: Any) -> SimulatorHarness:
    """A session that writes and whose servers have listed their tools."""
    stage = SimulatorHarness()
    stage.update(output_modalities=["text"], tools=list(tools), **session)
    stage.run(1)
    return stage


def output(events: list[Event]) -> dict[str, Any]:
    """The one output item of the response among them."""
    (item,) = done(events)["output"]
    assert isinstance(item, dict)
    return item


def test_tools_are_listed_when_they_are_put_in_force() -> None:
    """The list is an item of its own, empty at first, and whole when it is done."""
    stage = SimulatorHarness()
    before = stage.update(tools=[server()])
    assert types(before) == ["session.updated", *LIST]
    events = stage.run(1)
    assert types(events) == ["mcp_list_tools.completed", "conversation.item.done"]
    begun, listed = before[1]["item"], events[1]["item"]
    assert begun == {"id": listed["id"], "type": "mcp_list_tools", "server_label": "dice", "tools": []}
    assert [tool["name"] for tool in listed["tools"]] == ["roll", "odds"]
    assert listed["tools"][0]["input_schema"]["required"] == ["expr"]
    assert listed["id"].startswith("mcpl_")


def test_tools_are_listed_once() -> None:
    """An update that leaves a server as it is, or only asks for approval otherwise, does not list its tools again."""
    stage = table(server())
    assert types(stage.update(instructions="Be brief.")) == ["session.updated"]
    assert types(stage.update(tools=[server(require_approval="always")])) == ["session.updated"]
    assert types(stage.update(tools=[server(), server(label="more")])) == ["session.updated", *LIST]


@pytest.mark.parametrize("where", [{"server_url": "https://mcp.example.com/sse"}, {"server_url": None, "connector_id": "connector_gmail"}])
def test_an_unknown_server_cannot_be_listed(where: dict[str, Any]) -> None:
    """The listing fails, the session goes on, and the next update tries again."""
    stage = SimulatorHarness()
    stage.update(tools=[server(**where)])
    events = stage.run(1)
    assert types(events) == ["mcp_list_tools.failed", "conversation.item.done"]
    assert events[1]["item"]["tools"] == []
    assert types(stage.update(tools=[server(**where)])) == ["session.updated", *LIST]


@pytest.mark.parametrize(
    ("allowed", "names"),
    [(["odds"], ["odds"]), ({"tool_names": ["roll"]}, ["roll"]), ({"read_only": True}, ["odds"]), ({"read_only": False}, ["roll"]),
     ([], []), (None, ["roll", "odds"])],
)  # fmt: skip
def test_only_allowed_tools_are_listed(allowed: Any, names: list[str]) -> None:
    """A list of names, or a filter by name or by whether the tool only reads."""
    stage = table(server(allowed_tools=allowed))
    assert [tool["name"] for tool in only(stage.events, "conversation.item.done")["item"]["tools"]] == names
    assert (output(stage.ask("Roll 2d6"))["type"] == "mcp_call") == ("roll" in names)


def test_a_call() -> None:
    """Arguments are streamed; the server is called when the response has ended, and its output is in the item."""
    stage = table(server())
    events = stage.ask("Roll 2d6")
    assert types(events)[2:] == CALL
    item = output(events)
    assert (item["server_label"], item["name"], item["arguments"]) == ("dice", "roll", '{"expr":"2d6"}')
    assert (item["output"], item["error"], item["approval_request_id"]) == (None, None, None)
    assert "".join(event["delta"] for event in events if event["type"].endswith("arguments.delta")) == item["arguments"]
    later = stage.run(1)
    assert types(later) == ["conversation.item.done", "response.mcp_call.completed"]
    total = json.loads(later[0]["item"]["output"])["total"]
    assert 2 <= total <= 12
    assert spoken_words(stage.respond()) == f"You rolled {total}."


def test_the_outcome_takes_its_time() -> None:
    """A client that asks too early is told that there is no answer yet."""
    stage = table(server())
    stage.ask("Roll 2d6")
    assert spoken_words(stage.respond()) == "I am still waiting for roll."


@pytest.mark.parametrize("kind", ["protocol_error", "tool_execution_error", "http_error"])
def test_a_call_that_fails(kind: str) -> None:
    """Each kind of failure is in the item, and the model says so."""
    stage = table(server("simulator://faulty", "faulty"))
    stage.ask(f"Use {kind}, please.")
    done_, failed = stage.run(1)
    assert (failed["type"], done_["item"]["error"]["type"], done_["item"]["output"]) == ("response.mcp_call.failed", kind, None)
    assert "did not work" in spoken_words(stage.respond())


def test_a_tool_refuses_its_arguments() -> None:
    """What a client puts into an approval request's call is not believed."""
    stage = table(server(require_approval="always"))
    item = {"id": "mcpr_1", "server_label": "dice", "name": "roll", "arguments": '{"expr": "bananas"}'}
    stage.send("conversation.item.create", item={"type": "mcp_approval_request", **item})
    answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    stage.send("conversation.item.create", item=answer)
    stage.respond()
    assert stage.run(1)[0]["item"]["error"] == {"type": "tool_execution_error", "message": "expr must be like 2d6."}


@pytest.mark.parametrize(
    ("wanted", "asks"),
    [("always", True), ("never", False), (None, True), ({"always": {"tool_names": ["roll"]}}, True),
     ({"always": {"tool_names": ["odds"]}}, False), ({"never": {"tool_names": ["roll"]}}, False),
     ({"never": {"read_only": True}}, True), ({"always": {"read_only": False}, "never": {"tool_names": ["odds"]}}, True)],
)  # fmt: skip
def test_who_is_asked(wanted: Any, asks: bool) -> None:
    """Approval is needed always, never, or for the tools of a filter; always when nothing is said."""
    stage = table(server(require_approval=wanted))
    assert output(stage.ask("Roll 2d6"))["type"] == ("mcp_approval_request" if asks else "mcp_call")


@pytest.mark.parametrize("approve", [True, False])
def test_an_approval(approve: bool) -> None:
    """What was allowed is called with the arguments that were shown; what was not, is not."""
    stage = table(server(require_approval="always"))
    asked = output(stage.ask("Roll 3d8"))
    assert (asked["id"][:5], asked["name"], asked["arguments"]) == ("mcpr_", "roll", '{"expr":"3d8"}')
    answer = {"type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": approve}
    echo = stage.send("conversation.item.create", item=answer)[0]["item"]
    assert (echo["reason"], "status" in echo) == (None, False)
    events = stage.respond()
    if approve:
        assert types(events) == CALL
        assert (output(events)["approval_request_id"], output(events)["arguments"]) == (asked["id"], asked["arguments"])
    else:
        assert spoken_words(events) == "All right, I will not call roll."
        assert stage.run(2) == []


def test_nobody_was_asked() -> None:
    """A response to a request that never was calls nothing."""
    stage = table(server())
    stage.send("conversation.item.create", item={"type": "mcp_approval_response", "approval_request_id": "x", "approve": True})
    assert spoken_words(stage.respond()) == "I did not ask for that."


@pytest.mark.parametrize(
    ("choice", "text", "name"),
    [("none", "Roll 2d6", ""), ("auto", "Hello.", ""), ("required", "Hello.", "roll"), ("auto", "What are the odds of 2d6?", "odds"),
     ({"type": "mcp", "server_label": "dice"}, "Hello.", "roll"),
     ({"type": "mcp", "server_label": "dice", "name": "odds"}, "Hello.", "odds"),
     ({"type": "mcp", "server_label": "other"}, "Roll 2d6", ""), ({"type": "function", "name": "get_weather"}, "Roll 2d6", "")],
)  # fmt: skip
def test_which_tool_is_chosen(choice: Any, text: str, name: str) -> None:
    """The question decides, or the tool choice."""
    item = output(table(server(), tool_choice=choice).ask(text))
    assert (item.get("name", "") if item["type"] == "mcp_call" else "") == name


def test_functions_and_servers_side_by_side() -> None:
    """A server does not keep functions from being called."""
    stage = table(server(), GET_WEATHER)
    assert output(stage.ask("What is the weather in Lisbon?"))["type"] == "function_call"
    assert output(stage.ask("Roll 2d6"))["type"] == "mcp_call"


def test_a_call_that_is_cut_is_never_made() -> None:
    """Cancelled while its arguments are streamed, a call ends at once and without an outcome."""
    stage = table(server())
    stage.write("Roll 2d6")
    stage.send("response.create")
    stage.run(until="response.mcp_call_arguments.delta")
    events = stage.send("response.cancel")
    tail = ["response.mcp_call_arguments.done", "conversation.item.done", "response.output_item.done", "response.done"]
    assert types(events) == tail
    assert types(stage.run(5)) == ["rate_limits.updated"]


def test_out_of_band_a_call_leaves_no_item() -> None:
    """The server is called, and the conversation is not told."""
    stage = table(server())
    stage.write("Roll 2d6")
    events = stage.respond(conversation="none") + stage.run(1)
    assert [type_ for type_ in types(events) if type_.startswith("conversation")] == []
    assert types(events)[-1] == "response.mcp_call.completed"


def test_tools_that_are_not_listed_yet_are_not_used() -> None:
    """Only responses created after the list is complete can use the tools."""
    stage = SimulatorHarness()
    stage.update(output_modalities=["text"], tools=[server()])
    stage.write("Roll 2d6")
    stage.send("response.create")
    events = stage.run(until="response.done")
    assert types(events).index("mcp_list_tools.completed") < types(events).index("response.output_item.added")
    assert output(events)["type"] == "message"


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"server_url": None}, ".server_url"), ({"allowed_tools": "roll"}, ".allowed_tools"),
     ({"require_approval": "sometimes"}, ".require_approval"),
     ({"require_approval": {"often": {}}}, ".require_approval.often"), ({"allowed_tools": [7]}, ".allowed_tools.tool_names[0]"),
     ({"require_approval": {"never": {"read_only": 1}}}, ".require_approval.never.read_only")],
)  # fmt: skip
def test_what_a_server_must_be(fields: dict[str, Any], param: str) -> None:
    """A server without an address, and approvals and filters of other forms, are refused by name."""
    error = only(SimulatorHarness().update(tools=[server(**fields)]), "error")["error"]
    assert error["param"] == f"session.tools[0]{param}"


def test_what_was_taken_away_is_listed_again() -> None:
    """Tools that are no longer in force are forgotten; offered again, they are listed again."""
    stage = table(server())
    stage.update(tools=[])
    assert stage.session.mcp_calls.listed == {}
    assert types(stage.update(tools=[server()])) == ["session.updated", *LIST]
    stage.update(tools=[])
    stage.run(1)
    assert stage.session.mcp_calls.listed == {}


@pytest.mark.parametrize("name", ["(", "[a", "a+b", "\\"])
def test_a_name_is_no_pattern(name: str) -> None:
    """Whatever a server's tools are called, a question is answered; a name is found as a word, in any case."""
    odd = ServerTool(name, "Odd.", lambda asked: {}, lambda arguments, chance: {})
    with mock.patch.dict(SERVERS, {"simulator://odd": (odd, *SERVERS["simulator://dice"])}):
        stage = table(server("simulator://odd"))
        assert output(stage.ask("Please ROLL 2d6 now."))["name"] == "roll"
