"""A thousand clients drawn by chance: whatever they do, the API's side keeps its order."""

from __future__ import annotations

from unittest import mock

from hypothesis import HealthCheck, given, settings

from realtime.simulator.input import vad
from tests.fuzz.clients import CLIENTS, Client, Step
from tests.realtime.simulator.watch import watched

CLIENTS_DRAWN = 1000
SHOWN = 200  # characters of a frame


@settings(max_examples=CLIENTS_DRAWN, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(drawn=CLIENTS)
def test_order_is_kept_whatever_a_client_does(drawn: tuple[str, list[Step]]) -> None:
    """No sequence of client events, valid or not, makes the simulator break an order; in the end nothing hangs."""
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
