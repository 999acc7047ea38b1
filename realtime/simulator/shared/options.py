"""Options of a simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


class ScenarioOption(Protocol):
    """A scenario in the options, without its steps: a ``Scenario``."""

    @property
    def name(self) -> str:
        """The scenario's name in the log."""

    @property
    def sessions(self) -> int | None:
        """Number of sessions that follow the scenario, the first ones; None: all."""


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """Every option has the default a newcomer meets."""

    latency_ms: float | None = None
    """Thinking time before an answer; None: 120 to 220 ms, at random."""
    pace: float = 6.0
    """Speed of sent audio relative to its playback."""
    seed: int = 0
    """The same seed and the same conversation give the same ids and delays."""
    session_seconds: int = 3600
    """After this a session ends, as the API's do."""
    ping_seconds: float = 20.0
    """Interval of pings to clients, like the API's; a client without an answer in the next 20 s is closed with 1011."""
    require_key: str | None = None
    """The only key let in; None lets everybody in."""
    voice: Literal["auto", "espeak", "tone"] = "auto"
    ears: Literal["auto", "off"] = "auto"
    """``off``: no speech recognition."""
    allow_beta: bool = False
    """Accept clients of the beta instead of refusing them, and the beta's POST addresses."""
    scenario: ScenarioOption | None = None
    """The words and their times, in place of the model or beside it."""
    faults: tuple[str, ...] = ()
    """Names of ``faults.PRESETS``, each with its amount if not the usual: ``jitter:500``."""
