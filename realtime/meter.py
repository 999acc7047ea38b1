"""Meter: what the console costs a session it relays: time added to each frame, bytes it changed."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any, Literal

Way = Literal["sent", "received"]
"""Towards the API, or from it."""

_FINE = 4
"""Bits of a number that its slot keeps: 16 slots from each power of two to the next, so a figure is 3 % off at most."""
_MOST_US = (1 << 36) - 1
"""Nineteen hours; what took longer counts as that."""
_SLOTS = ((_MOST_US.bit_length() - _FINE - 1) << _FINE) + (2 << _FINE)


class Meter:
    """Counts the frames of one relayed session, the microseconds each was here, and what left otherwise than it came.

    Remembers counts, never frames: its memory is the same after an hour as after a second.
    """

    def __init__(self) -> None:
        self._counts: dict[Way, array[int]] = {"sent": array("I", bytes(4 * _SLOTS)), "received": array("I", bytes(4 * _SLOTS))}
        self._longest: dict[Way, int] = {"sent": 0, "received": 0}
        self.changed_frames = 0
        """Frames that left otherwise than they came."""
        self.changed_bytes = 0
        """What ``difference`` says of them, all together."""
        self.most_waiting = 0
        """The longest queue seen: frames that had come while one was being carried."""

    def forwarded(self, direction: Way, added_us: int) -> None:
        """A frame has left, so many microseconds after it had come."""
        if added_us < 2 << _FINE:
            slot = added_us if added_us > 0 else 0
        else:
            known = added_us if added_us < _MOST_US else _MOST_US
            shift = known.bit_length() - _FINE - 1
            slot = (shift << _FINE) + (known >> shift)
        self._counts[direction][slot] += 1
        if added_us > self._longest[direction]:
            self._longest[direction] = added_us

    def changed(self, by: int) -> None:
        """A frame left otherwise than it came, by so many bytes (``difference``); one withheld or added counts whole."""
        self.changed_frames += 1
        self.changed_bytes += by

    def waited(self, frames: int) -> None:
        """So many frames had come behind the one that was just carried."""
        if frames > self.most_waiting:
            self.most_waiting = frames

    def frames(self, direction: Way) -> int:
        """How many frames were forwarded that way."""
        return sum(self._counts[direction])

    def percentile(self, direction: Way, q: float) -> int | None:
        """Microseconds that ``q`` per cent of the frames needed at most (50: the median), within 5 %; None without frames."""
        total = self.frames(direction)
        if not total:
            return None
        rank = max(1, math.ceil(total * q / 100))
        seen = 0
        for slot, count in enumerate(self._counts[direction]):
            seen += count
            if seen >= rank:
                return min(_middle(slot), self._longest[direction])
        return self._longest[direction]

    def line(self) -> str:
        """One sentence for page and log: added p50 / p99 both ways, and what was changed."""
        ways = [told for told in (self._told("sent", "to the API"), self._told("received", "back")) if told]
        total = self.frames("sent") + self.frames("received")
        added = f"added {', '.join(ways)} (p50 / p99 of {_counted(total, 'frame')})" if ways else "carried no frames"
        waiting = f", up to {_counted(self.most_waiting, 'frame')} waiting" if self.most_waiting else ""
        return f"{added}, changed {_counted(self.changed_bytes, 'byte')} in {_counted(self.changed_frames, 'frame')}{waiting}"

    def facts(self) -> dict[str, Any]:
        """The same as JSON; times in microseconds, null where no frame went that way."""
        ways: tuple[Way, Way] = ("sent", "received")
        return {
            **{
                way: {
                    "frames": self.frames(way),
                    "p50_us": self.percentile(way, 50),
                    "p99_us": self.percentile(way, 99),
                    "longest_us": self._longest[way] if self.frames(way) else None,
                }
                for way in ways
            },
            "changed_bytes": self.changed_bytes,
            "changed_frames": self.changed_frames,
            "most_waiting": self.most_waiting,
        }

    def _told(self, direction: Way, whither: str) -> str:
        half, most = self.percentile(direction, 50), self.percentile(direction, 99)
        return "" if half is None or most is None else f"{_ms(half)} / {_ms(most)} ms {whither}"


def difference(came: str, left: Sequence[str]) -> int:
    """By how many bytes of UTF-8 what left differs from the frame that came; 0 only for the very same text.

    What both have at the beginning and at the end is the same; of what stands between, the longer side counts. So a
    field that was put in counts its own bytes, and so does one that was taken out. Of several frames in place of one,
    the first is compared and each further one counts whole; a frame in place of which none left counts whole.
    """
    if not left:
        return _size(came)
    before, after = _bytes(came), _bytes(left[0])
    further = sum(map(_size, left[1:]))
    if before == after:
        return further
    shorter = min(len(before), len(after))
    head = _alike(before, after, shorter)
    tail = _alike_at_the_end(before, after, shorter - head)
    return max(len(before), len(after)) - head - tail + further


def _alike(one: bytes, other: bytes, most: int) -> int:
    """How many bytes two texts have in common at the beginning; halving, so that C does the comparing."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _alike_at_the_end(one: bytes, other: bytes, most: int) -> int:
    return _alike(one[len(one) - most :][::-1], other[len(other) - most :][::-1], most)


def _bytes(raw: str) -> bytes:
    return raw.encode("utf-8", "surrogatepass")


def _size(raw: str) -> int:
    return len(raw) if raw.isascii() else len(_bytes(raw))


def _middle(slot: int) -> int:
    """The number in the middle of those a slot counts."""
    shift = max(0, (slot >> _FINE) - 1)
    lowest = (slot - (shift << _FINE)) << shift
    return lowest + ((1 << shift) - 1) // 2


def _ms(us: int) -> str:
    """Microseconds as milliseconds, with as many digits as say something."""
    digits = 3 if us < 10 else 2 if us < 10_000 else 1
    return f"{us / 1000:,.{digits}f}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
