"""Public name of the simulator on a thread: ``from realtime.simulator.running import RunningSimulator``."""

from realtime.simulator.thread import RunningSimulator

__all__ = ["RunningSimulator"]
