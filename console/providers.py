"""The upstreams this installation knows, made from the environment."""

from __future__ import annotations

from django.conf import settings

from realtime.upstream import Provider, websocket_url

MODELS = ("gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-2", "gpt-realtime-1.5", "gpt-realtime", "gpt-realtime-mini")
"""Offered in the order people want them (models page, late 2026); any other name may be typed."""

_simulator_url = ""


def simulator_listens(url: str) -> None:
    """Told by ``console.lifecycle`` where the built-in simulator answers."""
    global _simulator_url
    _simulator_url = url


def providers() -> dict[str, Provider]:
    """By name, the default first. The simulator is a provider like any other, dialled through the front door."""
    known = {}
    if settings.REALTIME_UPSTREAM_URL:
        known["custom"] = Provider(
            "custom",
            settings.REALTIME_UPSTREAM_URL,
            key=settings.REALTIME_UPSTREAM_KEY,
            dialect=settings.REALTIME_UPSTREAM_DIALECT,
            models=MODELS,
        )
    openai = Provider(
        "openai", websocket_url(settings.OPENAI_BASE_URL), key=settings.OPENAI_API_KEY, needs_key=True, models=MODELS
    )
    if settings.OPENAI_API_KEY:
        known["openai"] = openai
    known["simulator"] = Provider("simulator", _simulator_url, models=MODELS)
    known.setdefault("openai", openai)
    if settings.REALTIME_PROVIDER in known:
        known = {settings.REALTIME_PROVIDER: known[settings.REALTIME_PROVIDER], **known}
    return known
