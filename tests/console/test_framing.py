"""Frames by hand: what is written any client reads, and what is read is what any client has written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from console.framing import head, take

SIZES = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000]) | st.integers(0, 300)
PAYLOADS = SIZES.flatmap(lambda size: st.binary(min_size=min(size, 200), max_size=min(size, 200)).map(lambda b: b.ljust(size)))


def parsed(data: bytes) -> Frame:
    """A server's frame as the websockets package reads it."""
    reader = StreamReader()
    reader.feed_data(data)
    reading = Frame.parse(reader.read_exact, mask=False)
    try:
        next(reading)
    except StopIteration as end:
        frame: Frame = end.value
        return frame
    raise AssertionError("the frame is not whole")


def sent(payload: bytes, opcode: Opcode = Opcode.BINARY, fin: bool = True) -> bytes:
    """A client's frame as the websockets package writes it."""
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


@given(payload=PAYLOADS, binary=st.booleans())
def test_what_is_written_is_a_frame(payload: bytes, binary: bool) -> None:
    """A head and its payload are one whole frame of that type, whatever the length."""
    frame = parsed(head(binary, len(payload)) + payload)
    assert (frame.opcode, frame.data, frame.fin) == (Opcode.BINARY if binary else Opcode.TEXT, payload, True)


@given(payload=PAYLOADS, binary=st.booleans(), before=st.binary(max_size=20), after=st.binary(max_size=20))
def test_a_whole_message_is_taken(payload: bytes, binary: bool, before: bytes, after: bytes) -> None:
    """A whole frame below 64 KiB is taken from wherever it stands, unmasked; a larger one is left."""
    frame = sent(payload, Opcode.BINARY if binary else Opcode.TEXT)
    found = take(before + frame + after, len(before))
    assert found == ((binary, payload, len(before) + len(frame)) if len(payload) < 65_536 else None)


@given(payload=PAYLOADS, data=st.data())
def test_a_piece_is_left(payload: bytes, data: st.DataObject) -> None:
    """As long as a byte is missing nothing is taken."""
    frame = sent(payload)
    assert take(frame[: data.draw(st.integers(0, len(frame) - 1))], 0) is None


def test_the_unusual_is_left() -> None:
    """Fragments, control frames, unmasked frames and lengths in more bytes than they need are autobahn's to judge."""
    for frame in (
        sent(b"part", Opcode.TEXT, fin=False),
        sent(b"part", Opcode.CONT),
        sent(b"", Opcode.PING),
        sent(b"\x03\xe8", Opcode.CLOSE),
        Frame(Opcode.TEXT, b"unmasked").serialize(mask=False),
        b"\x81\xfe\x00\x7d" + bytes(4 + 125),
    ):
        assert take(frame + bytes(200), 0) is None
