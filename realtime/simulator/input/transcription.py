"""Transcription of the user's speech; streaming models transcribe during the turn."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from realtime.simulator.conversation import usage
from realtime.simulator.conversation.items import StoredItem
from realtime.simulator.conversation.jobs import Recognize, Script, WorkFailed, words
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.input.input_buffer import InputBuffer
from realtime.simulator.validation.session_config import LOGPROBS, STREAMING_MODELS

EVENT = "conversation.item.input_audio_transcription"
DIARIZING_MODEL = "gpt-4o-transcribe-diarize"
"""The model with speaker labels; the simulator knows a single speaker, A."""
PLEASE_FAIL = "please fail"
"""A transcription with this text in its ``prompt`` fails with ``audio_unintelligible``: for tests of clients."""
LOOK_MS = {"minimal": 300, "low": 450, "medium": 600, "high": 900, "xhigh": 1500}
"""Milliseconds of new audio between two looks of a streaming model, by ``delay``."""
LONGEST_MS = 15_000
"""Milliseconds of a turn that are transcribed during the turn: each look recognizes the turn from its beginning."""


@dataclass(slots=True)
class _Turn:
    """A turn in progress during its transcription."""

    looked_ms: float = 0.0
    looking: bool = False
    last: list[str] = field(default_factory=list)
    """Words recognized by the last look."""
    sent: list[str] = field(default_factory=list)
    """Words sent so far."""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    """Log probabilities sent so far."""


class Transcription:
    """The transcription of one session's input."""

    def __init__(self, context: SessionContext, buffer: InputBuffer) -> None:
        self.context = context
        self.buffer = buffer
        self._turns: dict[str, _Turn] = {}

    @property
    def setting(self) -> dict[str, Any] | None:
        """``audio.input.transcription`` in force; None when nothing is to be written down."""
        found: dict[str, Any] | None = self.context.config.session["audio"]["input"]["transcription"]
        return found

    def follow(self) -> None:
        """React to new audio: with a streaming model, send the words that are certain by now."""
        setting, buffer = self.setting, self.buffer
        if setting is None or setting["model"] not in STREAMING_MODELS or buffer.spoken_ms > LONGEST_MS:
            return
        step = LOOK_MS[setting.get("delay") or "medium"]
        turn = self._turns.get(buffer.item_id) if buffer.item_id else None
        if buffer.spoken_ms < step or (turn and (turn.looking or buffer.spoken_ms - turn.looked_ms < step)):
            return
        item_id = buffer.reserve(lambda: self.context.ids.make("item"))
        turn = self._turns.setdefault(item_id, _Turn())
        turn.looking, turn.looked_ms = True, buffer.spoken_ms
        self.context.schedule(self._look(item_id, turn, buffer.spoken()))

    def forget(self) -> None:
        """Abandon turns in progress after the buffer was cleared."""
        self._turns.clear()

    def begin(self, stored: StoredItem) -> None:
        """Start the transcription of a committed turn, if enabled."""
        turn = self._turns.pop(stored.item["id"], None) or _Turn()
        if self.setting is not None:
            self.context.schedule(self._write(stored, self.setting, turn))

    def _look(self, item_id: str, turn: _Turn, pcm: bytes) -> Script:
        """Recognize the turn so far, and send the words on which two looks agree."""
        try:
            text = str((yield Recognize(item_id, pcm, partial=True)))
        except WorkFailed:
            text = ""  # the transcription at the end of the turn reports the failure
        turn.looking = False
        if self._turns.get(item_id) is not turn:
            return
        recognized = [] if text.startswith("(") else text.rstrip(".?!").split()
        agreed = _common(recognized, turn.last)
        turn.last = recognized
        if agreed[: len(turn.sent)] != turn.sent or self.setting is None:
            return
        for word in agreed[len(turn.sent) :]:
            self._delta(item_id, turn, word if not turn.sent and not _leads_with_space(self.setting["model"]) else f" {word}")
            turn.sent.append(word)

    def _write(self, stored: StoredItem, setting: dict[str, Any], turn: _Turn) -> Script:
        """Transcribe a committed turn, beside the response and possibly beyond its end."""
        context, model, sent = self.context, setting["model"], " ".join(turn.sent)
        ids = {"item_id": stored.item["id"], "content_index": 0}
        yield 0.05
        try:
            if PLEASE_FAIL in str(setting.get("prompt") or "").lower():
                raise _Unintelligible
            text = _continued(sent, (yield from words(stored)))
        except WorkFailed as failure:
            message = f"Input transcription failed for item '{stored.item['id']}'."
            error = {"type": "server_error", "code": None, "message": message, "param": None}
            context.emit(f"{EVENT}.failed", **ids, error=failure.error() if isinstance(failure, _Unintelligible) else error)
            return
        rest = text[len(sent) :]
        if rest and not sent and _leads_with_space(model):
            rest = f" {rest}"
        for token in [rest] if model == "whisper-1" else usage.text_tokens(rest):
            yield 0.01
            self._delta(stored.item["id"], turn, token)
        if model == DIARIZING_MODEL:
            for segment in _segments(text, stored.audio_ms / 1000):
                context.emit(f"{EVENT}.segment", **ids, **segment, id=f"seg_{context.ids.random(21)}")
        extra = {"logprobs": turn.logprobs} if self._sends_logprobs else {}
        used = usage.transcription_usage(model, stored.audio_ms, text)
        context.emit(f"{EVENT}.completed", **ids, transcript=text, usage=used, **extra)

    @property
    def _sends_logprobs(self) -> bool:
        return LOGPROBS in (self.context.config.session["include"] or [])

    def _delta(self, item_id: str, turn: _Turn, delta: str) -> None:
        extra = {}
        if self._sends_logprobs:
            certainty = -round(self.context.ids.chance.random() / 4, 4)
            extra["logprobs"] = [{"token": delta, "logprob": certainty, "bytes": list(delta.encode())}]
            turn.logprobs += extra["logprobs"]
        padding = self.context.ids.padding(delta)
        self.context.emit(f"{EVENT}.delta", item_id=item_id, content_index=0, delta=delta, **extra, obfuscation=padding)


class _Unintelligible(WorkFailed):
    """Nothing could be made of the sound."""

    def error(self) -> dict[str, Any]:
        """Return the error in the form given in the event's reference."""
        message = "The audio could not be transcribed."
        return {"type": "transcription_error", "code": "audio_unintelligible", "message": message, "param": None}


def _leads_with_space(model: str) -> bool:
    """Return True for the model whose first delta begins with a space, unlike its transcript."""
    return bool(model == "gpt-realtime-whisper")


def _common(words: list[str], others: list[str]) -> list[str]:
    """Return the common beginning of two lists of words."""
    count = 0
    while count < min(len(words), len(others)) and words[count] == others[count]:
        count += 1
    return words[:count]


def _continued(sent: str, text: str) -> str:
    """Return the whole transcript: words already sent stay, the rest comes from the final recognition."""
    if not sent or text.startswith(sent):
        return text
    if text.startswith("("):  # nothing was recognized in the end: the words already sent are the transcript
        return sent
    return " ".join([sent, *text.split()[len(sent.split()) :]])


def _segments(text: str, seconds: float) -> list[dict[str, Any]]:
    """Return the sentences with their times, in proportion to their length."""
    found, position = [], 0
    for sentence in re.findall(r"\S.*?(?:[.!?]+(?=\s|$)|$)", text, re.DOTALL):
        start = text.index(sentence, position)
        position = start + len(sentence)
        times = {"start": round(start / len(text) * seconds, 3), "end": round(position / len(text) * seconds, 3)}
        found.append({"text": sentence, "speaker": "A", **times})
    return found
