"""A browser that has given the token holds a random value, of which only a digest is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console import sign_ins as module
from console.sign_ins import LIFETIME, MOST, SignIns


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    """A data directory of its own, and a token."""
    settings.CONSOLE_DATA_DIR = tmp_path
    settings.CONSOLE_TOKEN = "open-sesame"
    return tmp_path


def test_it_survives_a_restart(folder: Path) -> None:
    """What was given is good after a restart; the file holds neither it nor the token, and is the owner's alone."""
    value = SignIns().issue()
    assert SignIns().holds(value)
    file = folder / "sign_ins.json"
    assert value not in file.read_text()
    assert "open-sesame" not in file.read_text() + value
    assert file.stat().st_mode & 0o777 == 0o600


def test_another_token_ends_it(folder: Path, settings: Any) -> None:
    """Whoever knew the old token has to give the new one."""
    value = SignIns().issue()
    settings.CONSOLE_TOKEN = "another"
    assert not SignIns().holds(value)


def test_it_ends(folder: Path) -> None:
    """After a month the token is asked for again."""
    now = 1000.0
    held = SignIns(lambda: now)
    value = held.issue()
    now += LIFETIME - 1
    assert held.holds(value)
    now += 2
    assert not held.holds(value)


@pytest.mark.parametrize("value", ["", "x", "é", "open-sesame", "a" * 100_000])
def test_what_was_never_given(folder: Path, value: str) -> None:
    """Neither a guess nor the token itself is a value."""
    held = SignIns()
    held.issue()
    assert not held.holds(value)


def test_memory_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of very many has to give the token again."""
    monkeypatch.setattr(module.SignIns, "_write", lambda self, ends: None)
    held = SignIns()
    values = [held.issue() for _ in range(MOST + 1)]
    assert [held.holds(value) for value in (values[0], values[1], values[-1])] == [False, True, True]


@pytest.mark.parametrize("content", ["", "no json", "[]", "null", '{"a": "b"}', '{"a": null}'])
def test_a_file_that_is_damaged(folder: Path, content: str) -> None:
    """It asks again, and says nothing that would end a request."""
    (folder / "sign_ins.json").write_text(content)
    held = SignIns()
    assert not held.holds("x")
    assert SignIns().holds(held.issue())


def test_a_folder_that_cannot_be_written(folder: Path, settings: Any) -> None:
    """It is good until the restart."""
    settings.CONSOLE_DATA_DIR = folder / "missing"
    held = SignIns()
    assert held.holds(held.issue())
