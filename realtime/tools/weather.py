"""get_weather: the weather now at a place, from open-meteo; the model gets only what it needs."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httpx

from realtime.errors import ToolError
from realtime.events import load
from realtime.tools.base import Tool, ToolContext

TIMEOUT = 5.0
"""Seconds for the whole request: a caller waits in silence meanwhile."""
LARGEST_ANSWER = 100_000
"""Bytes; a real one has about 500."""
CONDITIONS = {
    0: "clear", 1: "mostly clear", 2: "partly cloudy", 3: "overcast", 45: "fog", 48: "freezing fog",
    51: "light drizzle", 53: "drizzle", 55: "heavy drizzle", 56: "freezing drizzle", 57: "freezing drizzle",
    61: "light rain", 63: "rain", 65: "heavy rain", 66: "freezing rain", 67: "freezing rain",
    71: "light snow", 73: "snow", 75: "heavy snow", 77: "snow grains", 80: "light showers", 81: "showers",
    82: "heavy showers", 85: "snow showers", 86: "heavy snow showers", 95: "thunderstorm",
    96: "thunderstorm with hail", 99: "thunderstorm with hail",
}  # fmt: skip
"""WMO weather interpretation codes (WW), as open-meteo's documentation lists them."""


async def _run(arguments: dict[str, Any], context: ToolContext) -> dict[str, Any]:
    lat, lng, location = arguments["lat"], arguments["lng"], arguments["location"]
    if not (-90 <= lat <= 90 and -180 <= lng <= 180):  # neither is NaN
        raise ToolError(f"{lat}, {lng} is no place on earth: latitude is -90 to 90, longitude -180 to 180.")
    lat, lng = float(lat), float(lng)
    current = await _ask(context.weather_url, lat, lng)
    return {
        "location": location,
        "lat": lat,
        "lng": lng,
        "temperature": current["temperature_2m"],
        "wind": current["wind_speed_10m"],
        **({"conditions": current["conditions"]} if "conditions" in current else {}),
    }


async def _ask(url: str, lat: float, lng: float) -> dict[str, Any]:
    """Ask the service; every way this can go wrong is a sentence."""
    wanted: dict[str, str | float] = {"latitude": lat, "longitude": lng, "current": "temperature_2m,wind_speed_10m,weather_code"}
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client,
            client.stream("GET", url, params=wanted) as response,
        ):
            content = b""
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LARGEST_ANSWER:
                    break
    except (TimeoutError, httpx.TimeoutException):
        raise ToolError(f"The weather service did not answer within {TIMEOUT:.0f} s.") from None
    except (httpx.HTTPError, httpx.InvalidURL):
        raise ToolError("The weather service cannot be reached; check the network or OPEN_METEO_URL.") from None
    if response.status_code != 200:
        raise ToolError(f"The weather service answered with HTTP {response.status_code}.")
    try:
        if len(content) > LARGEST_ANSWER:
            raise ValueError
        return _read(load(content.decode()))
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        raise ToolError("The weather service answered with something that is not a forecast.") from None


def _read(answer: dict[str, Any]) -> dict[str, Any]:
    """The needed fields of open-meteo's answer. Raises LookupError, TypeError, ValueError or OverflowError without them."""
    current, units = answer["current"], answer["current_units"]
    read: dict[str, Any] = {
        name: {"value": float(current[name]), "unit": str(units[name])} for name in ("temperature_2m", "wind_speed_10m")
    }
    if not all(math.isfinite(measured["value"]) for measured in read.values()):
        raise ValueError
    if conditions := CONDITIONS.get(current.get("weather_code")):
        read["conditions"] = conditions
    return read


get_weather = Tool(
    "get_weather",
    "Retrieves the weather for a given lat, lng coordinate pair. Specify a label for the location.",
    {
        "type": "object",
        "properties": {
            "lat": {"type": "number", "description": "Latitude in degrees, north positive."},
            "lng": {"type": "number", "description": "Longitude in degrees, east positive."},
            "location": {"type": "string", "description": "Name of the place."},
        },
        "required": ["lat", "lng", "location"],
    },
    _run,
)
