"""Lines of a file as its bytes come: none is held that is longer than a log's line may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

LONGEST_LINE = 32 * 1024 * 1024
"""Bytes of a line that is still read; the API's longest message has as many."""


class Line(NamedTuple):
    """One line, without its end."""

    number: int
    """From 1."""
    data: bytearray | None
    """None for a line above LONGEST_LINE: its bytes were counted and let go."""
    size: int


def split(chunks: Iterable[bytes]) -> Iterator[Line]:
    """Cut a stream of bytes into lines, at ``\\n`` only, since a frame may hold any other separator."""
    line = bytearray()
    size, number = 0, 1
    for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            size += end - start
            if size <= LONGEST_LINE:
                line += chunk[start:end]
            yield Line(number, line if size <= LONGEST_LINE else None, size)
            line, size, number, start = bytearray(), 0, number + 1, end + 1
        size += len(chunk) - start
        if size <= LONGEST_LINE:
            line += chunk[start:]
        elif line:
            line = bytearray()
    if size:
        yield Line(number, line if size <= LONGEST_LINE else None, size)
