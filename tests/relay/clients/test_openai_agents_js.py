"""The @openai/agents package in Node through the relay; stored frames are those of the wire."""

from tests.clients.test_openai_agents_js import (
    modules,
    test_four_turns,
)

__all__ = [
    "modules",
    "test_four_turns",
]
