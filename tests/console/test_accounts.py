"""Accounts of relay keys: one for all sessions of a key, every change written through, nothing counted twice or lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError

from console import accounts, relay_keys
from console.models import RelayKey
from tests.console.rest_stage import made

pytestmark = pytest.mark.django_db(transaction=True)

make = sync_to_async(made)
stored = sync_to_async(lambda key: RelayKey.objects.get(pk=key.pk).spent_usd)


@pytest.fixture(autouse=True)
def nothing_kept() -> Any:
    """No account outlives its last session."""
    yield
    try:
        assert not accounts._kept
    finally:
        accounts._kept.clear()  # else the tests after this one fail, too


async def test_written_through() -> None:
    """What sessions side by side pay is one sum, stored as it comes; who asks in between is told all of it."""
    key, _ = await make(dollars=5.0)
    one, other = accounts.join(key), accounts.join(key)
    assert one is other
    one.pay(0.25)
    other.pay(0.5, response=True)
    assert (await accounts.of(key)).spent == 0.75
    one.pay(0.25)
    await accounts.flush()
    assert await stored(key) == 1.0
    assert (one.unwritten, one.dearest) == (0.0, 0.5)
    accounts.leave(key.pk)
    accounts.leave(key.pk)
    again = accounts.join(await sync_to_async(RelayKey.objects.get)(pk=key.pk))
    assert (again.spent, again.dearest, again.limit) == (1.0, 0.5, 5.0)
    accounts.leave(key.pk)


async def test_a_reset_elsewhere() -> None:
    """What another process has set is taken over, and nothing that was paid since is lost."""
    key, _ = await make(dollars=1.0)
    account = accounts.join(key)
    account.pay(0.75)
    await accounts.flush()
    await sync_to_async(relay_keys.reset)("app")
    account.pay(0.5)
    await accounts.refresh_all()
    assert (account.spent, await stored(key)) == (0.5, 0.5)
    await accounts.flush()
    accounts.leave(key.pk)


async def test_a_database_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum is kept and written again until it is stored; meanwhile the limit holds by what is in memory."""
    key, _ = await make(dollars=1.0)
    account = accounts.join(key)
    settle, failures = relay_keys.settle, [DatabaseError("locked"), DatabaseError("locked")]

    def sometimes(*arguments: Any) -> RelayKey | None:
        if failures:
            raise failures.pop()
        return settle(*arguments)

    monkeypatch.setattr(relay_keys, "settle", sometimes)
    monkeypatch.setattr(accounts, "RETRY_AFTER", 0.01)
    account.pay(2.0)
    assert account.is_reached
    accounts.leave(key.pk)
    await accounts.flush()
    assert await stored(key) == 2.0


async def test_somebody_who_gives_up_asking() -> None:
    """A request that is cancelled while a sum is being written does not make it count twice."""
    key, _ = await make()
    account = accounts.join(key)
    account.unwritten = 1.0
    asking = asyncio.create_task(accounts.refresh(key.pk))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await accounts.refresh(key.pk)
    assert (account.spent, await stored(key)) == (1.0, 1.0)
    accounts.leave(key.pk)


async def test_a_key_that_is_gone() -> None:
    """Whoever deletes the row under a running session breaks nothing."""
    key, _ = await make(dollars=1.0)
    account = accounts.join(key)
    await sync_to_async(RelayKey.objects.all().delete)()
    account.pay(0.5)
    await accounts.flush()
    assert (account.spent, account.unwritten) == (0.5, 0.0)
    accounts.leave(key.pk)
