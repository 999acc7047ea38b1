"""Jobs: work for threads, and the scripts that wait for the results."""

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
    """Work for a thread: recognize the speech of an item. The result is a sentence."""

    item_id: str
    pcm: bytes = field(repr=False)
    partial: bool = False
    """The user is still speaking: the result is the words recognized so far, and may be empty."""


@dataclass(frozen=True, slots=True)
class AwaitPlan:
    """Work for the scenario player: plan a response. The result is a plan; None leaves the plan to the model."""


Work = Synthesize | Recognize
"""Work for a thread."""


class WorkFailed(Exception):
    """Raised inside a script when a thread failed to do the work; ``str()`` is the reason."""

    def error(self) -> dict[str, Any]:
        """Return the error for ``status_details``, in the form of the API's own failures."""
        return {"type": "server_error", "code": "server_error", "message": str(self)}


Script = Generator["float | Synthesize | Recognize | AwaitPlan", Any, None]
"""Yields seconds to wait, or work; work sends its result back into the script."""


def words(stored: StoredItem) -> Generator[float | Synthesize | Recognize, Any, str]:
    """Return the words of an item's speech; only the first call asks the speech recognition. Raises WorkFailed."""
    if stored.recognized is None:
        stored.recognized = str((yield Recognize(stored.item["id"], stored.audio)))
    return stored.recognized
