"""Plans: what a response is made from, and what it is to say or call, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelItem:
    """One item of the conversation as the model reads it."""

    kind: str
    """user, assistant, system, call or output."""
    text: str = ""
    name: str = ""
    """Of a call: the function."""
    arguments: str = ""
    call_id: str = ""
    images: tuple[str, ...] = ()
    """What can be told of the images in it."""


@dataclass(frozen=True, slots=True)
class Say:
    """Say these words."""

    text: str
    phase: str = "final_answer"


@dataclass(frozen=True, slots=True)
class CallTool:
    """Call a function."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CallServer:
    """Call a tool of an MCP server, which the API does by itself; or ask first whether it may."""

    server_label: str
    name: str
    arguments: str
    ask: bool = False
    approval_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class BreakOff:
    """Say no more: what was being said was found to be harmful."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Let the response fail here, with this ``error`` of its ``status_details``; only a scenario or a fault plans that."""

    error: dict[str, Any]


Plan = list[Say | CallTool | CallServer | BreakOff | Fail]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What one response is made from."""

    said: Sequence[ModelItem]
    tools: dict[str, dict[str, Any]]
    """Functions offered, by name; empty when ``tool_choice`` is none."""
    forced: str = ""
    """A function that must be called, or ``*`` for any."""
    now: datetime | None = None

    @property
    def last(self) -> ModelItem | None:
        """What is to be answered."""
        return self.said[-1] if self.said else None
