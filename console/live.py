"""The sessions running in this process: start, find, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from console.models import Session
from console.recorder import recorder
from console.threads import give_way
from console.writer import explain
from realtime import tools, upstream
from realtime.protocol import CLOSED
from realtime.runner import FAILED, RESTART, SessionRunner
from realtime.upstream import Provider

log = logging.getLogger(__name__)

RECORDING_FAILED = "recording failed: the console can no longer store what happens"
"""Why a session was closed, in a close frame (123 bytes at most) and on its timeline."""

P = ParamSpec("P")
R = TypeVar("R")

READERS = ThreadPoolExecutor(max_workers=3, thread_name_prefix="reader", initializer=give_way)
"""Database work of doors and live sessions. Never Channels' own thread: all its consumers would wait for it."""

_running: dict[str, tuple[SessionRunner, asyncio.Task[None]]] = {}


class NotRecording(Exception):
    """Raised when a session cannot begin because nothing could be recorded; ``str()`` is a sentence for a person."""


@dataclass(frozen=True)
class Start:
    """What a session is started with."""

    provider: Provider
    model: str
    key: str = field(default="", repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The partial session object asked for first."""
    memory: Mapping[str, str] = field(default_factory=dict)
    """What ``set_memory`` begins with: that of the session this one continues."""
    label: str = ""


async def in_reader(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do database work on a thread of our own and wait for it."""
    return await asyncio.get_running_loop().run_in_executor(READERS, partial(_read, partial(work, *args, **kwargs)))


def _read(work: Callable[[], R]) -> R:
    """Do the work; a connection that was lost since the last work on this thread is made anew before its first query."""
    connection.health_check_done = False  # as at the beginning of a request; on SQLite there is nothing to check
    return work()


def close_readers() -> None:
    """Give back the readers' connections; for shutdown."""
    all_here = threading.Barrier(READERS._max_workers)  # else one thread might do two of these, and another none

    def close() -> None:
        all_here.wait()
        connection.close()

    for done in [READERS.submit(close) for _ in range(READERS._max_workers)]:
        done.result()


def find(session_id: str) -> SessionRunner | None:
    """The runner of a session that is running here; None when it is over, or another process's."""
    running = _running.get(session_id)
    return running[0] if running else None


def running() -> list[str]:
    """Ids of the sessions running here."""
    return list(_running)


async def create(**columns: Any) -> Session:
    """Make a session's row. Raises NotRecording, with a sentence, while nothing could be recorded in it."""
    if recorder.stopped:
        raise NotRecording(recorder.stopped)
    try:
        return await in_reader(partial(Session.objects.create, status=Session.CONNECTING, started_at=timezone.now(), **columns))
    except (DatabaseError, InterfaceError) as error:
        log.error("no session could be made: %s", explain(error))
        raise NotRecording(f"No session can be recorded: {explain(error)}.") from error


async def start(what: Start) -> Session:
    """Make a session and begin to dial. Returns at once; how it goes is told on its timeline. Raises NotRecording."""
    session = await create(
        label=what.label[:200],
        provider=what.provider.name,
        model=what.model[:128],
        dialect=what.provider.dialect,
    )
    memory: dict[str, str] = {}
    context = tools.ToolContext(
        memory=memory,
        remember=lambda key, value: remember(runner, key, value, "tool"),
        weather_url=settings.OPEN_METEO_URL,
    )
    runner = SessionRunner(
        lambda: upstream.dial(what.provider, what.model, what.key),
        recorder.tap(session.pk),
        context,
        session=dict(what.settings),
        dialect="beta" if what.provider.dialect == "beta" else "ga",
    )
    for key, value in what.memory.items():
        await set_memory(runner, key, value)
    launch(session.pk, runner)
    return session


def launch(session_id: str, runner: SessionRunner) -> asyncio.Task[None]:
    """Let a session run from now on, findable by its id until it is over."""
    task = asyncio.create_task(_run(session_id, runner), name=f"session {session_id}")
    _running[session_id] = (runner, task)
    return task


async def _run(session_id: str, runner: SessionRunner) -> None:
    """Run a session to its end; a defect of ours ends that session alone, with a sentence on its page."""
    try:
        await runner.run()
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("session %s ended by a defect of the console", session_id)
        runner.note("problem", "The console itself failed here; its log has the details.", {})
    finally:
        _running.pop(session_id, None)


def remember(runner: SessionRunner, key: str, value: str | None, by: str) -> None:
    """Note a change of a session's memory: the log holds it, so reopening finds it again."""
    text = f"{key} = {value}" if value is not None else f"{key} forgotten"
    runner.note("memory", text, {"key": key, "value": value, "by": by})


async def set_memory(runner: SessionRunner, key: str, value: str | None) -> None:
    """Change a running session's memory from the page; ``None`` forgets the key."""
    if value is None:
        runner.context.memory.pop(key, None)
    else:
        runner.context.memory[key] = value
    remember(runner, key, value, "page")


async def stop(session_id: str, code: int = 1000, reason: str = "") -> None:
    """Close a session and wait for its end; does nothing when it is not running here."""
    if running := _running.get(session_id):
        runner, task = running
        await runner.close(code, reason)
        if runner.protocol.state is not CLOSED:
            task.cancel()  # still dialling, or the API never answered the close
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def stop_all(session_ids: Iterable[str] | None = None) -> None:
    """Close these sessions, without any named every one: the console stops."""
    chosen = running() if session_ids is None else session_ids
    await asyncio.gather(*(stop(session_id, RESTART) for session_id in chosen))


async def give_up(session_ids: Iterable[str]) -> None:
    """Close these sessions, of which nothing more can be recorded; both sides are told so."""
    await asyncio.gather(*(stop(session_id, FAILED, RECORDING_FAILED) for session_id in session_ids))
