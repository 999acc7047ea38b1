"""Plans: the model's input, and the steps of a response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelItem:
    """One item of the conversation in the model's input."""

    kind: str
    """user, assistant, system, call or output."""
    text: str = ""
    name: str = ""
    """Of a call: the function."""
    arguments: str = ""
    call_id: str = ""
    images: tuple[str, ...] = ()
    """Descriptions of the images in the item."""


@dataclass(frozen=True, slots=True)
class Say:
    """Say a text."""

    text: str
    phase: str = "final_answer"


@dataclass(frozen=True, slots=True)
class CallTool:
    """Call a function."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CallServer:
    """Call a tool of an MCP server, done by the API itself; or ask for approval first."""

    server_label: str
    name: str
    arguments: str
    ask: bool = False
    approval_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class BreakOff:
    """End the answer because its content was found harmful."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Let the response fail with this ``error`` of its ``status_details``; planned by scenarios and faults only."""

    error: dict[str, Any]


Plan = list[Say | CallTool | CallServer | BreakOff | Fail]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """The input for one response."""

    items: Sequence[ModelItem]
    tools: dict[str, dict[str, Any]]
    """Functions offered, by name; empty when ``tool_choice`` is none."""
    forced: str = ""
    """A required function, or ``*`` for any."""
    now: datetime | None = None

    @property
    def last(self) -> ModelItem | None:
        """The item to answer."""
        return self.items[-1] if self.items else None
