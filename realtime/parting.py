"""Parting: how a relayed client learns of the end: as the API has ended it, in words of ours, or by a line that breaks."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from realtime.errors import NotConnected

LET_GO = 5.0
"""Seconds a client has to take its close frame, and an API to take what its client said last."""
NO_CODE, VANISHED = 1005, 1006
"""What close codes stand for that never travel: a close frame without a code, and none at all (RFC 6455 7.4.1)."""
POLICY, UNREACHED = 1008, 1011
"""Close codes of an end a policy asks for, and of one after an API that could not be reached."""


class Client(Protocol):
    """Whoever connected to the relay."""

    async def send(self, frame: str | bytes) -> None:
        """Send one frame; waits while the client does not read. Raises NotConnected when it is gone."""

    async def close(self, code: int | None, reason: str) -> None:
        """Say goodbye, without a code if that is None. Safe when it is gone."""

    async def drop(self) -> None:
        """End the connection without a word, behind what was sent."""

    async def abort(self) -> None:
        """Break the connection off at once; what was sent and not read is lost."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """How the client is told."""

    code: int | None
    """None or VANISHED: it is not, its line breaks, too."""
    reason: str
    error_code: str = ""
    """Of an ``error`` event that comes first."""


async def part(client: Client, goodbye: Goodbye, tell: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Tell the client; ``tell`` sends it an event of ours. Who does not read has LET_GO for it."""
    try:
        async with asyncio.timeout(LET_GO):
            if goodbye.error_code:
                await tell(_error(goodbye))
            if goodbye.code in (None, VANISHED):
                await client.drop()
            else:
                await client.close(None if goodbye.code == NO_CODE else goodbye.code, goodbye.reason)
    except (TimeoutError, NotConnected):
        await client.abort()


def _error(goodbye: Goodbye) -> dict[str, Any]:
    """An ``error`` event of the relay's own, in the API's shape."""
    error = {
        "type": "invalid_request_error", "code": goodbye.error_code, "message": goodbye.reason, "param": None, "event_id": None,
    }  # fmt: skip
    return {"type": "error", "event_id": f"event_{secrets.token_hex(10)}", "error": error}
