"""Child processes of the tests: they end with the test run, also when that is killed."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_us(signum: int = signal.SIGKILL) -> Callable[[], None] | None:
    """Return what ``Popen`` takes as ``preexec_fn``: the child gets a signal when the thread that started it ends.

    None where the system has no such thing: the child's fixture alone ends it there.
    """
    if _libc is None:
        return None

    def ask() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signum)

    return ask
