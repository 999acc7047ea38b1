"""What a file looks like that is no log."""

from __future__ import annotations

import gzip

import pytest

from realtime.logs.sniffing import looks_like


@pytest.mark.parametrize(("first", "name"), [
    (b"", "an empty file"),
    (b" \n\n", "an empty file"),
    (gzip.compress(b"x", mtime=0), "a gzip archive"),
    (b"PK\x03\x04...", "a zip archive"),
    (b'{"log": {"version": "1.2"', "a HAR file"),
    (b'{"k":"head","v":1}\n', "an event log without an event"),
    (b'{"type":"session.created"}', "JSON, but no event log"),
    (b'\xef\xbb\xbf[{"type"', "a JSON list"),
    (b"<!doctype html>", "HTML or XML"),
    (b"WEBVTT\n\n", "subtitles"),
    ("Olá, mundo, é assim".encode(), "plain text"),
    (b"\xff\xfea\x00", "text in UTF-16"),
    (b"abc\x00\x01", "binary data"),
    (b"\xc3\x28\xa0\xa1 abcdef", "binary data, or text that is not UTF-8"),
])  # fmt: skip
def test_it_is_named(first: bytes, name: str) -> None:
    """A person learns from the first bytes what they have chosen."""
    assert looks_like(first).startswith(name)
