"""Ids in the API's form: a prefix, five characters of time, sixteen random, all base62."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
EPOCH = 1_576_800_000
"""Unix seconds at which the API's ids begin to count (derived from recorded ids of 2025 and 2026)."""


class Ids:
    """Makes ids. A seeded ``chance`` gives the same ids in the same order."""

    def __init__(self, chance: random.Random, now: Callable[[], float]) -> None:
        """``now`` gives unix seconds."""
        self.chance = chance
        self.now = now

    def make(self, prefix: str) -> str:
        """``item_ElXmqEby6vK111fY0yuOh``: for events, items, responses, sessions and conversations."""
        return f"{prefix}_{_base62(int(self.now()) - EPOCH)}{self.random(16)}"

    def call(self) -> str:
        """``call_`` and sixteen characters: a function call's id holds no time."""
        return f"call_{self.random(16)}"

    def padding(self, delta: str) -> str:
        """Return the ``obfuscation`` of a text delta: pads to a multiple of 16 characters, to hide the words' lengths on the
        wire. For deltas of 16 and more characters it is unconfirmed."""
        return self.random(-len(delta) % 16)

    def random(self, length: int) -> str:
        """Characters of chance."""
        return "".join(self.chance.choices(ALPHABET, k=length))


def _base62(number: int) -> str:
    digits = ""
    while number > 0:
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits.rjust(5, "0")
