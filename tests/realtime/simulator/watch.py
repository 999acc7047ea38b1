"""A watch on every simulated session of a test, wherever it runs: its events keep their order."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from unittest import mock

from realtime.simulator.session import SimulatedSession
from tests.realtime.simulator.order import Order

TOLD = 5
"""Violations of a session that are told; the others mostly follow from them."""


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Read what every session of this process takes and says. Raises AssertionError at the end when an order was broken."""
    orders: dict[SimulatedSession, Order] = {}
    receive, drain = SimulatedSession.receive_text, SimulatedSession.events_to_send

    def receive_text(session: SimulatedSession, raw: str) -> None:
        with contextlib.suppress(ValueError, RecursionError):
            if isinstance(event := json.loads(raw), dict):
                orders.setdefault(session, Order()).feed("sent", event)
        receive(session, raw)

    def events_to_send(session: SimulatedSession) -> list[str]:
        raws, order = drain(session), orders.setdefault(session, Order())
        for raw in raws:
            order.feed("received", json.loads(raw))
        if not session.responses() and session.close is None:
            order.rest()
        return raws

    with mock.patch.multiple(SimulatedSession, receive_text=receive_text, events_to_send=events_to_send):
        yield
    broken = [violation for order in orders.values() for violation in order.violations[:TOLD]]
    assert not broken, "\n".join(broken)
