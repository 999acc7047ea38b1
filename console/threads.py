"""Threads that work beside the event loop: how they let it go first."""

from __future__ import annotations

import os
import sys
import threading

SWITCH_AFTER = 0.0001
"""Seconds a thread may go on with Python code while another one wants to; Python's own 5 ms would be heard as jitter."""
NICE = 5
"""How much more modest such a thread is than the loop, in the system's own measure (0 to 19)."""


def take_turns() -> None:
    """Let this process's threads change places fifty times as often as Python does by itself."""
    sys.setswitchinterval(SWITCH_AFTER)


def give_way() -> None:
    """Let the loop go first from now on; for the thread that calls this.

    Only Linux ranks the threads of one process by themselves. There a frame that comes while the recorder writes would
    else wait for the end of its time slice, 3 to 4 ms, if both share a core.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
