"""Slows down guesses of the console's token: a small budget of wrong ones per client address, which fills up again."""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

BURST = 10
"""Wrong guesses that an address may make at once; people mistype."""
REFILL = 2.0
"""Seconds after which it may make one more."""
MOST = 4096
"""Addresses that are remembered; the one that was quiet longest goes."""
LOG_EVERY = 60.0
"""Seconds between two lines of the log about one address."""


@dataclass(slots=True)
class Budget:
    """What one address may still guess by one way."""

    left: float
    at: float
    """When ``left`` was counted; seconds of the clock."""
    wrong: int = 0
    """Wrong guesses since the last line of the log."""
    logged: float = -math.inf


class Guesses:
    """Counts wrong guesses. An address that has used up its budget is not listened to until it has filled up again.

    Each way of giving the token has a budget of its own: a foreign page on the same machine can make a browser send some
    of them, and must not lock out the programs that use another.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        """``now`` gives seconds."""
        self._now = now
        self._most = most
        self._budgets: OrderedDict[tuple[str, str], Budget] = OrderedDict()

    def wait(self, address: str, way: str) -> int:
        """Whole seconds until a guess of this address is looked at again; 0 when it is looked at now."""
        budget = self._budgets.get((network(address), way))
        if budget is None:
            return 0
        self._fill(budget)
        return 0 if budget.left >= 1 else math.ceil((1 - budget.left) * REFILL)

    def wrong(self, address: str, way: str) -> None:
        """Count a wrong guess, and say so in the log, at most once a minute for each address."""
        key = (network(address), way)
        budget = self._budgets.get(key)
        if budget is None:
            while len(self._budgets) >= self._most:
                self._budgets.popitem(last=False)
            budget = self._budgets[key] = Budget(BURST, self._now())
        self._budgets.move_to_end(key)
        self._fill(budget)
        budget.left = max(0.0, budget.left - 1)
        budget.wrong += 1
        if self._now() - budget.logged >= LOG_EVERY:
            log.warning("Refused %d wrong token(s) or key(s) from %s (%s).", budget.wrong, key[0], way)
            budget.wrong, budget.logged = 0, self._now()

    def _fill(self, budget: Budget) -> None:
        now = self._now()
        budget.left = min(BURST, budget.left + (now - budget.at) / REFILL)
        budget.at = now


def network(address: str) -> str:
    """Whom a guess is counted for: an IPv4 address, or the /64 of an IPv6 one, which is one household's."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed) if parsed.is_loopback else str(ipaddress.ip_network((parsed, 64), strict=False))


guesses = Guesses()
"""This process's count."""
