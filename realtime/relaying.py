"""RelayRunner: carries somebody else's session between their client and the API, frame by frame, and records it."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from realtime import tools
from realtime.audio import SPEECH
from realtime.errors import NotConnected
from realtime.events import Event, parse
from realtime.ledger import Ledger, RelayTap
from realtime.limits import Limits
from realtime.meter import difference
from realtime.parting import LET_GO, NO_CODE, POLICY, UNREACHED, VANISHED, Client, Goodbye, part
from realtime.passage import Passage, Passed
from realtime.policy import End
from realtime.protocol import CLOSED, Outgoing, Played, RealtimeProtocol
from realtime.runner import GOING, RESTART, SessionRunner
from realtime.spending import Spending
from realtime.timeline import Entry
from realtime.upstream import Upstream

log = logging.getLogger(__name__)

EARLY_LIMIT = 1024 * 1024
"""Bytes a client may send before the API has answered; then it has to wait, as with any slow reader."""


class RelayRunner(SessionRunner):
    """Drives one relayed session: ``run()`` as a page's session, ``forward()`` for each frame of the client.

    A frame is recorded before it is sent on, and sent on before anything else is made of it. It leaves as it came,
    unless the session's ``passage`` says otherwise.

    The caller reads from the client only while ``full`` is false, else waits for ``room()``; when the client is gone
    it calls ``client_left``.
    """

    tap: RelayTap

    def __init__(
        self,
        dial: Callable[[], Awaitable[Upstream]],
        tap: RelayTap,
        context: tools.ToolContext,
        client: Client,
        *,
        passage: Passage | None = None,
        minted: dict[str, Any] | None = None,
        limits: Limits | None = None,
        spending: Spending | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``minted``: the session the API is asked for first. ``spending``: of the relay key the client came with."""
        super().__init__(self._dial, tap, context, clock=clock)
        self._connect = dial
        self.client = client
        self.passage = passage or Passage()
        self.reader = self.passage.reader
        self.minted = minted
        self.limits = limits or Limits()
        self.spending = spending
        self.protocol = RealtimeProtocol(prefix=f"console_{secrets.token_hex(4)}_")
        self.answers_calls = False  # they are the client's
        self.ledger = Ledger(self.timeline, tap)
        self.meter = self.ledger.meter
        self.goodbye: Goodbye | None = None
        self._early: list[str] = []
        self._early_size = 0
        self._dialled = asyncio.Event()
        self._left: tuple[int, str] | None = None
        self._delivering = False
        self._last_frame = clock()

    # ── The session's life ─────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Dial, carry frames until either side ends, let the other side know."""
        if self._left is not None:  # it was gone before we began
            self._finish("client", None, "")
            return
        watching = asyncio.create_task(self._watch_limits(), name="relay limits")
        if self.spending is not None:
            self.spending.join(
                lambda: self.protocol.session,
                lambda sentence, facts: self.note("cost", sentence, facts),
                lambda end: self._start(self.end(end, POLICY), f"relay {end.code}"),
            )
        try:
            await super().run()
        finally:
            watching.cancel()
            self._dialled.set()  # whoever waits for room waits no longer

    async def _dial(self) -> Upstream:
        """Dial, unless the client has left already; what answers is known at once, so that nobody leaves it behind."""
        if self._left is not None:
            raise asyncio.CancelledError
        self.upstream = await self._connect()
        return self.upstream

    async def flush(self) -> None:
        """At the start, what the session is to begin with and what the client said meanwhile; then as ever."""
        if self.upstream is not None and not self._dialled.is_set():
            for raw in self.passage.openings(self.minted):
                self.tap.record(self.timeline.event(parse(raw), "sent", "console"))
                self.put(raw)
            for raw in self._early:
                self.put(raw)
            self._early.clear()
            self._dialled.set()
        await super().flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session from here: both sides are told."""
        self.goodbye = self.goodbye or Goodbye(code, reason or _REASONS.get(code, ""))
        if self._dialling is not None and self.upstream is None:
            self.protocol.closing()
            self._dialling.cancel()
            return
        if self._delivering:
            await self.client.abort()  # it does not read: no goodbye would reach it
        await super().close(code, reason)

    async def end(self, end: End, code: int) -> None:
        """End the session because of a limit or a policy; the client gets an ``error`` event first."""
        self.note("policy", end.message, {"code": end.code})
        self.goodbye = Goodbye(code, end.message, end.code)
        await self.close(code)

    async def client_left(self, code: int, reason: str) -> None:
        """The client has closed, or vanished (1006): so does the other side, in the same way."""
        if self.protocol.state is CLOSED:
            return
        self._left, self._by = (code, reason), "client"
        self.protocol.closing()
        if self.upstream is None:
            if self._dialling is not None:
                self._dialling.cancel()
            return
        await self._dialled.wait()  # what was said meanwhile goes out first
        if code == VANISHED:
            await self.upstream.drop()
        else:
            await self._drained()
            await self.upstream.close(None if code == NO_CODE else code, reason)

    async def _drained(self) -> None:
        """What the client said before it left is still to reach the API, if that takes it at all."""
        try:
            async with asyncio.timeout(LET_GO):
                while self.upstream is not None and self.upstream.full:
                    await self.upstream.room()
        except TimeoutError:
            log.info("the API did not take what its client said last")

    def _finish(self, by: str, code: int | None, reason: str) -> None:
        if self.protocol.state is not CLOSED:
            if self.spending is not None:
                self.spending.leave(reached=self.upstream is not None)
            self.note("meter", self.meter.line(), self.meter.facts())
        if self._left is not None:
            left, reason = self._left
            code = None if left == VANISHED else left
        super()._finish(by, code, reason)

    async def part(self) -> None:
        """Tell the client how it ended, unless it was the client who ended it."""
        if self._left is not None:
            return
        if self.failure is not None:
            goodbye = Goodbye(UNREACHED, self.failure.public, "upstream_failed")
        elif self.goodbye is not None:
            goodbye = self.goodbye
        elif self.upstream is not None:
            goodbye = Goodbye(self.upstream.close_code, self.upstream.close_reason)
        else:
            goodbye = Goodbye(VANISHED, "")
        await part(self.client, goodbye, self._tell)

    async def _watch_limits(self) -> None:
        """End the session when it is idle, or has lasted, for too long."""
        while (due := self.limits.next_end(self.timeline.began, self._last_frame)) is not None:
            at, end = due
            if (wait := at - self.timeline.clock()) <= 0:
                self._start(self.end(end, GOING), f"relay {end.code}")
                return
            await asyncio.sleep(wait)

    # ── From the client ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def full(self) -> bool:
        """Whether the client must wait: the API has not answered yet, or it or the tap is slower than the client."""
        if self.upstream is None:
            return self._early_size > EARLY_LIMIT
        return self.upstream.full or self.tap.behind

    async def room(self) -> None:
        """Wait until the client may go on, or the session is over."""
        if self.upstream is None:
            await self._dialled.wait()
            return
        began = perf_counter()
        await self.upstream.room()
        self.ledger.held_up("The API reads more slowly than the client sends", perf_counter() - began)
        await self._written()

    def forward(self, frame: str | bytes, arrived: float = 0.0) -> None:
        """Record one frame of the client and send it on. ``arrived``: when it had come, in ``perf_counter`` seconds.

        A binary frame is PCM16 24 kHz mono and becomes an append (contract, "The relay"). What comes after the end is
        dropped: nobody is there to take it, and the log has been closed.
        """
        if self.protocol.state is CLOSED:
            return
        arrived = arrived or perf_counter()
        self._last_frame = self.timeline.clock()
        binary = isinstance(frame, bytes)
        event = parse(_append(frame) if isinstance(frame, bytes) else frame)
        self.heed(self._sniff, event, recorded=False)
        if self.passage.transparent:
            self._send_on(event.raw, self.ledger.sent(event, data={"binary": len(frame)} if binary else {}), arrived)
            self.heed(self.passage.client_sent, event)
            self.heed(self.protocol.others_sent, event)
        else:
            self._send_passed(event, arrived)
        if binary:
            self.meter.changed(event.size)
        if self.player is not None:
            self.heed(self.player.overhear, event)

    def _sniff(self, event: Event) -> None:
        if self.passage.sniff(event):
            self._tell_notes()

    def _passed(self, judge: Callable[[Event], Passed], event: Event) -> Passed:
        """What becomes of a frame on its way. Where that cannot be told it passes as it is, unless a policy has to judge it."""
        try:
            return judge(event)
        except Exception as error:  # noqa: BLE001  (whatever a frame holds, it ends no session)
            self.misread(error, recorded=False)
            return Passed([event.raw]) if self.passage.guard is None else Passed([], "policy")

    def _send_passed(self, event: Event, arrived: float) -> None:
        """Send what a frame becomes on its way; where that is not what it was, each side's frame has a row."""
        passed = self._passed(self.passage.from_client, event)
        if self.spending is not None and any(end := self.spending.may_pass(told) for told in map(parse, passed.frames)):
            assert end is not None
            self.meter.changed(event.size)
            self.ledger.sent(event, data={"refused": end.code})  # why is told once, at the end
        elif passed.frames == [event.raw]:
            self._send_on(event.raw, self.ledger.sent(event), arrived)
            self.heed(self.protocol.others_sent, event)
        else:
            self.meter.changed(difference(event.raw, passed.frames))
            refused = {"refused": passed.refusals[0].error["error"]["code"]} if passed.refusals else {}
            pair = self.ledger.next_seq
            self.ledger.sent(event, data=refused, pair=pair if passed.frames else None)
            for told in map(parse, passed.frames):
                self._send_on(told.raw, self.ledger.sent(told, leg="upstream", pair=pair), arrived)
                self.heed(self.protocol.others_sent, told)
        for refusal in passed.refusals:
            self._start(self._tell(refusal.error), "relay refuses")
        self._tell_notes()

    def _send_on(self, raw: str, entry: Entry, arrived: float) -> None:
        if self.spending is not None and entry.event is not None:
            self.spending.sent(entry.event)
        if self._dialled.is_set():
            if self.put(raw):
                self.ledger.left(entry, arrived)
        else:  # how long the API takes to answer is not what the console adds: not measured
            self._early.append(raw)
            self._early_size += entry.size

    # ── From the API ───────────────────────────────────────────────────────────────────────────────────────────────

    async def carry(self, message: str | bytes) -> None:
        """Record one frame of the API and send it on; then let it have its effects here."""
        assert self.upstream is not None
        arrived = self.upstream.arrived
        self._last_frame = self.timeline.clock()
        self.meter.waited(self.upstream.waiting)
        # Binary frames are shown as text so that they can be seen, their bytes kept one to one; they leave as they came.
        event = parse(message if isinstance(message, str) else message.decode("latin-1"))
        if self.passage.transparent:
            data = {} if isinstance(message, str) else {"binary": len(message)}
            await self._deliver(message, self.ledger.received(event, data=data), arrived)
        else:
            await self._deliver_passed(message, event, arrived)
        self.heed(self.follow_as_told, event)
        if self.spending is not None:
            self.heed(self.spending.received, event)
        if self.tap.behind:
            await self._written()

    def follow(self, event: Event) -> None:
        """As a page's session, but for sound after the first, which has no effect unless somebody listens in: what of it
        was heard, for a truncation, is known to the client alone."""
        if event.type not in SPEECH or self.player is not None or not self.protocol.audio_spoken:
            super().follow(event)

    async def _written(self) -> None:
        """Wait until the tap has caught up, or the session is over: what is not stored yet is held in memory."""
        while self.tap.behind and self.protocol.state is not CLOSED:
            await self.tap.room()

    async def _deliver_passed(self, message: str | bytes, event: Event, arrived: float) -> None:
        """Deliver what a frame becomes on its way; where that is not what it was, each side's frame has a row."""
        passed = self._passed(self.passage.from_api, event)
        data: dict[str, Any] = {} if isinstance(message, str) else {"binary": len(message)}
        if passed.frames == [event.raw]:
            await self._deliver(message, self.ledger.received(event, data=data), arrived)
        else:
            self.meter.changed(difference(event.raw, passed.frames))
            pair = self.ledger.next_seq if passed.frames else None
            if passed.withheld:
                data["withheld"] = passed.withheld
            self.ledger.received(event, data=data, pair=pair)
            for frame in passed.frames:
                await self._deliver(frame, self.ledger.received(parse(frame), leg="client", pair=pair), arrived)
        self._tell_notes()

    async def _deliver(self, frame: str | bytes, entry: Entry, arrived: float) -> None:
        self._delivering = True
        try:
            await self.client.send(frame)
        except NotConnected:
            return  # how it left is told by whoever reads from it
        finally:
            self._delivering = False
        self.ledger.left(entry, arrived)

    async def _tell(self, event: dict[str, Any]) -> None:
        """Send the client an event of ours, in its dialect."""
        for raw in self.passage.to_client(event):
            entry = self.ledger.received(parse(raw), origin="console", leg="client")
            await self._deliver(raw, entry, perf_counter())

    # ── What the console does in it ────────────────────────────────────────────────────────────────────────────────

    def as_spoken(self, frame: Outgoing) -> list[str]:
        """An event of ours: its ids say so, and it goes in the API's dialect."""
        return self.passage.to_api(json.loads(frame.raw))

    async def send_text(self, text: str, played: Played | None) -> None:
        """Say something in writing. What was heard of the answer before is known to the client alone."""
        await super().send_text(text, None)

    async def stopped(self, played: Played) -> None:
        """A listener's loudspeaker was cut: nothing follows, for the client's is the one that counts."""

    def _tell_notes(self) -> None:
        for kind, sentence, facts in self.passage.notes_to_tell():
            self.note(kind, sentence, facts)


_REASONS = {1000: "closed on the console's page", RESTART: "the console is stopping"}


def _append(pcm: bytes) -> str:
    """Sound as the event that carries it."""
    return f'{{"type":"input_audio_buffer.append","audio":"{b64encode(pcm).decode()}"}}'
