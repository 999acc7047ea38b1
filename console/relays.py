"""Relayed sessions: open one for a client that was admitted, count them, let them go."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from console import accounts, live, relay_keys
from console.admission import Admitted, Denied
from console.models import new_session_id
from console.recorder import recorder
from console.writer import explain
from realtime import masking, tools, upstream
from realtime.dialects import Dialect, successor
from realtime.limits import Limits
from realtime.parting import Client
from realtime.passage import Passage
from realtime.policy import End, Guard, Policy
from realtime.relaying import RelayRunner
from realtime.spending import Spending
from realtime.upstream import Passing

log = logging.getLogger(__name__)

_keys: dict[str, int] = {}
"""Relay keys of the sessions running here, by session id."""

_keyed: set[asyncio.Task[None]] = set()
"""Those sessions themselves, once they have begun."""
_heeding: asyncio.Task[None] | None = None
"""Looks for keys that were revoked elsewhere, while there are such sessions."""

HEED_EVERY = 2.0
"""Seconds between two such looks: a key revoked from the command line ends its sessions within that."""
TRANSLATIONS = "/translations"
"""Behind a provider's own path: sessions that are paid by elapsed sound."""
SERVICE_TIER = "openai-service-tier"
REVOKED = 3000
"""Close code with which OpenAI ends a connection whose key is no good (protocol 1.5)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client's handshake asks for."""

    model: str
    beta: bool
    passing: Passing
    agent: str = ""
    """Its user agent."""
    label: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the timeline shows of the handshake; holds no secret."""


class Relayed:
    """One relayed session, before, while and after it runs."""

    def __init__(self, session_id: str, runner: RelayRunner) -> None:
        self.session_id = session_id
        self.runner = runner
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Dial, and carry from now on."""
        global _heeding
        self._task = live.launch(self.session_id, self.runner)
        self._task.add_done_callback(lambda _: _let_go(self.session_id))
        if self.session_id in _keys:
            _keyed.add(self._task)
            self._task.add_done_callback(_keyed.discard)
            if _heeding is None or _heeding.done():
                _heeding = asyncio.create_task(_heed_revocations(), name="relay keys")

    async def finished(self) -> None:
        """Wait until both sides are closed and the log is complete."""
        if self._task is not None:
            await asyncio.wait({self._task})


def room_for(admitted: Admitted) -> Denied | None:
    """Whether a key's limit of concurrent sessions leaves room for one more."""
    most = admitted.policy.sessions
    if admitted.relay_key is None or most is None or running_with(admitted.relay_key.pk) < most:
        return None
    text = f"This key may have {most} sessions at a time, and has."
    return Denied(429, text, "too_many_sessions", "rate_limit_error")


def running_with(key_id: int) -> int:
    """How many sessions run here with a relay key."""
    return sum(held == key_id for held in _keys.values())


async def end_with(key_id: int) -> int:
    """End the sessions that run here with a relay key, which has been revoked. Returns how many."""
    runners = [live.find(session_id) for session_id, held in _keys.items() if held == key_id]
    why = End("invalid_api_key", "This relay key has been revoked.")
    ends = [runner.end(why, REVOKED) for runner in runners if isinstance(runner, RelayRunner)]
    await asyncio.gather(*ends)
    return len(ends)


async def _heed_revocations() -> None:
    """As long as there are any, end the sessions whose keys another process, such as the command line, has revoked, and
    take notice of accounts that it has reset."""
    while _keyed:
        try:
            revoked = await live.in_reader(relay_keys.revoked_among, set(_keys.values()))
            await accounts.refresh_all()
        except DatabaseError as error:
            log.warning("whether relay keys were revoked or reset cannot be read: %s", error)
        else:
            for key_id in revoked:
                await end_with(key_id)
        if _keyed:
            await asyncio.wait(_keyed, timeout=HEED_EVERY)


async def open_relay(admitted: Admitted, asked: Asked, client: Client) -> Relayed:
    """Make the session of a client; ``begin`` starts it. Raises live.NotRecording."""
    session_id = new_session_id()
    provider, policy, key = admitted.provider, admitted.policy, admitted.relay_key
    spoken: Dialect = "beta" if provider.dialect == "beta" else "ga"
    guard = Guard(policy, spoken) if policy != Policy() else None
    asked_model = asked.model or admitted.model
    dialect: Dialect = "beta" if asked.beta else "ga"
    # Only where names are OpenAI's own: elsewhere, as on Azure, people name deployments as they like.
    living = successor(asked_model) if dialect == "beta" and provider.name == "openai" else asked_model
    model = guard.model(living) if guard else living
    spending = None
    if key is not None:
        _keys[session_id] = key.pk
        spending = Spending(accounts.join(key), model, translates=asked.passing.path == TRANSLATIONS)
    try:
        await _store(session_id, admitted, asked, model, dialect)
    except BaseException:
        _let_go(session_id)
        raise
    passing = asked.passing
    if guard is not None:  # a service tier changes what a response costs, by a factor that is told nowhere
        passing = replace(passing, headers={name: value for name, value in passing.headers.items() if name != SERVICE_TIER})
    runner = RelayRunner(
        lambda: upstream.dial(provider, model, admitted.key, passing),
        recorder.tap(session_id),
        tools.ToolContext(
            memory={},
            remember=lambda name, value: live.remember(runner, name, value, "tool"),
            weather_url=settings.OPEN_METEO_URL,
        ),
        client,
        passage=Passage(dialect, spoken, guard),
        minted=dict(admitted.session) or None,
        limits=Limits(settings.RELAY_IDLE_SECONDS, longest(policy)),
        spending=spending,
    )
    runner.note("client", f"{library(asked.agent) or 'A client'} connected at {asked.facts.get('path', '/')}.", dict(asked.facts))
    if living != asked_model:
        runner.note("translation", f"{asked_model} was shut down with the beta: {living} takes its place.", {"model": living})
    if model != living:
        runner.note("policy", f"The model is {model}, as this key's policy says, not {living or 'the default'}.", {})
    if passing.headers != asked.passing.headers:
        runner.note("policy", "The client's service tier was not passed on: what it costs is not known.", {})
    return Relayed(session_id, runner)


async def _store(session_id: str, admitted: Admitted, asked: Asked, model: str, dialect: Dialect) -> None:
    """Store the row of a session that begins, and see what its key has spent by now. Raises live.NotRecording."""
    key = admitted.relay_key
    if key is not None:
        try:
            await accounts.refresh(key.pk)
        except (DatabaseError, InterfaceError) as error:
            raise live.NotRecording(f"What this key has spent cannot be read: {explain(error)}.") from error
    await live.create(
        id=session_id,
        label=asked.label or (key.name if key else ""),
        source="relay",
        provider=admitted.provider.name,
        model=masking.text(model)[:128],
        dialect=dialect,
        client=masking.text(library(asked.agent))[:128],
        key_name=key.name if key else "",
    )


def _let_go(session_id: str) -> None:
    """A session is over, or never began: it no longer counts among its key's."""
    key_id = _keys.pop(session_id, None)
    if key_id is not None:
        accounts.leave(key_id)


def longest(policy: Policy) -> float | None:
    """Seconds a session may last: the console's limit or the key's, whichever is less."""
    limits = [settings.RELAY_MAX_SECONDS, policy.minutes and policy.minutes * 60]
    return min((limit for limit in limits if limit), default=None)


def library(agent: str) -> str:
    """The client library in a user agent, with its version: what a person looks for in a list of sessions."""
    if "Mozilla/" in agent:
        browser = re.search(r"(Firefox|Edg|OPR|Chrome|Version)/(\d+)", agent)
        return f"{_BROWSERS.get(browser[1], browser[1])} {browser[2]}" if browser else "a browser"
    products = re.findall(r"[^\s()]+/[^\s()]+", agent)
    named = [product for product in products if not product.startswith(("Python/", "node/", "undici"))]
    if agent.startswith(("OpenAI/", "AsyncOpenAI/", "Agents/", "AzureOpenAI/", "AsyncAzureOpenAI/")):
        return agent  # "OpenAI/Python 3.52.0": the version stands behind a space
    return (named or products or [agent])[0]


_BROWSERS = {"Version": "Safari", "Edg": "Edge", "OPR": "Opera"}
