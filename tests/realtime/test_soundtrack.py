"""The sound of a session: where each frame sounds, and the bytes of any stretch."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import soundtrack
from realtime.events import parse
from realtime.pcm import from_pcm24
from realtime.soundtrack import ASSISTANT, PER_MS, USER, WAV_HEADER, Lane, Soundtrack
from realtime.timeline import Direction, Entry

APPEND, DELTA = "input_audio_buffer.append", "response.output_audio.delta"


class Story:
    """Builds a session's entries, each with its sound."""

    def __init__(self) -> None:
        self.told: list[tuple[Entry, float]] = []
        self.sounds: dict[int, bytes] = {}

    def ev(self, ms: float, type_: str, sound_ms: float = 0.0, **fields: Any) -> Story:
        """An event; with sound it is filled with its own number."""
        seq = len(self.told) + 1
        direction: Direction = "sent" if type_ == APPEND else "received"
        event = parse(json.dumps({"type": type_, **fields}))
        pair = fields.get("pair")
        self.told.append((Entry(seq, int(ms * 1000), "ev", direction, event=event, pair=pair), sound_ms))
        if sound_ms:
            self.sounds[seq] = bytes([seq % 256]) * int(sound_ms * 48)
        return self

    def delta(self, ms: float, item_id: str, sound_ms: float = 250) -> Story:
        """A delta of an item's sound."""
        return self.ev(ms, DELTA, sound_ms, item_id=item_id)

    def note(self, ms: float, kind: str, **data: Any) -> Story:
        """A note of the console's."""
        self.told.append((Entry(len(self.told) + 1, int(ms * 1000), "note", note=kind, data=data), 0.0))
        return self

    def close(self, ms: float) -> Story:
        """The end."""
        self.told.append((Entry(len(self.told) + 1, int(ms * 1000), "close", data={"by": "client", "code": 1000}), 0.0))
        return self

    def plan(self) -> Soundtrack:
        """What sounded when."""
        return soundtrack.plan(self.told)

    def places(self, lane: Lane) -> list[tuple[int, float, float]]:
        """Of a lane: which entry, from when, for how long."""
        return [(s.seq, s.start_ms, s.length_ms) for s in self.plan().lanes[lane]]

    def fetch(self, seqs: list[int]) -> dict[int, bytes]:
        """The sound of entries."""
        return {seq: self.sounds[seq] for seq in seqs}


class TestUser:
    """The microphone's lane."""

    def test_chunks_that_follow_each_other_are_contiguous(self) -> None:
        """A chunk a little late or early stands right after the one before."""
        story = Story().ev(1000, APPEND, 20).ev(1035, APPEND, 20).ev(1038, APPEND, 20)
        assert story.places(USER) == [(1, 1000, 20), (2, 1020, 20), (3, 1040, 20)]

    def test_after_a_silence_it_starts_anew(self) -> None:
        """A chunk more than 200 ms after the last has ended stands where it arrived."""
        story = Story().ev(1000, APPEND, 20).ev(1221, APPEND, 20)
        assert story.places(USER) == [(1, 1000, 20), (2, 1221, 20)]

    def test_a_frame_that_was_changed_on_its_way_is_heard_once(self) -> None:
        """Two rows of one pair are one sound."""
        story = Story().ev(1000, APPEND, 20, pair=9).ev(1000, APPEND, 20, pair=9)
        assert story.places(USER) == [(1, 1000, 20)]


class TestAssistant:
    """The loudspeaker's lane."""

    def test_deltas_play_back_to_back(self) -> None:
        """Deltas come faster than they play: each waits for the one before; the next item waits for the item before."""
        story = Story().delta(100, "a").delta(110, "a").delta(120, "b")
        assert story.places(ASSISTANT) == [(1, 100, 250), (2, 350, 250), (3, 600, 250)]

    @pytest.mark.parametrize("cut", ["heard", "truncated"])
    def test_an_item_ends_where_it_was_cut(self, cut: str) -> None:
        """What was not heard of an item is not in the soundtrack, nor what waited behind it or came too late."""
        story = Story().delta(100, "a").delta(110, "a").delta(120, "b")
        if cut == "heard":
            story.note(400, "heard", item_id="a", played_ms=300, why="text")
        else:
            story.ev(400, "conversation.item.truncated", item_id="a", audio_end_ms=300)
        story.delta(410, "a").delta(420, "b").delta(2000, "c")
        assert story.places(ASSISTANT) == [(1, 100, 250), (2, 350, 50), (7, 2000, 250)]

    def test_being_told_of_a_cut_twice_changes_nothing(self) -> None:
        """The API's answer to a truncation does not silence the answer that has begun meanwhile."""
        story = Story().delta(100, "a").note(200, "heard", item_id="a", played_ms=100, why="talk")
        story.delta(250, "b").delta(251, "b")
        story.ev(260, "conversation.item.truncated", item_id="a", audio_end_ms=100)
        assert story.places(ASSISTANT) == [(1, 100, 100), (3, 200, 250), (4, 450, 250)]

    def test_an_old_item_can_be_truncated(self) -> None:
        """Truncating an item that was heard long ago leaves what is playing alone."""
        story = Story().ev(0, DELTA, 100, item_id="a").ev(1000, DELTA, 500, item_id="b")
        story.ev(1100, "conversation.item.truncated", item_id="a", audio_end_ms=40)
        assert story.places(ASSISTANT) == [(1, 0, 40), (2, 1000, 500)]

    def test_the_close_ends_it(self) -> None:
        """When the session closes, nothing more is played."""
        story = Story().delta(100, "a").delta(110, "a").delta(115, "a")
        assert story.close(400).places(ASSISTANT) == [(1, 100, 250), (2, 350, 50)]

    @pytest.mark.parametrize("end", [None, "100", -5, 1e309, True])
    def test_an_odd_truncation_is_no_trouble(self, end: Any) -> None:
        """Whatever the API says about a cut, the plan is made."""
        story = Story().delta(0, "a").ev(1, "conversation.item.truncated", item_id="a", audio_end_ms=end)
        assert story.places(ASSISTANT) in ([(1, 0, 250)], [])


class TestLength:
    """How long it is."""

    def test_a_session_without_sound_has_a_length(self) -> None:
        """Silence as long as the session: its replay needs a clock too."""
        track = Story().ev(0, "session.created").close(1500).plan()
        assert track.duration_ms == 1500
        assert track.segments == []
        assert track.pcm(0, track.length, lambda seqs: {}) == bytes(1500 * 96)

    def test_the_sound_may_outlast_the_session(self) -> None:
        """Sound appended faster than it was spoken is heard to its end."""
        story = Story().ev(0, APPEND, 1000).ev(1, APPEND, 1000).close(10)
        assert story.plan().duration_ms == 2000

    def test_a_duration_told_from_outside_counts(self) -> None:
        """Entries that make no sound need not be given; the session's end is told as a number."""
        assert soundtrack.plan([], duration_us=2_000_000).duration_ms == 2000

    def test_it_fits_a_wav_file(self) -> None:
        """However long a log says it lasted, the header's 32 bits hold."""
        track = soundtrack.plan([], duration_us=2**53)
        assert 36 + track.length * 4 < 2**32
        assert len(track.wav(0, 100, lambda seqs: {})) == 100


class TestPcm:
    """The bytes."""

    def test_user_left_assistant_right(self) -> None:
        """Each lane has its channel, at its place."""
        story = Story().ev(10, APPEND, 10).ev(15, DELTA, 10, item_id="a").close(40)
        pcm = story.plan().pcm(0, 40 * PER_MS, story.fetch)
        left, right = np.frombuffer(pcm, "<i2").reshape(-1, 2).T
        assert np.flatnonzero(left).tolist() == list(range(10 * PER_MS, 20 * PER_MS))
        assert np.flatnonzero(right).tolist() == list(range(15 * PER_MS, 25 * PER_MS))
        assert set(left[left != 0]) == {0x0101}
        assert set(right[right != 0]) == {0x0202}

    def test_only_what_sounds_is_fetched(self) -> None:
        """A stretch asks for the frames that sound in it and no others."""
        story = Story()
        for ms in range(0, 1000, 20):
            story.ev(ms, APPEND, 20)
        asked: list[int] = []

        def fetch(seqs: list[int]) -> dict[int, bytes]:
            asked.extend(seqs)
            return story.fetch(seqs)

        story.plan().pcm(100 * PER_MS, 140 * PER_MS, fetch)
        assert asked == [6, 7]

    def test_a_missing_frame_is_silence(self) -> None:
        """A log whose sound was left out still has its length."""
        story = Story().ev(0, APPEND, 20).close(30)
        assert story.plan().pcm(0, 30 * PER_MS, lambda seqs: {}) == bytes(30 * 96)

    @pytest.mark.parametrize("format_", ["audio/pcmu", "audio/pcma"])
    def test_telephone_sound_is_converted(self, format_: str) -> None:
        """G.711 at 8 kHz becomes PCM16 at 24 kHz, by the format that was in force."""
        tone = (8000 * np.sin(np.arange(24 * 100) / 24)).astype("<i2").tobytes()
        session = {"audio": {"input": {"format": {"type": format_}}, "output": {"format": {"type": "audio/pcm"}}}}
        story = Story().ev(0, "session.updated", session=session).ev(1, APPEND, 100).ev(1, DELTA, 100, item_id="a")
        story.sounds = {2: from_pcm24(tone, format_), 3: tone}
        left, right = np.frombuffer(story.plan().pcm(24, 2424, story.fetch), "<i2").reshape(-1, 2).T
        assert right.tobytes() == tone
        assert np.corrcoef(left, right)[0, 1] > 0.99

    @given(st.data())
    def test_any_part_of_the_file_is_that_part_of_the_whole(self, data: st.DataObject) -> None:
        """Bytes of a range are the same bytes the whole file has there, wherever it begins and ends."""
        story = Story()
        for ms in data.draw(st.lists(st.integers(0, 60), max_size=5).map(sorted)):
            kind = data.draw(st.sampled_from((APPEND, DELTA)))
            story.ev(ms, kind, data.draw(st.integers(0, 20)), item_id=data.draw(st.sampled_from("ab")))
        track = story.close(data.draw(st.integers(0, 80))).plan()
        whole = track.wav(0, track.wav_size, story.fetch)
        assert len(whole) == track.wav_size
        first = data.draw(st.integers(0, track.wav_size))
        last = data.draw(st.integers(first, track.wav_size))
        assert track.wav(first, last, story.fetch) == whole[first:last]

    def test_it_is_a_wav_file(self) -> None:
        """Other programs open it."""
        story = Story().ev(0, APPEND, 20).ev(0, DELTA, 30, item_id="a")
        track = story.plan()
        with wave.open(io.BytesIO(track.wav(0, track.wav_size, story.fetch))) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 24000)
            assert file.getnframes() == 30 * PER_MS


class TestJoin:
    """One row's sound."""

    def test_frames_stand_back_to_back(self) -> None:
        """A row's sound is whole, on one channel, however its frames were spread in time."""
        story = Story().ev(0, DELTA, 10, item_id="a").ev(5000, DELTA, 10, item_id="a")
        track = soundtrack.join(story.told)
        assert track.duration_ms == 20
        assert track.wav_size == WAV_HEADER + 20 * 48
        assert track.pcm(0, track.length, story.fetch) == story.sounds[1] + story.sounds[2]
