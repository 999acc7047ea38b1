"""Ephemeral keys: minted with a session's settings, valid for any number of sessions until they expire."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MOST = 1_000
"""Keys kept; above the limit the oldest is dropped."""
_FORM = re.compile(r"ek_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class EphemeralKey:
    """An ephemeral key."""

    value: str
    expires_at: int
    """Unix seconds."""
    model: str = ""
    """The model of its sessions; empty: the client chooses."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Initial settings of its sessions, in the form of a ``session.update``; empty: the API's defaults."""


class EphemeralKeys:
    """The ephemeral keys of one simulator."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` gives unix seconds."""
        self.now = now
        self._keys: dict[str, EphemeralKey] = {}

    def mint(self, seconds: int, model: str = "", settings: dict[str, Any] | None = None) -> EphemeralKey:
        """Mint a key valid for ``seconds``: ``ek_``, eight digits of time, 24 random (seen in recorded traffic)."""
        at = int(self.now())
        key = EphemeralKey(f"ek_{at:08x}{secrets.token_hex(12)}", at + seconds, model, settings or {})
        self._keys = {value: kept for value, kept in self._keys.items() if kept.expires_at > at}
        while len(self._keys) >= MOST:
            del self._keys[next(iter(self._keys))]
        self._keys[key.value] = key
        return key

    def find(self, value: str) -> EphemeralKey | None:
        """Return a valid key, or None."""
        key = self._keys.get(value)
        return key if key is not None and self.now() < key.expires_at else None


def is_ephemeral(value: str) -> bool:
    """Return True for a key in the form of those minted here."""
    return _FORM.fullmatch(value) is not None
