"""What can be done to a client's connection, beside sending events: raw frames, silence, breaking off."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Raw:
    """A frame that is sent as it stands: text that need be no event, or bytes."""

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
    """After this it goes on; None: never."""


Frame = str | Raw | Abort | Shut | Freeze
"""What is due to a client, in order. A ``str`` is an event of the API as JSON."""
