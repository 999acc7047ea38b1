"""SessionRunner: drives one session; the only module of the engine that waits."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from realtime import dialects, tools
from realtime.audio import SPEECH
from realtime.calls import Call
from realtime.dialects import Dialect
from realtime.errors import NotConnected, RemoteError, ToolError, traced
from realtime.events import Event, parse
from realtime.protocol import CLOSED, Outgoing, Played, RealtimeProtocol
from realtime.timeline import Entry, Timeline
from realtime.upstream import Upstream

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0
"""Seconds to wait for a goodbye to be answered."""
GOING, RESTART = 1001, 1012
"""Close codes: of an end that goes away, and of a service that will be back soon (RFC 6455 7.4.1 and its registry)."""
FAILED = 1011
"""Close code of an end because this side met a condition in which it cannot go on (RFC 6455 7.4.1)."""
PROTOCOL_CLOSES = {1002, 1003, 1007, 1009}
"""Close codes that say a frame was refused as such (RFC 6455 section 7.4.1)."""


class Tap(Protocol):
    """Whoever is told of each entry, in order, before it goes anywhere else."""

    def record(self, entry: Entry) -> None:
        """Take one entry. Must neither wait nor raise."""


class Player(Protocol):
    """A loudspeaker that follows one session."""

    def play(self, item_id: str, content_index: int, response_id: str, raw: str) -> None:
        """Queue the sound of one delta frame."""

    def end(self, item_id: str) -> None:
        """No more sound comes for this item."""

    def stop(self, why: str) -> None:
        """Cut playback at once and answer, through ``SessionRunner.stopped``, with what was heard."""

    def overhear(self, event: Event) -> None:
        """Follow a frame of somebody else's client: its sound, and what cuts the model's."""


class SessionRunner:
    """Drives one session from dialling to its close.

    Everything that happens is told to ``tap.record`` first. ``run()`` ends with the connection and never raises for
    what the other side does. All other methods are to be called from the same event loop, while ``run()`` runs.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[Upstream]],
        tap: Tap,
        context: tools.ToolContext,
        *,
        session: dict[str, Any] | None = None,
        dialect: Dialect = "ga",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``session`` is asked for by a session.update as soon as the API has told its own defaults. ``dialect``: what the
        API speaks; here everything is GA, and translated at the wire."""
        self.dial = dial
        self.tap = tap
        self.context = context
        self.opening = session
        self.protocol = RealtimeProtocol()
        self.reader = dialects.between("ga", dialect)
        self.timeline = Timeline(clock)
        self.player: Player | None = None
        self.upstream: Upstream | None = None
        self.tools = {tool.name: tool for tool in tools.DEFAULT}
        self.answers_calls = True
        """Whether function calls are run and answered here."""
        self.failure: RemoteError | None = None
        """Why there never was a connection."""
        self._by = "server"
        """Who ends the session, unless somebody else does."""
        self._dialling: asyncio.Future[Upstream] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    # ── The session's life ─────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Dial, then carry frames until the connection is over; records states, events and the close."""
        self.protocol.connecting()
        self.note("state", "Connecting.", {"state": "connecting"})
        try:
            self._dialling = asyncio.ensure_future(self.dial())
            self.upstream = await self._dialling
        except RemoteError as error:
            self.failure = error
            await self.part()
            self._finish("server", None, str(error))
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            given_up = task is not None and not task.cancelling()  # the dialling alone, by whoever wants no connection any longer
            if given_up:
                await self.part()
            self._finish(self._by if self._by == "client" else "console", None, "cancelled while connecting")
            if not given_up:
                raise
            return
        try:
            await self.flush()
            async for message in self.upstream:
                await self.carry(message)
                del message  # not to be held until the next one comes
        finally:
            try:
                await self._stop_tasks()
                await self.part()
            finally:
                # Whatever ends this loop, the log says so last: a session is never left without its close.
                self._finish(self._by, self.upstream.close_code, self.upstream.close_reason)
                await self.upstream.close()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye and wait until the session is over. Nothing recorded is lost; safe to call twice.

        ``code`` is why, in WebSocket's terms: RESTART when the console stops, FAILED when it cannot go on, with the
        ``reason`` in a sentence.
        """
        if self.protocol.state is CLOSED:
            return
        self._by = "console"
        self.protocol.closing()
        self.note("state", "Closing.", {"state": "closing"})
        if code == FAILED:
            self.note("problem", reason, {})
        if self.upstream is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self.upstream.close({RESTART: GOING, FAILED: FAILED}.get(code, 1000), reason)
                    await self._ended.wait()
            except TimeoutError:
                log.info("the API did not answer the close within %s s", CLOSE_TIMEOUT)

    async def part(self) -> None:
        """Say goodbye to whoever else is connected, before the end is recorded."""

    def _finish(self, by: str, code: int | None, reason: str) -> None:
        """Record the end, once."""
        if self.protocol.state is CLOSED:
            return
        self.protocol.closed()
        if code is None and not reason:
            reason = "the connection vanished without a close frame"
        self.tap.record(self.timeline.close(by, code, reason))
        self._ended.set()

    # ── In from the API ────────────────────────────────────────────────────────────────────────────────────────────

    async def carry(self, message: str | bytes) -> None:
        """One frame: read its head, record it, then let it have its effects."""
        # A binary frame is nothing this API sends; shown as text so that it can be seen, its bytes kept one to one.
        raw = message if isinstance(message, str) else message.decode("latin-1")
        event = parse(raw)
        self.tap.record(self.timeline.event(event, "received", "api"))
        self.heed(self.follow_as_told, event)

    def heed(self, follow: Callable[[Event], object], event: Event, recorded: bool = True) -> None:
        """Let a frame have an effect here. A frame that makes that fail is noted, and the session goes on.

        ``recorded``: whether it is on the timeline already, and not to come next.
        """
        try:
            follow(event)
        except Exception as error:  # noqa: BLE001  (whatever a frame holds, it ends no session)
            self.misread(error, recorded)

    def misread(self, error: Exception, recorded: bool = True) -> None:
        """Note that a frame could not be followed: the last one on the timeline, or the one behind the note."""
        log.error("a frame could not be followed: %s", traced(error))
        seq = self.timeline.last_seq + (0 if recorded else 2)
        self.note("problem", f"The console could not follow the frame of row {seq} ({type(error).__name__}).", {"seq": seq})

    def follow_as_told(self, event: Event) -> None:
        """Let a frame of the API have its effects, in whichever dialect it is."""
        for told in self.in_ga(event):
            self.follow(told)

    def in_ga(self, event: Event) -> Iterable[Event]:
        """A frame of the API as GA has it: mostly itself."""
        return (event,) if self.reader.transparent else map(parse, self.reader.to_client(event.raw))

    def follow(self, event: Event) -> None:
        """Let a frame of the API have its effects: on the state, the loudspeaker, and what is sent next."""
        was = self.protocol.state
        self.protocol.receive(event)
        if self.protocol.state is not was:
            self.note("state", "Ready.", {"state": "ready"})
            if self.opening:
                self.protocol.update_session(self.opening, "console")
        if self.player is not None:
            if event.type in SPEECH:
                self.player.play(event.item_id, event.content_index or 0, event.response_id, event.raw)
            elif event.type in ("response.output_audio.done", "response.audio.done"):
                self.player.end(event.item_id)
        self.send_out()

    # ── In from people ─────────────────────────────────────────────────────────────────────────────────────────────

    async def send_event(self, data: dict[str, Any], origin: Any = "composer") -> None:
        """Send any event. Raises NotConnected or InvalidEvent."""
        self.protocol.send_event(data, origin)
        await self.flush()

    async def update_session(self, changes: dict[str, Any]) -> None:
        """Ask for changed settings. Raises NotConnected."""
        self.protocol.update_session(changes)
        await self.flush()

    async def send_text(self, text: str, played: Played | None) -> None:
        """Say something in writing; interrupts. Raises NotConnected."""
        self._note_heard(played, "text")
        self.protocol.send_text(text, played)
        await self.flush()

    async def send_audio(self, pcm: bytes) -> None:
        """Send microphone sound, PCM16 24 kHz mono. Sound that comes before or after the session is dropped."""
        try:
            self.protocol.append_audio(pcm)
        except NotConnected:
            return
        await self.flush()

    async def talk_start(self, played: Played | None) -> None:
        """The talk button goes down."""
        self._note_heard(played, "talk")
        self.protocol.talk_start(played)
        await self.flush()

    async def talk_end(self) -> None:
        """The talk button comes up."""
        if not self.protocol.talk_end():
            self.note("problem", "Too short: hold the button while you speak, at least a tenth of a second.", {})
        await self.flush()

    async def stopped(self, played: Played) -> None:
        """The player cut an item after ``played_ms`` and says so."""
        self._note_heard(played, "stopped")
        try:
            self.protocol.truncate(played)
        except NotConnected:
            return
        await self.flush()

    # ── Out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def flush(self) -> None:
        """Send what the protocol has to send, and wait while the API reads more slowly than that."""
        self.send_out()
        while self.upstream is not None and self.upstream.full:
            await self.upstream.room()

    def send_out(self) -> None:
        """Send what the protocol has to send, in order; run completed calls; stop the player when it must stop."""
        if (why := self.protocol.take_stop()) and self.player is not None:
            self.player.stop(why)
        calls = self.protocol.calls_to_run()
        for call in calls if self.answers_calls else ():
            self._start(self._run_tool(call), f"tool {call.name}")
        if self.upstream is None:
            return  # still dialling: the protocol holds the frames, and nothing is told as sent that was not
        for frame in self.protocol.frames_to_send():
            for raw in self.as_spoken(frame):
                self.tap.record(self.timeline.event(parse(raw), "sent", frame.origin))
                self.put(raw)

    def as_spoken(self, frame: Outgoing) -> list[str]:
        """A frame of ours as the API understands it."""
        return self.reader.to_api(frame.raw)

    def put(self, raw: str) -> bool:
        """Put a frame on the wire. Returns whether there still was one; says so on the timeline if not."""
        try:
            assert self.upstream is not None
            self.upstream.send(raw)
        except NotConnected as error:
            self.note("problem", str(error), {"while": "sending"})
            return False
        return True

    def note(self, kind: str, text: str, data: dict[str, Any] | None = None) -> Entry:
        """Record a sentence of the console's own."""
        entry = self.timeline.note(kind, text, data)
        self.tap.record(entry)
        return entry

    def _note_heard(self, played: Played | None, why: str) -> None:
        if played is not None:
            data = {"item_id": played.item_id, "played_ms": played.played_ms, "why": why}
            self.note("heard", f"Playback was cut after {played.played_ms} ms.", data)

    # ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run_tool(self, call: Call) -> None:
        """Run one completed call and answer it; a failure is an answer too, and is shown on the page."""
        tool = self.tools.get(call.name)
        if tool is None:
            data = {"call_id": call.call_id, "name": call.name, "ok": False}
            self.note("problem", f'The console has no tool "{call.name}": answer the call with an event of yours.', data)
            return
        began = time.monotonic()
        arguments: dict[str, Any] = {}
        ok = False
        try:
            arguments = tools.parse_arguments(call.arguments)
            tools.check_arguments(tool, arguments)
            output: dict[str, Any] = await tool.run(arguments, self.context)
            ok = True
        except ToolError as error:
            output = {"error": str(error)}
        except asyncio.CancelledError:
            raise
        except Exception:
            # A defect in a tool must not end the session; the model and the reader get a sentence, the log the trace.
            log.exception("tool %s failed", call.name)
            output = {"error": f"The tool {call.name} failed inside the console; its log has the details."}
        ms = round((time.monotonic() - began) * 1000)
        self.note(
            "tool",
            f"{call.name} answered in {ms} ms." if ok else f"{call.name}: {output['error']}",
            {"call_id": call.call_id, "name": call.name, "arguments": arguments, "output": output, "ok": ok, "ms": ms},
        )
        self.protocol.answer_call(call, json.dumps(output, ensure_ascii=False))
        await self.flush()

    def _start(self, work: Any, name: str) -> None:
        """Start a named task and keep it until it ends."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
