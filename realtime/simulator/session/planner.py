"""Planner: plans a response, from an MCP server's tool or from the model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from realtime.simulator.conversation.items import StoredItem
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.model import model
from realtime.simulator.session.mcp_calls import Listed, McpCalls
from realtime.simulator.session.response import Response
from realtime.simulator.shared import response_plan
from realtime.simulator.validation import images
from realtime.simulator.validation.session_config import reasons


class Planner:
    """Plans the responses of one session."""

    def __init__(self, context: SessionContext, mcp_calls: McpCalls, now: Callable[[], float]) -> None:
        """``now`` gives unix seconds."""
        self.context = context
        self.mcp_calls = mcp_calls
        self.now = now

    def plan(self, response: Response, listed: Listed) -> response_plan.Plan:
        """Return the steps of a response. ``listed`` are the MCP tools at its creation."""
        settings = response.settings
        choice = settings["tool_choice"]
        tools = {} if choice == "none" else {t["name"]: t for t in settings["tools"] if t.get("type") == "function"}
        forced = choice["name"] if isinstance(choice, dict) and choice.get("name") else "*" if choice == "required" else ""
        items = [_model_item(stored) for stored in response.input]
        own = settings["instructions"] if settings["instructions"] != self.context.config.session["instructions"] else ""
        if not items and own:  # a response's own instructions stand in for a question
            items = [response_plan.ModelItem("system", own)]
        if (plan_of_server := self.mcp_calls.plan(response.input, settings, listed)) is not None:
            return plan_of_server
        local = datetime.fromtimestamp(self.now()).astimezone()
        plan = model.plan(response_plan.ModelInput(items, tools, forced, local))
        if settings.get("parallel_tool_calls") is False:
            plan = _one_call(plan, items, response_plan.ModelInput(_up_to_question(items), tools, forced, local))
        if not reasons(self.context.config.model):  # only the reasoning models speak before they call
            plan = [step for step in plan if not (isinstance(step, response_plan.Say) and step.phase == "commentary")]
        return plan


def _model_item(stored: StoredItem) -> response_plan.ModelItem:
    item = stored.item
    kind = {"function_call": "call", "function_call_output": "output"}.get(item["type"], item.get("role") or "other")
    text = item.get("output") if kind == "output" else stored.text
    name, arguments, call_id = (str(item.get(field) or "") for field in ("name", "arguments", "call_id"))
    return response_plan.ModelItem(kind, str(text or ""), name, arguments, call_id, tuple(images.described(item)))


def _up_to_question(items: list[response_plan.ModelItem]) -> list[response_plan.ModelItem]:
    """The conversation up to the last question."""
    last = max((index for index, each in enumerate(items) if each.kind == "user"), default=len(items) - 1)
    return items[: last + 1]


def _one_call(plan: response_plan.Plan, items: list[response_plan.ModelItem], question: response_plan.ModelInput) -> response_plan.Plan:
    """With ``parallel_tool_calls`` off, return the next of several calls that a question needs."""
    since = items[len(question.items) :]
    made = sum(each.kind == "output" for each in since)
    steps = model.plan(question) if made and since[-1].kind == "output" else plan
    calls = [step for step in steps if isinstance(step, response_plan.CallTool)]
    if made >= len(calls):
        return plan
    return [step for step in steps if step is calls[made] or (not made and isinstance(step, response_plan.Say))]
