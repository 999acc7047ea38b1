"""A simulator on a thread with an event loop, for tests and programs without a loop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from realtime.simulator.server.server import SimulatorServer
from realtime.simulator.shared.options import SimulatorOptions


class RunningSimulator:
    """A simulator in the background: ``with RunningSimulator() as simulator: simulator.url``."""

    def __init__(self, options: SimulatorOptions | None = None, port: int = 0) -> None:
        """Listens on loopback; ``port`` 0 takes a free port. Raises FaultError."""
        self.server = SimulatorServer("127.0.0.1", port, options)
        self.server.wire = self._record
        self.wire: Callable[[str, str], None] | None = None
        """Called with every text frame: direction ``sent`` (by the client) or ``received``, and its text. Runs on the
        simulator's thread."""
        self.frames: list[tuple[str, str]] = []
        """All text frames: direction and text."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator")

    @property
    def port(self) -> int:
        """The port."""
        return self.server.port

    @property
    def url(self) -> str:
        """Address for WebSocket clients, without the model: ``ws://127.0.0.1:…/v1/realtime``."""
        return self.server.url

    @property
    def base_url(self) -> str:
        """Base URL for SDKs: ``http://127.0.0.1:…/v1``."""
        return f"http://{self.server.host}:{self.port}/v1"

    @property
    def websocket_base_url(self) -> str:
        """WebSocket base URL for SDKs: ``ws://127.0.0.1:…/v1``."""
        return f"ws://{self.server.host}:{self.port}/v1"

    @property
    def complaints(self) -> list[str]:
        """Deviations from the scenario: steps not reached by the end of a session, placeholders without a value."""
        return list(self.server.complaints)

    def sent(self, type_: str = "") -> list[dict[str, Any]]:
        """Return the events sent by clients, of one type or all; frames without a JSON object are left out."""
        return self._events("sent", type_)

    def received(self, type_: str = "") -> list[dict[str, Any]]:
        """Return the events received by clients, of one type or all; frames without a JSON object are left out."""
        return self._events("received", type_)

    def start(self) -> None:
        """Start listening. Raises OSError if the port is taken."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.server.start(), self._loop).result()
        except OSError:
            self._end()
            raise

    def stop(self) -> None:
        """Close every session and stop listening."""
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result()
        self._end()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _record(self, direction: str, raw: str) -> None:
        self.frames.append((direction, raw))
        if self.wire is not None:
            self.wire(direction, raw)

    def _events(self, direction: str, type_: str) -> list[dict[str, Any]]:
        events = []
        for way, raw in list(self.frames):
            try:
                event = json.loads(raw) if way == direction else None
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and type_ in ("", event.get("type")):
                events.append(event)
        return events
