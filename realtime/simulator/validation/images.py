"""Images from the user: format, size and tokens."""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterator
from typing import Any

DATA_URI = re.compile(r"data:image/(png|jpe?g);base64,", re.IGNORECASE)
LOW_TOKENS, TILE_TOKENS = 85, 170
"""Tokens of an image at low detail, and more for each tile at high: the vision guide's figures for GPT-4o; those of the
Realtime models are unconfirmed."""
TILE, LONGEST_SIDE, SHORTEST_SIDE = 512, 2048, 768
"""Pixels: side of a tile, and the limits for scaling an image down before tiling."""
HEAD = 256 * 1024
"""Characters of base64 searched for the size; in a JPEG, camera metadata comes first."""
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG segments with the size."""


def is_image(url: str) -> bool:
    """Return True for a data URI of a PNG or JPEG with valid base64; the image itself is not checked."""
    found = DATA_URI.match(url)
    if found is None or found.end() == len(url):
        return False
    try:
        base64.b64decode(url[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def tokens(part: dict[str, Any]) -> int:
    """Return the tokens of an ``input_image``; ``detail`` auto is high. An image of unknown size is cheap."""
    found = size(str(part.get("image_url") or ""))
    if part.get("detail") == "low" or found is None:
        return LOW_TOKENS
    width, height = found
    scale = min(1.0, LONGEST_SIDE / max(found))
    scale = min(scale, SHORTEST_SIDE / min(found))
    tiles = math.ceil(width * scale / TILE) * math.ceil(height * scale / TILE)
    return LOW_TOKENS + TILE_TOKENS * tiles


def described(item: dict[str, Any]) -> Iterator[str]:
    """Yield a description of each image in an item: kind and size."""
    for part in item.get("content") or []:
        if part.get("type") != "input_image":
            continue
        url = str(part.get("image_url") or "")
        kind = "a PNG" if url[: len("data:image/png")].lower().endswith("png") else "a JPEG"
        found = size(url)
        yield f"{kind} image of {found[0]} by {found[1]} pixels" if found else f"{kind} image of a size I cannot read"


def size(url: str) -> tuple[int, int] | None:
    """Return width and height of a data URI's image in pixels; None if unreadable."""
    found = DATA_URI.match(url)
    if found is None:
        return None
    try:
        head = base64.b64decode(url[found.end() : found.end() + HEAD // 4 * 4])
    except (binascii.Error, ValueError):
        return None
    measured = _png(head) if head.startswith(b"\x89PNG\r\n\x1a\n") else _jpeg(head)
    return measured if measured and min(measured) > 0 else None


def _png(head: bytes) -> tuple[int, int] | None:
    if len(head) < 24 or head[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _jpeg(head: bytes) -> tuple[int, int] | None:
    position = 2 if head.startswith(b"\xff\xd8") else len(head)
    while position + 9 <= len(head) and head[position] == 0xFF:
        if head[position + 1] in _SIZES:
            height, width = struct.unpack(">HH", head[position + 5 : position + 9])
            return width, height
        position += 2 + int(struct.unpack(">H", head[position + 2 : position + 4])[0])
    return None
