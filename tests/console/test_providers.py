"""Which upstreams the console knows: made from the environment, the default first."""

from __future__ import annotations

from typing import Any

import pytest

from console.providers import azure, providers

RESOURCE = "https://mine.openai.azure.com"
GA = "wss://mine.openai.azure.com/openai/v1/realtime"


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, ["simulator", "openai"]),
        ({"OPENAI_API_KEY": "sk-x"}, ["openai", "simulator"]),
        ({"AZURE_OPENAI_ENDPOINT": RESOURCE}, ["simulator", "azure", "openai"]),
        ({"AZURE_OPENAI_ENDPOINT": RESOURCE, "AZURE_OPENAI_API_KEY": "k"}, ["azure", "simulator", "openai"]),
        (
            {
                "REALTIME_UPSTREAM_URL": "ws://127.0.0.1:9/v1/realtime",
                "AZURE_OPENAI_ENDPOINT": RESOURCE,
                "AZURE_OPENAI_API_KEY": "k",
                "OPENAI_API_KEY": "sk-x",
            },
            ["custom", "azure", "openai", "simulator"],
        ),
        ({"OPENAI_API_KEY": "sk-x", "REALTIME_PROVIDER": "simulator"}, ["simulator", "openai"]),
        ({"REALTIME_PROVIDER": "nobody"}, ["simulator", "openai"]),
    ],
)
def test_the_default_comes_first(settings: Any, environment: dict[str, str], names: list[str]) -> None:
    """Custom, azure, openai in that order where they are configured, else the simulator; REALTIME_PROVIDER overrides."""
    for name, value in environment.items():
        setattr(settings, name, value)
    assert list(providers()) == names


@pytest.mark.parametrize(
    "endpoint",
    [
        RESOURCE,
        f"{RESOURCE}/",
        f"{RESOURCE}/openai",
        f"{RESOURCE}/openai/v1",
        f"{RESOURCE}/openai/v1/",
        f"{RESOURCE}/openai/v1/realtime",
        "wss://mine.openai.azure.com/openai/v1/realtime",
    ],
)
def test_an_azure_resource(endpoint: str) -> None:
    """A resource's address is Azure's GA interface, however much of it is given."""
    provider = azure(endpoint, "k")
    assert (provider.address("my-model"), provider.dialect) == (f"{GA}?model=my-model", "ga")
    assert provider.rest_url == f"{RESOURCE}/openai/v1/realtime"
    assert provider.headers_for() == {"api-key": "k"}
    assert provider.needs_key


def test_an_azure_preview() -> None:
    """A preview's whole address keeps its version, names a deployment for the model, and speaks as the beta did."""
    provider = azure(f"{RESOURCE}/openai/realtime?api-version=2025-04-01-preview&deployment=mine", "k")
    start = "wss://mine.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment="
    assert (provider.address(""), provider.address("other")) == (f"{start}mine", f"{start}other")
    assert (provider.dialect, provider.models) == ("beta", ("mine",))


def test_azure_voice_live() -> None:
    """Voice Live keeps its version and takes a model, and speaks as the beta did."""
    provider = azure("https://mine.services.ai.azure.com/voice-live/realtime?api-version=2025-10-01&model=gpt-realtime", "k")
    start = "wss://mine.services.ai.azure.com/voice-live/realtime?api-version=2025-10-01&model="
    assert (provider.address(""), provider.address("phi4")) == (f"{start}gpt-realtime", f"{start}phi4")
    assert (provider.dialect, provider.models) == ("beta", ("gpt-realtime",))


def test_a_gateway_before_azure() -> None:
    """A gateway's path stays before Azure's own, and plain http stays plain."""
    assert azure("http://127.0.0.1:9000/team/openai/v1", "").address("m") == "ws://127.0.0.1:9000/team/openai/v1/realtime?model=m"
