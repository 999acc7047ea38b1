"""Browsers that have given the console's token: each holds a random value in a cookie, of which a digest is kept here."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

log = logging.getLogger(__name__)

LIFETIME = 30 * 24 * 3600
"""Seconds a browser stays signed in."""
MOST = 1000
"""Browsers that are remembered; when there are more, the oldest has to give the token again."""


class SignIns:
    """Random values by their digests, kept in a file of the data directory so that a restart asks nobody again.

    The digest is keyed with the token: when that changes, no value given for the old one is good any longer.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """``now`` gives unix seconds."""
        self._now = now
        self._lock = threading.Lock()
        self._ends: dict[str, float] | None = None
        """When each ends, by digest, oldest first; None: not read yet."""

    def issue(self) -> str:
        """A new value for a browser that has given the token."""
        value = secrets.token_urlsafe(32)
        with self._lock:
            now = self._now()
            kept = [(digest, end) for digest, end in self._read().items() if end > now]
            self._ends = dict(kept[-(MOST - 1) :])
            self._ends[_digest(value)] = now + LIFETIME
            self._write(self._ends)
        return value

    def holds(self, value: str) -> bool:
        """Whether a cookie's value is good now. It is looked up by its digest, which tells nothing of the value by its time."""
        if not value:
            return False
        with self._lock:
            return self._read().get(_digest(value), 0) > self._now()

    def _read(self) -> dict[str, float]:
        if self._ends is None:
            self._ends = {}
            try:
                read = json.loads(_file().read_text())
                self._ends = {str(digest): float(end) for digest, end in read.items()}
            except FileNotFoundError:
                pass
            except (OSError, ValueError, TypeError, AttributeError) as error:
                log.warning("%s cannot be read (%s): browsers have to give the token again.", _file(), error)
        return self._ends

    def _write(self, ends: dict[str, float]) -> None:
        new = _file().with_suffix(".new")
        try:
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(ends, file)
            new.replace(_file())
        except OSError as error:
            log.warning("%s cannot be written (%s): after a restart browsers have to give the token again.", _file(), error)


def _file() -> Path:
    folder: Path = settings.CONSOLE_DATA_DIR
    return folder / "sign_ins.json"


def _digest(value: str) -> str:
    key = hashlib.sha256(f"{settings.SECRET_KEY}\0{settings.CONSOLE_TOKEN}".encode()).digest()
    return hmac.new(key, value.encode(errors="surrogateescape"), "sha256").hexdigest()


sign_ins = SignIns()
"""This installation's."""
