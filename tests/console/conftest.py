"""A console with nothing around it but a script: for tests of what people do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest


@pytest.fixture
async def stage(transactional_db: None, async_client: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Start sessions with an API that says what the test wants; everything is recorded."""
    from console import live  # noqa: PLC0415  (Django is set up after this file is read)
    from console.recorder import recorder  # noqa: PLC0415
    from tests.console.stage import Stage  # noqa: PLC0415

    stage = Stage(async_client)
    monkeypatch.setattr("console.live.upstream.dial", stage.dial)
    recorder.start()
    yield stage
    await live.stop_all()
    assert await asyncio.to_thread(recorder.stop)
    await asyncio.to_thread(live.close_readers)


@pytest.fixture
async def asking(
    transactional_db: None, async_client: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """Ask the relay's REST addresses; its default provider is ``openai``, with a key, and answers as the test says."""
    import httpx  # noqa: PLC0415  (Django is set up after this file is read)

    from console import live, relay_keys, rest  # noqa: PLC0415
    from tests.console.rest_stage import CONSOLE_KEY, Api, Asking  # noqa: PLC0415

    settings.OPENAI_API_KEY = CONSOLE_KEY
    settings.OPENAI_BASE_URL = "https://api.example/v1"
    api = Api()
    monkeypatch.setattr(rest, "_client", httpx.AsyncClient(transport=httpx.MockTransport(api)))
    monkeypatch.setattr(relay_keys, "ephemerals", relay_keys.Ephemerals())
    yield Asking(async_client, api)
    await rest.close()
    await asyncio.to_thread(live.close_readers)
