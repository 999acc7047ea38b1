"""set_memory: what is kept, what is refused, and the memory as the log tells it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import ToolError
from realtime.timeline import Entry
from realtime.tools import ToolContext
from realtime.tools.memory import LONGEST_VALUE, MOST_KEYS, check_key, memory_of, set_memory


class Session:
    """A session with a memory, and the log it tells."""

    def __init__(self, **memory: str) -> None:
        self.told: list[tuple[str, str]] = []
        self.context = ToolContext(dict(memory), lambda key, value: self.told.append((key, value)), "")

    async def set(self, key: str, value: str) -> dict[str, Any]:
        """A call of the tool."""
        return await set_memory.run({"key": key, "value": value}, self.context)


async def test_a_value_is_kept_and_told() -> None:
    """The model's value is in the memory and in the log; the newer one counts."""
    session = Session(name="Ana")
    assert await session.set("favourite_colour", "green") == {"ok": True}
    await session.set("name", "Eva")
    assert session.context.memory == {"name": "Eva", "favourite_colour": "green"}
    assert session.told == [("favourite_colour", "green"), ("name", "Eva")]


@pytest.mark.parametrize("key", ["", "Name", "1st", "_x", "a b", "a-b", "é", "a" * 65, "a\n"])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    """Keys are lower case words joined by underscores; another one changes nothing and is told to the model."""
    session = Session()
    with pytest.raises(ToolError, match="is not a key"):
        await session.set(key, "x")
    assert (session.context.memory, session.told) == ({}, [])


@pytest.mark.parametrize("key", ["a", "a1_b2", "a" * 64])
def test_keys(key: str) -> None:
    """One to 64 characters."""
    check_key(key)


async def test_a_long_value_is_refused() -> None:
    """Values have a limit, which is itself allowed."""
    session = Session()
    await session.set("a", "x" * LONGEST_VALUE)
    with pytest.raises(ToolError, match=r"The value has 2,001 characters; at most 2,000 are kept\."):
        await session.set("b", "x" * (LONGEST_VALUE + 1))
    assert set(session.context.memory) == {"a"}


async def test_a_full_memory_takes_no_more_keys() -> None:
    """A new key is refused, a known one is still changed."""
    session = Session(**{f"key_{number}": "x" for number in range(MOST_KEYS)})
    with pytest.raises(ToolError, match=r"The memory is full: it holds 200 keys\."):
        await session.set("one_more", "x")
    await session.set("key_0", "y")
    assert session.context.memory["key_0"] == "y"
    assert len(session.context.memory) == MOST_KEYS


def note(key: Any, value: Any, kind: str = "memory") -> Entry:
    """A note of a change."""
    return Entry(1, 0, "note", note=kind, data={"key": key, "value": value, "by": "tool"})


def test_the_log_tells_the_memory() -> None:
    """Notes in order: the last value counts, null forgets, other notes and odd keys are nothing."""
    notes = [
        note("a", "1"), note("b", "2"), note("a", "3"), note("b", None), note("never", None), note("c", 4),
        note("d", "x", kind="tool"), note(7, "x"), note(None, "x"), Entry(1, 0, "note", note="memory"),
    ]  # fmt: skip
    assert memory_of(notes) == {"a": "3", "c": "4"}
    assert memory_of([]) == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.text(max_size=3))))
def test_the_memory_is_the_last_word_on_each_key(changes: list[tuple[str, str | None]]) -> None:
    """However often keys are set and forgotten."""
    last = dict(changes)
    assert memory_of(note(*change) for change in changes) == {k: v for k, v in last.items() if v is not None}
