"""Reaching a provider over real sockets: addresses, keys, refusals, closes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from realtime.errors import HandshakeRefused, NotConnected, UnknownProvider, Unreachable
from realtime.upstream import Passing, Provider, choose, dial, websocket_url
from tests.waiting import PATIENCE

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def api(handler: Handler, **options: object) -> AsyncIterator[Provider]:
    """A server of ours on loopback, as a provider."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:  # type: ignore[arg-type]
        port = server.sockets[0].getsockname()[1]
        yield Provider("custom", f"ws://127.0.0.1:{port}/v1/realtime?api-version=1", key="sk-own")


def test_an_address_keeps_its_own_query() -> None:
    """The model is added to the provider's address; what stands there already stays."""
    provider = Provider("azure", "wss://x.example/openai/realtime?api-version=1&model=old")
    assert provider.address("gpt-realtime") == "wss://x.example/openai/realtime?api-version=1&model=gpt-realtime"


def test_a_model_can_have_another_name() -> None:
    """A preview of Azure has deployments; the one in its address stays until another is chosen."""
    url = "wss://x.example/openai/realtime?api-version=1&deployment=mine"
    provider = Provider("azure", url, model_parameter="deployment")
    assert provider.address("") == url
    assert provider.address("other") == "wss://x.example/openai/realtime?api-version=1&deployment=other"


ENTRA = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJhenVyZSJ9.c2lnbmVk-_"


@pytest.mark.parametrize(
    ("auth", "key", "headers"),
    [
        ("bearer", "", {"Authorization": "Bearer own"}),
        ("bearer", "sk-typed", {"Authorization": "Bearer sk-typed"}),
        ("api-key", "", {"api-key": "own"}),
        ("api-key", "0123abcd", {"api-key": "0123abcd"}),
        ("api-key", ENTRA, {"Authorization": f"Bearer {ENTRA}"}),
    ],
)
def test_a_key_travels_as_the_provider_wants_it(auth: str, key: str, headers: dict[str, str]) -> None:
    """Keys are bearer tokens; Azure's have a header of their own, where its directory's tokens are bearers."""
    assert Provider("p", "wss://x.example/v1/realtime", key="own", auth=auth).headers_for(key) == headers


def test_no_key_is_no_header() -> None:
    """A provider without a key sends none."""
    assert Provider("p", "ws://x.example/v1/realtime").headers_for() == {}


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        ("wss://api.openai.com/v1/realtime", "https://api.openai.com/v1/realtime"),
        ("ws://127.0.0.1:9000/v1/realtime/?model=x", "http://127.0.0.1:9000/v1/realtime"),
    ],
)
def test_where_its_endpoints_are(url: str, rest: str) -> None:
    """The REST endpoints stand below the same path, over http."""
    assert Provider("p", url).rest_url == rest


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime"),
        ("http://127.0.0.1:9000/v1/", "ws://127.0.0.1:9000/v1/realtime"),
    ],
)
def test_the_address_follows_from_the_base_url(base: str, url: str) -> None:
    """As in OpenAI's SDKs, http becomes ws and /realtime is appended."""
    assert websocket_url(base) == url


def test_an_unknown_provider_is_named() -> None:
    """Asking for a provider that is not configured names it and those that are."""
    with pytest.raises(UnknownProvider, match=r'"azure".*simulator'):
        choose({"simulator": Provider("simulator", "ws://x")}, "azure")


async def test_it_sends_the_key_and_the_model() -> None:
    """The key travels as a bearer token, the model as a query parameter, and no compression is negotiated."""
    seen: dict[str, str | None] = {}

    async def handler(connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        seen.update(path=request.path, key=request.headers["Authorization"])
        seen["extensions"] = request.headers.get("Sec-WebSocket-Extensions")

    async with api(handler) as provider:
        upstream = await dial(provider, "gpt-realtime", key="sk-typed")
        assert [frame async for frame in upstream] == []
    assert seen == {
        "path": "/v1/realtime?api-version=1&model=gpt-realtime",
        "key": "Bearer sk-typed",
        "extensions": None,
    }


async def test_frames_travel_both_ways_and_large() -> None:
    """Text arrives as it was sent, 20 MiB at once too: the API allows appends of 15 MiB of audio."""

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with api(echo, max_size=None) as provider:
        upstream = await dial(provider, "m")
        large = "x" * (20 * 1024 * 1024)
        upstream.send(large)
        async for frame in upstream:
            assert frame == large
            break
        await upstream.close()


async def test_the_close_code_and_reason_are_kept() -> None:
    """OpenAI refuses a wrong key after the handshake, with a close code and a reason that says why."""

    async def refuse(connection: ServerConnection) -> None:
        await connection.close(3000, "invalid_request_error.invalid_api_key")

    async with api(refuse) as provider:
        upstream = await dial(provider, "m")
        assert [frame async for frame in upstream] == []
        assert (upstream.close_code, upstream.close_reason) == (3000, "invalid_request_error.invalid_api_key")
        with pytest.raises(NotConnected):
            upstream.send("{}")


async def test_a_line_that_breaks_has_no_code() -> None:
    """When the other side vanishes without a close frame there is no code to show."""

    async def vanish(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with api(vanish) as provider:
        upstream = await dial(provider, "m")
        assert [frame async for frame in upstream] == []
        assert upstream.close_code is None


async def test_an_http_refusal_shows_status_and_body_without_keys() -> None:
    """A handshake answered with an HTTP error raises HandshakeRefused; keys in its body are masked."""

    def deny(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus.UNAUTHORIZED, "Incorrect API key provided: sk-proj-abcdef123456.")

    async def never(connection: ServerConnection) -> None:
        raise AssertionError("the handshake was refused")

    async with api(never, process_request=deny) as provider:
        with pytest.raises(HandshakeRefused) as refused:
            await dial(provider, "m")
    assert refused.value.status == 401
    assert "Incorrect API key" in str(refused.value)
    assert "abcdef" not in str(refused.value)
    assert "api-version" not in str(refused.value)


async def test_a_refusal_that_repeats_what_was_sent() -> None:
    """Password, keys and parameters are masked in what a server says of them, as they were and as they were written."""
    sent = ("us er", "pass%40word", "pass@word", "a/key+of=mine", "signature", "header-value", "a%2Fkey%2Bof%3Dmine")

    def deny(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus.BAD_REQUEST, f"{request.path} {request.headers} {' '.join(sent)} gpt-realtime")

    async def never(connection: ServerConnection) -> None:
        raise AssertionError("the handshake was refused")

    async with api(never, process_request=deny) as provider:
        url = provider.url.replace("://", "://us%20er:pass%40word@") + ("&" if "?" in provider.url else "?") + "sig=signature"
        asked = replace(provider, url=url, key="a/key+of=mine", headers={"X-Mine": "header-value"})
        with pytest.raises(HandshakeRefused) as refused:
            await dial(asked, "gpt-realtime", passing=Passing(query=(("token", "client-token"), ("code", "client code"))))
    for error in (str(refused.value), refused.value.body, refused.value.public):
        assert not [part for part in (*sent, "client-token", "client code", "client+code") if part in error]
    assert "gpt-realtime" in refused.value.body


async def test_nobody_there_is_said_in_words() -> None:
    """A port nobody listens on raises Unreachable with the address and the reason."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{port}/v1 could not be reached: the connection was refused"):
        await dial(Provider("custom", f"ws://127.0.0.1:{port}/v1"), "m")


async def test_an_address_that_is_none_is_said_in_words() -> None:
    """A provider address with another scheme is named as what it is."""
    with pytest.raises(Unreachable, match="not a WebSocket address"):
        await dial(Provider("custom", "ftp://example/v1"), "m")


async def test_a_goodbye_that_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing does not wait for ever: after CLOSE_TIMEOUT the connection is given up."""
    monkeypatch.setattr("realtime.upstream.CLOSE_TIMEOUT", 0.05)
    awake = asyncio.Event()

    async def sleeps(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await awake.wait()
        connection.transport.abort()

    async with api(sleeps) as provider:
        upstream = await dial(provider, "m")
        async with asyncio.timeout(PATIENCE):
            await upstream.close()
        assert upstream.socket.state.name == "CLOSED"
        awake.set()
