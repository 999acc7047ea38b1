"""Work: what a session leaves to others, and the scripts that wait for it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from realtime.simulator.conversation.items import StoredItem


@dataclass(frozen=True, slots=True)
class Synthesize:
    """Work for a thread: say this sentence. The result is PCM16 24 kHz."""

    text: str
    voice: str
    speed: float


@dataclass(frozen=True, slots=True)
class Recognize:
    """Work for a thread: write down what was said in this item. The result is a sentence."""

    item_id: str
    pcm: bytes = field(repr=False)
    partial: bool = False
    """More is being said: the result is what can be made out so far, and may be empty."""


@dataclass(frozen=True, slots=True)
class AwaitPlan:
    """Work for whoever has staged the session: what a response is to say. The result is a plan, or None for the brain's own."""


Work = Synthesize | Recognize
"""What a thread does."""


class WorkFailed(Exception):
    """Raised inside a script when a thread could not do its work; ``str()`` says why."""

    def error(self) -> dict[str, Any]:
        """As ``status_details`` tells of the API's own failures."""
        return {"type": "server_error", "code": "server_error", "message": str(self)}


Script = Generator["float | Synthesize | Recognize | AwaitPlan", Any, None]
"""Yields seconds to wait, or work whose result it is then sent."""


def words(stored: StoredItem) -> Generator[float | Synthesize | Recognize, Any, str]:
    """Return the words of an item's speech; only the first call asks the speech recognition. Raises WorkFailed."""
    if stored.recognized is None:
        stored.recognized = str((yield Recognize(stored.item["id"], stored.audio)))
    return stored.recognized
