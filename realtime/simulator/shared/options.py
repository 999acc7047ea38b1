"""What can be set about a simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


class ScenarioOption(Protocol):
    """A scenario as the options carry it, without its steps: a ``Scenario``."""

    @property
    def name(self) -> str:
        """The name that the log gives it."""

    @property
    def sessions(self) -> int | None:
        """Number of sessions that it is for, the first ones; None: all of them."""


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """Every option has the default a newcomer meets."""

    latency_ms: float | None = None
    """Thinking time before an answer; None: 120 to 220 ms, as chance has it."""
    pace: float = 6.0
    """How many times faster than it plays sound is sent."""
    seed: int = 0
    """The same seed and the same conversation give the same ids and delays."""
    session_seconds: int = 3600
    """After this a session ends, as the API's do."""
    ping_seconds: float = 20.0
    """How often clients are pinged, as the API pings; who does not answer the next 20 s is closed with 1011."""
    require_key: str | None = None
    """The only key let in; None lets everybody in."""
    voice: Literal["auto", "espeak", "tone"] = "auto"
    ears: Literal["auto", "off"] = "auto"
    """``off``: speech is never understood, only heard."""
    allow_beta: bool = False
    """Speak the beta with clients that ask for it, instead of refusing them, and let sessions be posted as the beta did."""
    scenario: ScenarioOption | None = None
    """What is said and when, instead of the brain or beside it."""
    faults: tuple[str, ...] = ()
    """What goes wrong, by names of ``faults.PRESETS``, each with its amount if that is not the usual one: ``jitter:500``."""
