"""The context window: the items that the model reads, and truncation of the others (session field ``truncation``)."""

from __future__ import annotations

from typing import Any

from realtime.simulator.conversation import usage
from realtime.simulator.conversation.items import StoredItem
from realtime.simulator.conversation.jobs import WorkFailed
from realtime.simulator.validation.session_config import reasons

READABLE = {True: 96_000, False: 28_224}
"""Tokens of input by reasoning: of the reasoning models (128k less the longest answer), of all others (protocol 3.2)."""


class TooLong(WorkFailed):
    """Raised when a conversation exceeds the context window and ``truncation`` is ``disabled``."""

    def error(self) -> dict[str, Any]:
        """Return the error for ``status_details``. The API's code and wording are unconfirmed."""
        return {"type": "invalid_request_error", "code": "context_length_exceeded", "message": str(self)}


def fixed_tokens(session: dict[str, Any]) -> int:
    """Return the tokens of the instructions and tools, read before the conversation by every response."""
    return usage.count(session["instructions"]) + usage.count(str(session["tools"] or ""))


def fitted(context: list[StoredItem], session: dict[str, Any]) -> list[StoredItem]:
    """Return the part of a context that the model reads, and mark the rest as left out for good. Raises TooLong.

    ``truncation`` auto leaves out the oldest items until the rest fits; ``disabled`` leaves out none. A retention ratio leaves
    out more at once, so that the beginning stays the same for some turns and is read from the cache.
    """
    context = [stored for stored in context if not stored.left_out]
    truncation = session["truncation"]
    room = READABLE[reasons(session["model"])] - fixed_tokens(session)
    ratio = 1.0
    if isinstance(truncation, dict):
        ratio = float(truncation["retention_ratio"])
        limit = (truncation.get("token_limits") or {}).get("post_instructions")
        room = room if limit is None else min(room, limit)
    needed = sum(sum(stored.tokens.values()) for stored in context)
    if needed <= room:
        return context
    if truncation == "disabled":
        raise TooLong(f"The conversation has {needed} tokens, but the model reads {max(0, room)} beside its instructions and tools.")
    for index, stored in enumerate(context[:-1]):
        needed -= sum(stored.tokens.values())
        stored.left_out = True
        if needed <= room * ratio:
            return context[index + 1 :]
    return context[-1:]
