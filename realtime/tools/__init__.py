"""A tool is a function and its schema; the console's own are get_weather and set_memory."""

from __future__ import annotations

from realtime.tools.base import Tool, ToolContext, check_arguments, parse_arguments, schemas
from realtime.tools.memory import set_memory
from realtime.tools.weather import get_weather

DEFAULT: tuple[Tool, ...] = (get_weather, set_memory)
"""The tools of every session the page starts."""

__all__ = ["DEFAULT", "Tool", "ToolContext", "check_arguments", "parse_arguments", "schemas"]
