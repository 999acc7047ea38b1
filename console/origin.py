"""The console's own origin: scheme, host and port under which its pages are opened, and which clients are on this machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

DEFAULT_PORTS = {"http": 80, "https": 443}
SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""The scheme of an origin by the scheme of an ASGI scope."""
ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[^\s/?#@:\[\]\\,]+)(?::(?P<port>\d{1,5}))?", re.ASCII | re.I)
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers a proxy adds: the client's address is then the proxy's."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of an address."""

    scheme: str
    host: str
    """In lower case; an IPv6 address in its brackets."""
    port: int

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """The origin that an ``Origin`` header names; None for ``null``, for several, and for what is none."""
        found = ORIGIN.fullmatch(text)
        if found is None:
            return None
        scheme = found["scheme"].lower()
        port = int(found["port"] or DEFAULT_PORTS[scheme])
        return cls(scheme, found["host"].lower(), port) if port < 65536 else None

    @property
    def netloc(self) -> str:
        """As a ``Host`` header names it: the port only where it is not the scheme's own."""
        return self.host if self.port == DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


class Listening:
    """Where this process listens, as far as it knows: another ASGI server does not tell."""

    host = ""
    """The address; ``""`` when it is not known."""


listening = Listening()
"""Set by the command that serves."""


def public() -> Origin | None:
    """The origin that ``CONSOLE_PUBLIC_URL`` names, None when it is not set. Raises ValueError with a sentence."""
    if not settings.CONSOLE_PUBLIC_URL:
        return None
    origin = Origin.parse(settings.CONSOLE_PUBLIC_URL.rstrip("/"))
    if origin is None:
        raise ValueError(
            "CONSOLE_PUBLIC_URL is the scheme, host and port people open, such as https://console.example, "
            f"without a path or a password; it is {settings.CONSOLE_PUBLIC_URL!r}."
        )
    return origin


def header(scope: Mapping[str, Any], name: bytes) -> str | None:
    """A header of an ASGI scope, repeated ones joined by commas; None when it is absent."""
    values = [value.decode("latin-1") for key, value in scope.get("headers", ()) if key.lower() == name]
    return ", ".join(values) if values else None


def host_of(scope: Mapping[str, Any]) -> str:
    """The ``Host`` header; for a request of HTTP/1.0 without one the address it came to, ``""`` for a socket."""
    if (host := header(scope, b"host")) is not None:
        return host
    server = scope.get("server")
    return f"{server[0]}:{server[1]}" if server and scope["type"] == "http" else ""


def serves_host(scope: Mapping[str, Any]) -> bool:
    """Whether the ``Host`` header names this console: one of ``CONSOLE_ALLOWED_HOSTS``, or the host of its public URL."""
    domain, _ = split_domain_port(host_of(scope))
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def own(scope: Mapping[str, Any]) -> Origin | None:
    """The own origin for a request or a socket: the public one where set, else the connection's scheme and the Host header.

    None when the Host header is no host.
    """
    if (origin := public()) is not None:
        return origin
    return Origin.parse(f"{SCHEMES.get(scope.get('scheme', 'http'), 'http')}://{host_of(scope)}")


def is_own(origin: str | None, scope: Mapping[str, Any]) -> bool:
    """Whether an ``Origin`` header is the console's own: scheme, host and port are equal, and the Host header is served."""
    given = Origin.parse(origin or "")
    return given is not None and given == own(scope) and serves_host(scope)


def is_secure(scope: Mapping[str, Any]) -> bool:
    """Whether the page's address begins with https."""
    origin = own(scope)
    return origin is not None and origin.scheme == "https"


def as_public(scope: dict[str, Any]) -> dict[str, Any]:
    """A scope as if it had come to the public URL: Django's links, cookies and CSRF check then follow the own origin.

    The same scope where no public URL is set, or where the Host header is not served, which is for others to refuse.
    """
    origin = public()
    if origin is None or not serves_host(scope):
        return scope
    scheme = origin.scheme if scope["type"] == "http" else {"http": "ws", "https": "wss"}[origin.scheme]
    headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"host"]
    return {**scope, "scheme": scheme, "headers": [*headers, (b"host", origin.netloc.encode("latin-1"))]}


def is_loopback(host: str) -> bool:
    """Whether this address or name can be reached from this machine only."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_local(scope: Mapping[str, Any]) -> bool:
    """Whether the client is on this machine and the console for nobody else.

    A console with a public URL is for others, wherever it listens. So is one that is reached through a proxy (the
    proxy's headers say so), under a name of ``CONSOLE_ALLOWED_HOSTS`` that is not loopback's, or at another address.
    """
    origin = public()
    if (origin is not None and not is_loopback(origin.host)) or (listening.host and not is_loopback(listening.host)):
        return False
    if any(header(scope, name.encode()) is not None for name in FORWARDED):
        return False
    domain, _ = split_domain_port(host_of(scope))
    if not is_loopback(domain) and validate_host(domain, settings.CONSOLE_ALLOWED_HOSTS):
        return False
    client, server = scope.get("client"), scope.get("server")
    return client is not None and is_loopback(client[0]) and not (server and _is_foreign_address(server[0]))


def _is_foreign_address(host: str) -> bool:
    """Whether this is an address of a network; a path or a test's name is none."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return not is_loopback(host)
