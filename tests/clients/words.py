"""What every client of these tests says and offers, so that each completes the same four turns."""

from __future__ import annotations

from typing import Any

KEY = "sk-test"
GREETING = "Hello."
WEATHER = "What is the weather in Lisbon?"
STORY = "Tell me a long story."
FORECAST = '{"temperature": 21.5, "conditions": "partly cloudy"}'
GET_WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather at a place.",
    "parameters": {
        "type": "object",
        "properties": {"lat": {"type": "number"}, "lng": {"type": "number"}, "location": {"type": "string"}},
        "required": ["lat", "lng", "location"],
    },
}
CHUNK = 4800
"""Bytes of sound in an append: 100 ms."""


def chunks(sound: bytes) -> list[bytes]:
    """A sound as a microphone gives it."""
    return [sound[start : start + CHUNK] for start in range(0, len(sound), CHUNK)]
