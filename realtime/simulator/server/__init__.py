"""The simulator as a server: WebSocket connections and the REST API."""

from realtime.simulator.server.server import SimulatorServer
from realtime.simulator.shared.options import SimulatorOptions

__all__ = ["SimulatorOptions", "SimulatorServer"]
