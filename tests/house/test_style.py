"""What can be checked of the house's style: docstrings, lengths, names, and what must never be written."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400  # lines a module may have; most have fewer than 300
GENERATED = ("migrations",)
TEXT = {".py", ".html", ".js", ".css", ".md", ".toml", ".txt", ".in", ".yaml", ".yml", ".json", ".sh", ""}

FORBIDDEN = {
    r"\|\s*safe\b": "output is escaped; build HTML with templates or format_html",
    r"\bmark_safe\b": "output is escaped; build HTML with templates or format_html",
    r"\bcsrf_exempt\b": "every write carries the CSRF token",
    r"\bonclick=|\bhx-on[:=]|<style\b|\sstyle=\"": "the content security policy allows no inline script or style",
    r"except (Base)?Exception:\s*\n\s*pass\b": "an error is handled or said, never swallowed",
    r"\bNotImplementedError\b": "nothing is half built",
    r"\b(TODO|FIXME|XXX)\b": "what is left to do is an issue, not a comment",
}
"""What no file of ours contains, and why."""
ALLOWED = {r"\bcsrf_exempt\b": ("console/views/tokens.py",)}
"""Where it is written all the same: programs with keys ask there, and who has none is asked for the token in the view."""
PLACES = [
    r"/(?:home|Users)/[a-z]",
    r"(?<![\w.])/(?:root|work|opt|tmp)/[a-z]",
    r"(?:pypi|npmjs|pythonhosted)\.[a-z]+",
    r"--(?:extra-)?index-url",
    r"--find-links",
]
"""Paths of somebody's machine, and registries' addresses."""


def python_files(*folders: str) -> list[Path]:
    """Modules below these folders, without generated ones."""
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not set(GENERATED) & set(path.parts)
    ]


def ours() -> list[Path]:
    """Every text file that is ours: known to git or about to be, neither vendored nor locked."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if known.returncode:
        pytest.skip("not a git checkout: which files are ours cannot be told")
    names = known.stdout.splitlines()
    return [
        ROOT / name
        for name in sorted(set(names))
        if "vendor/" not in name
        and "migrations/" not in name
        and not name.startswith(("tests/house/", "var/"))
        and Path(name).suffix in TEXT
        and (ROOT / name).is_file()
    ]


def name_of(path: Path) -> str:
    """A path as it stands in the tree."""
    return str(path.relative_to(ROOT))


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Public functions and classes of a module, and public methods of its public classes."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    inner for inner in node.body if isinstance(inner, kinds) and not inner.name.startswith("_")
                )


def is_described_elsewhere(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether the sentence stands at another definition: of an overload, of what is overridden."""
    return any(ast.unparse(decorator) in ("overload", "override") for decorator in node.decorator_list)


def trees(*folders: str) -> list[tuple[str, ast.Module]]:
    """Name and syntax tree of every module below these folders."""
    return [(name_of(path), ast.parse(path.read_text())) for path in python_files(*folders)]


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module, inner ones too."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_a_module_says_what_it_is() -> None:
    """Every module that contains anything begins with one sentence that fits into the tree in architecture.md."""
    silent = [
        name
        for name, tree in trees("realtime", "console", "tests")
        if tree.body and not (ast.get_docstring(tree) or "").split("\n")[0].endswith((".", "?", "…"))
    ]
    assert not silent


def test_a_module_can_be_read_in_one_sitting() -> None:
    """No module is longer than a reader's patience."""
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in python_files("realtime", "console")}
    assert not {name: length for name, length in lengths.items() if length > LONGEST}


def test_the_engine_is_documented() -> None:
    """Every public function and class of the engine has its contract in a docstring."""
    silent = [
        f"{name}: {node.name}"
        for name, tree in trees("realtime")
        for node in public_functions(tree)
        if not ast.get_docstring(node) and not is_described_elsewhere(node)
    ]
    assert not silent


def test_every_signature_is_typed() -> None:
    """Functions say what they take and what they give back."""
    untyped = [
        f"{name}: {node.name}"
        for name, tree in trees("realtime", "console", "tests")
        for node in functions(tree)
        if node.returns is None
        or any(
            argument.annotation is None
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            if argument.arg not in ("self", "cls")
        )
    ]
    assert not untyped


def test_a_test_says_what_it_proves() -> None:
    """Every test has a docstring: the sentence it proves."""
    silent = [
        f"{name}: {node.name}"
        for name, tree in trees("tests")
        for node in functions(tree)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent


def test_tests_mirror_the_engine() -> None:
    """Every test of the engine is named after the module it tests, in the same folder."""
    strangers = [
        name_of(path)
        for path in (ROOT / "tests/realtime").rglob("test_*.py")
        if not _tested(path.relative_to(ROOT / "tests/realtime"))
    ]
    assert not strangers


def _tested(test: Path) -> bool:
    """Whether the module or package a test is named after exists."""
    subject = ROOT / "realtime" / test.parent / test.stem.removeprefix("test_")
    return subject.with_suffix(".py").is_file() or subject.is_dir()


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_never_written(pattern: str) -> None:
    """What endangers or confuses is nowhere in our code."""
    code = [path for path in ours() if path.suffix in (".py", ".html", ".js")]
    found = {name_of(path) for path in code if re.search(pattern, path.read_text())}
    assert not found - set(ALLOWED.get(pattern, ())), FORBIDDEN[pattern]


@pytest.mark.parametrize("pattern", PLACES)
def test_no_place_of_somebodys_machine(pattern: str) -> None:
    """No file names a path of one machine or a registry's address: it works on everyone's."""
    found = [name_of(path) for path in ours() if re.search(pattern, path.read_text(errors="replace"))]
    assert not found


def test_htmx_is_pinned() -> None:
    """Pages load version 2 of htmx, from the package that ships it."""
    pages = (ROOT / "templates").rglob("*.html")
    tags = [tag for page in pages for tag in re.findall(r"{% htmx_script.*?%}", page.read_text())]
    assert tags
    assert all("version=2" in tag for tag in tags)
