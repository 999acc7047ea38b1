"""Input audio: detects turns, commits them and starts their transcription."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime.simulator.conversation.client_items import decoded
from realtime.simulator.conversation.items import user_speech
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.input.input_buffer import InputBuffer, SpeechStarted, SpeechStopped
from realtime.simulator.input.transcription import Transcription
from realtime.simulator.validation.api_errors import expect, missing


class InputAudio:
    """The input audio of one session."""

    def __init__(self, context: SessionContext, on_speech: Callable[[SpeechStarted | SpeechStopped], None]) -> None:
        """``on_speech`` is called when a turn begins and after a turn has been committed, each time after the events about it."""
        self.context = context
        self.on_speech = on_speech
        self.buffer = InputBuffer()
        self.buffer.listen(context.config.detection)
        self.transcription = Transcription(context, self.buffer)

    def append(self, data: dict[str, Any]) -> None:
        """``input_audio_buffer.append``: add audio. There is no answer, except events of detected speech."""
        audio = data.get("audio")
        if audio is None:
            raise missing("audio")
        expect("audio", audio, "a string")
        self.add(decoded(self.context, audio, "audio"))

    def add(self, pcm: bytes) -> None:
        """Add the user's audio, PCM16 24 kHz, from any transport. Raises Refusal when the buffer is full."""
        for found in self.buffer.append(pcm, lambda: self.context.ids.make("item")):
            if isinstance(found, SpeechStarted):
                self.context.emit(
                    "input_audio_buffer.speech_started", audio_start_ms=found.audio_start_ms, item_id=found.item_id
                )
            else:
                self.context.emit("input_audio_buffer.speech_stopped", audio_end_ms=found.audio_end_ms, item_id=found.item_id)
                self.commit_speech(found.item_id, found.pcm)
            self.on_speech(found)
        self.transcription.follow()

    def commit(self, data: dict[str, Any]) -> None:
        """``input_audio_buffer.commit``: the turn ends by hand."""
        item_id = self.buffer.item_id or self.context.ids.make("item")
        self.commit_speech(item_id, self.buffer.commit())

    def commit_speech(self, item_id: str, pcm: bytes) -> None:
        """Turn speech into an item, announce the item and start its transcription if enabled."""
        before = self.context.items.last
        stored = user_speech(item_id, pcm)
        self.context.items.add(stored)
        self.context.emit("input_audio_buffer.committed", previous_item_id=before, item_id=item_id)
        self.context.announce(stored)
        self.transcription.begin(stored)

    def clear(self, data: dict[str, Any]) -> None:
        """``input_audio_buffer.clear``."""
        self.buffer.clear()
        self.transcription.forget()
        self.context.emit("input_audio_buffer.cleared")
