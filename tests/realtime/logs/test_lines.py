"""Lines: any cutting of the bytes gives the same ones, and none is held that is too long."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.logs import lines


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_where_the_stream_is_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    """However a file's bytes arrive, its lines and their numbers are the same."""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(places)]
    expected = data.split(b"\n")
    expected = expected if expected[-1] else expected[:-1]
    assert [(line.number, line.data, line.size) for line in lines.split(chunks)] == [
        (number, line, len(line)) for number, line in enumerate(expected, 1)
    ]


def test_a_line_too_long_is_counted_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line above the limit comes without its bytes, with its size; those around it come whole."""
    monkeypatch.setattr(lines, "LONGEST_LINE", 10)
    found = list(lines.split([b"a\n", b"x" * 8, b"x" * 8, b"x\nb", b"b\n", b"y" * 11]))
    assert found == [(1, b"a", 1), (2, None, 17), (3, b"bb", 2), (4, None, 11)]


def test_a_line_too_long_is_never_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a line without an end arrives, no more of it is held than a line may have."""
    monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
    held = []

    def chunks() -> Iterator[bytes]:
        for _ in range(1000):
            held.append(max((len(cell) for cell in (splitting.gi_frame.f_locals.get("line", b""),)), default=0))
            yield b"x" * 100

    splitting = lines.split(chunks())
    assert [line.size for line in splitting] == [100_000]
    assert max(held) <= 1000
