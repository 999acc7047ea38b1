"""The rate limits that follow a response: ``rate_limits.updated``."""

from __future__ import annotations

from realtime.simulator.conversation.jobs import Script
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.session.response import Response

RATE_LIMIT_DELAY = 0.04
"""Seconds between response.done and rate_limits.updated in recorded traffic."""
TOKENS_A_MINUTE = 40_000
"""The limit the simulator pretends to have."""


class RateLimits:
    """One session's token budget."""

    def __init__(self, context: SessionContext) -> None:
        self.context = context
        self.used_tokens = 0

    def report(self, response: Response) -> None:
        """Send the limits after a response. A response that failed before the model ran costs nothing and reports nothing."""
        if not response.cost_nothing:
            self.context.schedule(self._report(response))

    def _report(self, response: Response) -> Script:
        yield RATE_LIMIT_DELAY
        self.used_tokens = min(TOKENS_A_MINUTE, self.used_tokens + sum(sum(s.tokens.values()) for s in response.input))
        left = TOKENS_A_MINUTE - self.used_tokens
        resets = round(self.used_tokens * 60 / TOKENS_A_MINUTE, 3)
        limit = {"name": "tokens", "limit": TOKENS_A_MINUTE, "remaining": left, "reset_seconds": resets}
        self.context.emit("rate_limits.updated", rate_limits=[limit])
        self.used_tokens = self.used_tokens // 2  # the window moves on
