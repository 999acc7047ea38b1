"""Rules of imports: which folder may import which, and no cycles; read from the source, nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

Graph = dict[str, set[str]]
"""Names and the names they import."""


def modules_of(package: Path, name: str) -> dict[str, Path]:
    """Return the modules below a package's folder by their dotted names; ``name`` is the package's own.

    A folder stands for its ``__init__.py``.
    """
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join((name, *parts)).removesuffix(".__init__")] = path
    return found


def imports_of(modules: Mapping[str, Path]) -> Graph:
    """Return the imports among some modules: anywhere in a file, also for types alone, absolute or relative.

    ``from package import name`` imports the module ``package.name`` if there is one, else ``package``. Importing a module does
    not count as importing the packages around it.
    """
    graph: Graph = {}
    for name, path in modules.items():
        here = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = here.split(".")[: len(here.split(".")) + 1 - node.level] if node.level else []
                source = ".".join([*above, *([node.module] if node.module else [])])
                found |= {full if (full := f"{source}.{alias.name}") in modules else source for alias in node.names}
        graph[name] = (found & set(modules)) - {name}
    return graph


def by_folder(graph: Graph, package: str) -> Graph:
    """Return the imports among the folders directly below a package. A module beside them stands for itself, and the package's
    own ``__init__`` for the package."""

    def folder(name: str) -> str:
        return name.removeprefix(f"{package}.").split(".")[0] if name != package else package

    folders: Graph = {folder(name): set() for name in graph}
    for name, imported in graph.items():
        folders[folder(name)] |= {folder(other) for other in imported} - {folder(name)}
    return folders


def cycle_in(graph: Graph) -> list[str]:
    """Return one cycle, its first name again at the end; empty if there is none."""
    done: set[str] = set()

    def search(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            if found := search(other, [*way, name]):
                return found
        done.add(name)
        return []

    for name in sorted(graph):
        if found := search(name, []):
            return found
    return []


def violations(graph: Graph, package: str, allowed: Mapping[str, Iterable[str]]) -> list[str]:
    """Return every breach of a package's rule, one sentence each.

    ``allowed`` has one line a folder: the folders of the package that it may import. Breaches are a folder without a line, a
    line without a folder, an import that is not allowed, and a cycle between folders or between the files of one folder.
    """
    folders = by_folder(graph, package)
    found = [f"{name} has no line in the rule" for name in sorted(set(folders) - set(allowed))]
    found += [f"the rule has a line for {name}, which does not exist" for name in sorted(set(allowed) - set(folders))]
    for name, imported in graph.items():
        (here,) = by_folder({name: set()}, package)
        others = by_folder({name: imported}, package)[here]
        found += [f"{name} must not import {other}" for other in sorted(others - set(allowed.get(here, others)))]
    if between := cycle_in(folders):
        found.append(f"cycle between folders: {' -> '.join(between)}")
    for folder in sorted(folders):
        inside = {name for name in graph if folder in by_folder({name: set()}, package)}
        if within := cycle_in({name: graph[name] & inside for name in inside}):
            found.append(f"cycle in {folder}: {' -> '.join(within)}")
    return found
