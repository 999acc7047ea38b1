"""The floors of the house: imports only point down, and the engine knows nothing of Django."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FLOORS = [
    {"console.management"},
    {"console.asgi", "console.urls", "console.server"},
    {"console.doors", "console.views", "console.lifespan", "console.middleware"},
    {"console.outages"},
    {"console.panes"},
    {"console.watch", "console.page"},
    {"console.moments"},
    {"console.fragments", "console.growing"},
    {"console.rail"},
    {"console.forms"},
    {"console.lifecycle"},
    {"console.relays", "console.minting"},
    {"console.admission"},
    {"console.accounts"},
    {"console.live", "console.logfiles", "console.sound", "console.preparing", "console.http_protocol"} | {"console.recovering"},
    {"console.housekeeping", "console.imports"},
    {"console.import_process"},
    {"console.importing"},
    {"console.recorder", "console.access", "console.providers", "console.relay_keys", "console.rest"}
    | {"console.migrations", "console.sockets"},
    {"console.courier"},
    {"console.isolating"},
    {"console.writer_process"},
    {"console.writer", "console.gathering", "console.retention"},
    {"console.storage", "console.quarantine"},
    {"console.admin", "console.batches", "console.reopening", "console.parcels"},
    {"console.models"},
    {"console.journal", "console.locks", "console.pacing", "console.hang_detection", "console.columns"},
    {"console.settings", "console.static", "console.apps", "console.framing", "console.tls"}
    | {"console.threads", "console.news", "console.origin", "console.guesses", "console.sign_ins"}
    | {"console.converters"},
    {"console.private_files"},
    # ── Django ends here ──
    {"realtime.pytest_plugin"},
    {"realtime.simulator", "realtime.testing"},
    {"realtime.relaying"},
    {"realtime.runner"},
    {"realtime.upstream", "realtime.logs", "realtime.tools", "realtime.soundtrack"}
    | {"realtime.passage", "realtime.ledger", "realtime.limits", "realtime.parting"}
    | {"realtime.spending"},
    {"realtime.protocol", "realtime.conversation", "realtime.filters", "realtime.endings", "realtime.dialects"}
    | {"realtime.policy", "realtime.ours"},
    {"realtime.lines", "realtime.calls"},
    {"realtime.timeline", "realtime.items"},
    {"realtime.settings", "realtime.fixed", "realtime.sdk_types"},
    {"realtime.catalog", "realtime.masking", "realtime.shapes", "realtime.meter", "realtime.prices"}
    | {"realtime.pcm", "realtime.strict_json"},
    {"realtime.audio"},
    {"realtime.events"},
    {"realtime.errors", "realtime.wire"},
    {"realtime.mailbox"},
]
"""From top to bottom; a module imports from its own room and from floors below. docs/architecture.md draws the same."""

HEIGHT = {room: len(FLOORS) - number for number, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> list[Path]:
    """Every module of the two packages."""
    return [path for package in ("realtime", "console") for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(name: str) -> str:
    """The first two parts of a dotted name: what a floor is made of."""
    return ".".join(name.split(".")[:2])


def imported(path: Path) -> set[str]:
    """Dotted names a module imports, wherever in it; imports for types alone do not count."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_room_has_a_floor() -> None:
    """Every module below the two packages belongs to a room with a floor; a new one gets its place here first."""
    rooms = {room_of(name_of(path)) for path in modules()} - {"realtime", "console"}
    assert rooms <= set(HEIGHT)


def test_imports_only_point_down() -> None:
    """A module imports from its own room or from a floor below, never sideways or up."""
    up = {
        f"{name_of(path)} -> {other}"
        for path in modules()
        for other in map(room_of, imported(path))
        if other != (room := room_of(name_of(path))) and HEIGHT.get(other, 0) >= HEIGHT.get(room, 99)
    }
    assert not up


def test_the_engine_knows_nothing_of_django() -> None:
    """No module of the engine imports Django, Channels or the console."""
    strangers = {"django", "channels", "daphne", "twisted", "console"}
    found = {
        f"{name_of(path)} -> {name}"
        for path in modules()
        if name_of(path).startswith("realtime")
        for name in imported(path)
        if name.split(".")[0] in strangers
    }
    assert not found


def test_every_floor_is_drawn() -> None:
    """docs/architecture.md names every room that exists and has a floor."""
    drawn = (ROOT / "docs/architecture.md").read_text()
    rooms = {room_of(name_of(path)) for path in modules()} & set(HEIGHT) - {"console.migrations"}
    missing = {room for room in rooms if room.split(".")[1] not in drawn}
    assert not missing
