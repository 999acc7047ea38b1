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
