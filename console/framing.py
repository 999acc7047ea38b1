"""WebSocket data messages framed by hand: the usual shape of both ways, at a fifth of what autobahn's general way costs."""

from __future__ import annotations

from struct import Struct

try:
    from websockets.speedups import apply_mask
except ImportError:  # its C is not built for this platform
    from websockets.utils import apply_mask

TEXT, BINARY = 0x81, 0x82
"""First byte of a message that is one frame, without extensions (RFC 6455 5.2)."""
MASKED = 0x80
SHORT, LONG = 126, 127
"""Lengths that say that the length follows, in 2 or in 8 bytes."""
HEAD_16, HEAD_64 = Struct("!BBH"), Struct("!BBQ")
LENGTH_16 = Struct("!H")


def head(binary: bool, length: int) -> bytes:
    """What goes before the payload of a whole message from server to client: unmasked, the length in its shortest form."""
    first = BINARY if binary else TEXT
    if length < SHORT:
        return bytes((first, length))
    if length <= 0xFFFF:
        return HEAD_16.pack(first, SHORT, length)
    return HEAD_64.pack(first, LONG, length)


def take(data: bytes, start: int) -> tuple[bool, bytes, int] | None:
    """The message that is one masked frame at ``start``: whether it is binary, its payload, where it ends.

    None for everything else, which is left to autobahn: fragments, control frames, violations of the protocol, a
    message of 64 KiB and more, and one that is not all there yet.
    """
    if len(data) < start + 6 or (first := data[start]) not in (TEXT, BINARY):
        return None
    length, mask = data[start + 1] - MASKED, start + 2
    if length == SHORT:
        (length,) = LENGTH_16.unpack_from(data, mask)
        mask += 2
        if length < SHORT:
            return None
    elif not 0 <= length < SHORT:
        return None
    payload = mask + 4
    end = payload + length
    if len(data) < end:
        return None
    return first == BINARY, apply_mask(data[payload:end], data[mask:payload]), end
