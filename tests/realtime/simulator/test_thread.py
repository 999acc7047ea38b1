"""A simulator on a thread: where it is, what it has seen, and scenarios over a real socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from realtime.simulator.scenarios.steps import Binary, Close, Drop, Emit, Expect, Hang, Malformed, Say, Scenario, Step
from realtime.simulator.shared.options import SimulatorOptions
from realtime.simulator.thread import RunningSimulator
from tests.waiting import PATIENCE

OPTIONS = SimulatorOptions(latency_ms=1, pace=100, voice="tone")


def dial(simulator: RunningSimulator) -> ClientConnection:
    """A client of a simulator; its first event is read."""
    client = connect(f"{simulator.url}?model=gpt-realtime", open_timeout=PATIENCE, close_timeout=PATIENCE)
    assert json.loads(client.recv(PATIENCE))["type"] == "session.created"
    return client


def staged(*steps: Step, sessions: int | None = None) -> RunningSimulator:
    """A simulator with a scenario."""
    return RunningSimulator(SimulatorOptions(latency_ms=1, pace=100, voice="tone", scenario=Scenario(steps, sessions=sessions)))


def answers(client: ClientConnection) -> Iterator[str | bytes]:
    """Frames, for as long as they come."""
    while True:
        yield client.recv(PATIENCE)


def ended(simulator: RunningSimulator, complaints: int) -> list[str]:
    """Complaints, as soon as there are so many: a session ends a moment after its client."""
    end = time.monotonic() + PATIENCE
    while len(simulator.complaints) < complaints and time.monotonic() < end:
        time.sleep(0.01)
    return simulator.complaints


def test_what_has_travelled() -> None:
    """Frames of both directions are kept and can be asked for by type; what is no event is left out."""
    told = []
    with RunningSimulator(OPTIONS) as simulator:
        simulator.wire = lambda direction, raw: told.append((direction, raw))
        with dial(simulator) as client:
            client.send("junk")
            client.send(json.dumps({"type": "input_audio_buffer.clear"}))
            assert [json.loads(client.recv(PATIENCE))["type"] for _ in range(2)] == ["error", "input_audio_buffer.cleared"]
    assert simulator.sent() == [{"type": "input_audio_buffer.clear"}]
    assert [event["type"] for event in simulator.received()] == ["session.created", "error", "input_audio_buffer.cleared"]
    assert len(simulator.received("error")) == 1
    assert told == simulator.frames


def test_where_it_is() -> None:
    """Its addresses suit WebSocket clients and SDKs; REST is on the same port."""
    with RunningSimulator(OPTIONS) as simulator:
        assert simulator.url == f"{simulator.websocket_base_url}/realtime"
        request = Request(f"{simulator.base_url}/realtime/client_secrets", b"{}", {"Authorization": "Bearer sk-any"})
        with urlopen(request, timeout=PATIENCE) as answer:
            assert json.load(answer)["value"].startswith("ek_")


def test_a_port_that_is_taken() -> None:
    """A port somebody else listens on is an OSError, and no thread stays behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        simulator = RunningSimulator(OPTIONS, taken.getsockname()[1])
        with pytest.raises(OSError, match=str(simulator.port)):
            simulator.start()
    assert not simulator._thread.is_alive()


def test_frames_the_api_never_sends() -> None:
    """A scenario can send junk, bytes and a close code, in its order."""
    with staged(Expect("*"), Malformed("text"), Binary(b"\0\1"), Emit({"type": "mine"}), Close(4321, "so there")) as simulator:
        with dial(simulator) as client:
            client.send(json.dumps({"type": "input_audio_buffer.clear"}))
            assert json.loads(client.recv(PATIENCE))["type"] == "input_audio_buffer.cleared"
            assert [client.recv(PATIENCE), client.recv(PATIENCE)] == ["This is not JSON.", b"\0\1"]
            assert json.loads(client.recv(PATIENCE))["type"] == "mine"
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(PATIENCE)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "so there")
    assert simulator.complaints == []


def test_steps_that_were_not_reached() -> None:
    """When a session is over what it has not come to is complained of."""
    with staged(Expect("response.create"), Say("Hello.")) as simulator:
        dial(simulator).close()
        assert ended(simulator, 2) == ["step 1: expect response.create: not reached", "step 2: say Hello.: not reached"]


def test_only_the_first_session() -> None:
    """A scenario may be for the first sessions only: a client that connects again finds everything as ever."""
    with staged(Expect("*"), Drop(), sessions=1) as simulator:
        with dial(simulator) as client:
            client.send("{}")
            with pytest.raises(ConnectionClosed):
                list(answers(client))
        with dial(simulator) as client:
            client.send(json.dumps({"type": "input_audio_buffer.clear"}))
            assert json.loads(client.recv(PATIENCE))["type"] == "input_audio_buffer.cleared"


def test_hanging_for_a_while() -> None:
    """A simulator that hangs goes on where it was, and has read nothing meanwhile."""
    with staged(Expect("*"), Hang(0.3), Emit({"type": "back"})) as simulator, dial(simulator) as client:
        client.send("{}")
        assert json.loads(client.recv(PATIENCE))["type"] == "error"
        client.send(json.dumps({"type": "input_audio_buffer.clear"}))
        with pytest.raises(TimeoutError):
            client.recv(0.1)
        assert [json.loads(client.recv(PATIENCE))["type"] for _ in range(2)] == ["back", "input_audio_buffer.cleared"]
