"""Ephemeral keys: how they look, how long they are good, and how many there may be."""

from __future__ import annotations

from realtime.simulator.server import keys as keys_module
from realtime.simulator.server.keys import EphemeralKeys, is_ephemeral

NOW = 1_795_000_000


def test_a_key_is_good_until_it_expires() -> None:
    """A key is found as often as asked for, until its time is over; it brings what it was minted with."""
    time = float(NOW)
    keys = EphemeralKeys(lambda: time)
    key = keys.mint(600, "gpt-realtime", {"type": "realtime"})
    assert (key.expires_at, key.model, key.settings) == (NOW + 600, "gpt-realtime", {"type": "realtime"})
    time += 599.9
    assert keys.find(key.value) is keys.find(key.value) is key
    time += 0.1
    assert keys.find(key.value) is None


def test_a_key_looks_like_the_apis() -> None:
    """``ek_`` and 32 digits, the first eight the time of minting; no two are alike."""
    keys = EphemeralKeys(lambda: NOW)
    one, other = keys.mint(10).value, keys.mint(10).value
    assert is_ephemeral(one)
    assert int(one[3:11], 16) == NOW
    assert one != other
    assert not any(map(is_ephemeral, ("", "sk-test", "ek_test", one + "0", one.upper())))


def test_unknown_keys_are_not_found() -> None:
    """A key of the right form that nobody minted here is no key."""
    assert EphemeralKeys(lambda: NOW).find(EphemeralKeys(lambda: NOW).mint(10).value) is None


def test_keys_are_not_hoarded() -> None:
    """Expired keys go when a new one is made, and of too many the oldest."""
    time = float(NOW)
    keys = EphemeralKeys(lambda: time)
    first = keys.mint(7200)
    for _ in range(keys_module.MOST - 1):
        keys.mint(10)
    assert keys.find(first.value) is first
    last = keys.mint(10)
    assert keys.find(first.value) is None
    assert keys.find(last.value) is last
    time += 11
    new = keys.mint(10)
    assert list(keys._keys) == [new.value]
