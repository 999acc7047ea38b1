"""The sound's own socket, a plain ASGI callable: microphone in, loudspeaker out, and who is heard when."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any

from console import live
from realtime.audio import split
from realtime.events import Event
from realtime.pcm import to_pcm24
from realtime.protocol import CONNECTING, READY, Played
from realtime.relaying import RelayRunner
from realtime.runner import SessionRunner

log = logging.getLogger(__name__)

QUEUE_LIMIT = 64 * 1024 * 1024
"""Bytes of sound waiting for one browser: 23 minutes. More is dropped, and said so."""
REPLACED = 4001
"""Close code for a page whose sound another tab has taken over."""
NOT_RUNNING = 4004
"""Close code when the session is not running here."""


Whose = tuple[str, int]
"""Whose sound: an item of the model's and its content index, or one of these two."""
NOBODY: Whose = ("", 0)
CLIENT: Whose = ("", 1)
"""The microphone of somebody else's client."""
INTERRUPTS = ("response.cancel", "conversation.item.truncate", "output_audio_buffer.clear")
"""What a client says that has fallen silent itself."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A message on its way to the browser."""

    message: dict[str, Any]
    size: int = 0
    """Bytes of sound in it."""
    whose: Whose = NOBODY


class BrowserPlayer:
    """A loudspeaker behind a WebSocket: queues what is to be sent, in order, without ever waiting."""

    def __init__(self, runner: SessionRunner) -> None:
        self.runner = runner
        self.outbox: deque[Queued] = deque()
        self.waiting = 0
        """Bytes of sound in the outbox."""
        self.news = asyncio.Event()
        self.item = NOBODY
        """Whose sound was queued last: item and content index."""
        self.response_id = ""
        self.silenced: set[str] = set()
        """Responses cut short: what still arrives of them is not played."""
        self.skipped_ms = 0.0

    def play(self, item_id: str, content_index: int, response_id: str, raw: str) -> None:
        """Queue the sound of one delta frame."""
        if response_id in self.silenced:
            return
        sound = to_pcm24(split(raw, "response.output_audio.delta").audio, self.runner.protocol.format("output"))
        if self.waiting + len(sound) > QUEUE_LIMIT:
            self._skip(len(sound) / 48)
            return
        if (item_id, content_index) != self.item:
            self.item, self.response_id = (item_id, content_index), response_id
            self.tell("item", item_id=item_id, content_index=content_index, response_id=response_id)
        self._sound(sound)

    def overhear(self, event: Event) -> None:
        """Queue the sound of a client's append; fall silent when the client interrupts the model."""
        if event.type in INTERRUPTS:
            self.stop("client")
        if event.type != "input_audio_buffer.append":
            return
        sound = to_pcm24(split(event.raw, event.type).audio, self.runner.protocol.format("input"))
        if not sound:
            return
        if self.waiting + len(sound) > QUEUE_LIMIT:
            self._skip(len(sound) / 48)
            return
        if self.item != CLIENT:
            self.item = CLIENT
            self.tell("client")
        self._sound(sound)

    def end(self, item_id: str) -> None:
        """No more sound comes for this item."""
        self.tell("end", item_id=item_id)

    def stop(self, why: str) -> None:
        """Cut playback: what is still queued is never sent."""
        self.outbox = deque(queued for queued in self.outbox if queued.whose in (NOBODY, CLIENT))
        self.waiting = sum(queued.size for queued in self.outbox)
        self.item = NOBODY
        self.silenced = {self.response_id, self.runner.protocol.active_response} - {""}
        self.tell("stop", reason=why)

    def tell(self, type_: str, **facts: Any) -> None:
        """Queue a message that is not sound."""
        self._put(Queued({"type": "websocket.send", "text": json.dumps({"type": type_, **facts})}))

    def hang_up(self, code: int, reason: str) -> None:
        """Queue the end of the socket."""
        self._put(Queued({"type": "websocket.close", "code": code, "reason": reason}))

    def _sound(self, sound: bytes) -> None:
        """Queue sound of whoever was named last."""
        self.waiting += len(sound)
        self._put(Queued({"type": "websocket.send", "bytes": sound}, len(sound), self.item))

    def _put(self, queued: Queued) -> None:
        self.outbox.append(queued)
        self.news.set()

    def _skip(self, ms: float) -> None:
        if not self.skipped_ms:
            self.runner.note("skip", "The browser takes no sound: playback is skipped; the recording is whole.", {})
        self.skipped_ms += ms

    async def pump(self, send: Any) -> None:
        """Send what is queued until the socket ends."""
        while True:
            await self.news.wait()
            self.news.clear()
            while self.outbox:
                queued = self.outbox.popleft()
                self.waiting -= queued.size
                await send(queued.message)
                if queued.message["type"] == "websocket.close":
                    return


async def audio(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Carry one page's sound. Binary in: PCM16 24 kHz mono from the microphone. Text in: talk and playback facts.

    Binary out: sound of whoever the last text out named, ``item`` for the model's, ``client`` for that of a relayed
    session's client.
    """
    await receive()  # the connect
    runner = live.find(scope["url_route"]["kwargs"]["session_id"])
    await send({"type": "websocket.accept"})
    if runner is None:
        await send({"type": "websocket.close", "code": NOT_RUNNING, "reason": "This session is not running."})
        return
    if isinstance(runner.player, BrowserPlayer):
        runner.player.hang_up(REPLACED, "Another tab has taken over this session's sound.")
    player = runner.player = BrowserPlayer(runner)
    relayed = isinstance(runner, RelayRunner)
    player.tell("mode", vad=bool(runner.protocol.turn_detection) and not relayed)
    pump = asyncio.create_task(player.pump(send), name=f"sound to {scope['path']}")
    try:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                break
            if relayed:
                continue  # whoever listens in is not heard: the session is the client's
            if sound := message.get("bytes"):
                await runner.send_audio(sound)
            elif text := message.get("text"):
                await hear(runner, text)
    finally:
        if runner.player is player:  # and no other tab's
            runner.player = None
            if runner.protocol.talking and is_open(runner):
                await runner.talk_end()  # a tab that vanished with the button down has let it go
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def hear(runner: SessionRunner, text: str) -> None:
    """One text message of the page; what cannot be read is shown on the timeline, not raised."""
    try:
        message = json.loads(text)
        kind = message["type"]
        played = played_in(message)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        runner.note("problem", f"The page's sound module sent something unreadable: {text[:80]}", {})
        return
    if not is_open(runner):
        return
    if kind == "talk_start":
        await runner.talk_start(played)
    elif kind == "talk_end":
        await runner.talk_end()
    elif kind == "stopped" and played is not None:
        await runner.stopped(played)


def is_open(runner: SessionRunner) -> bool:
    """Whether anything can still be sent to the session."""
    return runner.protocol.state in (CONNECTING, READY)


def played_in(facts: dict[str, Any]) -> Played | None:
    """What a page says was playing when it was cut; None when nothing was."""
    item_id = str(facts.get("item_id") or "")
    if not item_id:
        return None
    return Played(item_id, max(0, round(float(facts.get("played_ms") or 0))), int(facts.get("content_index") or 0))
