"""How sessions end, in every order of events: codes and reasons travel both ways, and nobody is left behind."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from tests.conftest import Console, csrf_of, start_console
from tests.relay.conftest import start_uvicorn
from tests.relay.stage import BOTH, CONSOLES_KEY, Api, dial, ended, got, joined, log, notes, port_of, session_of, until
from tests.relay.wire import Tap, frames

CLOSES = [(1000, ""), (1000, "done"), (1001, "é" * 61), (3000, "invalid_request_error.invalid_api_key"), (4999, "own")]
"""Codes and reasons that travel; 123 bytes is the longest reason."""


@BOTH
@pytest.mark.parametrize(("code", "reason"), CLOSES)
async def test_the_client_closes(relay: Console, api: Api, code: int, reason: str) -> None:
    """The API is told the client's code and reason, and the client is answered with them; the log names the client."""
    async with joined(relay, api) as (program, talk):
        await program.send("the last word")
        await program.close(code, reason)
        assert program.protocol.close_rcvd is not None
        assert program.protocol.close_rcvd.code == code
        assert await got(talk) == "the last word"
        assert await ended(talk) == (code, reason)
    rows = await log(relay, session_of(program))
    assert (rows[-1]["by"], rows[-1]["code"], rows[-1]["reason"]) == ("client", code, reason)


@BOTH
@pytest.mark.parametrize(("code", "reason"), [*CLOSES, (1011, "server error"), (1013, "try again")])
async def test_the_api_closes(relay: Console, api: Api, code: int, reason: str) -> None:
    """The client is told the API's code and reason, after the last frame; the log names the server."""
    async with joined(relay, api) as (program, talk):
        await talk.send('{"type":"error"}')
        await talk.close(code, reason)
        assert await got(program) == '{"type":"error"}'
        assert await ended(program) == (code, reason)
    rows = await log(relay, session_of(program))
    assert (rows[-1]["by"], rows[-1]["code"], rows[-1]["reason"]) == ("server", code, reason)


def close_without_code(connection: ClientConnection | ServerConnection) -> None:
    """A close frame with nothing in it, which the library's own ``close`` does not know."""
    connection.protocol.send_close()
    connection.send_data()


@BOTH
async def test_a_close_without_a_code(relay: Console, api: Api) -> None:
    """A close frame without a code reaches the API as one; the reserved 1005 is never written."""
    async with joined(relay, api) as (program, talk):
        close_without_code(program)
        assert await ended(talk) == (1005, "")


async def test_an_api_that_closes_without_a_code(relay: Console, api: Api) -> None:
    """The other way round: the client gets a close frame without a code, too."""
    async with joined(relay, api) as (program, talk):
        close_without_code(talk)
        assert await ended(program) == (1005, "")


@BOTH
async def test_a_client_that_vanishes(relay: Console, api: Api) -> None:
    """A broken line breaks the API's: no close frame is made up for it."""
    async with joined(relay, api) as (program, talk):
        program.transport.abort()
        code, _ = await ended(talk)
        assert code is None or ("uvicorn" in relay.log.parent.name and code == 1005)  # uvicorn does not tell the two apart
    assert (await log(relay, session_of(program)))[-1]["by"] == "client"


@BOTH
async def test_an_api_that_vanishes(relay: Console, api: Api) -> None:
    """A broken line breaks the client's: nothing tells it that all was well."""
    async with joined(relay, api) as (program, talk):
        talk.transport.abort()
        assert await ended(program) == (None, "")
    rows = await log(relay, session_of(program))
    assert (rows[-1]["by"], rows[-1]["code"]) == ("server", None)
    assert "vanished" in rows[-1]["reason"]


LONG, LONGEST = "x" * 400_000, "x" * 12_000_000
"""What a side that does not read takes in only partly: the rest waits in the system's buffers, or they are full, too."""


@BOTH
async def test_what_a_client_said_before_it_vanished(relay: Console, api: Api) -> None:
    """All of it reaches the API, also what that had not read yet when the line broke."""
    async with joined(relay, api) as (program, talk):
        talk.transport.pause_reading()
        await program.send(LONGEST)
        program.transport.close()
        await asyncio.sleep(0.5)  # nothing shows from outside that the relay has let go of the API
        talk.transport.resume_reading()
        assert await got(talk) == LONGEST
        code, _ = await ended(talk)
        assert code is None or ("uvicorn" in relay.log.parent.name and code == 1005)  # uvicorn does not tell the two apart


@BOTH
@pytest.mark.parametrize("breaks", ["the line", "the protocol"])
async def test_what_the_api_said_before_it_vanished(relay: Console, api: Api, breaks: str) -> None:
    """All of it reaches the client, also what that had not read yet, whether the line broke or what came was no WebSocket."""
    async with joined(relay, api) as (program, talk):
        program.transport.pause_reading()
        await talk.send(LONG)
        if breaks == "the line":
            talk.transport.close()
        else:
            talk.transport.write(bytes([0x81, 2]) + b"\xff\xfe")  # text that is no UTF-8
        await log(relay, session_of(program))
        await asyncio.sleep(0.2)  # the client is let go of when the log has been closed
        program.transport.resume_reading()
        assert await got(program) == LONG
        assert await ended(program) == (None, "")


@BOTH
@pytest.mark.parametrize("vanishes", [False, True])
async def test_a_client_that_leaves_before_the_api_has_answered(relay: Console, api: Api, vanishes: bool) -> None:
    """The dialling is given up: no connection stays open, billed and without an owner."""
    api.answers.clear()
    async with dial(relay) as program:
        await until(lambda: api.asked, "the API being dialled")
        await program.send('{"type":"response.create"}')
        if vanishes:
            program.transport.abort()
        else:
            await program.close(1000, "changed my mind")
    await until(lambda: api.given_up == 1, "the dialling being given up")
    rows = await log(relay, session_of(program))
    assert rows[-1]["by"] == "client"


@BOTH
async def test_what_is_said_before_the_api_answers(relay: Console, api: Api) -> None:
    """A client may talk at once: its frames wait and arrive in order."""
    api.answers.clear()
    async with dial(relay) as program:
        said = [json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 4, "n": number}) for number in range(300)]
        for frame in said:
            await program.send(frame)
        api.answers.set()
        talk = await api.talk()
        assert [await got(talk) for _ in said] == said


@BOTH
async def test_both_close_at_once(relay: Console, api: Api) -> None:
    """Goodbyes that cross each other end the session once, and leave nothing open."""
    async with joined(relay, api) as (program, talk):
        await asyncio.gather(program.close(4001, "client"), talk.close(4002, "api"))
    rows = await log(relay, session_of(program))
    assert [row["k"] for row in rows].count("close") == 1
    assert rows[-1]["code"] in (4001, 4002)


@pytest.mark.parametrize("start", [start_console, start_uvicorn])
async def test_a_relay_that_is_stopped(api: Api, start: Any, tmp_path: Path) -> None:
    """Clients get 1012, service restart, the API a goodbye, and the log its close: all before the process ends."""
    port = api._listener.getsockname()[1]
    upstream = {"REALTIME_UPSTREAM_URL": f"ws://127.0.0.1:{port}/v1/realtime", "REALTIME_UPSTREAM_KEY": CONSOLES_KEY}
    console = await asyncio.to_thread(start, tmp_path, **upstream)
    async with dial(console) as program, dial(console) as early:
        talk = await api.talk()
        api.answers.clear()
        async with dial(console) as waiting:
            await until(lambda: len(api.asked) == 3, "a third session being dialled")
            stopping = asyncio.create_task(asyncio.to_thread(console.stop))
            code, reason = await ended(program)
            assert (code, reason) == (1012, "the console is stopping" if start is start_console else "")  # uvicorn's own goodbye
            assert (await ended(waiting))[0] in (1012, 1001)
            assert (await ended(talk))[0] in (1001, 1012)
            await ended(early)
        await stopping
    again = await asyncio.to_thread(start_console, tmp_path, **upstream)
    try:
        for connection in (program, early, waiting):
            rows = await log(again, session_of(connection))
            assert rows[-1]["by"] == "console" or (start is start_uvicorn and rows[-1]["code"] == 1012)
    finally:
        await asyncio.to_thread(again.stop)


@pytest.mark.parametrize(("limit", "told", "code"), [
    ("RELAY_IDLE_SECONDS", "idle_timeout", "Nothing was said"), ("RELAY_MAX_SECONDS", "session_time_limit", "Sessions last"),
])  # fmt: skip
async def test_limits(api: Api, tmp_path: Path, limit: str, told: str, code: str) -> None:
    """Where one is set a session ends at its limit: an error event says why, then a close; without one it never does."""
    port = api._listener.getsockname()[1]
    upstream = {"REALTIME_UPSTREAM_URL": f"ws://127.0.0.1:{port}/v1/realtime", limit: "1"}
    console = await asyncio.to_thread(start_console, tmp_path, **upstream)
    try:
        async with dial(console) as program:
            talk = await api.talk()
            error = json.loads(await got(program))
            assert error["error"]["code"] == told
            assert code in error["error"]["message"]
            assert (await ended(program))[0] == 1001
            assert (await ended(talk))[0] == 1000
        assert notes(await log(console, session_of(program)), "policy")
    finally:
        await asyncio.to_thread(console.stop)


@BOTH
@pytest.mark.parametrize(("opcode", "payload", "code"), [(3, b"?", 1002), (Opcode.TEXT, b"\xff\xfe", 1007)])
async def test_a_client_that_breaks_the_rules(relay: Console, api: Api, opcode: int, payload: bytes, code: int) -> None:
    """A malformed frame ends that session, with the code for it; the API gets a goodbye, and others talk on."""
    async with dial(relay) as other:
        theirs = await api.talk()
        async with joined(relay, api) as (program, talk):
            mask = bytes(4)
            program.transport.write(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + payload)
            assert (await ended(program))[0] == code
            await ended(talk)
        assert (await log(relay, session_of(program)))[-1]["by"] == "client"
        await theirs.send("still here")
        assert await got(other) == "still here"


@pytest.mark.slow
async def test_pings(relays: Callable[[str], Console], listener: socket.socket) -> None:
    """Both sides are pinged every 20 s, under both servers, and nobody is given up for a session without frames."""

    def pings(data: bytearray, masked: bool) -> int:
        return sum(frame.opcode is Opcode.PING for frame in frames(data, masked=masked))

    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(Api(elsewhere))
            behind = await stack.enter_async_context(Tap(elsewhere.getsockname()[1], listener.dup()))
            clients = []
            for relay in map(relays, ("daphne", "uvicorn")):
                before = await stack.enter_async_context(Tap(port_of(relay)))
                await stack.enter_async_context(dial(relay, f"ws://127.0.0.1:{before.port}/v1/realtime?model=m"))
                await api.talk()
                clients += before.wires
            await until(lambda: all(pings(wire.down, False) for wire in clients), "pings to clients")
            await until(lambda: all(pings(wire.up, True) for wire in behind.wires), "pings to the API")


async def test_a_page_disconnects_a_client(relay: Console, api: Api) -> None:
    """Disconnect on the page of a relayed session closes both sides."""
    async with joined(relay, api) as (program, talk):
        await disconnect(relay, session_of(program))
        assert await ended(program) == (1000, "closed on the console's page")
        assert (await ended(talk))[0] == 1000
        with pytest.raises(ConnectionClosed):
            await program.send("anybody?")


async def disconnect(relay: Console, session_id: str) -> None:
    """What the page's button does."""
    async with httpx.AsyncClient(base_url=relay.url, trust_env=False) as client:
        await client.get(f"sessions/{session_id}/")
        headers = {"X-CSRFToken": csrf_of(client), "HX-Request": "true"}
        (await client.post(f"sessions/{session_id}/disconnect", headers=headers)).raise_for_status()
