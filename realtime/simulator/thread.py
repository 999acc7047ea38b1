"""A simulator that runs on a thread and loop of its own, for tests and programs that have no loop."""

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
        """It listens on loopback; ``port`` 0 takes a free one. Raises FaultError."""
        self.server = SimulatorServer("127.0.0.1", port, options)
        self.server.wire = self._tell
        self.wire: Callable[[str, str], None] | None = None
        """Told of every text frame as it travels: direction ``sent`` (by the client) or ``received``, and its text.
        It is called on the simulator's thread."""
        self.frames: list[tuple[str, str]] = []
        """Those frames: direction and text."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator")

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    @property
    def url(self) -> str:
        """What a WebSocket client dials, without the model: ``ws://127.0.0.1:…/v1/realtime``."""
        return self.server.url

    @property
    def base_url(self) -> str:
        """What an SDK takes for its base URL: ``http://127.0.0.1:…/v1``."""
        return f"http://{self.server.host}:{self.port}/v1"

    @property
    def websocket_base_url(self) -> str:
        """What an SDK takes for its WebSocket base URL: ``ws://127.0.0.1:…/v1``."""
        return f"ws://{self.server.host}:{self.port}/v1"

    @property
    def complaints(self) -> list[str]:
        """Steps of the scenario that a session ended without, and what else did not go as it was written."""
        return list(self.server.complaints)

    def sent(self, type_: str = "") -> list[dict[str, Any]]:
        """Events the clients have sent, of one type or all; what is no JSON object is left out."""
        return self._events("sent", type_)

    def received(self, type_: str = "") -> list[dict[str, Any]]:
        """Events the clients have been sent, of one type or all; what is no JSON object is left out."""
        return self._events("received", type_)

    def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
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

    def _tell(self, direction: str, raw: str) -> None:
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
