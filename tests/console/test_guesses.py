"""Wrong tokens are counted for each client address, and slowed."""

from __future__ import annotations

import logging

import pytest

from console.guesses import BURST, LOG_EVERY, REFILL, Guesses


class Clock:
    """A clock that stands still."""

    now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of these tests."""
    return Clock()


@pytest.fixture
def guesses(clock: Clock) -> Guesses:
    """A fresh count that remembers three addresses."""
    return Guesses(clock, most=3)


def test_a_burst_and_then_one_at_a_time(guesses: Guesses, clock: Clock) -> None:
    """After some wrong guesses an address has to wait, never longer than for one more."""
    for _ in range(BURST):
        assert guesses.wait("192.0.2.1", "link") == 0
        guesses.wrong("192.0.2.1", "link")
    assert guesses.wait("192.0.2.1", "link") == REFILL
    clock.now += REFILL
    assert guesses.wait("192.0.2.1", "link") == 0
    guesses.wrong("192.0.2.1", "link")
    assert guesses.wait("192.0.2.1", "link") == REFILL


def test_others_need_not_wait(guesses: Guesses) -> None:
    """Another address, and another way of giving the token, have budgets of their own."""
    for _ in range(BURST):
        guesses.wrong("192.0.2.1", "link")
    assert guesses.wait("192.0.2.2", "link") == guesses.wait("192.0.2.1", "bearer") == 0


def test_one_household(guesses: Guesses) -> None:
    """An IPv6 network of a household counts as one; an IPv4 address written as IPv6 as itself."""
    for number in range(BURST):
        guesses.wrong(f"2001:db8::{number:x}", "link")
        guesses.wrong("::ffff:192.0.2.1", "link")
    assert guesses.wait("2001:db8::ffff", "link") > 0
    assert guesses.wait("2001:db8:0:1::1", "link") == 0
    assert guesses.wait("192.0.2.1", "link") > 0


def test_memory_is_bounded(guesses: Guesses) -> None:
    """However many addresses guess, only so many are remembered."""
    for number in range(1000):
        guesses.wrong(f"10.0.{number // 250}.{number % 250}", "link")
    assert len(guesses._budgets) == 3


def test_the_log(guesses: Guesses, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the address, at most once a minute, with how many there were."""
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            guesses.wrong("192.0.2.1", "link")
        clock.now += LOG_EVERY
        guesses.wrong("192.0.2.1", "link")
    assert [record.getMessage() for record in caplog.records] == [
        "Refused 1 wrong token(s) or key(s) from 192.0.2.1 (link).",
        "Refused 5 wrong token(s) or key(s) from 192.0.2.1 (link).",
    ]
