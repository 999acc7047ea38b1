"""Hang detection: how long the process that writes may say nothing before it counts as one that hangs."""

from __future__ import annotations

OVERDUE = 3.0
"""Seconds without a word, while there is something to store, after which a process hangs."""
LOADING = 8.0
"""Seconds the same until its first word: it has to start and to load."""
MOST = 30.0
"""Seconds that nothing makes longer."""
SLOWER = 2.0
"""How much longer than its longest silence of late, after which it went on, it may be silent; and each after one that hung."""
FORGET = 0.9
"""What is left of that longest silence with each batch that is stored."""


class HangDetector:
    """Judges one process after the other. Not for several threads at once.

    A machine that is merely slow makes all silences longer, and a silence that ended lengthens what is allowed: so no
    process after the other is ended on it. Time is counted in looks: while this process itself is held up none passes.
    """

    def __init__(self) -> None:
        self._silent = 0.0
        """Seconds of the looks since the last word."""
        self._longest = 0.0
        self._factor = 1.0
        self._loaded = self._replacing = self._working = False
        self.late = False
        """Whether this process was found to hang."""

    def begin(self, replacing: bool) -> None:
        """Judge a new process; ``replacing``: one that says when it begins a batch."""
        self._silent, self._loaded, self._working, self.late = 0.0, False, False, False
        self._replacing = replacing

    def may_have_begun(self, status: int) -> bool:
        """Whether it had begun to store what it was given first when it ended, as far as that can be known.

        One that has taken over says when it begins; and one that fails by itself (``status`` above 0) fails over
        something, while a signal may come from anywhere, at any time.
        """
        return self._loaded and (self._working or not self._replacing or status > 0)

    @property
    def allowed(self) -> float:
        """Seconds it may be silent now."""
        least = OVERDUE if self._loaded else LOADING
        return min(MOST, max(least, self._longest * SLOWER) * self._factor)

    def hear(self, *, done: bool) -> None:
        """Take a word of it: that it has loaded, that it is at work, that it is held up, or that something is stored."""
        if self._loaded:
            self._longest = max(self._longest, self._silent)
        self._working = self._loaded and not done
        self._loaded = True
        self._silent = 0.0
        if done:
            self._longest *= FORGET
            self._factor = 1.0

    def look(self, seconds: float) -> bool:
        """Count one look, so many seconds after the last, at a process that has something to store.

        Returns whether it hangs; at most once for a process.
        """
        if self.late:
            return False
        self._silent += seconds
        if self._silent <= self.allowed:
            return False
        self.late = True
        self._factor *= SLOWER
        return True
