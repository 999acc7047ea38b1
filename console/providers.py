"""The upstreams this installation knows, made from the environment."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit, urlunsplit

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
    configured: dict[str, Provider] = {}
    others: dict[str, Provider] = {}
    if settings.REALTIME_UPSTREAM_URL:
        configured["custom"] = Provider(
            "custom",
            settings.REALTIME_UPSTREAM_URL,
            key=settings.REALTIME_UPSTREAM_KEY,
            dialect=settings.REALTIME_UPSTREAM_DIALECT,
            models=MODELS,
        )
    if settings.AZURE_OPENAI_ENDPOINT:
        group = configured if settings.AZURE_OPENAI_API_KEY else others
        group["azure"] = azure(settings.AZURE_OPENAI_ENDPOINT, settings.AZURE_OPENAI_API_KEY)
    (configured if settings.OPENAI_API_KEY else others)["openai"] = Provider(
        "openai", websocket_url(settings.OPENAI_BASE_URL), key=settings.OPENAI_API_KEY, needs_key=True, models=MODELS
    )
    known = {**configured, "simulator": Provider("simulator", _simulator_url, models=MODELS), **others}
    if settings.REALTIME_PROVIDER in known:
        known = {settings.REALTIME_PROVIDER: known[settings.REALTIME_PROVIDER], **known}
    return known


def azure(endpoint: str, key: str) -> Provider:
    """Azure, from a resource's address or from the whole address of one of its three interfaces (protocol 8).

    ``https://RESOURCE.openai.azure.com``, with or without ``/openai/v1``, is the GA interface;
    ``…/openai/realtime?api-version=…&deployment=…`` a preview, ``…/voice-live/realtime?api-version=…&model=…`` Voice
    Live: both speak as the beta did. A deployment is what other providers call a model.
    """
    parts = urlsplit(endpoint)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = parts.path.rstrip("/").removesuffix("/realtime")
    preview, voice_live = path != parts.path.rstrip("/") and path.endswith("/openai"), path.endswith("/voice-live")
    if not (preview or voice_live):
        path = path.removesuffix("/v1").removesuffix("/openai") + "/openai/v1"
    parameter = "deployment" if preview else "model"
    chosen = dict(parse_qsl(parts.query)).get(parameter)
    return Provider(
        "azure",
        urlunsplit((scheme, parts.netloc, f"{path}/realtime", parts.query, "")),
        key=key,
        dialect="beta" if preview or voice_live else "ga",
        needs_key=True,
        models=(chosen,) if chosen else MODELS,
        auth="api-key",
        model_parameter=parameter,
    )
