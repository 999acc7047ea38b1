"""Scripted failures: responses that fail on demand, for tests of clients.

A response fails if its ``metadata`` has ``{"simulator": NAME}``, if the instructions (its own or the session's) contain "please
fail with NAME", or if the user's last message does; "please fail" alone is a ``server_error``. Names are those of ``ERRORS``,
for a response that never begins, and ``content_filter``, for a response that is cut short.
"""

from __future__ import annotations

import re
from typing import Any

from realtime.simulator.conversation.items import StoredItem
from realtime.simulator.conversation.jobs import WorkFailed
from realtime.simulator.shared import response_plan

ERRORS = {
    "insufficient_quota": {
        "type": "insufficient_quota",
        "code": "insufficient_quota",
        "message": "You exceeded your current quota, please check your plan and billing details.",
    },
    "rate_limit_exceeded": {
        "type": "requests",
        "code": "rate_limit_exceeded",
        "message": "Rate limit reached for gpt-realtime in organization org-simulator on requests per day (RPD): Limit 1000, "
        "Used 1000, Requested 1. Please try again in 1m26.4s.",
    },
    "inference_rate_limit_exceeded": {
        "type": "invalid_request_error",
        "code": "inference_rate_limit_exceeded",
        "message": "The model is used by too many at the moment. Please try again later.",
    },
    "model_not_found": {
        "type": "invalid_request_error",
        "code": "model_not_found",
        "message": "The model does not exist or you do not have access to it.",
    },
    "server_error": {
        "type": "server_error",
        "code": "server_error",
        "message": "The server had an error while processing your request. Sorry about that!",
    },
}
"""The ``error`` of ``status_details``, by its code. ``inference_rate_limit_exceeded`` and ``model_not_found`` have been met
(protocol 2.4); their types and words are unconfirmed."""
CONTENT_FILTER = "content_filter"
METADATA_KEY = "simulator"
_PLEASE = re.compile(r"\bplease fail\b(?: with (?:an? )?(\w+))?", re.IGNORECASE)


class ScriptedFailure(WorkFailed):
    """Raised inside a response's script; ``args[0]`` is a name of ``ERRORS``."""

    def error(self) -> dict[str, Any]:
        """Return the error in the API's words."""
        return dict(ERRORS[str(self)])


def demanded_failure(metadata: dict[str, str] | None, session: dict[str, Any], context: list[StoredItem]) -> str:
    """Return the failure demanded for a response: a name of ``ERRORS``, ``content_filter``, or ``""`` for none."""
    name = (metadata or {}).get(METADATA_KEY, "")
    if name in (*ERRORS, CONTENT_FILTER):
        return name
    last = context[-1] if context and context[-1].item.get("role") == "user" else None
    for text in (session["instructions"], last.text if last is not None else ""):
        if found := _PLEASE.search(text):
            asked = (found.group(1) or "").lower()
            return asked if asked in (*ERRORS, CONTENT_FILTER) else "server_error"
    return ""


def content_filter() -> response_plan.Plan:
    """Return the plan of an answer that breaks off."""
    return [response_plan.Say("I was about to say something that I"), response_plan.BreakOff()]
