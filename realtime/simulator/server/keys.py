"""Ephemeral keys: minted with a session's settings, good for as many sessions as begin before they expire."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MOST = 1_000
"""Keys that are kept; when there are more, the oldest goes."""
_FORM = re.compile(r"ek_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class EphemeralKey:
    """One key."""

    value: str
    expires_at: int
    """Unix seconds."""
    model: str = ""
    """What its sessions speak with; empty: whatever their client asks for."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What its sessions begin with, in the form of a ``session.update``; empty: the API's own defaults."""


class EphemeralKeys:
    """The ephemeral keys of one simulator."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` gives unix seconds."""
        self.now = now
        self._keys: dict[str, EphemeralKey] = {}

    def mint(self, seconds: int, model: str = "", settings: dict[str, Any] | None = None) -> EphemeralKey:
        """A new key that is good for so many seconds: ``ek_``, eight digits of time, 24 of chance (seen in recorded traffic)."""
        at = int(self.now())
        key = EphemeralKey(f"ek_{at:08x}{secrets.token_hex(12)}", at + seconds, model, settings or {})
        self._keys = {value: kept for value, kept in self._keys.items() if kept.expires_at > at}
        while len(self._keys) >= MOST:
            del self._keys[next(iter(self._keys))]
        self._keys[key.value] = key
        return key

    def find(self, value: str) -> EphemeralKey | None:
        """A key that is good now."""
        key = self._keys.get(value)
        return key if key is not None and self.now() < key.expires_at else None


def is_ephemeral(value: str) -> bool:
    """Whether a key has the form of those minted here."""
    return _FORM.fullmatch(value) is not None
