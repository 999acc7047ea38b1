"""Hearing: what happens to the sound a client sends: turns are found in it, committed, and written down."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from realtime.pcm import to_pcm24
from realtime.simulator.buffer import InputBuffer, SpeechStarted, SpeechStopped
from realtime.simulator.items import Stored, user_speech
from realtime.simulator.refusals import Refusal, expect, missing
from realtime.simulator.transcribing import Transcribing
from realtime.simulator.work import Hear, Speak

if TYPE_CHECKING:
    from realtime.simulator.session import SimulatedSession

_NAMES = {"audio/pcm": "mono PCM16 at 24kHz", "audio/pcmu": "mono G.711 u-law at 8kHz", "audio/pcma": "mono G.711 a-law at 8kHz"}
LARGEST_APPEND = 15 * 1024 * 1024
"""Bytes of sound in one append."""


class Hearing:
    """One session's ear."""

    def __init__(self, session: SimulatedSession) -> None:
        self.session = session
        self.buffer = InputBuffer()
        self.buffer.listen(session.config.detection)
        self.transcribing = Transcribing(session)

    def append(self, data: dict[str, Any]) -> None:
        """``input_audio_buffer.append``: no answer, but for what is heard in it."""
        audio = data.get("audio")
        if audio is None:
            raise missing("audio")
        expect("audio", audio, "a string")
        self.take(self.decoded(audio, "audio"))

    def take(self, pcm: bytes) -> None:
        """Sound of the user, PCM16 24 kHz, however it came. Raises Refusal when the buffer is full."""
        for found in self.buffer.append(pcm, lambda: self.session.ids.make("item")):
            if isinstance(found, SpeechStarted):
                self._speech_started(found)
            else:
                self._speech_stopped(found)
        self.transcribing.follow()

    def decoded(self, audio: str, path: str) -> bytes:
        """Base64 in the session's input format → PCM16 24 kHz. Raises Refusal."""
        kind = self.session.config.session["audio"]["input"]["format"]["type"]
        if len(audio) * 3 // 4 > LARGEST_APPEND:
            raise Refusal("invalid_value", f"Invalid '{path}': at most 15 MiB of audio fit into one event.", path)
        try:
            sound = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            message = f"Invalid '{path}'. Expected base64-encoded audio bytes ({_NAMES[kind]}) but got an invalid value."
            raise Refusal("invalid_value", message, path) from None
        return to_pcm24(sound, kind)

    def _speech_started(self, found: SpeechStarted) -> None:
        self.session.answering.disturb()
        self.session.emit("input_audio_buffer.speech_started", audio_start_ms=found.audio_start_ms, item_id=found.item_id)
        detection = self.session.config.detection or {}
        if detection.get("interrupt_response"):
            self.session.answering.interrupt()

    def _speech_stopped(self, found: SpeechStopped) -> None:
        self.session.emit("input_audio_buffer.speech_stopped", audio_end_ms=found.audio_end_ms, item_id=found.item_id)
        self.commit_speech(found.item_id, found.pcm)
        if (self.session.config.detection or {}).get("create_response"):
            self.session.answering.answer_if_free()

    def commit(self, data: dict[str, Any]) -> None:
        """``input_audio_buffer.commit``: the turn ends by hand."""
        item_id = self.buffer.item_id or self.session.ids.make("item")
        self.commit_speech(item_id, self.buffer.commit())

    def commit_speech(self, item_id: str, pcm: bytes) -> None:
        """A turn has ended: it becomes an item, and is written down where that was asked for."""
        before = self.session.items.last
        stored = user_speech(item_id, pcm)
        self.session.items.add(stored)
        self.session.emit("input_audio_buffer.committed", previous_item_id=before, item_id=item_id)
        self.session.tell_added(stored)
        self.transcribing.begin(stored)

    def clear(self, data: dict[str, Any]) -> None:
        """``input_audio_buffer.clear``."""
        self.buffer.clear()
        self.transcribing.forget()
        self.session.emit("input_audio_buffer.cleared")

    def words(self, stored: Stored) -> Generator[float | Speak | Hear, Any, str]:
        """What was said in an item; the ears are asked once, whoever else waits for them. Raises WorkFailed."""
        if stored.heard is None:
            stored.heard = str((yield Hear(stored.item["id"], stored.audio)))
        return stored.heard
