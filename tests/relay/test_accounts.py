"""A relay key's account and its provider, from outside: sessions in parallel, a reset, a restart, addresses it may not reach."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from console.relays import HEED_EVERY
from tests.conftest import ROOT, Console, start_console
from tests.relay.stage import HELLO, Api, dial, ended, got, joined, log, notes, session_of, until
from tests.waiting import PATIENCE

PRICE = 0.0016
"""US$ of each response of the API below."""
DONE = {
    "total_tokens": 100, "input_tokens": 0, "output_tokens": 100,
    "input_token_details": {"text_tokens": 0}, "output_token_details": {"text_tokens": 100},
}  # fmt: skip
CREATE = '{"type":"response.create"}'


def command(relay: Console, name: str, *options: str) -> str:
    """Run ``relay_key``; what it prints."""
    environment = {**os.environ, "CONSOLE_DATA_DIR": str(relay.data_dir), "REALTIME_UPSTREAM_URL": "ws://127.0.0.1:9/v1/realtime"}
    run = [sys.executable, "manage.py", "relay_key", name, *options]
    return subprocess.run(run, cwd=Path(ROOT), env=environment, check=True, capture_output=True, text=True).stdout.strip()


def make(relay: Console, name: str, provider: str = "", **policy: Any) -> str:
    """A relay key with a policy, made as the command makes it, but without a second of starting that."""
    key = f"sk-relay-{secrets.token_hex(22)[:43]}"
    columns = {
        "name": name, "digest": hashlib.sha256(key.encode()).hexdigest(), "hint": key[-4:], "provider": provider,
        "policy": json.dumps(policy), "spent_usd": 0, "dearest_usd": 0, "created_at": "2026-11-30 12:00:00",
    }  # fmt: skip
    with contextlib.closing(sqlite3.connect(relay.data_dir / "console.sqlite3", timeout=PATIENCE)) as database, database:
        marks = ", ".join("?" for _ in columns)
        database.execute(f"INSERT INTO console_relaykey ({', '.join(columns)}) VALUES ({marks})", list(columns.values()))
    return key


def spent(relay: Console, name: str) -> float:
    """What is stored of a key's account."""
    with contextlib.closing(sqlite3.connect(relay.data_dir / "console.sqlite3", timeout=PATIENCE)) as database:
        (dollars,) = database.execute("SELECT spent_usd FROM console_relaykey WHERE name = ?", [name]).fetchone()
    return float(dollars)


async def answers(talk: ServerConnection, asked: list[int]) -> None:
    """The API's side of one session: each response.create is answered, and costs PRICE."""
    with contextlib.suppress(ConnectionClosed):
        await talk.send('{"type":"session.created","session":{"type":"realtime","model":"gpt-realtime"}}')
        async for frame in talk:
            if json.loads(frame)["type"] == "response.create":
                asked.append(len(asked))
                id_ = f"resp_{len(asked)}"
                await talk.send(json.dumps({"type": "response.created", "response": {"id": id_}}))
                await asyncio.sleep(0.02)
                done = {"id": id_, "status": "completed", "usage": DONE}
                await talk.send(json.dumps({"type": "response.done", "response": done}))


@contextlib.asynccontextmanager
async def answering(api: Api) -> AsyncIterator[list[int]]:
    """An API that answers on every connection; how many responses it gave."""
    asked: list[int] = []

    async def serve() -> None:
        async with asyncio.TaskGroup() as talks:
            while True:
                talks.create_task(answers(await api._talks.get(), asked))

    serving = asyncio.create_task(serve())
    try:
        yield asked
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def asks_on(program: ClientConnection) -> tuple[str, int | None]:
    """A client that asks again after each answer: the last error's code, and how it was closed."""
    code = ""
    await program.send(CREATE)
    try:
        async with asyncio.timeout(PATIENCE):
            async for frame in program:
                event = json.loads(frame)
                if event["type"] == "error":
                    code = event["error"]["code"]
                elif event["type"] == "response.done":
                    with contextlib.suppress(ConnectionClosed):
                        await program.send(CREATE)
    except ConnectionClosed:
        pass
    return code, program.close_code


async def refused(relay: Console, key: str, path: str = "/v1/realtime?model=gpt-realtime") -> tuple[int, str]:
    """Status and code with which a handshake is refused; 101 when it is not."""
    try:
        async with dial(relay, path, key=key):
            return 101, ""
    except InvalidStatus as error:
        return error.response.status_code, json.loads(error.response.body or b"{}")["error"]["code"]


async def test_twenty_sessions_in_parallel(relay: Console, api: Api) -> None:
    """A limit of $0.005 holds over all of a key's sessions: what is spent passes it by one answer at most, each session is
    told, the next is refused; reset, the key is good again."""
    name = f"twenty on {relay.url}"
    key = make(relay, name, dollars=0.005)
    async with answering(api) as asked:
        async with dial(relay, key=key) as first:  # from here on the dearest answer is known
            await got(first)
            await first.send(CREATE)
            while json.loads(await got(first))["type"] != "response.done":
                pass
        async with contextlib.AsyncExitStack() as stack:
            programs = [await stack.enter_async_context(dial(relay, key=key)) for _ in range(20)]
            ends = await asyncio.gather(*map(asks_on, programs))
        assert ends == [("insufficient_quota", 1008)] * 20
        assert 0.005 <= len(asked) * PRICE <= 0.005 + PRICE
        assert await refused(relay, key) == (429, "insufficient_quota")
        assert spent(relay, name) == pytest.approx(len(asked) * PRICE)
        async with httpx.AsyncClient(base_url=relay.url, trust_env=False, timeout=PATIENCE) as client:
            answer = await client.post("v1/realtime/client_secrets", headers={"Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "insufficient_quota")
        command(relay, name, "--reset")
        assert spent(relay, name) == 0
        assert await refused(relay, key) == (101, "")


async def test_the_first_answers_of_a_key(relay: Console, api: Api) -> None:
    """While no usage is known, a limit that half a minute of speech would pass lets one answer begin at a time."""
    name = f"fresh on {relay.url}"
    key = make(relay, name, dollars=0.005)
    async with answering(api) as asked, contextlib.AsyncExitStack() as stack:
        programs = [await stack.enter_async_context(dial(relay, key=key)) for _ in range(20)]
        ends = await asyncio.gather(*map(asks_on, programs))
        assert {code for code, _ in ends} == {"insufficient_quota"}
        assert len(asked) * PRICE <= 0.005 + PRICE


async def test_a_reset_while_a_session_runs(relay: Console, api: Api) -> None:
    """A running session spends on after a reset by another process: the console looks for it every two seconds."""
    name = f"reset on {relay.url}"
    key = make(relay, name, dollars=0.004)
    async with answering(api) as asked, dial(relay, key=key) as program:
        await got(program)
        for count in (1, 2, 3, 4):
            await program.send(CREATE)
            while json.loads(await got(program))["type"] != "response.done":
                pass
            assert len(asked) == count
            if count == 2:
                await until(lambda: spent(relay, name) > PRICE, "both answers are stored")
                command(relay, name, "--reset")
                await asyncio.sleep(3 * HEED_EVERY)  # nothing outside tells that it has been noticed


async def test_hanging_up_before_the_usage(relay: Console, api: Api) -> None:
    """A client that leaves during an answer pays for it as reserved, and the timeline says that it is an assumption."""
    name = f"leaves on {relay.url}"
    key = make(relay, name, dollars=1)
    async with joined(relay, api, key=key) as (program, talk):
        await program.send(CREATE)
        await got(talk)
        await talk.send('{"type":"response.created","response":{"id":"r"}}')
        await got(program)
    rows = await log(relay, session_of(program))
    assert "usage is unknown" in notes(rows, "cost")[0]
    assert spent(relay, name) == pytest.approx(0.0384)


async def test_a_key_of_a_policy_and_an_ambiguous_frame(relay: Console, api: Api) -> None:
    """Two sessions in one frame: refused where a policy applies, byte for byte the API's without one."""
    twice = '{"type":"session.update","session":{"instructions":"Be long."},"session":{}}'
    async with joined(relay, api, key=make(relay, f"plain on {relay.url}")) as (program, talk):
        await program.send(twice)
        assert await got(talk) == twice
    async with dial(relay, key=make(relay, f"strict on {relay.url}", minutes=5)) as program:
        talk = await api.talk()
        await talk.send(HELLO)
        await got(program)
        await program.send(twice)
        assert json.loads(await got(program))["error"]["code"] == "duplicate_keys"
        await program.send(CREATE)
        assert await got(talk) == CREATE


async def test_its_provider(relay: Console, api: Api) -> None:
    """A key made without a provider belongs to the default one, and so does what is minted with it; elsewhere it is refused."""
    key = make(relay, f"somebody on {relay.url}")
    async with joined(relay, api, key=key), joined(relay, api, "/via/custom/v1/realtime", key=key):
        pass
    for provider in ("simulator", "openai"):
        assert await refused(relay, key, f"/via/{provider}/v1/realtime") == (403, "wrong_provider")
    named = make(relay, f"named on {relay.url}", "simulator")
    assert await refused(relay, named, "/via/custom/v1/realtime") == (403, "wrong_provider")
    async with httpx.AsyncClient(base_url=relay.url, trust_env=False, timeout=PATIENCE) as client:
        for what in ("client_secrets", "sessions", "calls"):
            answer = await client.post(f"via/simulator/v1/realtime/{what}", headers={"Authorization": f"Bearer {key}"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_provider")
        answer = await client.post("v1/realtime/client_secrets", headers={"Authorization": f"Bearer {named}"})
        minted = answer.json()["value"]
    assert await refused(relay, minted, "/via/custom/v1/realtime") == (403, "wrong_provider")
    assert await refused(relay, minted) == (101, "")


@pytest.mark.parametrize("path", [
    "/v1/realtime/calls/rtc_1", "/v1/realtime/sessions", "/v1/realtime?call_id=rtc_1", "/v1/realtime?agent-name=x",
    "/v1/realtime?intent=dream", "/v1/realtime/translations/x",
])  # fmt: skip
async def test_where_a_policy_cannot_be_kept(relay: Console, api: Api, path: str) -> None:
    """With a policy or a limit a key reaches only what can be judged and counted; without, whatever there is."""
    for policy in ({"dollars": 5}, {"minutes": 5}):
        key = make(relay, f"{policy} {path} on {relay.url}"[:80], **policy)
        assert await refused(relay, key, path) == (403, "path_not_allowed")
    async with joined(relay, api, path, key=make(relay, f"free {path} on {relay.url}"[:80])):
        pass


async def test_what_a_limited_key_reaches(relay: Console, api: Api) -> None:
    """Sessions, transcriptions and translations; a service tier, which changes prices, is not passed on."""
    key = make(relay, f"reaches on {relay.url}", dollars=5)
    for path in ("/v1/realtime?model=m&console_label=x", "/v1/realtime?intent=transcription", "/v1/realtime/translations?model=m"):
        async with dial(relay, path, key=key, additional_headers={"OpenAI-Service-Tier": "priority", "OpenAI-Project": "p"}):
            request = (await api.talk()).request
            assert request is not None
            assert (request.headers.get("OpenAI-Service-Tier"), request.headers["OpenAI-Project"]) == (None, "p")
    fixed = make(relay, f"fixed on {relay.url}", session={"instructions": "Be brief."})
    assert await refused(relay, fixed, "/v1/realtime/translations") == (403, "path_not_allowed")


async def test_after_a_kill(tmp_path: Path) -> None:
    """The account survives a console that is killed: nothing but what was under way is lost."""
    async with asyncio.timeout(4 * PATIENCE):
        console = await asyncio.to_thread(start_console, tmp_path)
        try:
            key = make(console, "app", "simulator", dollars=0.0001)
            async with dial(console, "/via/simulator/v1/realtime?model=gpt-realtime", key=key) as program:
                await got(program)
                await program.send(CREATE)
                code, _ = await ended(program)
            assert code == 1008
            await until(lambda: spent(console, "app") > 0, "the sum is stored")
        finally:
            console.stop(signal.SIGKILL)
        console = await asyncio.to_thread(start_console, tmp_path)
        try:
            assert await refused(console, key, "/v1/realtime?model=gpt-realtime") == (429, "insufficient_quota")
        finally:
            console.stop()
