"""Keys of the relay's own: those people make, of which only a digest is kept, and the ephemeral ones, in memory only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from console import columns
from console.models import RelayKey
from realtime.errors import InvalidPolicy, LocalError
from realtime.policy import Policy

PREFIX = "sk-relay-"
"""What these keys begin with: as a provider's own do, so that whatever masks those masks these."""
ALPHABET = string.digits + string.ascii_letters
LENGTH = 43
"""Base62 characters behind the prefix: 256 bits, which nobody guesses, so that a quick digest protects them."""
TOUCH_EVERY = timedelta(minutes=1)
"""How exactly it is known when a key was used last: writing it costs more than asking for it."""
MOST = 10_000
"""Ephemeral keys that are kept; when there are more, the oldest goes."""


class NameTaken(LocalError):
    """Raised when a key is to be made under a name another one has, or had before it was revoked."""


class NoSuchKey(LocalError):
    """Raised when no usable key has the name that was given."""


def make(name: str, provider: str = "", policy: Any = None) -> tuple[RelayKey, str]:
    """Make a key; the text is given here and never again. An empty ``provider`` stands for the default one.

    Raises NameTaken, and InvalidPolicy for a policy that cannot be read.
    """
    limits = Policy.read(policy).to_json()
    if not columns.holds(limits):
        raise InvalidPolicy("", "it holds NUL or a number that no database keeps.")
    key = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    values = {"digest": digest(key), "hint": key[-4:], "provider": provider, "policy": limits}
    made, fresh = RelayKey.objects.get_or_create(name=name, defaults=values)
    if not fresh:
        raise NameTaken(f"There is already a key “{name}”{' (revoked)' if made.revoked_at else ''}: give this one another name.")
    return made, key


def digest(key: str) -> str:
    """What is kept of a key: its SHA-256, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def find(key: str) -> RelayKey | None:
    """The key with this text, also one that was revoked: whoever asks looks at ``revoked_at`` and says so.

    The index is asked for the digest, so how long it takes tells nothing of the key; the comparison takes the same time
    wherever the two differ.
    """
    made = RelayKey.objects.filter(digest=digest(key)).first()
    return made if made is not None and hmac.compare_digest(made.digest, digest(key)) else None


def by_id(key_id: int) -> RelayKey | None:
    """A key that is still good; for the ephemeral ones made with it."""
    return RelayKey.objects.usable().filter(pk=key_id).first()


def revoke(name: str) -> RelayKey:
    """Make a key useless from now on, with every ephemeral key made with it. Raises NoSuchKey."""
    key = RelayKey.objects.usable().filter(name=name).first()
    if key is None:
        raise NoSuchKey(f"There is no key “{name}” that could be revoked.")
    key.revoked_at = timezone.now()
    key.save(update_fields=["revoked_at"])
    ephemerals.drop(key.pk)
    return key


def revoked_among(key_ids: Collection[int]) -> list[int]:
    """Those of these keys that are good no longer."""
    return list(RelayKey.objects.filter(pk__in=key_ids).exclude(revoked_at=None).values_list("pk", flat=True))


def touch(key: RelayKey) -> None:
    """Note that a key was used; written at most once a minute."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at >= TOUCH_EVERY:
        RelayKey.objects.filter(pk=key.pk).update(last_used_at=now)


def settle(key_id: int, dollars: float, dearest: float) -> RelayKey | None:
    """Add to what a key has spent, in US$, and raise its dearest response; the key as it is then, None if it is gone.

    The database adds, so nothing is lost to a ``--reset`` by another process between two calls.
    """
    with transaction.atomic():
        keys = RelayKey.objects.filter(pk=key_id)
        if dollars:
            keys.update(spent_usd=F("spent_usd") + dollars)
        if dearest:
            keys.filter(dearest_usd__lt=dearest).update(dearest_usd=dearest)
        return keys.first()


def reset(name: str) -> RelayKey:
    """Set what a key has spent to zero. A running console notices within seconds. Raises NoSuchKey."""
    key = RelayKey.objects.usable().filter(name=name).first()
    if key is None:
        raise NoSuchKey(f"There is no key “{name}” whose account could be reset.")
    key.spent_usd = 0.0
    key.save(update_fields=["spent_usd"])
    return key


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A key a client may have for a while, and what it stands for."""

    value: str = field(repr=False)
    expires_at: int
    """Unix seconds."""
    provider: str
    upstream_key: str = field(default="", repr=False)
    """What goes upstream in its place; empty: the provider's own key."""
    relay_key: int | None = None
    """Id of the relay key it was made with; None: made by the console's own page."""
    policy: Policy = field(default_factory=Policy)
    session: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The GA session it was made for, when the API does not know of it."""
    model: str = ""
    """The model it was made for."""


class Ephemerals:
    """The ephemeral keys of this process: nowhere written, gone with it."""

    def __init__(self, now: Callable[[], float] = time.time, most: int = MOST) -> None:
        """``now`` gives unix seconds."""
        self.now = now
        self.most = most
        self._keys: dict[str, Ephemeral] = {}
        """By digest, oldest first: a lookup by digest takes as long for a good guess as for a bad one."""

    def mint(self, provider: str, expires_at: int, **stands_for: Any) -> Ephemeral:
        """A new key: ``ek_``, eight digits of the time, 24 of chance (protocol 1.3). ``stands_for``: Ephemeral's fields."""
        at = int(self.now())
        key = Ephemeral(f"ek_{at:08x}{secrets.token_hex(12)}", expires_at, provider, **stands_for)
        self._keys = {name: kept for name, kept in self._keys.items() if kept.expires_at > at}
        while len(self._keys) >= self.most:
            del self._keys[next(iter(self._keys))]
        self._keys[digest(key.value)] = key
        return key

    def find(self, value: str) -> Ephemeral | None:
        """A key that is good now."""
        key = self._keys.get(digest(value))
        if key is None or self.now() >= key.expires_at:
            return None
        return key if hmac.compare_digest(key.value.encode(), value.encode()) else None

    def drop(self, relay_key: int) -> None:
        """Forget the keys made with a relay key."""
        self._keys = {name: kept for name, kept in self._keys.items() if kept.relay_key != relay_key}


ephemerals = Ephemerals()
"""This process's ephemeral keys."""
