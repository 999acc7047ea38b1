"""The journal: what is in it comes out again, whatever became of its end; what is stored is overwritten."""

from __future__ import annotations

import logging
import os
import random
import stat
from pathlib import Path

import pytest

from console import journal as module
from console.journal import HEADER, Journal, paths, read


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Where a journal is."""
    return tmp_path / "journal-x"


def payloads(count: int, size: int = 300) -> list[bytes]:
    """Records that can be told apart."""
    return [f"{number:06}".encode() * (size // 6) for number in range(count)]


def test_it_comes_out_as_it_went_in(base: Path) -> None:
    """What was written and is not stored is read again, in its order."""
    kept, written = Journal(base), payloads(100)
    for payload in written:
        assert kept.append(payload) is not None
    assert read(base) == written


@pytest.mark.parametrize("seed", range(20))
def test_a_torn_end(base: Path, seed: int) -> None:
    """Cut or damaged anywhere, it gives all records before that place and nothing else."""
    kept, written, chance = Journal(base), payloads(50), random.Random(seed)  # noqa: S311  (chance of a test is no secret)
    for payload in written:
        kept.append(payload)
    content, size = paths(base)[0].read_bytes(), HEADER.size + len(written[0])
    at = chance.randrange(len(content))
    damaged = bytearray(content)
    damaged[at] ^= 1 << chance.randrange(8)
    paths(base)[0].write_bytes(content[:at] if seed % 2 else damaged)
    assert read(base) == written[: at // size]


def test_what_is_stored_is_overwritten(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files are used in turn and do not grow; what is left over of earlier records is none of the present ones."""
    monkeypatch.setattr(module, "SEGMENT_BYTES", 4000)
    kept, written, chance, waiting = Journal(base), [], random.Random(1), []  # noqa: S311  (chance of a test is no secret)
    for payload in payloads(2000):
        written.append(payload[: chance.randrange(6, 300)])
        waiting.append(kept.append(written[-1]))
        if len(waiting) > 5:
            segment = waiting.pop(0)
            assert segment is not None
            segment.release()
        if len(written) % 97 == 0:
            assert read(base)[-6:] == written[-6:]
    assert all(path.stat().st_size < 4000 + 400 for path in paths(base))


def test_nothing_that_is_needed_is_overwritten(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database takes nothing the files grow; when it does they are used from their beginnings, and cut."""
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1000)
    monkeypatch.setattr(module, "KEEP_BYTES", 5000)
    kept, written = Journal(base), payloads(100)
    segments = [kept.append(payload) for payload in written]
    assert read(base) == written
    for segment in segments:
        assert segment is not None
        segment.release()
    for payload in payloads(20):
        later = kept.append(payload)
        assert later is not None
        later.release()
    assert max(path.stat().st_size for path in paths(base)) < 5000


def test_another_run_begins_with_nothing(base: Path) -> None:
    """A new journal in the place of an old one holds nothing of it, and neither does one that ended well."""
    Journal(base).append(b"old")
    kept = Journal(base)
    assert read(base) == []
    kept.append(b"new")
    assert read(base) == [b"new"]
    kept.close(stored=False)
    assert read(base) == [b"new"]
    Journal(base).close(stored=True)
    assert not any(path.exists() for path in paths(base))


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_it_is_private(base: Path) -> None:
    """Nobody else may read it, whatever the umask, also where it was there before."""
    paths(base)[0].touch(mode=0o644)
    before = os.umask(0)
    try:
        Journal(base)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths(base)] == [0o600, 0o600]


def test_it_cannot_be_written(base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is said once, loses nothing of what was written before, and when there is room it goes on."""
    kept, write = Journal(base), os.pwrite

    def half(fd: int, data: bytes, at: int) -> int:
        return write(fd, data[:-3], at)

    kept.append(b"one")
    with monkeypatch.context() as full, caplog.at_level(logging.WARNING):
        full.setattr(os, "pwrite", half)
        assert [kept.append(b"two"), kept.append(b"three")] == [None, None]
        assert read(base) == [b"one"]
    kept.append(b"four")
    assert read(base) == [b"one", b"four"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
