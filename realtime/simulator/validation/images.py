"""Images that a user shows: whether they are images, how large, and what reading them costs."""

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
"""Pixels of a tile's side, and to what an image is scaled down before it is cut into tiles."""
HEAD = 256 * 1024
"""Characters of base64 in which the size is looked for; a camera's remarks stand before it in a JPEG."""
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG segments that hold the size."""


def is_image(url: str) -> bool:
    """Whether this is a data URI of a PNG or JPEG, with base64 in it; what the base64 means is not judged."""
    found = DATA_URI.match(url)
    if found is None or found.end() == len(url):
        return False
    try:
        base64.b64decode(url[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def tokens(part: dict[str, Any]) -> int:
    """What reading an ``input_image`` costs; ``detail`` auto is high. One whose size cannot be told is cheap."""
    found = size(str(part.get("image_url") or ""))
    if part.get("detail") == "low" or found is None:
        return LOW_TOKENS
    width, height = found
    scale = min(1.0, LONGEST_SIDE / max(found))
    scale = min(scale, SHORTEST_SIDE / min(found))
    tiles = math.ceil(width * scale / TILE) * math.ceil(height * scale / TILE)
    return LOW_TOKENS + TILE_TOKENS * tiles


def described(item: dict[str, Any]) -> Iterator[str]:
    """What can be told of each image in an item: its kind and size."""
    for part in item.get("content") or []:
        if part.get("type") != "input_image":
            continue
        url = str(part.get("image_url") or "")
        kind = "a PNG" if url[: len("data:image/png")].lower().endswith("png") else "a JPEG"
        found = size(url)
        yield f"{kind} image of {found[0]} by {found[1]} pixels" if found else f"{kind} image of a size I cannot read"


def size(url: str) -> tuple[int, int] | None:
    """Width and height of a data URI's image in pixels; None where they cannot be read."""
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
