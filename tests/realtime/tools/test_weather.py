"""get_weather: from a good forecast to every way a service can fail, each of which is a sentence."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from realtime.errors import ToolError
from realtime.tools import ToolContext, weather
from realtime.tools.weather import CONDITIONS, LARGEST_ANSWER, get_weather
from tests.waiting import PATIENCE

GOOD: dict[str, Any] = {
    "latitude": 38.7,
    "current_units": {"temperature_2m": "°C", "wind_speed_10m": "km/h", "weather_code": "wmo code"},
    "current": {"time": "2026-11-20T10:00", "temperature_2m": 17.3, "wind_speed_10m": 9, "weather_code": 61},
}
LISBON = {"lat": 38.72, "lng": -9.14, "location": "Lisbon"}
Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
NO_FORECAST = "The weather service answered with something that is not a forecast."


def http(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    """An HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body) if length is None else length}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


@asynccontextmanager
async def service(answer: Answer | bytes) -> AsyncIterator[tuple[str, list[str]]]:
    """A weather service on a free port: its address, and the paths it was asked for."""
    asked: list[str] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            asked.append(request.split()[1].decode())
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(asked[-1], writer)
        except ConnectionError:
            asked.append("hung up")
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/forecast", asked
    async with asyncio.timeout(PATIENCE):
        for writer in writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()  # else the loop may end before the socket is closed


async def ask(url: str, **arguments: Any) -> dict[str, Any]:
    """A call of the tool; nothing is remembered."""
    return await get_weather.run(LISBON | arguments, ToolContext({}, lambda key, value: None, url))


async def failure(answer: Answer | bytes, **arguments: Any) -> str:
    """The sentence the model gets."""
    async with service(answer) as (url, _):
        with pytest.raises(ToolError) as caught:
            await ask(url, **arguments)
    return str(caught.value)


async def test_the_weather_at_a_place() -> None:
    """The model gets place, temperature, wind and conditions, with their units, and the service gets the coordinates."""
    async with service(http(json.dumps(GOOD).encode())) as (url, asked):
        assert await ask(url) == {
            "location": "Lisbon",
            "lat": 38.72,
            "lng": -9.14,
            "temperature": {"value": 17.3, "unit": "°C"},
            "wind": {"value": 9.0, "unit": "km/h"},
            "conditions": "light rain",
        }
    [path] = asked
    assert urlsplit(path).path == "/v1/forecast"
    assert parse_qs(urlsplit(path).query) == {
        "latitude": ["38.72"], "longitude": ["-9.14"], "current": ["temperature_2m,wind_speed_10m,weather_code"],
    }  # fmt: skip


@pytest.mark.parametrize("code", [None, 4, "61", 1000])
async def test_unknown_conditions_are_left_out(code: Any) -> None:
    """A code that means nothing is not made up."""
    answer = {**GOOD, "current": {**GOOD["current"], "weather_code": code}}
    async with service(http(json.dumps(answer).encode())) as (url, _):
        told = await ask(url)
    assert "conditions" not in told
    assert told["temperature"]["value"] == 17.3


def test_conditions_are_words() -> None:
    """Every code has words a voice can say."""
    assert {0, 3, 45, 61, 75, 95} <= set(CONDITIONS)
    assert all(words.replace(" ", "").isalpha() for words in CONDITIONS.values())


@pytest.mark.parametrize(
    ("lat", "lng"), [(90, 180), (-90, -180), (0, 0), (-33.9, 151.2)],
)  # fmt: skip
async def test_any_place_on_earth(lat: float, lng: float) -> None:
    """Poles and date line are places, too, and whole numbers are coordinates."""
    async with service(http(json.dumps(GOOD).encode())) as (url, asked):
        told = await ask(url, lat=lat, lng=lng)
    assert (told["lat"], told["lng"]) == (lat, lng)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("lat", "lng"),
    [(90.1, 0), (-91, 0), (0, 180.5), (0, -181), (math.nan, 0), (0, math.inf), (10**400, 0)],
    ids=["north", "south", "east", "west", "nan", "inf", "huge"],
)
async def test_no_place_on_earth(lat: float, lng: float) -> None:
    """Coordinates that do not exist are refused before anybody is asked."""
    async with service(http(b"{}")) as (url, asked):
        with pytest.raises(ToolError, match="is no place on earth: latitude is -90 to 90, longitude -180 to 180"):
            await ask(url, lat=lat, lng=lng)
    assert asked == []


async def silent(path: str, writer: asyncio.StreamWriter) -> None:
    """Take the question and say nothing until the other side hangs up."""
    await writer.wait_closed()


async def dribbling(path: str, writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then, so that no single read takes long."""
    writer.write(http(b"", length=1000))
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("answer", [silent, dribbling])
async def test_a_slow_service_is_not_waited_for(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller waits in silence: after TIMEOUT it is over, also when something trickles in."""
    monkeypatch.setattr(weather, "TIMEOUT", 0.1)
    async with asyncio.timeout(PATIENCE):
        assert await failure(answer) == "The weather service did not answer within 0 s."


@pytest.mark.parametrize("status", ["500 Internal Server Error", "429 Too Many Requests", "302 Found", "204 No Content"])
async def test_another_status_is_named(status: str) -> None:
    """An HTTP error is told by its number, whatever its page says."""
    body = b"" if status.startswith("204") else b"<h1>sorry</h1>"
    assert await failure(http(body, status)) == f"The weather service answered with HTTP {status[:3]}."


def changed(**current: Any) -> bytes:
    """A forecast with other values."""
    return json.dumps({**GOOD, "current": {**GOOD["current"], **current}}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"\xff\xfe\x00", b"null", b"[]", b'"current"', b"{}", b'{"current":{}}', b'{"current":[],"current_units":[]}',
        b'{"current":"x","current_units":"y"}', b"[" * 90_000, json.dumps({"current": GOOD["current"]}).encode(),
        changed(temperature_2m=None), changed(temperature_2m="warm"), changed(wind_speed_10m=[9]), changed(weather_code=[61]),
        changed(temperature_2m=math.nan), changed(wind_speed_10m=math.inf), changed(temperature_2m=10**400),
    ],
    ids=range(19),
)  # fmt: skip
async def test_garbage_is_no_forecast(body: bytes) -> None:
    """An answer that is no forecast, or one without the numbers, is not passed on to the model."""
    assert await failure(http(body)) == NO_FORECAST


async def test_a_huge_answer_is_not_read_to_its_end() -> None:
    """An answer far beyond a forecast's size is left after LARGEST_ANSWER bytes; the service need not have finished."""
    sent = 0

    async def endless(path: str, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(http(b"", length=10**12))
        while not writer.is_closing():
            writer.write(b" " * 65_536)
            sent += 65_536
            await writer.drain()

    async with asyncio.timeout(PATIENCE):
        assert await failure(endless) == NO_FORECAST
    assert LARGEST_ANSWER < sent < 500 * LARGEST_ANSWER


async def test_nobody_there() -> None:
    """A refused connection, a name that does not resolve and an address that is none are the reader's to mend."""
    async with service(http(b"")) as (gone, _):
        pass
    for url in (gone, "http://[::1/", "ftp://127.0.0.1/", "nowhere"):
        with pytest.raises(ToolError, match="cannot be reached; check the network or OPEN_METEO_URL"):
            await ask(url)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", http(b"{", length=100)])
async def test_a_broken_line(answer: bytes) -> None:
    """A connection that ends too early, or is no HTTP at all, counts as unreachable."""
    assert await failure(answer) == "The weather service cannot be reached; check the network or OPEN_METEO_URL."
