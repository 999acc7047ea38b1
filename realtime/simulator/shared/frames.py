"""Frames for a client's connection: events, raw frames, freezing, aborting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Raw:
    """A frame sent unchanged: any text, or bytes."""

    data: str | bytes


@dataclass(frozen=True, slots=True)
class Abort:
    """Break the connection off: no close frame, TCP is reset."""


@dataclass(frozen=True, slots=True)
class Shut:
    """Close the connection in order."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Neither read nor write any longer; pings are not answered either."""

    seconds: float | None = None
    """Time until the connection continues; None: never."""


Frame = str | Raw | Abort | Shut | Freeze
"""A frame due to a client. A ``str`` is an event of the API as JSON."""
