"""A watch on every simulated session of a test, wherever it runs: its events are the API's, and keep their order."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, get_args
from unittest import mock

from openai.types.realtime import RealtimeServerEvent
from pydantic import Field, TypeAdapter, ValidationError

from realtime.simulator.session.session import SimulatedSession
from tests.realtime.simulator.order import Event, Order, usage_violations

TOLD = 5
"""Violations of a session that are told; the others mostly follow from them."""
SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(
    Annotated[get_args(RealtimeServerEvent)[0], Field(discriminator="type")]  # type: ignore[misc]
)
"""The API's server events as its makers publish them; by ``type``, so that an event cannot pass for another."""


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Read what every session of this process takes and says. Raises AssertionError at the end when a rule was broken."""
    orders: dict[SimulatedSession, Order] = {}
    strange: list[str] = []
    receive, emit, drain = SimulatedSession.receive_text, SimulatedSession.emit, SimulatedSession.events_to_send

    def receive_text(session: SimulatedSession, raw: str) -> None:
        with contextlib.suppress(ValueError, RecursionError):
            if isinstance(event := json.loads(raw), dict):
                orders.setdefault(session, Order()).feed("sent", event)
        receive(session, raw)

    def emit_checked(session: SimulatedSession, type_: str, /, **fields: Any) -> None:
        emit(session, type_, **fields)
        try:
            check(json.loads(session._out[-1]))
        except (AssertionError, ValidationError) as error:
            strange.append(f"{type_}: {error}")

    def events_to_send(session: SimulatedSession) -> list[str]:
        raws, order = drain(session), orders.setdefault(session, Order())
        for raw in raws:
            order.feed("received", json.loads(raw))
        if not session.scheduler.responses() and session.close is None:
            order.rest()
        return raws

    patches = {"receive_text": receive_text, "emit": emit_checked, "events_to_send": events_to_send}
    with mock.patch.multiple(SimulatedSession, **patches):
        yield
    broken = [violation for order in orders.values() for violation in order.violations[:TOLD]] + strange[:TOLD]
    assert not broken, "\n".join(broken)


def check(event: Event) -> None:
    """What is true of every event the simulator ever sends."""
    SERVER_EVENT.validate_python(event)
    assert list(event)[:2] == ["type", "event_id"]
    if "obfuscation" in event:
        assert (len(event["delta"]) + len(event["obfuscation"])) % 16 == 0
    if event["type"] == "error":
        assert list(event["error"]) == ["type", "code", "message", "param", "event_id"]
    if event["type"] == "response.done":
        response = event["response"]
        if response["status"] != "failed" or response["output"]:
            assert usage_violations(response["usage"]) == []
