"""What a file that is no log looks like, told from its first bytes."""

from __future__ import annotations

import re

_MAGIC = (
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"PK\x03\x04", "a zip archive or an office document: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it first"),
    (b"RIFF", "a sound file (WAV)"),
    (b"ID3", "a sound file (MP3)"),
    (b"OggS", "a sound file (Ogg)"),
    (b"fLaC", "a sound file (FLAC)"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"\xff\xfe", "text in UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16: save it as UTF-8"),
)
_HAR = re.compile(rb'^\s*\{\s*"log"\s*:')


def looks_like(first: bytes) -> str:
    """A noun phrase for the file that begins with these bytes, such as ``a HAR file``."""
    if not first.strip():
        return "an empty file"
    for magic, name in _MAGIC:
        if first.startswith(magic):
            return name
    begins = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"\x00" in first:
        return "binary data"
    if _HAR.match(begins):
        return "a HAR file"
    if begins.startswith(b'{"k":"head"'):
        return "an event log without an event"
    if begins[:1] == b"{":
        return "JSON, but no event log of this console"
    if begins[:1] == b"[":
        return "a JSON list, not one object a line"
    if begins[:1] == b"<":
        return "HTML or XML"
    if begins.startswith(b"WEBVTT"):
        return "subtitles (WebVTT)"
    try:
        first[: len(first) - 4].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return "binary data, or text that is not UTF-8"
    return "plain text"
