"""Work: what a session leaves to others, and the scripts that wait for it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from realtime.simulator.conversation.items import Stored


@dataclass(frozen=True, slots=True)
class Speak:
    """Work for a thread: say this sentence. The result is PCM16 24 kHz."""

    text: str
    voice: str
    speed: float


@dataclass(frozen=True, slots=True)
class Hear:
    """Work for a thread: write down what was said in this item. The result is a sentence."""

    item_id: str
    pcm: bytes = field(repr=False)
    partial: bool = False
    """More is being said: the result is what can be made out so far, and may be empty."""


@dataclass(frozen=True, slots=True)
class Think:
    """Work for whoever has staged the session: what a response is to say. The result is a plan, or None for the brain's own."""


Work = Speak | Hear
"""What a thread does."""


class WorkFailed(Exception):
    """Raised inside a script when a thread could not do its work; ``str()`` says why."""

    def error(self) -> dict[str, Any]:
        """As ``status_details`` tells of the API's own failures."""
        return {"type": "server_error", "code": "server_error", "message": str(self)}


Script = Generator["float | Speak | Hear | Think", Any, None]
"""Yields seconds to wait, or work whose result it is then sent."""


def words(stored: Stored) -> Generator[float | Speak | Hear, Any, str]:
    """Return the words of an item's speech; only the first call asks the speech recognition. Raises WorkFailed."""
    if stored.heard is None:
        stored.heard = str((yield Hear(stored.item["id"], stored.audio)))
    return stored.heard
