"""The error tree: whose fault it is, and that each error is a sentence."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from realtime import errors
from realtime.errors import (
    HandshakeRefused,
    InvalidLog,
    InvalidPolicy,
    LocalError,
    RealtimeError,
    RemoteError,
    ToolError,
    Unreachable,
)

TREE = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, RealtimeError)}


def test_the_tree_is_drawn() -> None:
    """The docstring draws every error exactly once, below its parent."""
    drawn = re.findall(r"^(.*?)([A-Z]\w+)", "\n".join(errors.__doc__.splitlines()[2:]), re.MULTILINE)
    parents: dict[int, str] = {}
    for indent, name in drawn:
        parents[len(indent)] = name
        parent = parents.get(max((depth for depth in parents if depth < len(indent)), default=-1))
        assert TREE[name].__base__ is (TREE[parent] if parent else Exception)
        parents = {depth: known for depth, known in parents.items() if depth <= len(indent)}
    assert sorted(name for _, name in drawn) == sorted(TREE)


@pytest.mark.parametrize("name", ["InvalidEvent", "NotConnected", "UnknownProvider", "InvalidFilter", "InvalidPolicy", "InvalidLog"])
def test_our_own_mistakes_are_local(name: str) -> None:
    """What the caller must mend is a LocalError, what the other side did a RemoteError, never both."""
    assert issubclass(TREE[name], LocalError)
    assert not issubclass(TREE[name], (RemoteError, ToolError))


def test_the_other_sides_are_remote() -> None:
    """Connections that fail are nobody's mistake here."""
    assert issubclass(Unreachable, RemoteError)
    assert issubclass(HandshakeRefused, RemoteError)
    assert not any(issubclass(error, LocalError) for error in (RemoteError, ToolError))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InvalidLog(3, "it is no JSON"), "line 3: it is no JSON"),
        (InvalidLog(0, "the file is empty"), "the file is empty"),
        (InvalidPolicy("minutes", "a number is wanted."), "minutes: a number is wanted."),
        (InvalidPolicy("", "it is no object."), "The policy: it is no object."),
        (Unreachable("ws://h:1/", "refused"), "ws://h:1/ could not be reached: refused"),
        (HandshakeRefused("ws://h/", 401, "no key"), "ws://h/ refused the connection with HTTP 401: no key"),
        (HandshakeRefused("ws://h/", 502, ""), "ws://h/ refused the connection with HTTP 502: no body"),
        (ToolError("It rains."), "It rains."),
    ],
)
def test_an_error_is_a_sentence(error: RealtimeError, sentence: str) -> None:
    """``str()`` has the values in it, and an error keeps them when it crosses to another process."""
    assert str(error) == sentence
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), sentence, vars(error))


def test_a_long_answer_is_cut() -> None:
    """A page of HTML for an answer does not fill the screen; the whole of it stays at hand."""
    error = HandshakeRefused("ws://h/", 500, "x" * 10_000)
    assert len(str(error)) < 600
    assert len(error.body) == 10_000


@pytest.mark.parametrize("reason", [
    "no route to inner:9123", "INNER is not there", "Connect call failed ('10.1.2.3', 9123)", "[::1]:9123 said no",
    "at fe80::1:2, port 9123", "2001:db8:0:0:0:0:0:1 is away",
])  # fmt: skip
def test_what_a_client_is_told(reason: str) -> None:
    """Neither a host nor a port nor an IP address is in what a client of the relay is told; the console's page names them."""
    for error in (Unreachable("ws://inner:9123/v1", reason), HandshakeRefused("ws://inner:9123/v1", 502, reason)):
        assert not re.search(r"inner|9123|10\.1|::1|fe80|2001", error.public, re.IGNORECASE)
        assert "inner:9123" in str(error)


def test_what_only_looks_like_an_address_stays() -> None:
    """Times, versions and words are told as they are, and an address that is none breaks nothing."""
    said = "Retry at 12:34:56, with version 1.2.3 of std::vector, in 9123 ms."
    assert Unreachable("ws://inner:9123/v1", said).public == f"The provider could not be reached: {said}"
    assert Unreachable("ws://inner:port/", "no").public == "The provider could not be reached: no"
