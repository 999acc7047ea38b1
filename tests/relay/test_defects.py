"""The twelve defects of the original console's relay, none of which this one has."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import Console
from tests.relay.stage import (
    BOTH,
    OWN_KEY,
    Api,
    dial,
    ended,
    facts,
    got,
    joined,
    log,
    refusal,
    session_of,
    stored,
    until,
)
from tests.waiting import soon

CALL = {
    "type": "response.done",
    "response": {
        "id": "resp_1", "status": "completed",
        "output": [{"type": "function_call", "id": "item_1", "name": "get_weather", "call_id": "call_1", "arguments": '{"lat":1}'}],
    },
}  # fmt: skip
MEGABYTE = 1_000_000


async def test_1_it_answers_no_function_calls(relay: Console, api: Api) -> None:
    """Defect 1: the relay answered every call itself, with an error, racing with the client's answer."""
    async with joined(relay, api) as (program, talk):
        await talk.send(json.dumps(CALL))
        assert json.loads(await got(program)) == CALL
        await program.send('{"type":"mine"}')
        assert await got(talk) == '{"type":"mine"}'


async def test_2_it_sends_nothing_of_its_own(relay: Console, api: Api) -> None:
    """Defect 2: the relay sent a session.update of its own before the client's first frame, and showed it nowhere."""
    async with joined(relay, api) as (program, talk):
        await program.send('{"type":"first"}')
        assert await got(talk) == '{"type":"first"}'
    assert stored(await log(relay, session_of(program)), "sent", "upstream") == ['{"type":"first"}']


@pytest.mark.slow
async def test_3_it_keeps_no_conversation(relay: Console, api: Api) -> None:
    """Defect 3: the relay kept the whole conversation with its sound, for each session, in memory."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is not told here as Linux tells it")
    delta = json.dumps({"type": "response.output_audio.delta", "item_id": "item_1", "delta": "A" * 64_000})
    async with joined(relay, api) as (program, talk):

        carried = 0

        async def written() -> bool:
            return (await facts(relay, session_of(program)))["events"] >= carried

        async def carry(megabytes: int) -> int:
            nonlocal carried
            for _ in range(megabytes * MEGABYTE // len(delta)):
                await talk.send(delta)
                await got(program)
                carried += 1
            await soon(written, "all of it is written", every=0.05)  # what waits to be written is another matter
            return memory(relay)

        before = await carry(30)
        for _ in range(4):
            after = await carry(30)
        assert after - before < 30 * MEGABYTE


async def test_4_an_event_that_makes_no_sense_is_relayed(relay: Console, api: Api) -> None:
    """Defect 4: an event about an unknown item was not relayed, and brought the relay down for all."""
    strange = [
        '{"type":"conversation.item.truncated","item_id":"item_nobody"}', '{"type":"response.done"}', '{"type":"session.created"}',
        '{"type":"response.output_item.added","item":null}', '{"type":7}', "[]", '{"type":"response.done","response":[1]}',
    ]  # fmt: skip
    async with joined(relay, api) as (program, talk):
        for frame in strange:
            await talk.send(frame)
            assert await got(program) == frame
            await program.send(frame)
            assert await got(talk) == frame


async def test_5_a_malformed_frame_ends_one_session(relay: Console, api: Api) -> None:
    """Defect 5: one malformed frame (a reserved opcode) ended the relay's process."""
    async with joined(relay, api) as (other, theirs):
        async with joined(relay, api) as (program, talk):
            program.transport.write(b"\x83\x80\0\0\0\0")
            assert (await ended(program))[0] == 1002
            await ended(talk)
        await theirs.send("on")
        assert await got(other) == "on"


async def test_6_nobody_is_left_connected(relay: Console, api: Api) -> None:
    """Defect 6: a client that left before the API had answered left a connection behind: open, billed, ownerless."""
    api.answers.clear()
    async with dial(relay) as program:
        await until(lambda: api.asked, "the API being dialled")
        program.transport.abort()
    await until(lambda: api.given_up == 1, "the dialling being given up")
    # And when it leaves in the very moment in which the API answers.
    api.answers.set()
    for _ in range(20):
        async with dial(relay) as program:
            talk = await api.talk()
            await program.send('{"type":"response.create"}')
            await program.close()
        await ended(talk)


async def test_7_closes_say_why(relay: Console, api: Api) -> None:
    """Defect 7: a bad path, a failed upstream and its close were all a 1005 without a reason, told too late or never."""
    with pytest.raises(InvalidStatus) as bad_path:
        async with dial(relay, "/nowhere"):
            pass
    assert bad_path.value.response.status_code == 404
    async with joined(relay, api) as (program, talk):
        await talk.close(4000, "invalid_request_error.invalid_model")
        assert await ended(program) == (4000, "invalid_request_error.invalid_model")
    api.refusal = refusal(429, "Too Many Requests", b'{"error":{"message":"Slow down."}}')
    async with dial(relay) as program:
        assert "Slow down." in json.loads(await got(program))["error"]["message"]
        code, reason = await ended(program)
        assert (code, "429" in reason) == (1011, True)


async def test_8_what_waits_is_bounded(relay: Console, api: Api) -> None:
    """Defect 8: the queue had no bound in count or bytes: here whoever sends more than is taken has to wait, and nothing is lost."""
    api.answers.clear()
    frames = [json.dumps({"type": "input_audio_buffer.append", "n": n, "audio": "A" * 100_000}) for n in range(600)]
    sent = 0
    async with dial(relay) as program:

        async def pour() -> None:
            nonlocal sent
            for frame in frames:
                await program.send(frame)
                sent += 1

        pouring = asyncio.create_task(pour())
        reached, before = 0, -1
        while reached != before:  # until it goes no further
            before, reached = reached, await settled(lambda: sent)
        assert reached < 200
        api.answers.set()
        talk = await api.talk()
        assert [json.loads(await got(talk))["n"] for _ in frames] == list(range(600))
        await pouring


@BOTH
async def test_8_a_client_that_does_not_read(relay: Console, api: Api) -> None:
    """Defect 8 again: without back-pressure what a slow client did not read was piled up; here the API waits, and nothing is lost."""
    frames = [json.dumps({"type": "response.output_audio.delta", "n": n, "delta": "A" * 100_000}) for n in range(600)]
    sent = 0
    async with joined(relay, api, max_queue=1) as (program, talk):

        async def pour() -> None:
            nonlocal sent
            for frame in frames:
                await talk.send(frame)
                sent += 1

        pouring = asyncio.create_task(pour())
        reached, before = 0, -1
        while reached != before:
            before, reached = reached, await settled(lambda: sent)
        assert reached < 300
        assert [json.loads(await got(program))["n"] for _ in frames] == list(range(600))
        await pouring


@BOTH
async def test_8_large_messages(relay: Console, api: Api) -> None:
    """And what is large is not lost either: 20 MiB of JSON, which the API takes, pass both ways."""
    large = '{"type":"input_audio_buffer.append","audio":"' + "A" * 20 * 1024 * 1024 + '"}'
    async with joined(relay, api) as (program, talk):
        await program.send(large)
        assert await got(talk) == large
        await talk.send(large)
        assert await got(program) == large


async def test_9_nobody_comes_in_without_a_key(relay: Console, api: Api) -> None:
    """Defect 9: any page of any origin could use the relay and its key. The limits of keys: test_door.py; TLS: test_tls.py."""
    for options, status in (({"key": ""}, 401), ({"origin": "https://evil.example"}, 403), ({"key": "", "origin": "null"}, 403)):
        with pytest.raises(InvalidStatus) as caught:
            async with dial(relay, **options):  # type: ignore[arg-type]
                pass
        assert caught.value.response.status_code == status
    assert not api.asked


async def test_10_the_query_counts(relay: Console, api: Api) -> None:
    """Defect 10: model and address could not be chosen."""
    async with dial(relay, "/v1/realtime?model=gpt-realtime-2.1-mini&intent=x"):
        talk = await api.talk()
        assert talk.request is not None
        assert talk.request.path == "/v1/realtime?model=gpt-realtime-2.1-mini&intent=x"
    async with dial(relay, "/v1/realtime?call_id=rtc_1"):
        talk = await api.talk()
        assert talk.request is not None
        assert talk.request.path == "/v1/realtime?call_id=rtc_1"


async def test_11_nothing_private_is_logged(relay: Console, api: Api) -> None:
    """Defect 11: failures were called parsing errors and logged with the whole payload; an event without type got an id made up."""
    private = "my private words"
    async with joined(relay, api) as (program, talk):
        await program.send("{}")
        assert await got(talk) == "{}"
        talk.transport.abort()
        with pytest.raises(Exception, match="close"):
            while True:
                await program.send(json.dumps({"type": "conversation.item.create", "text": private}))
                await asyncio.sleep(0)
    await log(relay, session_of(program))
    assert private not in relay.log.read_text()
    assert OWN_KEY[:6] not in relay.log.read_text()


async def test_12_frames_pass_as_they_are(relay: Console, api: Api) -> None:
    """Defect 12: frames were parsed and written again, so that order, whitespace and numbers changed; here nothing does."""
    odd = ['{ "b" : 1.50, "type":"x" , "a":1e400, "a":"\\u00e9\\/" }\n', "  ", '{"type":"x","n":12345678901234567890}', "\ufeff{}"]
    async with joined(relay, api) as (program, talk):
        for frame in odd:
            await program.send(frame)
            assert await got(talk) == frame
            await talk.send(frame)
            assert await got(program) == frame
    rows = await log(relay, session_of(program))
    assert stored(rows, "sent", "client") == odd
    assert stored(rows, "received", "client")[1:] == odd
    meter = next(row for row in rows if row.get("kind") == "meter")
    assert "changed 0 bytes in 0 frames" in meter["text"]
    assert (await facts(relay, session_of(program)))["dialect"] == "ga"


def memory(relay: Console) -> int:
    """Bytes the console's process holds."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{relay.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


async def settled(what: Any) -> int:
    """A number, a while later."""
    await asyncio.sleep(0.5)
    return int(what())
