"""Accounts: the money of each relay key that is in use, in memory, every change written through to the key's row."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from django.db import DatabaseError

from console import live, relay_keys
from console.models import RelayKey
from realtime.policy import Policy
from realtime.spending import Account

log = logging.getLogger(__name__)

RETRY_AFTER = 1.0
"""Seconds until a sum is written again that the database did not take."""
FLUSH_WITHIN = 3.0
"""Seconds a console that stops has for what is not written yet."""


@dataclass
class _Kept:
    """An account in use."""

    account: Account
    users: int = 0
    """Sessions that have it, also those that do not run yet."""
    writing: asyncio.Task[None] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One statement at a time: else a sum might be counted both as stored and as not written yet."""


_kept: dict[int, _Kept] = {}
"""By the key's id, while sessions run with it or something of it is not written."""


def join(key: RelayKey) -> Account:
    """The account for a session that begins; the same one for all sessions of a key. Call ``leave`` when it has ended.

    Call ``refresh`` before relying on its figures: ``key`` may have been read before the last payment was written.
    """
    if key.pk not in _kept:
        account = Account(Policy.read(key.policy).dollars, key.spent_usd, key.dearest_usd, lambda: _changed(key.pk))
        _kept[key.pk] = _Kept(account)
    _kept[key.pk].users += 1
    return _kept[key.pk].account


def leave(key_id: int) -> None:
    """A session with this account has ended; the account is forgotten when nobody has it and everything is written."""
    _kept[key_id].users -= 1
    _tidy(key_id)


def _tidy(key_id: int) -> None:
    kept = _kept.get(key_id)
    if kept is not None and not kept.users and not kept.account.unwritten and not kept.lock.locked():
        del _kept[key_id]


async def of(key: RelayKey) -> Account:
    """A key's account as it stands now: the one in use, else what the row says."""
    if key.pk not in _kept:
        return Account(Policy.read(key.policy).dollars, key.spent_usd, key.dearest_usd)
    account = _kept[key.pk].account
    await refresh(key.pk)
    return account


async def refresh(key_id: int) -> None:
    """Write what is not written, and read what another process has changed: a reset, a limit. Raises DatabaseError."""
    if (kept := _kept.get(key_id)) is not None:
        # A request that is cancelled must not leave a sum behind that is stored and still counts as not written.
        await asyncio.shield(asyncio.ensure_future(_settle(key_id, kept)))


async def _settle(key_id: int, kept: _Kept) -> None:
    account = kept.account
    async with kept.lock:
        dollars = account.unwritten
        row = await live.in_reader(relay_keys.settle, key_id, dollars, account.dearest)
        if row is not None:
            account.limit = Policy.read(row.policy).dollars
        account.wrote(dollars, row.spent_usd if row else account.stored + dollars, row.dearest_usd if row else 0.0)
    _tidy(key_id)


async def refresh_all() -> None:
    """The same for every account in use. Raises DatabaseError."""
    for key_id in list(_kept):
        await refresh(key_id)


async def flush() -> None:
    """Wait until everything is written; for shutdown, after the last session has ended."""
    writing = [kept.writing for kept in _kept.values() if kept.writing is not None]
    if writing:
        _, late = await asyncio.wait(writing, timeout=FLUSH_WITHIN)
        for task in late:
            task.cancel()
            log.error("%s: not written in time; it is not counted after the restart", task.get_name())


def _changed(key_id: int) -> None:
    """Write soon; what changes meanwhile goes with it."""
    kept = _kept[key_id]
    if kept.writing is None or kept.writing.done():
        kept.writing = asyncio.create_task(_write(key_id, kept), name=f"account of relay key {key_id}")


async def _write(key_id: int, kept: _Kept) -> None:
    while kept.account.unwritten:
        try:
            await refresh(key_id)
        except DatabaseError as error:
            log.warning("what relay key %s has spent cannot be written: %s", key_id, error)
            await asyncio.sleep(RETRY_AFTER)
