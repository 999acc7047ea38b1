"""The own origin: scheme, host and port, and who is on this machine."""

from __future__ import annotations

from typing import Any

import pytest

from console import origin
from console.origin import Origin
from tests.console.asgi_client import BEYOND, request_scope


@pytest.mark.parametrize(("text", "netloc"), [
    ("http://127.0.0.1:8000", "127.0.0.1:8000"), ("http://localhost", "localhost"), ("http://localhost:80", "localhost"),
    ("https://Console.Example:443", "console.example"), ("https://console.example:80", "console.example:80"),
    ("http://[::1]:8000", "[::1]:8000"),
])  # fmt: skip
def test_an_origin(text: str, netloc: str) -> None:
    """Upper case and the scheme's own port make no difference."""
    found = Origin.parse(text)
    assert found is not None
    assert found.netloc == netloc


@pytest.mark.parametrize("text", [
    "", "null", "127.0.0.1:8000", "http://", "http://a b", "http://u@127.0.0.1", "http://127.0.0.1:8000/", "http://127.0.0.1:99999",
    "http://127.0.0.1:x", "file://x", "http://a, http://a", "http://127.0.0.1:8000\n", "http://127.0.0.1:", "ws://127.0.0.1:8000",
])  # fmt: skip
def test_no_origin(text: str) -> None:
    """Whatever is not exactly one scheme, host and port is none."""
    assert Origin.parse(text) is None


@pytest.mark.parametrize(("scheme", "host", "given", "own"), [
    ("http", "127.0.0.1:8000", "http://127.0.0.1:8000", True),
    ("ws", "127.0.0.1:8000", "http://127.0.0.1:8000", True),
    ("wss", "localhost:8443", "https://localhost:8443", True),
    ("http", "localhost", "http://localhost", True),
    ("http", "127.0.0.1:8000", "http://127.0.0.1:8001", False),
    ("http", "127.0.0.1:8000", "http://127.0.0.1", False),
    ("http", "127.0.0.1:8000", "https://127.0.0.1:8000", False),
    ("wss", "127.0.0.1:8000", "http://127.0.0.1:8000", False),
    ("http", "127.0.0.1:8000", "http://localhost:8000", False),
    ("http", "127.0.0.1:8000", "http://127.0.0.1.evil.example:8000", False),
    ("http", "127.0.0.1:8000", None, False),
    ("http", "127.0.0.1:8000", "null", False),
    ("http", "evil.example", "http://evil.example", False),
    ("http", "127.0.0.1:8000, evil", "http://127.0.0.1:8000", False),
])  # fmt: skip
def test_the_own_origin(scheme: str, host: str, given: str | None, own: bool) -> None:
    """Without a public URL it is the connection's scheme and the Host header, if that is served."""
    assert origin.is_own(given, request_scope("/", scheme=scheme, host=host)) is own


def test_any_host(settings: Any) -> None:
    """Where every host is served the origin must still be the one that Host names."""
    settings.ALLOWED_HOSTS = ["*"]
    scope = request_scope("/", host="any.example")
    assert origin.is_own("http://any.example", scope)
    assert not origin.is_own("http://evil.example", scope)
    assert not origin.is_own(None, scope)


def test_the_public_url(settings: Any) -> None:
    """Behind a proxy it is what the operator says, whatever comes in; links, cookies and Django's checks follow it."""
    settings.CONSOLE_PUBLIC_URL = "https://console.example/"
    scope = request_scope("/", scheme="ws")
    assert origin.is_own("https://console.example", scope)
    assert not origin.is_own("http://console.example", scope)
    assert not origin.is_own("http://127.0.0.1:8000", scope)
    shown = origin.as_public(scope)
    assert (shown["scheme"], origin.host_of(shown), origin.is_secure(scope)) == ("wss", "console.example", True)
    assert origin.as_public(request_scope("/", host="evil.example"))["scheme"] == "http"


@pytest.mark.parametrize("url", ["console.example", "https://console.example/path", "https://me:secret@console.example", "ftp://x", "https://[x"])
def test_a_public_url_that_is_none(settings: Any, url: str) -> None:
    """It is refused with a sentence that shows it."""
    settings.CONSOLE_PUBLIC_URL = url
    with pytest.raises(ValueError, match="CONSOLE_PUBLIC_URL is the scheme, host and port"):
        origin.public()


@pytest.mark.parametrize(("host", "local"), [
    ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("localhost", True), ("::ffff:127.0.0.1", True),
    ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("example.org", False), ("", False),
])  # fmt: skip
def test_what_others_can_reach(host: str, local: bool) -> None:
    """Addresses of this machine alone need no token."""
    assert origin.is_loopback(host) is local


class TestLocal:
    """Clients on this machine, of a console for nobody else"""

    def test_here(self) -> None:
        """A client on loopback of a console on loopback."""
        assert origin.is_local(request_scope("/"))

    @pytest.mark.parametrize("changes", [
        {"client": [BEYOND, 1]}, {"client": None}, {"server": ["192.0.2.1", 8000]},
        {"headers": [(b"host", b"127.0.0.1"), (b"x-forwarded-for", b"192.0.2.7")]},
        {"headers": [(b"host", b"127.0.0.1"), (b"forwarded", b"for=192.0.2.7")]},
    ])  # fmt: skip
    def test_from_elsewhere(self, changes: dict[str, Any]) -> None:
        """An address of a network, at either end, or a proxy between."""
        assert not origin.is_local({**request_scope("/"), **changes})

    def test_under_a_name(self, settings: Any) -> None:
        """A name that the operator has allowed is for others."""
        settings.CONSOLE_ALLOWED_HOSTS = ["127.0.0.1", "console.example"]
        settings.ALLOWED_HOSTS = settings.CONSOLE_ALLOWED_HOSTS
        assert not origin.is_local(request_scope("/", host="console.example"))
        assert origin.is_local(request_scope("/"))

    def test_with_a_public_url(self, settings: Any) -> None:
        """A console with a public URL is for others wherever it listens."""
        settings.CONSOLE_PUBLIC_URL = "https://console.example"
        assert not origin.is_local(request_scope("/"))
        settings.CONSOLE_PUBLIC_URL = "http://localhost:8080"
        assert origin.is_local(request_scope("/"))

    def test_beyond_loopback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that listens beyond loopback is for others, also for clients on its machine."""
        monkeypatch.setattr(origin.listening, "host", "0.0.0.0")
        assert not origin.is_local(request_scope("/"))
