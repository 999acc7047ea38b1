"""Items and audio as clients send them, converted into stored items."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from realtime.audio import duration_ms
from realtime.pcm import to_pcm24
from realtime.simulator.conversation.items import StoredItem
from realtime.simulator.conversation.session_context import SessionContext
from realtime.simulator.validation import item_validation
from realtime.simulator.validation.api_errors import Refusal

_NAMES = {"audio/pcm": "mono PCM16 at 24kHz", "audio/pcmu": "mono G.711 u-law at 8kHz", "audio/pcma": "mono G.711 a-law at 8kHz"}
LARGEST_APPEND = 15 * 1024 * 1024
"""Bytes of sound in one append."""


def decoded(context: SessionContext, audio: str, path: str) -> bytes:
    """Decode base64 audio in the session's input format to PCM16 24 kHz. Raises Refusal."""
    kind = context.config.session["audio"]["input"]["format"]["type"]
    if len(audio) * 3 // 4 > LARGEST_APPEND:
        raise Refusal("invalid_value", f"Invalid '{path}': at most 15 MiB of audio fit into one event.", path)
    try:
        sound = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        message = f"Invalid '{path}'. Expected base64-encoded audio bytes ({_NAMES[kind]}) but got an invalid value."
        raise Refusal("invalid_value", message, path) from None
    return to_pcm24(sound, kind)


def stored_item(context: SessionContext, given: Any, path: str) -> StoredItem:
    """Check a client's item and complete it to the form in which the API keeps and sends it. Raises Refusal."""
    item, audio = item_validation.checked(given, path)
    pcm = b"".join(decoded(context, sound, here) for here, sound in audio.items())
    return StoredItem(item_validation.completed(item, context.ids), audio=pcm, audio_ms=duration_ms(pcm))
