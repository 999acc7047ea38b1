"""The relay, a plain ASGI callable: somebody else's client at one end, a provider at the other, everything recorded."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from django.db import DatabaseError, InterfaceError

from console import live, relays
from console.access import is_token
from console.admission import VIA, Admitted, Denied, admit, headers_of, subprotocols_of, within_policy
from console.writer import explain
from realtime import dialects, masking
from realtime.errors import NotConnected
from realtime.parting import VANISHED
from realtime.upstream import Passing

log = logging.getLogger(__name__)

PATH = re.compile(r"^(?:/openai)?(?:/v1)?/realtime(?P<rest>(?:/[\w-]+)*)/?$|^/?$", re.ASCII)
"""Where clients expect the API: /v1/realtime, /realtime, /openai/v1/realtime, /openai/realtime and plain /."""
AHEAD_MESSAGES, AHEAD_BYTES = 256, 1024 * 1024
"""What is read from a client while it has to wait: enough to see that it leaves, and no more than memory bears."""
PASSED = re.compile(r"^(openai-(?!beta$).+|x-openai-.+|x-stainless-.+|x-ms-.+|x-client-request-id|traceparent|tracestate)$")
"""Headers that travel on beside the user agent. No cookies, nothing of the hop itself (RFC 9110 7.6.1), no origin."""
OURS = "console_"
"""What query parameters of the console's own begin with."""
NOT_QUERY = ("model", "deployment", "api-key", "api_key")
"""Parameters that go another way: the model in the provider's own form, keys as headers."""
LONGEST_LABEL = 200


class AsgiClient:
    """The client at the other end of a WebSocket."""

    def __init__(self, send: Any, drops: bool) -> None:
        """``drops``: whether the server can end a connection unclosed (console.server can, uvicorn does at our return)."""
        self._send = send
        self._drops = drops
        self.on_broken: Callable[[], object] = lambda: None
        """Called when the connection is to be broken off, and the server does that only at our return."""

    async def send(self, frame: str | bytes) -> None:
        """Send one frame; waits while the client does not read."""
        try:
            await self._send({"type": "websocket.send", ("text" if isinstance(frame, str) else "bytes"): frame})
        except OSError:
            raise NotConnected("The client is gone.") from None

    async def close(self, code: int | None, reason: str) -> None:
        """Say goodbye."""
        code = code if code is not None else 1005 if self._drops else 1000
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            log.debug("the client was gone before its goodbye")

    async def drop(self) -> None:
        """End without a close frame, once the client has what was sent."""
        await self._vanish(at_once=False)

    async def abort(self) -> None:
        """Break off; uvicorn knows only the other way."""
        await self._vanish(at_once=True)

    async def _vanish(self, at_once: bool) -> None:
        if self._drops:
            await self._send({"type": "websocket.close", "code": VANISHED, "console.abort": at_once})
        else:
            self.on_broken()


async def relay(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Carry one client's session."""
    await receive()  # the connect
    path = VIA.sub("", scope["path"], count=1)
    if (place := PATH.match(path)) is None:
        await refuse(send, Denied(404, f"There is nothing at {scope['path']}; the relay answers at /v1/realtime.", "not_found"))
        return
    try:
        admitted = await admit(scope)
    except (DatabaseError, InterfaceError) as error:
        admitted = Denied(503, f"Your key cannot be checked: {explain(error)}.", "recording_unavailable", "server_error")
    if isinstance(admitted, Admitted):
        barred = within_policy(admitted.policy, place["rest"] or "", query_of(scope))
        admitted = barred or relays.room_for(admitted) or admitted
    if isinstance(admitted, Denied):
        await refuse(send, admitted)
        return
    headers = headers_of(scope)
    client = AsgiClient(send, "console.drop" in scope.get("extensions", {}))
    try:
        relayed = await relays.open_relay(admitted, asked_by(scope, headers, place["rest"] or ""), client)
    except live.NotRecording as error:
        await refuse(send, Denied(503, str(error), "recording_unavailable", "server_error"))
        return
    accept = {
        "type": "websocket.accept",
        "subprotocol": "realtime" if "realtime" in subprotocols_of(headers) else None,
        "headers": [(b"x-console-session", relayed.session_id.encode())],
    }
    try:
        await send(accept)
    except BaseException:
        await relayed.runner.client_left(VANISHED, "")  # during the handshake: the session ends as it begins
        relayed.begin()
        raise
    relayed.begin()
    # Read on after a goodbye, too: what the client has still to say stands before its answer.
    reading = asyncio.create_task(carry(relayed.runner, receive), name="relay client")
    client.on_broken = reading.cancel
    try:
        await asyncio.wait({reading})
    except asyncio.CancelledError:
        await relayed.runner.client_left(VANISHED, "")
        raise
    finally:
        reading.cancel()
    if not reading.cancelled():
        reading.result()
    await relayed.finished()


async def carry(runner: Any, receive: Any) -> None:
    """Read from the client until it leaves; while it has to wait, only so far that its leaving is seen."""
    ahead: deque[dict[str, Any]] = deque()
    while True:
        message = ahead.popleft() if ahead else await receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code")
            await runner.client_left(VANISHED if code is None else code, message.get("reason") or "")
            return
        text = message.get("text")
        runner.forward(text if text is not None else message.get("bytes") or b"", message.get("arrived", 0.0))
        del message, text  # not to be held until the next one comes
        while runner.full:
            if not await wait_for_room(runner, receive, ahead):
                break


async def wait_for_room(runner: Any, receive: Any, ahead: deque[dict[str, Any]]) -> bool:
    """Wait until the client may go on, or is seen to leave. Returns whether to ask again."""
    room = asyncio.ensure_future(runner.room())
    reading: asyncio.Future[dict[str, Any]] | None = None
    size = sum(weight(message) for message in ahead)
    leaving = bool(ahead) and ahead[-1]["type"] == "websocket.disconnect"
    try:
        while not room.done() and not leaving:
            if reading is None and len(ahead) < AHEAD_MESSAGES and size < AHEAD_BYTES:
                reading = asyncio.ensure_future(receive())
            await asyncio.wait({room, reading} if reading else {room}, return_when=asyncio.FIRST_COMPLETED)
            if reading is not None and reading.done():
                message = reading.result()
                ahead.append(message)
                size += weight(message)
                leaving = message["type"] == "websocket.disconnect"
                reading = None
    finally:
        room.cancel()
        if reading is not None and not reading.done():
            reading.cancel()  # a queue's get loses nothing when it is cancelled
    return not leaving


def weight(message: dict[str, Any]) -> int:
    """Bytes a waiting message holds, roughly."""
    return len(message.get("text") or message.get("bytes") or "")


def query_of(scope: dict[str, Any]) -> list[tuple[str, str]]:
    """The parameters of a handshake's address, in order."""
    return parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


def asked_by(scope: dict[str, Any], headers: dict[str, str], rest: str) -> relays.Asked:
    """What a client's handshake asks for, and what of it travels on."""
    query = query_of(scope)
    ours = {name: value for name, value in query if name.startswith(OURS)}
    asked = dict(query)
    passed = {name: value for name, value in headers.items() if PASSED.match(name)}
    for name in subprotocols_of(headers):
        for kind in ("openai-organization", "openai-project"):
            if name.startswith(f"{kind}."):
                passed[kind] = name.removeprefix(f"{kind}.")
    agent = headers.get("user-agent", "")
    if agent:
        passed["User-Agent"] = agent
    passing = tuple((n, v) for n, v in query if n not in NOT_QUERY and not n.startswith(OURS) and not is_token(v))
    return relays.Asked(
        model=asked.get("model") or asked.get("deployment") or "",
        beta=dialects.asks_for_beta(headers),
        passing=Passing(rest, passing, passed),
        agent=agent,
        label=masking.text(ours.get("console_label", ""))[:LONGEST_LABEL],
        facts={
            "path": masking.text(scope["path"]),
            "query": masking.query(query),
            "handshake": masking.headers(headers),  # not "headers": of an object of that name the recorder masks every value
            "address": (scope.get("client") or ("",))[0],
        },
    )


async def nothing(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse a socket of an address at which there is none."""
    await receive()  # the connect
    await refuse(send, Denied(404, "There is nothing at this address.", "not_found"))


async def refuse(send: Any, denied: Denied) -> None:
    """Answer the handshake with an HTTP error in the API's shape, before any WebSocket opens."""
    body = json.dumps(denied.body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": denied.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
