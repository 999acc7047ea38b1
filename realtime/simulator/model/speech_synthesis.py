"""The voice: written words to PCM16 24 kHz; audible English by espeak-ng, or a plain tone where that is missing."""

from __future__ import annotations

import ctypes
import logging
import threading
from functools import cache, lru_cache
from typing import Any

import numpy as np

from realtime.audio import RATE
from realtime.pcm import resample

log = logging.getLogger(__name__)

VOICES = {
    "alloy": ("en-us+f2", 55), "ash": ("en-us+m1", 42), "ballad": ("en-gb+m2", 50), "coral": ("en-us+f4", 60),
    "echo": ("en-us+m4", 45), "sage": ("en-us+f5", 52), "shimmer": ("en-gb+f1", 62), "verse": ("en-us+m7", 48),
    "marin": ("en-us+f3", 58), "cedar": ("en-us+m3", 38),
}  # fmt: skip
"""The API's voices: the espeak variant for each, and its pitch (0-100)."""
WORDS_PER_MINUTE = 172
"""Speaking rate at speed 1.0, close to the API's voices."""
PAUSE_MS = 120
"""Silence after a sentence."""
CACHED_SENTENCES = 64
"""About 10 MB: greetings and stories are said again and again."""

_LOADING = threading.Lock()
_AUDIO_OUTPUT_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: synthesis calls back before espeak_Synth returns
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_CHARS_UTF8 = 1
_ALL_OK = 0


def voices() -> list[str]:
    """Names the API knows."""
    return sorted(VOICES)


@lru_cache(maxsize=CACHED_SENTENCES)
def speak(text: str, voice: str, speed: float, kind: str = "auto") -> bytes:
    """Return the words as speech, PCM16 24 kHz mono. Blocks for some 10 ms a sentence: call from a thread.

    ``kind`` is ``auto``, ``espeak`` or ``tone``; an unknown voice gets alloy's variant.
    """
    if not any(character.isalnum() for character in text):
        return b"\0" * (PAUSE_MS * 48)
    engine = None if kind == "tone" else _espeak()
    if engine is None:
        if kind == "espeak":
            raise RuntimeError("espeak-ng is not installed: pip install espeakng-loader")
        return _tone(text, speed)
    return engine.speak(text, *VOICES.get(voice, VOICES["alloy"]), round(WORDS_PER_MINUTE * speed))


def _tone(text: str, speed: float) -> bytes:
    """A hum with the rhythm of the words, a little different for each: no speech, but sound that can be followed."""
    pieces = []
    for word in text.split():
        length = round(RATE * (0.06 + 0.05 * len(word)) / speed)
        time = np.arange(length) / RATE
        pitch = 150 + 12 * (sum(map(ord, word)) % 8)
        shape = np.sin(np.pi * np.arange(length) / length)
        pieces += [0.25 * shape * np.sin(2 * np.pi * pitch * time), np.zeros(round(RATE * 0.05 / speed))]
    pieces.append(np.zeros(RATE * PAUSE_MS // 1000))
    return bytes((np.concatenate(pieces) * 32767).astype("<i2").tobytes())


class _Espeak:
    """espeak-ng, loaded once. The library has global state, so a single sentence is spoken at a time."""

    def __init__(self, library: ctypes.CDLL, data: str) -> None:
        self.library = library
        self.lock = threading.Lock()
        self.chunks: list[bytes] = []
        self.rate = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data.encode(), 0)
        if self.rate <= 0:
            raise OSError("espeak-ng could not be initialised")
        prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self.callback = prototype(self._collect)  # kept: ctypes does not
        library.espeak_SetSynthCallback(self.callback)

    def _collect(self, wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            self.chunks.append(ctypes.string_at(wave, count * 2))
        return 0

    def speak(self, text: str, variant: str, pitch: int, words_per_minute: int) -> bytes:
        """Return an utterance at 24 kHz, with a short silence at the end."""
        with self.lock:
            self.chunks = []
            self.library.espeak_SetVoiceByName(variant.encode())
            for parameter, value in ((_RATE, words_per_minute), (_PITCH, pitch), (_RANGE, 55)):
                self.library.espeak_SetParameter(parameter, value, 0)
            encoded = text.encode() + b"\0"
            status = self.library.espeak_Synth(encoded, len(encoded), 0, 1, 0, _CHARS_UTF8, None, None)
            sound, self.chunks = b"".join(self.chunks), []
        if status != _ALL_OK:
            raise OSError(f"espeak-ng could not speak (status {status})")
        return resample(sound, self.rate, RATE) + b"\0" * (PAUSE_MS * 48)


def _espeak() -> _Espeak | None:
    """Return the engine, or None if not installed. Threads wait during loading: to load the library twice breaks the process."""
    with _LOADING:
        return _loaded()


@cache
def _loaded() -> _Espeak | None:
    """The engine, or None where the wheel is not installed or does not fit the machine."""
    try:
        import espeakng_loader  # noqa: PLC0415  (loading costs 100 ms: only for a session that speaks)

        return _Espeak(ctypes.CDLL(espeakng_loader.get_library_path()), espeakng_loader.get_data_path())
    except (ImportError, OSError) as error:
        log.info("no espeak-ng here (%s): the simulator hums instead of speaking", error)
        return None
