"""The built-in API: the Realtime API on localhost, for people and for tests, with nothing to pay and no key.

Programs import from here: a server (``SimulatorServer``, or ``RunningSimulator`` on a thread), its options, and the steps of
scenarios. The modules below may move.
"""

from realtime.simulator.faults.base import FaultError
from realtime.simulator.scenarios.loader import load
from realtime.simulator.scenarios.steps import (
    Binary,
    Call,
    Close,
    Delay,
    Drop,
    Emit,
    Error,
    Expect,
    Fail,
    Hang,
    Malformed,
    Repeat,
    Say,
    Scenario,
    ScenarioError,
    Step,
    Until,
)
from realtime.simulator.server.server import SimulatorServer
from realtime.simulator.shared.options import SimulatorOptions
from realtime.simulator.thread import RunningSimulator

__all__ = [
    "Binary",
    "Call",
    "Close",
    "Delay",
    "Drop",
    "Emit",
    "Error",
    "Expect",
    "Fail",
    "FaultError",
    "Hang",
    "Malformed",
    "Repeat",
    "RunningSimulator",
    "Say",
    "Scenario",
    "ScenarioError",
    "SimulatorOptions",
    "SimulatorServer",
    "Step",
    "Until",
    "load",
]
