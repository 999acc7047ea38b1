"""Speech recognition for a small grammar of sentences; everything else is reported as not understood."""

from __future__ import annotations

import logging
import math
import re
import threading
from functools import cache
from typing import Any

import numpy as np

from realtime.audio import RATE, duration_ms
from realtime.pcm import resample, samples

log = logging.getLogger(__name__)

RECOGNITION_RATE = 16_000
SURE = -0.36
"""Log confidence per second of audio below which a result is rejected; measured: sentences of the grammar reach -0.2 to -0.3,
most others -0.4 and less."""
ROOM_NOISE, ROOM_SECONDS = 30, 0.5
"""Amplitude (of 32,767) of the noise laid under the speech, and its seconds at either end: the recognizer is trained on rooms,
and without noise it mistakes every second sentence."""
NAMES = (
    "ada adam alan alex alice amy anna barbara ben bob carol charles chris clara daniel david emily emma eric eva frank "
    "george grace hannah helen henry ian jack james jane john joseph julia kate kevin laura linda lisa louis lucy maria "
    "mark martin mary max michael nick nina oliver oscar patrick paul peter philip rachel richard robert rose ruth sam "
    "sarah simon sophie stephen steve susan thomas tim tom victor walter william"
).split()
CITIES = (
    "amsterdam athens atlanta berlin boston brussels budapest cairo chicago copenhagen delhi denver dublin houston istanbul "
    "lisbon london madrid melbourne miami milan montreal moscow munich paris prague rome san_francisco new_york seattle "
    "seoul singapore stockholm sydney tokyo toronto vancouver venice vienna warsaw washington"
).split()
"""Cities that the recognizer tells apart; all others are understood in writing only."""
COLOURS = "black blue brown gray green orange pink purple red white yellow".split()
NUMBERS = "three five ten twenty thirty".split()

_GRAMMAR = """#JSGF V1.0;
grammar said;
public <said> = [please] ( <weather> | <remember> | <ask> | tell me a [long] story | count to {numbers} |
  hello [there] | hi [there] | good morning | stop [please] | thank you | goodbye );
<weather> = ( (what's | what is | how is) the weather [like] in <city> [and in <city>] );
<remember> = ( [remember that] my name is {names} | [remember that] my favorite color is {colours} );
<ask> = ( what is my name | what is my favorite color | what time is it | who are you | what can you do |
  what do you know about me );
<city> = {cities};
"""
_UNFINISHED = re.compile(
    r"(?:^|.* )(?:name is|color is|weather|like|in|and|new|san|that|my|is|to|a|long|tell|me a|what|what's|who|how|can|"
    r"can you|are|do|know|about|remember|count|my favorite|time)$"
)
"""Beginnings of sentences of the grammar: the speaker said something else."""


def transcribe(pcm: bytes) -> str:
    """Return the sentence spoken; for speech outside the grammar, its length in brackets. Blocks: use a thread.

    The real API transcribes any speech. The simulator matches a grammar of some thousand sentences (README, "What the simulator
    understands"), with the model included in pocketsphinx's wheel.
    """
    understood = _understand(pcm)
    return understood or f"({duration_ms(pcm) / 1000:.1f} s of speech)"


def transcribe_so_far(pcm: bytes) -> str:
    """Return the words of a sentence in progress, without punctuation at the end; empty if none.

    The next words may change the last ones. Blocks: use a thread.
    """
    return _understand(pcm, whole=False).rstrip(".?")


def _understand(pcm: bytes, whole: bool = True) -> str:
    decoder = _decoder()
    if decoder is None or len(pcm) < RATE // 2:
        return ""
    with _LOCK:
        decoder.start_utt()
        decoder.process_raw(resample(in_room(pcm), RATE, RECOGNITION_RATE), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
    if hypothesis is None or not hypothesis.hypstr:
        return ""
    confidence = math.log(max(hypothesis.best_score, 1e-300)) / (duration_ms(pcm) / 1000 + 2 * ROOM_SECONDS)
    words = hypothesis.hypstr
    if confidence < SURE or (whole and _UNFINISHED.match(words)):
        return ""
    return _written(words)




def in_room(pcm: bytes) -> bytes:
    """Return the audio with the noise of a quiet room; the noise is constant, to make recognition deterministic."""
    speech, margin = samples(pcm), int(RATE * ROOM_SECONDS)
    sound = np.random.default_rng(1).normal(0, ROOM_NOISE, speech.size + 2 * margin)
    sound[margin : margin + speech.size] += speech
    return bytes(np.clip(sound, -32768, 32767).astype("<i2").tobytes())


def _written(words: str) -> str:
    """Return the recognizer's words in ordinary spelling."""
    words = words.removeprefix("please ").replace("favorite color", "favourite colour")
    for name in (*NAMES, *(city.replace("_", " ") for city in CITIES)):
        words = re.sub(rf"\b{name}\b", name.title(), words)
    mark = "?" if re.match(r"(what|who|how)\b", words) else "."
    return words[0].upper() + words[1:] + mark


_LOCK = threading.Lock()


@cache
def _decoder() -> Any:
    """Return the recognizer with its grammar, loaded once (0.5 s); None if pocketsphinx is not installed."""
    try:
        from pocketsphinx import Decoder  # noqa: PLC0415  (loads a model of 30 MB: only for the first speech)

        decoder = Decoder(samprate=RECOGNITION_RATE, loglevel="FATAL", lm=None)
        cities = [city.replace("_", " ") for city in CITIES]
        grammar = _GRAMMAR
        for key, choices in (("cities", cities), ("names", NAMES), ("colours", COLOURS), ("numbers", NUMBERS)):
            grammar = grammar.replace(f"{{{key}}}", f"({' | '.join(choices)})")
        decoder.add_jsgf_string("said", grammar)
        decoder.activate_search("said")
    except (ImportError, RuntimeError, OSError) as error:
        log.info("no pocketsphinx here (%s): the simulator detects speech but recognizes no words", error)
        return None
    return decoder
