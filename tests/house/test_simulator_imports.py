"""The simulator's folders: which may import which, and no cycles, imports for types counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.imports import by_folder, cycle_in, imports_of, modules_of, violations

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "realtime.simulator"

LARGEST_FOLDER = 15
"""Modules in one folder."""
LONGEST_MODULE = 350
"""Lines of one module."""

RULE: dict[str, set[str]] = {
    "shared": set(),
    "model": {"shared"},
    "validation": {"model", "shared"},
    "conversation": {"validation", "shared"},
    "input": {"conversation", "validation"},
    "session": {"input", "conversation", "validation", "model", "shared"},
    "scenarios": {"session", "conversation", "validation", "shared"},
    "faults": {"session", "validation", "shared"},
    "server": {"faults", "scenarios", "session", "conversation", "validation", "model", "shared"},
    "thread": {"server", "shared"},
    "__main__": {"server", "scenarios", "faults"},
    # Names for programs outside:
    "scenario": {"scenarios"},
    "running": {"thread"},
    PACKAGE: {"thread", "server", "scenarios", "faults", "shared"},
}
"""Each folder (or module beside the folders) and the folders that it may import; docs/architecture.md points here."""


def test_the_simulators_folders_keep_to_the_rule() -> None:
    """No folder of the simulator imports one that its line does not name, and there is no cycle, not even inside a folder."""
    graph = imports_of(modules_of(ROOT / "realtime/simulator", PACKAGE))
    assert violations(graph, PACKAGE, RULE) == []


def test_no_line_of_the_rule_allows_more_than_is_used() -> None:
    """Every import that the rule allows exists: what is no longer needed is no longer allowed."""
    folders = by_folder(imports_of(modules_of(ROOT / "realtime/simulator", PACKAGE)), PACKAGE)
    assert {name: allowed - folders[name] for name, allowed in RULE.items() if allowed - folders[name]} == {}


def test_folders_and_modules_stay_small() -> None:
    """No folder of the simulator has more than 15 modules, no module more than 350 lines."""
    paths = list((ROOT / "realtime/simulator").rglob("*.py"))
    folders = {path.parent for path in paths}
    assert [folder.name for folder in folders if sum(path.parent == folder for path in paths) > LARGEST_FOLDER + 1] == []
    assert [path.name for path in paths if len(path.read_text().splitlines()) > LONGEST_MODULE] == []


# ── The checker itself, on a small tree ────────────────────────────────────────────────────────────────────────────

FILES = {
    "__init__.py": "from shop.till.till import Till",
    "goods/__init__.py": "",
    "goods/price.py": "import json",
    "goods/shelf.py": "from shop.goods import price\nfrom shop.goods.price import Price",
    "till/__init__.py": "",
    "till/till.py": "from ..goods.shelf import Shelf\nimport shop.goods.price",
}
ALLOWED = {"shop": {"till"}, "goods": set[str](), "till": {"goods"}}


def broken(tmp_path: Path, allowed: dict[str, set[str]] | None = None, **changes: str) -> list[str]:
    """Violations of the small tree after some of its files were changed; ``__`` in a name stands for a slash."""
    for name, text in {**FILES, **{key.replace("__", "/") + ".py": text for key, text in changes.items()}}.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return violations(imports_of(modules_of(tmp_path / "shop", "shop")), "shop", allowed or ALLOWED)


def test_a_tree_that_keeps_to_its_rule_passes(tmp_path: Path) -> None:
    """Absolute and relative imports that the rule allows are no violations."""
    assert broken(tmp_path) == []


@pytest.mark.parametrize(
    "source",
    [
        "from shop.till.till import Till",
        "import shop.till.till",
        "from shop.till import till",
        "from ..till import till",
        "from ..till.till import Till",
        "def late():\n    from shop.till.till import Till",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.till.till import Till",
    ],
)
def test_a_cycle_between_folders_is_found(tmp_path: Path, source: str) -> None:
    """An import against the direction is a violation and closes a cycle, however it is written: in a function, for types alone."""
    assert broken(tmp_path, goods__price=source) == [
        "shop.goods.price must not import till",
        "cycle between folders: goods -> till -> goods",
    ]


def test_a_cycle_that_the_rule_allows_is_found(tmp_path: Path) -> None:
    """Two folders that import each other are a cycle, even if each of their lines names the other."""
    allowed = {**ALLOWED, "goods": {"till"}}
    assert broken(tmp_path, allowed, goods__price="import shop.till.till") == ["cycle between folders: goods -> till -> goods"]


def test_a_cycle_inside_a_folder_is_found(tmp_path: Path) -> None:
    """Two files of one folder that import each other are a cycle, for types alone too."""
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .shelf import Shelf"
    assert broken(tmp_path, goods__price=source) == ["cycle in goods: shop.goods.price -> shop.goods.shelf -> shop.goods.price"]


def test_a_folder_and_its_line_belong_together(tmp_path: Path) -> None:
    """A new folder needs a line in the rule, and a line needs its folder."""
    allowed = {"shop": {"till"}, "till": {"goods"}, "cellar": set[str]()}
    assert broken(tmp_path, allowed) == [
        "goods has no line in the rule",
        "the rule has a line for cellar, which does not exist",
    ]


def test_a_cycle_is_told_from_its_first_name_to_its_last() -> None:
    """A cycle is reported as the way around it; a graph without one reports nothing."""
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
