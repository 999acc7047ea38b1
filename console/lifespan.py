"""ASGI's lifespan: under any server the console starts before the first request and stops after the last."""

from __future__ import annotations

import asyncio
from typing import Any

from django.db import DatabaseError

from console import lifecycle
from console.preparing import CannotStart, assert_limits, assert_public_url, hold_console, prepare_data_dir


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Start, wait until the server goes, stop. ``console.server`` does the same by itself and never asks for this.

    One process only: what runs here is in its memory, so a second one on the same data directory or database is refused.
    """
    await receive()  # lifespan.startup
    try:
        assert_public_url()
        assert_limits()
        await asyncio.to_thread(prepare_data_dir)
        lock = await asyncio.to_thread(hold_console)
        await lifecycle.startup()
    except CannotStart as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    except DatabaseError as error:
        why = f"The database cannot be used ({error}): run manage.py migrate."
        await send({"type": "lifespan.startup.failed", "message": why})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    await lifecycle.shutdown()
    lock.close()
    await send({"type": "lifespan.shutdown.complete"})
