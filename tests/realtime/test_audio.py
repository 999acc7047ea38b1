"""Sound in frames and out of them, and how long it is."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import audio
from tests.realtime.frames import frames

SOUND_TYPES = st.sampled_from(sorted(audio.AUDIO_FIELDS))
pcms = st.binary(max_size=400)


@given(frames | st.text(st.characters()), SOUND_TYPES | st.just("response.done"))
def test_any_frame_comes_back_byte_for_byte(raw: str, type_: str) -> None:
    """Whatever a frame holds, taking its sound out and putting it in again gives the same text."""
    parts = audio.split(raw, type_)
    assert audio.join(parts.text, parts.audio, parts.at) == raw


@given(st.text(st.sampled_from('AZaz09+/=\\"{}:, '), max_size=30), SOUND_TYPES, st.sampled_from(["audio", "delta"]))
def test_odd_base64_comes_back_too(value: str, type_: str, field: str) -> None:
    """Padding in odd places, escapes and broken quotes survive."""
    raw = f'{{"type":"{type_}","{field}":"{value}","event_id":"e"}}'
    parts = audio.split(raw, type_)
    assert audio.join(parts.text, parts.audio, parts.at) == raw


@given(pcms, SOUND_TYPES, st.sampled_from([(",", ":"), (", ", ": ")]))
def test_sound_is_stored_as_bytes(pcm: bytes, type_: str, separators: tuple[str, str]) -> None:
    """The sound of a frame is found in its own field and leaves the text, in any spacing."""
    frame = {"event_id": "é", "type": type_, audio.AUDIO_FIELDS[type_]: base64.b64encode(pcm).decode(), "item_id": "i"}
    raw = json.dumps(frame, separators=separators, ensure_ascii=False)
    parts = audio.split(raw, type_)
    assert parts.audio == pcm
    assert json.loads(parts.text) == {**frame, audio.AUDIO_FIELDS[type_]: ""}
    assert audio.join(parts.text, parts.audio, parts.at) == raw


def test_other_frames_are_kept_whole() -> None:
    """Only the events of the hot path are taken apart; a text that looks like base64 is text."""
    raw = '{"type":"response.output_text.delta","delta":"AAAA"}'
    assert audio.split(raw, "response.output_text.delta") == audio.Split(raw, b"", -1)


@given(pcms, SOUND_TYPES)
def test_length_is_told_without_decoding(pcm: bytes, type_: str) -> None:
    """The length of the base64 text tells the milliseconds, in each format."""
    field = audio.AUDIO_FIELDS[type_]
    raw = json.dumps({"type": type_, field: base64.b64encode(pcm).decode(), "event_id": "audio"})
    for format_ in audio.BYTES_PER_MS:
        assert audio.encoded_length_ms(raw, field, format_) == audio.duration_ms(pcm, format_)


@pytest.mark.parametrize(
    ("raw", "ms"),
    [
        ('{"type":"input_audio_buffer.append"}', 0),
        ('{"audio":null,"event_id":"a long id that is no sound"}', 0),
        ('{"event_id":"audio","x":"a long text that is no sound"}', 0),
        ('{"event_id":"audio","audio":"' + "A" * 64 + '"}', 1),
        ('{"audio":"' + "A" * 64, 0),
        ('{"audio":"="}', 0),
        ("", 0),
    ],
)
def test_what_is_no_sound_has_no_length(raw: str, ms: float) -> None:
    """A field that is missing, null or cut off lasts no time; another field's text does not count."""
    assert audio.encoded_length_ms(raw, "audio", "audio/pcm") == ms


@given(frames)
def test_length_of_anything(raw: str) -> None:
    """Any frame has some length, and no negative one."""
    assert audio.encoded_length_ms(raw, "audio", "audio/pcm") >= 0
    assert audio.encoded_length_ms(raw, "delta", "audio/unheard-of") >= 0


def test_durations() -> None:
    """A second is 48,000 bytes of PCM16 and 8,000 of G.711."""
    assert audio.duration_ms(bytes(48_000)) == audio.duration_ms(bytes(8_000), "audio/pcmu") == 1000
    assert audio.duration_ms(b"") == 0


def test_a_lean_process_can_read_frames() -> None:
    """Entries can be read, masked, folded and told in a line without numpy, openai or pydantic: they are megabytes."""
    lean = "import sys, realtime.events, realtime.timeline, realtime.audio, realtime.masking, realtime.lines, realtime.conversation"
    told = "print(sorted({'numpy', 'openai', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", f"{lean}\n{told}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
