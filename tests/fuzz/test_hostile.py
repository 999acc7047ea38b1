"""Hostile frames from a client, an API and the composer, through the whole recorder: each is stored byte for byte."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from console import columns
from realtime import masking
from realtime.events import parse
from tests.conftest import Console, csrf_of, start_console
from tests.fuzz import hostile
from tests.postgres import Postgres
from tests.relay.stage import CONSOLES_KEY, Api, dial, log, session_of, stored
from tests.waiting import PATIENCE, soon

SAID, COMPOSED = 1600, 100
"""Frames of one side in one session, and events of the composer."""
LAST = '{"type":"that.was.all"}'
PAGES = ("", "rows?limit=200", "conversation", "tools", "log.jsonl", "audio.wav")
"""Of each session, what must be shown."""
EVENTS_SHOWN = 12
"""Rows of each session that are opened."""
DATABASES = pytest.mark.parametrize("database", ["sqlite", "postgresql"])


@pytest.fixture
def console(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[tuple[Console, socket.socket]]:
    """A console with its own processes on one database, and the socket on which its API is to listen."""
    where = {"DATABASE_URL": request.getfixturevalue("postgres_url")} if database == "postgresql" else {}
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}/v1/realtime"
        running = start_console(tmp_path, REALTIME_UPSTREAM_URL=url, REALTIME_UPSTREAM_KEY=CONSOLES_KEY, **where)
        yield running, listening
        status = running.stop()
        said = running.log.read_text()
    assert (status, "Traceback" in said) == (0, False), said[-5000:]
    assert hostile.SECRET not in said
    for failure in ("could not be followed", "raw text", "the recorder failed", "could not be stored", "showing"):
        assert failure not in said, said[-5000:]


@DATABASES
async def test_each_is_stored(console: tuple[Console, socket.socket], database: str) -> None:
    """Five thousand: nothing is closed, every frame of every session is stored as it travelled, and its pages are shown."""
    await outlive(*console, rounds=1, seed=1)


@pytest.mark.long
@DATABASES
async def test_each_is_stored_always(console: tuple[Console, socket.socket], database: str) -> None:
    """A hundred thousand, other ones; every second client speaks the beta dialect, so that its frames are translated."""
    await outlive(*console, rounds=27, seed=1000)


async def outlive(console: Console, listening: socket.socket, rounds: int, seed: int) -> None:
    """Let sessions of both kinds carry hostile frames: 5,000 in each round."""
    async with Api(listening) as api, httpx.AsyncClient(base_url=console.url, trust_env=False, timeout=PATIENCE) as page:
        await page.get("")
        for number in range(rounds):
            await relayed(console, api, page, seed + 10 * number, {"OpenAI-Beta": "realtime=v1"} if number % 2 else {})
            await own(api, page, seed + 10 * number + 5)
        health = await page.get("healthz")
        assert (health.status_code, health.text) == (200, "ok\n")


async def relayed(console: Console, api: Api, page: httpx.AsyncClient, seed: int, headers: dict[str, str]) -> None:
    """A client's session: frames of the client, the API and the composer."""
    said_by = SAID if not headers else SAID // 4  # translated frames cost more
    client_says, api_says = list(hostile.frames(said_by, seed)), list(hostile.frames(said_by, seed + 1))
    async with dial(console, additional_headers=headers) as program:
        talk = await api.talk()
        session_id = session_of(program)
        async with following(console, session_id), hearing(program, talk) as (got, heard):
            await asyncio.gather(say(program, client_says), say(talk, api_says), compose(page, session_id, seed + 2))
            await asyncio.gather(say(program, [LAST]), say(talk, [LAST]))
    rows = await log(console, session_id)
    assert_same(stored(rows, "sent", "client"), [*client_says, LAST], "sent by the client", of="app", rows=rows)
    assert_same(stored(rows, "sent", "upstream"), heard, "received by the API")
    assert_same(stored(rows, "received", "upstream"), [*api_says, LAST], "sent by the API")
    assert_same(stored(rows, "received", "client"), got, "received by the client")
    assert rows[-1]["by"] == "client"
    await shown(page, session_id, rows)


async def own(api: Api, page: httpx.AsyncClient, seed: int) -> None:
    """A session of the page's own: frames of the API and the composer."""
    answer = await page.post("sessions/start", data={"provider": "custom"} | token(page))
    session_id = answer.headers["location"].split("/")[2]
    talk = await api.talk()
    api_says = list(hostile.frames(SAID, seed))
    async with hearing(None, talk) as (_, heard):
        await asyncio.gather(say(talk, api_says), compose(page, session_id, seed + 1))
        await say(talk, [LAST])
        await until_told(page, session_id, LAST)
        await page.post(f"sessions/{session_id}/disconnect", data=token(page))
    rows = [json.loads(line) for line in (await finished(page, session_id)).split("\n") if line]
    assert_same(stored(rows, "received", "upstream"), [*api_says, LAST], "sent by the API")
    assert_same(stored(rows, "sent", "upstream"), heard, "received by the API")
    assert rows[-1]["by"] == "console"
    await shown(page, session_id, rows)


@asynccontextmanager
async def hearing(program: ClientConnection | None, talk: ServerConnection) -> AsyncIterator[tuple[list[Any], list[Any]]]:
    """Read what each side is sent; at the end until LAST has come."""
    got: list[Any] = []
    heard: list[Any] = []
    readers = [asyncio.create_task(read(talk, heard, until=LAST if program is not None else None))]
    if program is not None:
        readers.append(asyncio.create_task(read(program, got, until=LAST)))
    yield got, heard
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*readers)


@asynccontextmanager
async def following(console: Console, session_id: str) -> AsyncIterator[None]:
    """Show the session on a page all the while: its socket is sent rows, and is not closed."""
    origin = console.url.rstrip("/")
    url = f"ws{origin.removeprefix('http')}/ws/sessions/{session_id}/timeline"
    async with connect(url, origin=Origin(origin), max_size=None, proxy=None, open_timeout=PATIENCE) as viewer:
        shown: list[Any] = []
        reader = asyncio.create_task(read(viewer, shown, until=None))
        yield
        await soon(lambda: any("that.was.all" in html for html in shown) or reader.done(), "the last frame's row is shown")
        assert not reader.done(), "the page's socket was closed"
        reader.cancel()


async def read(connection: Any, into: list[Any], until: str | None) -> None:
    """Read all there is."""
    async for message in connection:
        into.append(message)
        if message == until:
            return


async def say(connection: Any, frames: Sequence[str]) -> None:
    """Send frames, giving way now and then."""
    for frame in frames:
        await connection.send(frame)


def token(page: httpx.AsyncClient) -> dict[str, str]:
    """What a form of the page's brings along."""
    return {"csrfmiddlewaretoken": csrf_of(page)}


async def compose(page: httpx.AsyncClient, session_id: str, seed: int) -> None:
    """Send events from the composer: each travels, or is refused with a sentence."""
    for event in hostile.composed(COMPOSED, seed):
        answer = await page.post(f"sessions/{session_id}/send", data={"event": event} | token(page))
        assert answer.status_code in (204, 422), (event, answer.status_code, answer.text[:2000])


async def until_told(page: httpx.AsyncClient, session_id: str, raw: str) -> None:
    """Wait until a frame is stored."""
    type_ = json.loads(raw)["type"]
    async with asyncio.timeout(PATIENCE):
        while not (await page.get(f"sessions/{session_id}/rows", params={"q": f"type:{type_}"})).text.strip():
            await asyncio.sleep(0.05)


async def finished(page: httpx.AsyncClient, session_id: str) -> str:
    """The log of a session that is over."""
    async with asyncio.timeout(PATIENCE):
        while True:
            text = (await page.get(f"sessions/{session_id}/log.jsonl")).text
            if '"k":"close"' in text.rstrip("\n").rpartition("\n")[2]:
                return text
            await asyncio.sleep(0.05)


def assert_same(kept: list[str], travelled: list[str], what: str, of: str = "", rows: Sequence[dict[str, Any]] = ()) -> None:
    """Every frame is kept as it travelled, with its secrets masked."""
    if of:
        kept = [row["raw"] for row in rows if row["k"] == "ev" and row["origin"] == of and row["leg"] == "client"]
    expected = [masking.mask(raw, parse(raw).type)[0] for raw in travelled]
    assert len(kept) == len(expected), what
    for number, (one, other) in enumerate(zip(kept, expected, strict=True)):
        assert one == other, f"{what}, frame {number}"


async def shown(page: httpx.AsyncClient, session_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """The session's pages are there, and so is each of a sample of its events; its log imports as the same log."""
    for path in PAGES:
        answer = await page.get(f"sessions/{session_id}/{path}")
        assert answer.status_code == 200, (path, answer.text[:3000])
    facts = await page.get(f"sessions/{session_id}.json")
    json.loads(facts.text, parse_constant=refuse)
    places = [row["seq"] for row in rows if "seq" in row]
    for seq in places[:: max(1, len(places) // EVENTS_SHOWN)]:
        for path in ("", "raw", "members"):
            answer = await page.get(f"sessions/{session_id}/events/{seq}/{path}")
            assert answer.status_code == 200, (path, rows[seq - 1], answer.text[:3000])
    exported = (await page.get(f"sessions/{session_id}/log.jsonl")).content
    answer = await page.post("sessions/import", files={"file": ("log.jsonl", exported)}, data=token(page))
    assert answer.status_code == 303, answer.text
    again = (await page.get(answer.headers["location"].strip("/") + "/log.jsonl")).content
    assert again.split(b"\n")[1:] == exported.split(b"\n")[1:]


def refuse(name: str) -> None:
    """Raise: JSON knows no such number."""
    raise ValueError(name)


def test_the_columns_hold_what_is_left_of_them() -> None:
    """Of every hostile text a column has a stand-in without NUL or halves of characters; the exact text comes out again."""
    for raw in hostile.frames(3000, seed=3):
        text, sound, at = columns.split_frame(raw, parse(raw).type)
        assert "\0" not in text
        assert columns.join_frame(text, sound, at) == raw


@pytest.mark.parametrize("database", ["postgresql"])
async def test_names_and_settings_with_nul(console: tuple[Console, socket.socket], database: str) -> None:
    """On PostgreSQL too: a label and a model with NUL, an id and a filter with one, a preset that holds one."""
    running, listening = console
    async with Api(listening) as api, httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=PATIENCE) as page:
        async with dial(running, "/v1/realtime?model=a%00b&console_label=c%00d") as program:
            await (await api.talk()).send(LAST)
            session_id = session_of(program)
            assert await program.recv() == LAST
        await page.get("")
        facts = (await page.get(f"sessions/{session_id}.json")).json()
        assert (facts["model"], facts["label"]) == ("a\u2400b", "c\u2400d")
        for path, status in (("sessions/a%00b/", 404), ("sessions/a%00b.json", 404), (f"sessions/{session_id}/log.jsonl?q=a%00b", 200)):
            assert (await page.get(path)).status_code == status, path
        form = {"name": "odd", "session": session_id, "tools": '[{"type":"function","name":"\\u0000"}]'} | token(page)
        saved = await page.post("presets/save", data=form)
        assert saved.status_code == 422, saved.text


@pytest.mark.parametrize("database", ["postgresql"])
async def test_a_database_that_comes_back(
    console: tuple[Console, socket.socket], database: str, postgres: Postgres, postgres_url: str
) -> None:
    """PostgreSQL ends every connection: a running session is recorded on, and new ones begin again."""
    running, listening = console
    async with Api(listening) as api, httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=PATIENCE) as page:
        async with dial(running) as program:
            talk = await api.talk()
            await talk.send('{"type":"before"}')
            await program.recv()
            await until_told(page, session_of(program), '{"type":"before"}')
            name = postgres_url.partition("@/")[2].partition("?")[0]
            with postgres.connect() as server:
                server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            await talk.send('{"type":"after"}')
            await program.recv()

            async def begins() -> bool:
                try:
                    async with dial(running) as other:
                        await (await api.talk()).close()
                        await other.wait_closed()
                except InvalidStatus as refused:
                    assert refused.response.status_code == 503
                    return False
                return (await page.get("healthz")).status_code == 200

            await soon(begins, "a new session begins")
        raws = [row["raw"] for row in await log(running, session_of(program)) if row["k"] == "ev"]
        assert raws == ['{"type":"before"}', '{"type":"after"}']
