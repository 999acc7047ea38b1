"""In the API's place a line through the relay: tests of clients then try them through it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest

from tests.conftest import Console
from tests.relay.line import Line, line


@pytest.fixture
async def api(relay: Console, listener: socket.socket) -> AsyncIterator[Line]:
    """The API as far as a client can tell."""
    async with line(relay, listener) as running:
        yield running


@pytest.fixture
async def beta_api(relay: Console, listener: socket.socket) -> AsyncIterator[Line]:
    """The same, for a client that speaks the beta: what it is connected with speaks GA only."""
    async with line(relay, listener) as running:
        yield running
