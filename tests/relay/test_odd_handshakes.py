"""Odd handshakes: control characters in headers, keys, names and paths are refused or kept out, and end no session."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.exceptions import InvalidStatus

from console.models import new_session_id
from tests.conftest import Console
from tests.relay.stage import BOTH, HELLO, OWN_KEY, Api, dial, facts, fetch, got, port_of, session_of
from tests.waiting import PATIENCE


async def ask(relay: Console, *headers: bytes, path: bytes = b"/v1/realtime?model=gpt-realtime") -> tuple[int, str]:
    """A handshake as bytes, which no library would write so; returns the answer's status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(relay))
    usual = [
        b"Host: 127.0.0.1:%d" % port_of(relay), b"Upgrade: websocket", b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]  # fmt: skip
    try:
        writer.write(b"\r\n".join([b"GET %s HTTP/1.1" % path, *usual, *headers, b"", b""]))
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
    finally:
        writer.close()
        await writer.wait_closed()
    return int(head.split()[1]), body.decode()


KEY = b"Authorization: Bearer " + OWN_KEY.encode()


@pytest.mark.parametrize(("header", "named"), [
    (b"Sec-WebSocket-Protocol: realtime, openai-organization.\x01org", "sec-websocket-protocol"),
    (b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.\x7fkey", "sec-websocket-protocol"),
    (b"User-Agent: a\x02b", "user-agent"),
    (b"X-Client-Request-Id: a\x1fb", "x-client-request-id"),
])  # fmt: skip
async def test_a_control_character_in_a_header(relay: Console, api: Api, header: bytes, named: str) -> None:
    """It is refused with 400 and the header's name, and the API is not asked."""
    status, body = await ask(relay, KEY, header)
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_header")
    assert named in body
    assert api.asked == []


@pytest.mark.parametrize("query", [b"api-key=sk-a%0d%0aX-Evil:%201", b"api_key=a%00b", b"api-key=%7f"])
async def test_a_control_character_in_a_key(relay: Console, api: Api, query: bytes) -> None:
    """A key in the query that would end its header is refused; it is not repeated."""
    status, body = await ask(relay, path=b"/v1/realtime?model=m&" + query)
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_key")
    assert "sk-a" not in body
    assert api.asked == []


@pytest.mark.parametrize("path", [b"/v1/realtime/%C3%A9?model=m", b"/v1/realtime/%00?model=m", b"/v1/realtime/a%0d%0ab?model=m"])
async def test_an_odd_path(relay: Console, path: bytes) -> None:
    """What cannot be a path of the API is not found."""
    assert (await ask(relay, KEY, path=path))[0] == 404


@BOTH
async def test_names_that_no_column_holds(relay: Console, api: Api) -> None:
    """NUL in the label and the model: the session runs, and a sign stands for it in its names."""
    async with dial(relay, "/v1/realtime?model=gpt%00x&console_label=a%00b%F0%9F%92%A5") as program:
        talk = await api.talk()
        await talk.send(HELLO)
        assert await got(program) == HELLO
    told = await facts(relay, session_of(program))
    assert (told["label"], told["model"]) == ("a\u2400b💥", "gpt\u2400x")


async def test_an_id_with_nul(relay: Console) -> None:
    """An address that holds no session's id is not found; a filter with NUL is one like any other."""
    for path in ("sessions/a%00b/", "sessions/a%00b/rows", "sessions/a%00b/events/1/", "sessions/a%00b.json", f"sessions/{'x' * 500}/"):
        assert (await fetch(relay, path)).status_code == 404, path
    assert (await fetch(relay, f"sessions/{new_session_id()}/")).status_code == 404
    with pytest.raises(InvalidStatus) as refused:
        async with dial(relay, "/ws/sessions/a%00b/timeline", additional_headers={"Origin": relay.url.rstrip("/")}):
            pass
    assert refused.value.response.status_code == 404
