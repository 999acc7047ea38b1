"""SessionContext: the state that the parts of a session share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from realtime.simulator.conversation.items import Items, StoredItem
from realtime.simulator.conversation.jobs import Script
from realtime.simulator.shared.ids import Ids
from realtime.simulator.validation.session_config import SessionConfig


class Emit(Protocol):
    """Sends one event to the client."""

    def __call__(self, type_: str, /, **fields: Any) -> None:
        """Queue an event of this type with these fields, in their order."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """The state and the two functions given to every part of a session. No part receives the session."""

    ids: Ids
    items: Items
    config: SessionConfig
    emit: Emit
    schedule: Callable[[Script], None]
    """Runs a script beside those already running."""

    def announce(self, stored: StoredItem) -> None:
        """Send ``added`` and ``done`` for an item that is complete on entering the conversation."""
        item_id = stored.item["id"]
        before = self.items.predecessor(item_id)
        self.emit("conversation.item.added", previous_item_id=before, item=stored.item)
        self.emit("conversation.item.done", previous_item_id=before, item=stored.item)
