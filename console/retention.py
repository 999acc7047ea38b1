"""Retention: which sessions are removed by CONSOLE_KEEP_DAYS and CONSOLE_MAX_DISK, and how: a few rows at a time."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models.functions import Coalesce
from django.utils import timezone

from console import storage
from console.locks import FileLock, Refused
from console.models import Entry, Frame, Removal, Session, SessionQuerySet
from console.pacing import Pace

log = logging.getLogger(__name__)

ROWS, MOST_ROWS = 50, 1000
"""Entries that are removed in one transaction: at first, and at most."""
SESSIONS = 100
"""Sessions that are hidden at once."""
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
LEAST_DISK = 10**6
"""Bytes; a database without a session takes half of it."""
MOST_DAYS = 36_500
TOLD_FOR = timedelta(days=1)
"""How long pages say what was removed."""
REMOVALS_KEPT = 500

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B)", re.IGNORECASE)
_DELETE_FRAMES = f'DELETE FROM "{Frame._meta.db_table}" WHERE "entry_id" IN '
_DELETE_ENTRIES = f'DELETE FROM "{Entry._meta.db_table}" WHERE "id" IN '


class InvalidLimit(Exception):
    """A variable says what cannot be a limit; the sentence names it and what would be one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept; None means without a limit."""

    days: float | None = None
    disk: int | None = None
    """Bytes."""


@dataclass(slots=True)
class Pruned:
    """What a round has done."""

    removed: Counter[str] = field(default_factory=Counter)
    """Sessions by rule."""
    exceeded: str = ""
    """A sentence when the limit of size is exceeded and nothing is left that may be removed."""


def limits() -> Limits:
    """The limits the environment sets. Raises InvalidLimit."""
    return Limits(_days(settings.CONSOLE_KEEP_DAYS.strip()), _disk(settings.CONSOLE_MAX_DISK.strip()))


def _days(text: str) -> float | None:
    if not text:
        return None
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not 0 < float(text) <= MOST_DAYS:
        raise InvalidLimit(f"CONSOLE_KEEP_DAYS is a number of days above 0, such as 30, not {text!r}; without it all is kept.")
    return float(text)


def _disk(text: str) -> int | None:
    if not text:
        return None
    found = _SIZE.fullmatch(text)
    size = int(float(found[1]) * UNITS[found[2].upper()]) if found and len(found[1]) < 16 else 0
    if not LEAST_DISK <= size < 2**63:
        raise InvalidLimit(f"CONSOLE_MAX_DISK is a size of at least 1MB, such as 500MB or 20GB, not {text!r}; without it all is kept.")
    return size


def _never() -> bool:
    return False


def prune(allowed: Limits, changed: Callable[[], None] = lambda: None, stopped: Callable[[], bool] = _never) -> Pruned:
    """Remove the oldest finished sessions that nobody has pinned, as far as the limits ask for it.

    ``changed`` is called whenever sessions have gone from the lists; ``stopped`` is asked between two transactions.
    Raises DatabaseError.
    """
    pruned = Pruned()
    if allowed.days is not None:
        until = timezone.now() - timedelta(days=allowed.days)
        while not stopped() and (old := list(removable().filter(since__lt=until).values_list("pk", flat=True)[:SESSIONS])):
            if hidden := hide(Session.objects.filter(pk__in=old, pinned=False)):
                _enter(pruned, f"older than {allowed.days:g} day{'s' if allowed.days != 1 else ''}", hidden)
                changed()
            sweep_deleted(stopped)
    if allowed.disk is not None:
        while not stopped() and storage.used(allowed.disk) > allowed.disk:
            storage.cut_log(0)  # what was removed last stands in it, page by page
            if (size := storage.used(allowed.disk)) <= allowed.disk:
                break
            oldest = removable().values_list("pk", flat=True).first()
            if oldest is None:
                pruned.exceeded = (
                    f"The recordings take {in_words(size)}, CONSOLE_MAX_DISK allows {in_words(allowed.disk)}, and no session "
                    "is left that may be removed: unpin or end some, or raise the limit."
                )
                break
            if hide(Session.objects.filter(pk=oldest, pinned=False)):
                _enter(pruned, f"to stay below {in_words(allowed.disk)}", 1)
                changed()
                remove_rows(oldest, stopped)
    for rule, count in pruned.removed.items():
        log.info("removed %d %s %s", count, "session" if count == 1 else "sessions", rule)
    return pruned


def _enter(pruned: Pruned, rule: str, count: int) -> None:
    """Keep, for the pages, that sessions are removed: written before their rows go, should this be interrupted."""
    pruned.removed[rule] += count
    newest = Removal.objects.first()
    if newest is not None and newest.rule == rule and newest.at > timezone.now() - timedelta(hours=1):
        Removal.objects.filter(pk=newest.pk).update(sessions=newest.sessions + count, at=timezone.now())
        return
    Removal.objects.create(rule=rule, sessions=count)
    kept = Removal.objects.values_list("pk", flat=True)[:REMOVALS_KEPT]
    Removal.objects.exclude(pk__in=list(kept)).delete()


def removable() -> SessionQuerySet:
    """Finished sessions nobody has pinned, the oldest first; ``since`` is from when their age counts."""
    found = Session.objects.over().filter(pinned=False)
    return found.annotate(since=Coalesce("imported_at", "ended_at", "started_at")).order_by("since", "pk")


def hide(sessions: SessionQuerySet) -> int:
    """Take finished sessions from every list at once; ``sweep_deleted`` removes their rows. Returns how many there were."""
    return int(sessions.over().update(status=Session.DELETING))


def sweep_deleted(stopped: Callable[[], bool] = _never) -> None:
    """Remove the rows of sessions that were deleted."""
    for session_id in Session.all_objects.filter(status=Session.DELETING).values_list("pk", flat=True):
        remove_rows(session_id, stopped)


def sweep_imports(locks: Path, stopped: Callable[[], bool] = _never) -> None:
    """Remove the rows of imports whose process is gone; one that goes on holds its lock in this folder."""
    for session_id, import_id in Session.all_objects.filter(status=Session.IMPORTING).values_list("pk", "close_reason"):
        path = locks / import_id
        try:
            lock = FileLock(path)
        except Refused:
            continue  # it goes on
        remove_rows(session_id, stopped)
        lock.close()
        path.unlink(missing_ok=True)


def remove_rows(session_id: str, stopped: Callable[[], bool] = _never) -> None:
    """Remove a hidden session, a few entries in each transaction; any other is left alone. Raises DatabaseError.

    When it is stopped on the way the session stays hidden, and the next sweep goes on.
    """
    hidden = Session.all_objects.filter(pk=session_id, status__in=Session.HIDDEN)
    pace = Pace(ROWS, MOST_ROWS)
    left = hidden.exists()
    while left:
        if stopped():
            return
        ids = list(Entry.objects.of(session_id).order_by("seq").values_list("pk", flat=True)[: pace.size])
        if left := bool(ids):
            pace.run(lambda: _delete(ids))  # noqa: B023  (it is run at once)
    hidden.delete()


def _delete(ids: list[int]) -> None:
    marks = f"({', '.join(['%s'] * len(ids))})"
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_FRAMES + marks, ids)
        cursor.execute(_DELETE_ENTRIES + marks, ids)


def recent() -> list[str]:
    """What pages say of the last day's removals, a sentence for each rule."""
    counts: Counter[str] = Counter()
    for removal in Removal.objects.filter(at__gt=timezone.now() - TOLD_FOR):
        counts[removal.rule] += removal.sessions
    return [
        f"{count} {'session' if count == 1 else 'sessions'} {rule} {'was' if count == 1 else 'were'} removed in the last day."
        if rule.startswith("older")
        else f"The {f'{count} oldest sessions were' if count > 1 else 'oldest session was'} removed in the last day {rule}."
        for rule, count in counts.items()
    ]


def in_words(size: int) -> str:
    """Bytes as a person writes them: ``20 GB``."""
    for unit in ("TB", "GB", "MB", "KB"):
        if size >= UNITS[unit]:
            return f"{size / UNITS[unit]:.3g} {unit}"
    return f"{size} bytes"
