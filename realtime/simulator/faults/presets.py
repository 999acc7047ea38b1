"""Presets of faults on the way to a client and at the handshake, deterministic for a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from realtime.events import Event, parse
from realtime.simulator.faults.base import Fault, FaultError, Passed
from realtime.simulator.faults.frame_faults import (
    Duplicates,
    HugeFrame,
    LostDelta,
    LostDone,
    NoRateLimits,
    Reorder,
    TruncatedJson,
    UnknownEvent,
)
from realtime.simulator.session import scripted_failures
from realtime.simulator.shared import response_plan
from realtime.simulator.shared.frames import Abort, Frame, Freeze, Shut
from realtime.simulator.shared.options import SimulatorOptions
from realtime.simulator.validation.api_errors import Refusal

# ── Time ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class SlowFirstAudio(Fault):
    """The first audio of every response comes late, with everything after it."""

    amount, unit = 3000.0, "ms"
    _is_first = False

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Hold the first sound back."""
        if type_ == "response.created":
            self._is_first = True
        elif type_ == "response.output_audio.delta" and self._is_first:
            self._is_first = False
            self.note(f"the first sound waits {self.amount:g} ms")
            at += self.amount / 1000
        return [(self.in_order(at), frame)]


class Jitter(Fault):
    """Every frame is late by chance, up to the amount; the order is kept."""

    amount, unit = 200.0, "ms"

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Delay by chance."""
        return [(self.in_order(at + self.chance.uniform(0, self.amount) / 1000), frame)]


class Bursts(Fault):
    """Nothing comes for a while, then everything at once, again and again."""

    amount, unit, least = 500.0, "ms", 1.0

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Hold until the next full interval."""
        interval = self.amount / 1000
        return [(self.in_order((at // interval + 1) * interval), frame)]


class Stalls(Fault):
    """One frame in twenty, at random, is late and delays all frames after it."""

    amount, unit = 2000.0, "ms"

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Delay a frame at random."""
        if self.chance.random() < 0.05:
            self.note(f"{type_ or 'a frame'} stalls for {self.amount:g} ms")
            at += self.amount / 1000
        return [(self.in_order(at), frame)]


class LateDone(Fault):
    """``response.done`` comes late, with everything after it."""

    amount, unit = 3000.0, "ms"

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Hold the end of a response back."""
        if type_ == "response.done":
            self.note(f"response.done waits {self.amount:g} ms")
            at += self.amount / 1000
        return [(self.in_order(at), frame)]


# ── The connection ─────────────────────────────────────────────────────────────────────────────────────────────────


class _MidResponse(Fault):
    """Ends a session's response after a number of deltas."""

    amount, unit, least = 5.0, "deltas", 1.0
    end: Frame = Abort()
    _deltas = 0

    def send(self, frame: Frame, type_: str, at: float) -> Passed:
        """Count deltas, then end the response."""
        self._deltas += type_.endswith(".delta")
        if type_.endswith(".delta") and self._deltas == int(self.amount):
            self.note(f"{type(self.end).__name__.lower()} after {self._deltas} deltas")
            return [(at, frame), (at, self.end)]
        return [(at, frame)]


class CloseMidResponse(_MidResponse):
    """The connection is closed with 1011 in the middle of a response, as by a failing server."""

    end = Shut(1011, "The server had an error while processing your request")


class DropMidResponse(_MidResponse):
    """In the middle of a response the connection breaks off without a close frame (the client sees 1006)."""


class Freezes(_MidResponse):
    """In the middle of a response the server stops reading and writing, and answers no pings, but TCP stays open."""

    end = Freeze()


class SessionExpires(Fault):
    """The session ends soon, as after 60 minutes: error ``session_expired``, close 1001."""

    amount, unit, least, most = 2.0, "seconds", 1.0, 3600.0

    def options(self, options: SimulatorOptions) -> SimulatorOptions:
        """Shorten the session."""
        return replace(options, session_seconds=int(self.amount))


class NoPong(Fault):
    """Pings of the client are not answered; everything else is."""

    pongs = False


class Http429(Fault):
    """The first handshakes are refused with HTTP 429, later ones succeed."""

    amount, unit, least, status = 1.0, "handshakes", 1.0, 429


class Http503(Fault):
    """The first handshakes are refused with HTTP 503, later ones succeed."""

    amount, unit, least, status = 1.0, "handshakes", 1.0, 503


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _FailingResponses(Fault):
    """Every n-th response fails."""

    amount, unit, least = 1.0, "responses to one that fails", 1.0
    code = ""
    _count = 0

    def plan(self) -> response_plan.Plan | None:
        """Return a failing plan for every n-th response."""
        self._count += 1
        if self._count % int(self.amount):
            return None
        self.note(f"response {self._count} fails with {self.code}")
        return [response_plan.Fail(dict(scripted_failures.ERRORS[self.code]))]


class RateLimit(_FailingResponses):
    """Responses fail with ``rate_limit_exceeded``; with an amount of 2, every second response."""

    code = "rate_limit_exceeded"


class ServerError(_FailingResponses):
    """Responses fail with ``server_error``; with an amount of 2, every second response."""

    code = "server_error"


class RejectUpdates(Fault):
    """Every ``session.update`` is refused with an error, and changes nothing."""

    def intercept(self, raw: str) -> list[dict[str, Any]] | None:
        """Refuse the update with an error event."""
        event = _of_type(raw, "session.update")
        if event is None:
            return None
        self.note("session.update is refused")
        refusal = Refusal("server_error", "The server had an error while processing your request. Sorry about that!")
        return [{"type": "error", "event_id": self.event_id(), "error": refusal.error(event.event_id or None, "server_error")}]


class MuteUplink(Fault):
    """Audio from the client is dropped without an error."""

    def intercept(self, raw: str) -> list[dict[str, Any]] | None:
        """Drop appended audio."""
        return None if _of_type(raw, "input_audio_buffer.append") is None else []


PRESETS: dict[str, type[Fault]] = {
    "slow_first_audio": SlowFirstAudio,
    "jitter": Jitter,
    "bursts": Bursts,
    "stalls": Stalls,
    "late_done": LateDone,
    "lost_delta": LostDelta,
    "lost_done": LostDone,
    "no_rate_limits": NoRateLimits,
    "duplicates": Duplicates,
    "reorder": Reorder,
    "huge_frame": HugeFrame,
    "truncated_json": TruncatedJson,
    "unknown_event": UnknownEvent,
    "close_mid_response": CloseMidResponse,
    "drop_mid_response": DropMidResponse,
    "freezes": Freezes,
    "session_expires": SessionExpires,
    "no_pong": NoPong,
    "http_429": Http429,
    "http_503": Http503,
    "rate_limit": RateLimit,
    "server_error": ServerError,
    "reject_updates": RejectUpdates,
    "mute_uplink": MuteUplink,
}
"""All faults by name. The first line of a class's docstring is its description."""


def make(spec: str, chance: random.Random) -> Fault:
    """A fault from ``NAME`` or ``NAME:AMOUNT``. Raises FaultError."""
    name, colon, given = spec.partition(":")
    preset = PRESETS.get(name)
    if preset is None:
        raise FaultError(f"there is no fault {name!r}; there are {', '.join(PRESETS)}")
    if not colon:
        return preset(name, preset.amount, chance)
    if not preset.unit:
        raise FaultError(f"{name} has no amount")
    try:
        amount = float(given)
    except ValueError:
        raise FaultError(f"{name}:{given}: the amount is a number, of {preset.unit}") from None
    if not preset.least <= amount <= preset.most:
        raise FaultError(f"{name}:{given}: from {preset.least:g} to {preset.most:g} {preset.unit}")
    return preset(name, amount, chance)


def refused(faults: Sequence[str], before: int) -> int | None:
    """Return the HTTP status for refusing a handshake, or None; ``before`` is the number of earlier handshakes."""
    for fault in (make(spec, random.Random(0)) for spec in faults):  # noqa: S311  (no chance is taken here)
        if fault.status is not None and before < fault.amount:
            return fault.status
    return None


def described() -> list[tuple[str, str]]:
    """Return every fault with its description: (``jitter:200``, "Every frame is …")."""
    return [
        (f"{name}:{preset.amount:.0f}" if preset.unit else name, _sentence(preset) + (f" ({preset.unit})" if preset.unit else ""))
        for name, preset in PRESETS.items()
    ]


def _sentence(preset: type[Fault]) -> str:
    return (preset.__doc__ or "").partition("\n")[0]


def _of_type(raw: str, type_: str) -> Event | None:
    """Parse a client's event; None for another type."""
    event = parse(raw)
    return event if event.type == type_ else None
