"""What tests of the relay's REST addresses play on: a provider that answers as told, and a client that asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
from django.test import AsyncClient

from console import relay_keys
from console.models import RelayKey
from tests.console.stage import IN_FORCE

EK = "ek_6a1b2c3d5e6f8190a7b8c9d0e1f20344"
"""The key the provider makes."""
CONSOLE_KEY = "sk-proj-the-console-s-own-key-0123"
CLIENT_KEY = "sk-proj-the-client-s-own-key-4567"
EXPIRES = 1_999_999_999
Answering = Callable[[httpx.Request], httpx.Response]


class Api:
    """A provider: what is asked of it is kept, and answered by ``answer``."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answer: Answering = secret

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        await request.aread()
        self.asked.append(request)
        return self.answer(request)

    @property
    def last(self) -> httpx.Request:
        """The request that came last."""
        return self.asked[-1]

    @property
    def wish(self) -> Any:
        """Its body."""
        return json.loads(self.last.content)


def secret(request: httpx.Request) -> httpx.Response:
    """A client secret, as the API answers; its session repeats the key, as some have."""
    wish = json.loads(request.content or b"{}")
    session = {**IN_FORCE, **(wish.get("session") or {}), "client_secret": {"value": EK, "expires_at": EXPIRES}}
    headers = {"x-request-id": "req_1", "openai-version": "2020-10-01", "set-cookie": "__cf_bm=1", "server": "cloudflare"}
    return httpx.Response(200, json={"value": EK, "expires_at": EXPIRES, "session": session}, headers=headers)


def says(status: int, data: Any = None, **headers: str) -> Answering:
    """Always the same answer; bytes and text as they are, else JSON."""
    content = data if isinstance(data, str | bytes) else json.dumps(data)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(status, content=content, headers={"content-type": "application/json", **given})


def fails(error: Exception) -> Answering:
    """No answer at all."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


class Asking:
    """A client of the relay's addresses."""

    def __init__(self, client: AsyncClient, api: Api) -> None:
        self.client = client
        self.api = api

    async def post(self, path: str, body: Any = None, key: str = CLIENT_KEY, **headers: str) -> Any:
        """Post JSON, or bytes as they are; without ``key`` nobody is named. Of the headers' names underscores are hyphens."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = headers.pop("content_type", "application/json")
        return await self.client.post(path, content, content_type=kind, headers=heads(key, headers))

    async def get(self, path: str, key: str = "", **headers: str) -> Any:
        """Get."""
        return await self.client.get(path, headers=heads(key, headers))

    async def ask(self, method: str, path: str, key: str = "", **headers: str) -> Any:
        """Any other method."""
        return await self.client.generic(method, path, headers=heads(key, headers))


def heads(key: str, headers: dict[str, str]) -> dict[str, str]:
    """A request's headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {**({"authorization": f"Bearer {key}"} if key else {}), **named}


def made(name: str = "app", provider: str = "", **policy: Any) -> tuple[RelayKey, str]:
    """A relay key, and its text."""
    return relay_keys.make(name, provider, policy)
