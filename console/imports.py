"""Imports under way: started from a page or a program, one after the other, each in a process; told of, stopped, forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

from django.core.files.uploadedfile import TemporaryUploadedFile

from console import import_process
from console.threads import give_way

log = logging.getLogger(__name__)

KEPT = 100
"""Imports whose end is still told."""
END_WITHIN = 10.0
"""Seconds a process that was stopped may take to remove what it has written; then it is ended, and what it left is swept."""

State = Literal["waiting", "running", "done", "refused", "failed", "stopped"]

_RUNNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="import", initializer=give_way)
"""One at a time: each takes a core's idle time and the database's."""
_imports: dict[str, Import] = {}


class Import:
    """An uploaded file on its way into the database."""

    def __init__(self, upload: TemporaryUploadedFile) -> None:
        self.id = secrets.token_urlsafe(12)
        self.file = str(upload.name)
        self.size = upload.size or 0
        """Bytes."""
        self.state: State = "waiting"
        self.progress: dict[str, int] = {"bytes": 0, "lines": 0, "events": 0, "skipped": 0}
        self.sessions: list[str] = []
        self.report: dict[str, Any] | None = None
        self.sentence = ""
        """Why nothing was stored."""
        self._upload = upload
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._lock = threading.Lock()
        self._over: Future[None] = Future()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in ("waiting", "running")

    async def over(self) -> None:
        """Wait for its end."""
        await asyncio.shield(asyncio.wrap_future(self._over))

    def stop(self) -> None:
        """Stop it, and leave nothing of it. Does nothing when it is over. Any thread may ask."""
        with self._lock:
            if self.is_over:
                return
            self._stopped = True
            if self._process is None:
                self._end("stopped", "The import was stopped; nothing of it was stored.")
                return
            process = self._process
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
        ender = threading.Timer(END_WITHIN, process.kill)
        ender.daemon = True
        ender.start()
        self._over.add_done_callback(lambda _: ender.cancel())

    def run(self, changed: Callable[[], None]) -> None:
        """Run it to its end, on a thread of its own; ``changed`` is called when there may be new sessions."""
        try:
            self._run(changed)
        except Exception:
            log.exception("the import of %s failed", self.file)
            if self._process is not None:
                self._process.kill()
            with self._lock:
                if not self.is_over:
                    self._end("failed", f"The console itself failed at the import of “{self.file}”; its log has the details.")

    def _run(self, changed: Callable[[], None]) -> None:
        with self._lock:
            if self.is_over:
                return
            try:
                self._process = process = import_process.start(self._upload.temporary_file_path())
            except OSError as error:
                self._end("failed", f"No process could be started for the import of “{self.file}”: {error.strerror}.")
                return
            self.state = "running"
        last: dict[str, Any] = {}
        assert process.stdin is not None and process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                last = json.loads(line)
                if "bytes" in last:
                    self.progress = last
        status = process.wait()
        with self._lock, contextlib.suppress(OSError):
            process.stdin.close()
        with self._lock:
            self._conclude(last, status)
        changed()

    def _conclude(self, last: dict[str, Any], status: int) -> None:
        """Say how it ended: by its process's last word, or by how that ended."""
        if "sessions" in last:
            self.sessions, self.report = last["sessions"], last["report"]
            self._end("done")
        elif "refused" in last:
            self._end("refused", f"“{self.file}” could not be imported, nothing was stored: {last['refused']}.")
        elif "failed" in last:
            self._end("failed", f"“{self.file}” could not be imported, nothing was stored: {last['failed']}.")
        elif "stopped" in last or self._stopped:
            self._end("stopped", "The import was stopped; nothing of it was stored.")
        else:
            log.error("the process that imported %s ended with status %d", self.file, status)
            self._end("failed", f"“{self.file}” could not be imported: its process ended (status {status}). Nothing of it is kept.")

    def _end(self, state: State, sentence: str = "") -> None:
        self.state, self.sentence = state, sentence
        self._upload.close()  # which deletes it
        self._over.set_result(None)


def start(upload: TemporaryUploadedFile, changed: Callable[[], None]) -> Import:
    """Import an upload as soon as those before it are over. The upload is the import's from now on: it closes it."""
    one = Import(upload)
    _imports[one.id] = one
    for old in [known for known in _imports.values() if known.is_over][:-KEPT]:
        del _imports[old.id]
    _RUNNER.submit(one.run, changed)
    return one


def find(import_id: str) -> Import | None:
    """An import by its id; None when there is none, or it was over long ago."""
    return _imports.get(import_id)


async def stop_all() -> None:
    """Stop every import and wait until nothing of them is left; for shutdown."""
    running = [one for one in _imports.values() if not one.is_over]
    for one in running:
        one.stop()
    for one in running:
        await one.over()
