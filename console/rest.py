"""Requests to a provider's REST addresses: one shared client, what of a request travels on, and what of its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from realtime import masking
from realtime.errors import Unreachable, without_address
from realtime.upstream import Provider, shown

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
"""Seconds without a byte, and until connected. Answers come within a second or two; a call's SDP may take some more."""
LARGEST_ANSWER = 4 * 1024 * 1024
"""Bytes; a session object with a hundred tools has about 200 kB."""
PASSED = re.compile(r"^(openai-(?!beta$).+|x-openai-.+|x-stainless-.+|x-ms-.+|x-client-request-id|user-agent|accept)$")
"""Headers of a request that travel on; no cookies, no key, nothing of the hop itself (RFC 9110 7.6.1)."""
RETURNED = re.compile(r"^(content-type|location|x-request-id|apim-request-id|retry-after|openai-.+|x-ratelimit-.+)$")
"""Headers of an answer that travel back."""
DIRECT = ("all://127.0.0.1", "all://localhost", "all://[::1]")
"""What is never asked through a proxy of the environment: this machine."""


class Unanswered(Unreachable):
    """Raised when a provider was asked and did not answer in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str]
    """By lower-case name; only those that travel back."""


_client: httpx.AsyncClient | None = None


def client() -> httpx.AsyncClient:
    """The shared client, of the event loop that asks first."""
    global _client
    if _client is None:
        _client = httpx.AsyncClient(timeout=TIMEOUT, mounts=dict.fromkeys(DIRECT))
    return _client


async def close() -> None:
    """Give back the connections; for shutdown."""
    global _client
    if _client is not None:
        closing, _client = _client, None
        await closing.aclose()


async def ask(
    provider: Provider,
    what: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    key: str = "",
    query: Sequence[tuple[str, str]] = (),
) -> Answer:
    """Post to ``what`` below a provider's ``/realtime``, with its own key or the one given.

    Of ``headers`` (lower-case names) the content type and what PASSED names travel on; the body does as it is. Raises
    Unreachable, and Unanswered when it takes too long.
    """
    url = f"{provider.rest_url}/{what}"
    known_as = shown(url)
    passed = {name: value for name, value in headers.items() if PASSED.match(name) or name == "content-type"}
    # A compressed answer would have to be unpacked to be passed on without its encoding.
    passed |= {**provider.headers, **provider.headers_for(key), "accept-encoding": "identity"}
    sent = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in passed.items()]
    try:
        async with client().stream("POST", url, content=body, headers=sent, params=list(query) or None) as response:
            content = b""
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LARGEST_ANSWER:
                    raise Unreachable(known_as, "its answer is too large to be one")
    except httpx.TimeoutException:
        raise Unanswered(known_as, f"no answer within {TIMEOUT.read:.0f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(known_as, _plain(error)) from None
    kept = {name: value for name, value in response.headers.items() if RETURNED.match(name)}
    if "location" in kept:  # of a call: the client asks for it here, and not where the provider is
        kept["location"] = kept["location"].removeprefix(_origin(known_as))
    return Answer(response.status_code, content, kept)


def for_others(provider: Provider, said: str) -> str:
    """What a provider said to the console's own key, for somebody else: without secrets and without its address."""
    return without_address(masking.conceal(masking.mask(said, "")[0], provider.secrets()), provider.rest_url)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _plain(error: Exception) -> str:
    """The reason of a failed request in words, without what a key might stand in."""
    if isinstance(error, httpx.ConnectError):
        return "the connection failed; is a server running there?"
    if isinstance(error, httpx.RemoteProtocolError):
        return "it broke the connection off"
    return type(error).__name__
