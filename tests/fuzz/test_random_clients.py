"""Clients drawn by chance: whatever they do, the API's side keeps its order."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings

from realtime.simulator.input import vad
from tests.fuzz.clients import CLIENTS, Client, Step
from tests.realtime.simulator.watch import watched

FEW, MANY = 200, 1000
"""Clients drawn: in every run, and in the long form."""
RULES: dict[str, Any] = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
SHOWN = 200  # characters of a frame


@settings(max_examples=FEW, **RULES)
@given(drawn=CLIENTS)
def test_order_is_kept_whatever_a_client_does(drawn: tuple[str, list[Step]]) -> None:
    """No sequence of client events, valid or not, makes the simulator break an order; in the end nothing hangs."""
    keep_order(drawn)


@pytest.mark.long
@settings(max_examples=MANY, **RULES)
@given(drawn=CLIENTS)
def test_order_is_kept_whatever_many_clients_do(drawn: tuple[str, list[Step]]) -> None:
    """The same with five times as many clients."""
    keep_order(drawn)


def keep_order(drawn: tuple[str, list[Step]]) -> None:
    """Let a client do what was drawn, and see that the simulator keeps the order of its events."""
    model, steps = drawn
    client = None
    try:
        with watched(), mock.patch.object(vad, "make_detector", lambda: vad.by_energy):  # loudness is quicker than a network
            client = Client(model)
            for step in steps:
                step(client)
            client.settle()
            assert not client.session.scheduler.responses(), "every response ends"
            assert client.session.close is None
    except BaseException as failure:
        if client is not None:
            failure.add_note("\n".join(frame[:SHOWN] for frame in client.log))
        raise
