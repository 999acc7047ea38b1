"""The documents say what is true: settings, commands, addresses and requirements."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from django.urls import get_resolver

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE)


def environment_block() -> set[str]:
    """The variables that ``console/settings.py`` reads, all of them in its block at the top."""
    settings = (ROOT / "console/settings.py").read_text()
    return set(re.findall(r"env\.\w+\(\s*\"([A-Z_]+)\"", settings))


def test_the_readme_lists_the_environment() -> None:
    """The README's table has every variable the settings read, and no other."""
    table = set(re.findall(r"^\| `([A-Z][A-Z_]+)`", README, re.MULTILINE))
    assert table == environment_block() | {"HOST", "PORT"}


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_is_documented(target: str) -> None:
    """README or CONTRIBUTING mentions every target of the Makefile."""
    assert f"make {target}" in README + (ROOT / "CONTRIBUTING.md").read_text()


def test_there_are_the_two_commands() -> None:
    """`make run` and `make test` are what a newcomer needs."""
    assert {"run", "test"} <= set(TARGETS)


def test_every_address_is_documented() -> None:
    """docs/architecture.md lists every address of the console, with its parameters."""
    documented = (ROOT / "docs/architecture.md").read_text()
    addresses = [
        "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", str(pattern.pattern))
        for pattern in get_resolver().url_patterns
        if hasattr(pattern, "callback")
    ]
    assert not [address for address in addresses if f"`{address}`" not in documented]


def test_requirements_are_pinned_by_hash_and_nothing_else() -> None:
    """Every locked requirement has a version and hashes; no line says where to get it."""
    for name in ("run", "test"):
        text = (ROOT / f"requirements/{name}.txt").read_text()
        lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.lstrip().startswith("#")]
        assert lines
        assert not [line for line in lines if "==" not in line or "--hash=sha256:" not in line]
        assert not [line for line in lines if re.search(r"https?:|file:|--(extra-)?index|--find", line)]


def test_requirements_are_those_of_the_project() -> None:
    """requirements/*.in ask for what pyproject.toml asks for, and the lock files hold it all."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, wanted in (("run", project["dependencies"]), ("test", project["optional-dependencies"]["test"])):
        asked = (ROOT / f"requirements/{name}.in").read_text().splitlines()
        assert sorted(line for line in asked if line and not line.startswith(("#", "-r"))) == sorted(wanted)
        locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE)
        assert {re.split(r"[~=<>\[]", line)[0] for line in wanted} <= set(locked)


def test_what_both_need_is_the_same_version() -> None:
    """The tests run on exactly what the console runs on."""
    run, test = (
        set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE))
        for name in ("run", "test")
    )
    assert run <= test


def test_links_lead_somewhere() -> None:
    """Relative links in the documents point at files that exist."""
    broken = [
        f"{document.name}: {link}"
        for document in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
        if not (document.parent / link).exists() and not link.startswith("docs/images/")
    ]
    assert not broken
