"""A session as it was heard: a plan of which frame sounds when, and any stretch of it as PCM."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from realtime import pcm
from realtime.audio import AUDIO_FIELDS, BYTES_PER_MS, RATE
from realtime.timeline import RECEIVED, SENT, Direction, Entry, Folder

Lane = Literal["user", "assistant"]
USER: Lane = "user"
ASSISTANT: Lane = "assistant"

PER_MS = RATE // 1000
"""Samples of a millisecond. Every position in a plan is a whole number of samples, so that no seam can shift."""
GAP_MS = 200
"""Sound that comes later than this after the last has ended starts anew; below, it was only late on its way."""
WAV_HEADER = 44
"""Bytes in front of the samples in a WAV file."""
MOST_MS = (2**32 - 1 - WAV_HEADER) // 4 // PER_MS
"""What a WAV file's 32-bit length can say of two channels: about twelve hours."""
TOLD_BY = ("session.created", "session.updated", "conversation.item.truncated")
"""Types whose frames a plan reads: formats and cuts. Of frames of sound it needs type and ids only."""
NOTED_BY = ("heard", "close")
"""Types of notes, and the close, that a plan reads."""

Fetch = Callable[[list[int]], Mapping[int, bytes]]
"""Gives the sound of these entries, by ``seq``, as it travelled; what is missing is silence."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One frame's sound at its place. Positions and lengths in samples, see PER_MS."""

    lane: Lane
    seq: int
    start: int
    length: int
    """What was heard of the frame; the rest of its sound was cut."""
    format: str
    item_id: str = ""

    @property
    def end(self) -> int:
        """Where it stops."""
        return self.start + self.length

    @property
    def start_ms(self) -> float:
        """Milliseconds since the session began."""
        return self.start / PER_MS

    @property
    def length_ms(self) -> float:
        """Milliseconds that were heard."""
        return self.length / PER_MS


@dataclass(frozen=True, slots=True)
class Soundtrack:
    """The sound of a session, or of some of its frames: lanes side by side, a channel each."""

    lanes: Mapping[Lane, list[Segment]]
    """In order of time; the segments of a lane do not overlap."""
    length: int
    """In samples; silence follows where the sound ends before the session."""

    @property
    def segments(self) -> list[Segment]:
        """All of them, in order of time."""
        return sorted((s for lane in self.lanes.values() for s in lane), key=lambda s: (s.start, s.seq))

    @property
    def duration_ms(self) -> float:
        """Milliseconds from the session's begin to its end, or to the end of its sound if that is later."""
        return self.length / PER_MS

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of PCM16 for one moment, all channels together."""
        return 2 * len(self.lanes)

    @property
    def wav_size(self) -> int:
        """Bytes of the whole as a WAV file."""
        return WAV_HEADER + self.length * self.bytes_per_sample

    def wav(self, first: int, last: int, fetch: Fetch) -> bytes:
        """Bytes ``first`` up to ``last``, that one not included, of the whole as a WAV file."""
        width = self.bytes_per_sample
        header = self._header()[first:last]
        begin, end = max(0, first - WAV_HEADER), max(0, last - WAV_HEADER)
        skipped = begin % width  # a range may begin in the middle of a sample
        return header + self.pcm(begin // width, -(-end // width), fetch)[skipped : skipped + end - begin]

    def pcm(self, first: int, last: int, fetch: Fetch) -> bytes:
        """These samples as interleaved PCM16: user left, assistant right. Only what sounds among them is fetched."""
        first, last = max(0, first), min(last, self.length)
        if last <= first:
            return b""
        heard = {lane: _between(segments, first, last) for lane, segments in self.lanes.items()}
        sounds = fetch([segment.seq for segments in heard.values() for segment in segments])
        out = np.zeros((last - first, len(self.lanes)), dtype="<i2")
        for channel, segments in enumerate(heard.values()):
            for segment in segments:
                sound = pcm.samples(pcm.to_pcm24(sounds.get(segment.seq, b""), segment.format))
                begin, end = max(first, segment.start), min(last, segment.start + min(segment.length, len(sound)))
                if begin < end:
                    out[begin - first : end - first, channel] = sound[begin - segment.start : end - segment.start]
        return out.tobytes()

    def _header(self) -> bytes:
        """What stands in front of the samples in a WAV file."""
        size, channels = self.length * self.bytes_per_sample, len(self.lanes)
        return struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            b"RIFF", WAV_HEADER - 8 + size, b"WAVE", b"fmt ", 16, 1, channels, RATE, RATE * 2 * channels, 2 * channels,
            16, b"data", size,
        )  # fmt: skip


def _between(segments: list[Segment], first: int, last: int) -> list[Segment]:
    """Those that sound in a stretch."""
    return segments[
        bisect_right(segments, first, key=lambda s: s.end) : bisect_left(segments, last, key=lambda s: s.start)
    ]


def plan(entries: Iterable[tuple[Entry, float]], duration_us: int = 0) -> Soundtrack:
    """Say what sounded when, from a session's entries in order, each with the milliseconds of sound it carries.

    Of all entries only those of AUDIO_FIELDS, TOLD_BY and NOTED_BY matter; others may be left out. The user's sound
    stands where it arrived, the assistant's where a player would have played it: each item when its first delta came,
    or when the item before it had ended, and no further than the player, the API or the session's close cut it.
    """
    player = _Player()
    last_us = duration_us
    for entry, audio_ms in entries:
        last_us = max(last_us, entry.t_us)
        player.take(entry, audio_ms)
    ends = [lane[-1].end for lane in player.lanes.values() if lane]
    return Soundtrack(player.lanes, min(max([-(-last_us * PER_MS // 1000), *ends]), MOST_MS * PER_MS))


def join(entries: Iterable[tuple[Entry, float]]) -> Soundtrack:
    """The sound of these frames back to back, on one channel, whole. Entries of TOLD_BY before them set the format."""
    folder = Folder()
    segments: list[Segment] = []
    end = 0
    for entry, audio_ms in entries:
        if entry.type in AUDIO_FIELDS:
            segments.append(Segment(USER, entry.seq, end, round(audio_ms * PER_MS), folder.formats[_side(entry)]))
            end = segments[-1].end
        else:
            folder.fold(entry)
    return Soundtrack({USER: segments}, min(end, MOST_MS * PER_MS))


def of_item(entry: Entry, before: Iterable[Entry]) -> Soundtrack | None:
    """The sound that an item brings whole (``conversation.item.retrieved``, or one a client creates); None without any.

    Entries of TOLD_BY ``before`` it set the format: the user's side for a user's item, else the assistant's.
    """
    text = in_item(entry.event.data) if entry.event else ""
    folder = Folder()
    for told in before:
        folder.fold(told)
    item = entry.event.data.get("item") if entry.event else None
    format_ = folder.formats[SENT if isinstance(item, dict) and item.get("role") == "user" else RECEIVED]
    length = round(len(text) * 3 // 4 / BYTES_PER_MS.get(format_, 48) * PER_MS)
    return Soundtrack({USER: [Segment(USER, entry.seq, 0, length, format_)]}, length) if length else None


def in_item(data: Mapping[str, Any]) -> str:
    """The base64 in an event's item, of its first part that has any; ``""`` when there is none."""
    item = data.get("item")
    parts = item.get("content") if isinstance(item, dict) else None
    sounds = (part.get("audio") for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ()
    return next((sound for sound in sounds if isinstance(sound, str) and sound), "")


def _side(entry: Entry) -> Direction:
    """Whose format holds for a frame of sound, whichever way it travelled."""
    return SENT if AUDIO_FIELDS[entry.type] == "audio" else RECEIVED


@dataclass(slots=True)
class _Player:
    """Plays a session's entries as loudspeaker and microphone would have had them."""

    lanes: dict[Lane, list[Segment]] = field(default_factory=lambda: {USER: [], ASSISTANT: []})
    folder: Folder = field(default_factory=Folder)
    pairs: set[int] = field(default_factory=set)
    """Frames that were changed on their way and stand on the timeline twice."""
    silenced: set[str] = field(default_factory=set)
    """Items that were cut: what still comes of them is not played."""

    def take(self, entry: Entry, audio_ms: float) -> None:
        """Follow one entry."""
        now = entry.t_us * PER_MS // 1000
        if entry.type in AUDIO_FIELDS:
            if entry.pair is not None:
                if entry.pair in self.pairs:
                    return
                self.pairs.add(entry.pair)
            self._play(entry, now, round(audio_ms * PER_MS))
        elif entry.kind == "close":
            self._drop_from(now)
        elif entry.kind == "note" and entry.note == "heard":
            self._cut(entry.data.get("item_id"), entry.data.get("played_ms"), now)
        elif entry.type == "conversation.item.truncated" and entry.event is not None:
            self._cut(entry.event.item_id, entry.event.data.get("audio_end_ms"), now)
        elif entry.event is not None:
            self.folder.fold(entry)

    def _play(self, entry: Entry, now: int, length: int) -> None:
        """Put a frame's sound after what its lane plays already, or where it came when that has long ended."""
        side = _side(entry)
        lane = USER if side == SENT else ASSISTANT
        item_id = entry.event.item_id if entry.event else ""
        if not length or (lane == ASSISTANT and item_id in self.silenced):
            return
        played = self.lanes[lane]
        end = played[-1].end if played else 0
        start = end if played and now <= end + GAP_MS * PER_MS else now
        played.append(Segment(lane, entry.seq, start, length, self.folder.formats[side], item_id))

    def _cut(self, item_id: Any, played_ms: Any, now: int) -> None:
        """An item was heard this far; what waited behind it was never played. Told again, it can only be shorter."""
        if not isinstance(item_id, str) or type(played_ms) is not int:
            return
        left = max(0, played_ms * PER_MS)
        told_before = item_id in self.silenced
        kept: list[Segment] = []
        for segment in self.lanes[ASSISTANT]:
            if segment.item_id == item_id:
                segment = replace(segment, length=min(segment.length, left))
                left -= segment.length
            elif segment.start >= now and not told_before:
                self.silenced.add(segment.item_id)
                continue
            if segment.length:
                kept.append(segment)
        self.silenced.add(item_id)
        self.lanes[ASSISTANT] = kept

    def _drop_from(self, now: int) -> None:
        """Nothing is played after this."""
        playing = [s for s in self.lanes[ASSISTANT] if s.start < now]
        self.lanes[ASSISTANT] = [replace(s, length=min(s.length, now - s.start)) for s in playing]
