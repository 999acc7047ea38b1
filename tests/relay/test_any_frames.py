"""Whatever either side sends, however it ends: the relay passes it on, byte for byte, and the log is complete."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.conftest import Console
from tests.relay.stage import HELLO, Api, Row, dial, got, log, own, session_of, stored
from tests.relay.wire import Message
from tests.waiting import PATIENCE

Connection = ClientConnection | ServerConnection


def append(pcm: bytes) -> str:
    """Sound as the event that carries it."""
    return '{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(pcm).decode() + '"}'


class Long(str):
    """A text that a report of a failure does not print: hypothesis warns of that, and the failure would not be seen."""

    def __repr__(self) -> str:
        """How it begins, and how long it is."""
        return f"<{self[:60]!r} and so on, {len(self)} characters>"


HUGE = 3_000_000
"""Characters; beyond every buffer on the way."""
TEXTS = st.one_of(
    st.text(max_size=200),
    st.sampled_from(["", "{", "null", '{"type":"response.create"}', '{ "type" : "x", "n":1.0e2 }', "\u2028\0é💥", Long("é" * 70_000)]),
    st.integers(1, 255).map(lambda n: append(bytes([n]) * 960)),
    st.just(Long('{"type":"conversation.item.create","item":"' + "x" * HUGE + '"}')),
)
MESSAGES: st.SearchStrategy[Message] = st.one_of(TEXTS, TEXTS, TEXTS, st.binary(max_size=300))
REASONS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40)
CODES = st.one_of(st.sampled_from([1000, 1001, 1011, 1012, 3000]), st.integers(3000, 4999))


@dataclass(frozen=True)
class End:
    """How one side ends it."""

    by: str
    how: str
    """``close``, ``no code``, ``abort``, or ``bad text``: UTF-8 that is none."""
    code: int = 1000
    reason: str = ""
    waits: bool = True
    """Whether it has first got all that the other side has to say."""


@pytest.mark.slow
@pytest.mark.parametrize("by", ["client", "api"])
@pytest.mark.parametrize("how", ["close", "no code", "abort", "bad text"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large])
@given(
    sent=st.lists(MESSAGES, max_size=12),
    told=st.lists(MESSAGES, max_size=12),
    pieces=st.integers(1, 4),
    end=st.tuples(CODES, REASONS, st.booleans()),
    early=st.booleans(),
)
async def test_any_frames(
    relay: Console, api: Api, by: str, how: str, sent: list[Message], told: list[Message], pieces: int,
    end: tuple[int, str, bool], early: bool,
) -> None:  # fmt: skip
    """Both sides get what the other has sent, in order, whole, as text or binary; the close is mirrored; all is in the log."""
    await story(relay, api, sent, told, pieces, End(by, how, *end), early)


async def story(
    relay: Console, api: Api, sent: list[Message], told: list[Message], pieces: int, end: End, early: bool
) -> None:
    """One session, and what is true of it."""
    if early:
        api.answers.clear()
    async with dial(relay) as program:
        head = sent[: len(sent) // 2] if early else []
        await say(program, head, pieces)
        api.answers.set()
        talk = await api.talk()
        await talk.send(HELLO)
        assert await got(program) == HELLO
        at_api, at_client = Ear(talk), Ear(program)
        expected = [appended(message) for message in sent]
        client = speak(program, sent[len(head) :], pieces, end if end.by == "client" else None, at_client, len(told))
        upstream = speak(talk, told, pieces, end if end.by == "api" else None, at_api, len(sent))
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(client, upstream, at_api.closed, at_client.closed)
    rows = await log(relay, session_of(program))
    ended = rows[-1]
    speaker, listener = (at_api, at_client) if end.by == "client" else (at_client, at_api)
    said, heard = (expected, told) if end.by == "client" else (told, expected)
    assert listener.got == heard[: len(listener.got)]
    if end.waits:
        assert listener.got == heard
    assert speaker.got == said[: len(speaker.got)]
    if end.how != "abort":
        assert speaker.got == said
    recorded(rows, sent, told, at_api.got, at_client.got)
    assert ended["by"] == ("client" if end.by == "client" else "server")
    if end.how == "close":
        assert (speaker.code, speaker.reason) == (end.code, end.reason)
        assert (ended["code"], ended["reason"]) == (end.code, end.reason)
    elif end.how == "no code":
        assert speaker.code == 1005
    elif end.how == "abort":
        assert speaker.code is None


def recorded(rows: list[Row], sent: list[Message], told: list[Message], at_api: list[Message], at_client: list[Message]) -> None:
    """Everything that arrived anywhere is in the log, as it was, and nothing that was not said."""
    up, down = stored(rows, "sent", "upstream"), stored(rows, "received", "client")[1:]
    all_sent, all_told = own(*map(appended, sent)), own(*told)
    assert up == all_sent[: len(up)]
    assert len(up) >= len(at_api)
    assert down == all_told[: len(down)]
    assert len(down) >= len(at_client)
    assert [row["seq"] for row in rows[1:]] == list(range(1, len(rows)))


def appended(message: Message) -> Message:
    """What the API gets of a client's message: sound that came in a binary one as an append."""
    return message if isinstance(message, str) else append(message)


class Ear:
    """Takes what arrives at one end until it is over."""

    def __init__(self, connection: Connection) -> None:
        self.got: list[Message] = []
        self.code: int | None = None
        self.reason = ""
        self.news = asyncio.Event()
        self.closed = asyncio.ensure_future(self._listen(connection))

    async def _listen(self, connection: Connection) -> None:
        try:
            while True:
                self.got.append(await connection.recv())
                self.news.set()
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                self.code, self.reason = closed.rcvd.code, closed.rcvd.reason

    async def until(self, count: int) -> None:
        """Wait until so many messages are there, or no more come."""
        while len(self.got) < count and not self.closed.done():
            self.news.clear()
            await asyncio.wait([asyncio.ensure_future(self.news.wait()), self.closed], return_when=asyncio.FIRST_COMPLETED)


async def speak(connection: Connection, messages: list[Message], pieces: int, end: End | None, ear: Ear, other: int) -> None:
    """Say all of it, then end the connection if that is asked; the other side may be gone before."""
    try:
        await say(connection, messages, pieces)
    except ConnectionClosed:
        return
    if end is None:
        return
    if end.waits:
        await ear.until(other)
    ends: dict[str, Callable[[], Any]] = {
        "no code": connection.protocol.send_close,
        "bad text": lambda: connection.protocol.send_text(b"\xff\xfe"),
    }
    if end.how == "close":
        await connection.close(end.code, end.reason)
    elif end.how == "abort":
        connection.transport.abort()
    else:
        ends[end.how]()
        connection.send_data()


async def say(connection: Connection, messages: list[Message], pieces: int) -> None:
    """Send messages, each as so many frames as it can be."""
    for message in messages:
        if pieces == 1 or len(message) < pieces:
            await connection.send(message)
        else:
            size = -(-len(message) // pieces)
            await connection.send([message[at : at + size] for at in range(0, len(message), size)])
