"""Journal: what is recorded, in a file before it is in the database, so that a kill loses only what was not yet packed."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from console.private_files import make_private

log = logging.getLogger(__name__)

SEGMENT_BYTES = 4 * 1024 * 1024
"""Bytes of one file after which the other one is used, if all that it holds is stored by then."""
KEEP_BYTES = 16 * 1024 * 1024
"""Bytes above which a file that had to grow is cut when it is used again."""
HEADER = Struct("<4s8sQII")
"""Of a record: format, run, number, length, CRC-32 of the other three and of the payload."""
FORMAT = b"rcj1"
"""Other than this a record is not read: the entries of another version may have other fields."""
CHECKED = Struct("<8sQI")


class Segment:
    """One of the two files, with the number of its records that are not stored."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file cannot be opened."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self.fd = os.open(path, flags, 0o600)
        make_private(path)
        self.path = path
        self.position = 0
        self._unstored = 0
        self._lock = threading.Lock()

    @property
    def is_stored(self) -> bool:
        """Whether every record in it is stored, so that it can be overwritten."""
        return self._unstored == 0

    def append(self, *parts: bytes | bytearray) -> None:
        """Write one record. Raises OSError; then nothing of it counts."""
        record = b"".join(parts)
        if hasattr(os, "pwrite"):
            written = os.pwrite(self.fd, record, self.position)
        else:
            os.lseek(self.fd, self.position, os.SEEK_SET)
            written = os.write(self.fd, record)
        if written < len(record):
            raise OSError(f"only {written} of {len(record)} bytes were written")
        self.position += written
        with self._lock:
            self._unstored += 1

    def release(self) -> None:
        """Count one record as stored."""
        with self._lock:
            self._unstored -= 1

    def rewind(self) -> None:
        """Write from the beginning again. Pages that exist are overwritten, which costs a tenth of new ones."""
        self.position = 0
        if os.fstat(self.fd).st_size > KEEP_BYTES:
            os.ftruncate(self.fd, SEGMENT_BYTES)

    def clear(self) -> None:
        """Make what it holds unreadable: a first record that is none ends the reading."""
        self.rewind()
        os.lseek(self.fd, 0, os.SEEK_SET)
        os.write(self.fd, bytes(HEADER.size))

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Journal:
    """Keeps packed entries in two files used in turn, until they are stored.

    Records are plain writes and are not synced: they survive the end of any process, not that of the machine. One
    thread calls ``append``; any may release.
    """

    def __init__(self, base: Path) -> None:
        """``base``: path of the files, without the ``.0`` and ``.1`` at their ends. Raises OSError."""
        self.paths = paths(base)
        self._segments = [Segment(path) for path in self.paths]
        for segment in self._segments:
            segment.clear()
        self._run = secrets.token_bytes(8)
        self._number = 0
        self._current = 0
        self.failure = ""
        """Why the last record could not be written; empty when it was."""

    def append(self, payload: bytes | bytearray) -> Segment | None:
        """Write one record; returns what to release when it is stored, None when it could not be written."""
        try:
            segment = self._room()
            segment.append(_header(self._run, self._number + 1, payload), payload)
        except OSError as error:
            self._fail(error)
            return None
        self._number += 1
        if self.failure:
            log.warning("the journal is written again")
            self.failure = ""
        return segment

    def close(self, *, stored: bool) -> None:
        """Close the files. ``stored``: nothing in them is needed any longer, so they are removed."""
        for segment in self._segments:
            segment.close()
        if stored:
            remove(self.paths)

    def _room(self) -> Segment:
        """The file to write to: the same one until it is full, then one that holds nothing that is needed."""
        segment, other = self._segments[self._current], self._segments[1 - self._current]
        if segment.position >= SEGMENT_BYTES:
            if other.is_stored:
                self._current, segment = 1 - self._current, other
            if segment.is_stored:
                segment.rewind()
        return segment

    def _fail(self, error: OSError) -> None:
        if not self.failure:
            log.error("the journal cannot be written (%s): a kill would lose what is not yet in the database", error)
        self.failure = str(error)


def paths(base: Path) -> list[Path]:
    """The two files of a journal."""
    return [base.with_name(f"{base.name}.{number}") for number in (0, 1)]


def remove(files: list[Path]) -> None:
    """Remove a journal's files, if they exist."""
    for path in files:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def read(base: Path) -> list[bytes]:
    """The payloads of a journal that was left behind, in order. Torn and stale records end each file. Raises OSError."""
    found = [records for path in paths(base) if path.exists() and (records := list(_records(path.read_bytes())))]
    found.sort(key=lambda records: records[0][0])
    return [payload for records in found for _, payload in records]


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Records of one file, with their numbers, until one is torn, damaged or older than the one before it."""
    position, before = 0, None
    while position + HEADER.size <= len(content):
        format_, run, number, length, crc = HEADER.unpack_from(content, position)
        start = position + HEADER.size
        payload = content[start : start + length]
        if format_ != FORMAT or len(payload) < length or crc != _crc(run, number, payload):
            return
        if before is not None and before != (run, number - 1):
            return
        before = (run, number)
        position = start + length
        yield number, payload


def _header(run: bytes, number: int, payload: bytes | bytearray) -> bytes:
    return HEADER.pack(FORMAT, run, number, len(payload), _crc(run, number, payload))


def _crc(run: bytes, number: int, payload: bytes | bytearray) -> int:
    return zlib.crc32(payload, zlib.crc32(CHECKED.pack(run, number, len(payload))))
