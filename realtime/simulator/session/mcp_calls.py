"""MCP tools, called by the API: scripted servers, known by their address.

``simulator://dice`` rolls dice (``roll``) and computes their range (``odds``, read-only); ``simulator://faulty`` has a tool for
each kind of failure. The tools of all other servers cannot be listed.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from realtime.simulator.conversation.items import StoredItem
from realtime.simulator.conversation.jobs import Script
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.session.output_items import OutputItem
from realtime.simulator.session.response import Response
from realtime.simulator.shared import response_plan

LISTING = 0.08
"""Seconds a server takes to list its tools."""
CALLING = 0.25
"""Seconds a server takes to answer a call: after response.done and the rate limits, as recorded."""
_WORD = re.compile(r"[\w-]+")
_DICE = re.compile(r"\b([1-9]\d?)?d([1-9]\d{0,2})\b", re.IGNORECASE)


class ToolFailed(Exception):
    """Raised by a server's tool; ``args[0]`` is the ``error`` of the call's item."""


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A tool of a scripted server."""

    name: str
    description: str
    read: Callable[[str], dict[str, Any]]
    """The arguments for a question."""
    run: Callable[[dict[str, Any], random.Random], dict[str, Any]]
    """The answer to a call. Raises ToolFailed."""
    properties: dict[str, Any] = field(default_factory=dict)
    read_only: bool = False

    def listed(self) -> dict[str, Any]:
        """Return the tool as listed by ``mcp_list_tools``."""
        schema = {"type": "object", "properties": self.properties, "required": list(self.properties)}
        hints = {"annotations": {"readOnlyHint": True}} if self.read_only else {}
        return {"name": self.name, "description": self.description, "input_schema": schema, **hints}


def _dice(arguments: dict[str, Any]) -> tuple[int, int]:
    found = _DICE.fullmatch(str(arguments.get("expr", "")).strip())
    if found is None:
        raise ToolFailed({"type": "tool_execution_error", "message": "expr must be like 2d6."})
    return int(found.group(1) or 1), int(found.group(2))


def _roll(arguments: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    count, sides = _dice(arguments)
    return {"total": sum(chance.randint(1, sides) for _ in range(count))}


def _odds(arguments: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    count, sides = _dice(arguments)
    return {"least": count, "most": count * sides, "mean": count * (sides + 1) / 2}


def _expression(asked: str) -> dict[str, Any]:
    found = _DICE.search(asked)
    return {"expr": found.group().lower() if found else "1d6"}


def _raising(error: dict[str, Any]) -> Callable[[dict[str, Any], random.Random], dict[str, Any]]:
    def run(arguments: dict[str, Any], chance: random.Random) -> dict[str, Any]:
        raise ToolFailed(error)

    return run


_EXPR = {"expr": {"type": "string"}}
_FAULTS: tuple[dict[str, Any], ...] = (
    {"type": "protocol_error", "code": -32603, "message": "Internal error"},
    {"type": "tool_execution_error", "message": "The tool did not work."},
    {"type": "http_error", "code": 502, "message": "Bad Gateway"},
)
SERVERS: dict[str, tuple[ServerTool, ...]] = {
    "simulator://dice": (
        ServerTool("roll", "Roll dice.", _expression, _roll, _EXPR),
        ServerTool("odds", "What dice may show.", _expression, _odds, _EXPR, read_only=True),
    ),
    "simulator://faulty": tuple(
        ServerTool(fault["type"], f"Fails with {fault['type']}.", lambda asked: {}, _raising(fault)) for fault in _FAULTS
    ),
}
"""Tools by the ``server_url``."""


Listed = dict[str, tuple[ServerTool, ...]]
"""Listed tools of the servers, by the server's entry in ``tools``."""


class McpCalls:
    """The MCP servers of one session."""

    def __init__(self, context: SessionContext) -> None:
        self.context = context
        self.listed: Listed = {}
        """Tools available for calls."""
        self._known: set[str] = set()

    def update_tools(self, tools: list[dict[str, Any]]) -> None:
        """List the tools of new servers and forget servers that are no longer in the settings."""
        in_force = {_key(tool) for tool in tools if tool.get("type") == "mcp"}
        self._known &= in_force
        self.listed = {key: found for key, found in self.listed.items() if key in in_force}
        for tool in tools:
            if tool.get("type") == "mcp" and _key(tool) not in self._known:
                self._known.add(_key(tool))
                self.context.schedule(self._list(tool))

    def _list(self, tool: dict[str, Any]) -> Script:
        context, items = self.context, self.context.items
        item: dict[str, Any] = {
            "id": context.ids.make("mcpl"), "type": "mcp_list_tools", "server_label": tool["server_label"], "tools": [],
        }  # fmt: skip
        stored = StoredItem(item)
        items.add(stored)
        context.emit("conversation.item.added", previous_item_id=items.predecessor(item["id"]), item=item)
        context.emit("mcp_list_tools.in_progress", item_id=item["id"])
        yield LISTING
        found = SERVERS.get(str(tool.get("server_url")))
        if found is None:
            self._known.discard(_key(tool))  # the next update tries again
        else:
            allowed = tool.get("allowed_tools")
            tools = tuple(each for each in found if allowed is None or _matches(each, allowed))
            if _key(tool) in self._known:  # else it was removed meanwhile
                self.listed = {**self.listed, _key(tool): tools}
            item["tools"] = [each.listed() for each in tools]
        context.emit(f"mcp_list_tools.{'failed' if found is None else 'completed'}", item_id=item["id"])
        if items.get(item["id"]) is stored:
            context.emit("conversation.item.done", previous_item_id=items.predecessor(item["id"]), item=item)

    # ── What the model does with them ──────────────────────────────────────────────────────────────────────────────

    def plan(self, input_: list[StoredItem], settings: dict[str, Any], listed: Listed) -> response_plan.Plan | None:
        """Return the steps of a response that concerns an MCP server, else None.

        ``listed`` are the tools at the creation of the response; it does not use tools listed later.
        """
        items = [stored.item for stored in input_]
        last = items[-1] if items else {}
        if last.get("type") == "mcp_call":
            return [response_plan.Say(_outcome(last))]
        choice = settings["tool_choice"]
        entries = [tool for tool in settings["tools"] if tool.get("type") == "mcp"]
        if last.get("type") == "mcp_approval_response":
            asked = next((item for item in items if item.get("id") == last["approval_request_id"]), None)
            if asked is None or asked["type"] != "mcp_approval_request":
                return [response_plan.Say("I did not ask for that.")]
            if not last["approve"]:
                return [response_plan.Say(f"All right, I will not call {asked['name']}.")]
            return [response_plan.CallServer(asked["server_label"], asked["name"], asked["arguments"], False, asked["id"])]
        if choice == "none" or last.get("role") != "user":
            return None
        question = input_[-1].text
        any_server = choice == "required" and len(entries) == len(settings["tools"])
        for entry in entries:
            tools = listed.get(_key(entry), ())
            if isinstance(choice, dict):
                forced = choice.get("server_label") == entry["server_label"]
                wanted = [tool for tool in tools if forced and choice.get("name") in (None, tool.name)]
            else:
                words = set(_WORD.findall(question.lower()))  # no pattern is made of a tool's name
                wanted = [tool for tool in tools if tool.name.lower() in words]
                wanted = wanted or list(tools if any_server else ())
            if wanted:
                return [_call(entry, wanted[0], question)]
        return None

    def call(self, response: Response) -> None:
        """A response has ended: now the servers are called."""
        for output in response.outputs.calls:
            label, name = output.item["server_label"], output.item["name"]
            entries = (tool for tool in response.settings["tools"] if tool.get("server_label") == label)
            tools = [tool for entry in entries for tool in self.listed.get(_key(entry), ()) if tool.name == name]
            self.context.schedule(self._run(response, output, tools))

    def _run(self, response: Response, output: OutputItem, tools: list[ServerTool]) -> Script:
        yield CALLING
        try:
            if not tools:
                message = f"Unknown tool: {output.item['name']}"
                raise ToolFailed({"type": "protocol_error", "code": -32602, "message": message})
            answer = tools[0].run(_object(output.item["arguments"]), self.context.ids.chance)
        except ToolFailed as failure:
            response.outputs.complete_call(output, {"error": failure.args[0]})
        else:
            response.outputs.complete_call(output, {"output": json.dumps(answer)})


def _key(tool: dict[str, Any]) -> str:
    return json.dumps({key: tool[key] for key in sorted(tool) if key != "require_approval"}, sort_keys=True)


def _call(entry: dict[str, Any], tool: ServerTool, question: str) -> response_plan.CallServer:
    arguments = json.dumps(tool.read(question), separators=(",", ":"))
    return response_plan.CallServer(entry["server_label"], tool.name, arguments, _needs_approval(tool, entry.get("require_approval")))


def _needs_approval(tool: ServerTool, wanted: Any) -> bool:
    """Return True if a call needs approval. By ``require_approval``, the default is always."""
    if isinstance(wanted, dict):
        if wanted.get("never") and _matches(tool, wanted["never"]):
            return False
        # With only "always" the others need none; with only "never" the others need it.
        return not wanted.get("always") or _matches(tool, wanted["always"])
    return bool(wanted != "never")


def _matches(tool: ServerTool, wanted: Any) -> bool:
    """Return True if a list of names or a filter includes the tool."""
    if isinstance(wanted, list):
        return tool.name in wanted
    names, read_only = wanted.get("tool_names"), wanted.get("read_only")
    return (names is None or tool.name in names) and (read_only is None or tool.read_only == read_only)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ToolFailed({"type": "protocol_error", "code": -32602, "message": "The arguments are no JSON object."})
    return value


def _outcome(item: dict[str, Any]) -> str:
    """A call's outcome in words."""
    if item.get("error"):
        return f"{item['name']} did not work: {item['error'].get('message') or item['error'].get('type')}"
    if not item.get("output"):
        return f"I am still waiting for {item['name']}."
    try:
        answer = json.loads(item["output"])
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict) and "total" in answer:
        return f"You rolled {answer['total']}."
    return f"{item['name']} answered: {str(item['output'])[:200]}"
