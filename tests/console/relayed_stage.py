"""A client of the relay on stage: what it sends and gets, and the session the console makes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels.testing import WebsocketCommunicator

from console.asgi import application
from console.models import Session
from realtime.events import parse
from realtime.relaying import RelayRunner
from realtime.testing import ScriptedUpstream
from realtime.timeline import Leg, Origin, Transit
from tests.console.stage import HOST, IN_FORCE, Stage, Story
from tests.waiting import PATIENCE

AGENT = b"OpenAI/Python 3.52.0"


class Program:
    """Somebody's program, connected to the relay."""

    def __init__(self, stage: Stage, socket: WebsocketCommunicator, session_id: str) -> None:
        self.stage, self.socket, self.session_id = stage, socket, session_id

    @property
    def runner(self) -> RelayRunner:
        """Its session as it runs."""
        runner = self.stage.runner(self.session_id)
        assert isinstance(runner, RelayRunner)
        return runner

    async def send(self, *events: dict[str, Any] | bytes) -> None:
        """Send these, and wait until the console has them."""
        for event in events:
            due = self.runner.timeline.last_seq + 1
            if isinstance(event, bytes):
                await self.socket.send_to(bytes_data=event)
            else:
                await self.socket.send_to(text_data=json.dumps(event))
            async with asyncio.timeout(PATIENCE):
                while self.runner.timeline.last_seq < due:
                    await asyncio.sleep(0)

    async def get(self) -> dict[str, Any]:
        """The next event that reaches it."""
        event: dict[str, Any] = json.loads(await self.socket.receive_from(PATIENCE))
        return event


@asynccontextmanager
async def program(stage: Stage, query: str = "", *headers: tuple[bytes, bytes]) -> AsyncIterator[Program]:
    """Connect a program; the API greets it."""
    stage.api = ScriptedUpstream()
    path = f"/v1/realtime?model=gpt-realtime-2.1{query}"
    socket = WebsocketCommunicator(application, path, headers=[(b"host", HOST), (b"user-agent", AGENT), *headers])
    socket.scope["client"] = ("127.0.0.1", 50_000)
    accepted, _ = await socket.connect(PATIENCE)
    assert accepted
    session = await Session.objects.filter(source="relay").alatest("started_at")
    program = Program(stage, socket, session.pk)
    stage.api.say({"type": "session.created", "session": IN_FORCE})
    assert (await program.get())["type"] == "session.created"
    yield program
    await socket.disconnect(timeout=PATIENCE)


class RelayedStory(Story):
    """A relayed session told in a few words."""

    def __init__(self, **columns: Any) -> None:
        super().__init__(**{"source": "relay", "client": AGENT.decode(), "status": "ready", **columns})

    def sides(self, *sides: tuple[Leg, dict[str, Any]], direction: str = "sent") -> list[int]:
        """One frame as it was on each side; returns the rows."""
        pair = self.timeline.last_seq + 1
        origin = "app" if direction == "sent" else "api"
        return [self.frame(event, direction, origin, leg, pair=pair) for leg, event in sides]

    def frame(
        self, event: dict[str, Any], direction: Any = "sent", origin: Origin = "app", leg: Leg = "upstream", **more: Any
    ) -> int:
        """A frame that went through the relay in 70 microseconds."""
        entry = self.timeline.event(parse(json.dumps(event)), direction, origin, leg, transit=Transit(70), **more)
        return self._add(entry)
