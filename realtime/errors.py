"""The error tree, by fault: our own mistakes are raised, the other side's become entries.

    RealtimeError
    ├── LocalError               we broke a rule; whoever called must mend the call
    │   ├── InvalidEvent         what was to be sent is not an event at all
    │   ├── NotConnected         there is no open session to send it to
    │   ├── UnknownProvider      no provider has that name, or it is not configured
    │   ├── InvalidFilter        a filter's words do not parse
    │   ├── InvalidPolicy        a relay key's policy says what cannot be kept; carries field and reason
    │   └── InvalidLog           a log file cannot be read; carries line and reason
    ├── RemoteError              the other side broke off; the runner records it and ends the session
    │   ├── Unreachable          nobody answered at the address
    │   └── HandshakeRefused     somebody answered, but with an HTTP error
    └── ToolError                a tool could not do its work; the model is told, and so is the reader
"""

from __future__ import annotations

import json
import re
import traceback
from urllib.parse import urlsplit

_GROUPS = r"[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*"
_ADDRESS = re.compile(
    rf"(?<![\w.])(?:\d{{1,3}}\.){{3}}\d{{1,3}}(?![\w.])(?::\d+)?"
    rf"|\[?(?<![\w:])(?:(?:[0-9a-f]{{1,4}}:){{7}}[0-9a-f]{{1,4}}|(?:{_GROUPS})?::(?:{_GROUPS})?)(?![\w:])(?:\](?::\d+)?)?",
    re.IGNORECASE,
)
"""An IP address of either version, with its port."""


class RealtimeError(Exception):
    """Root of every error this package raises; ``str()`` is a sentence for a person."""


class LocalError(RealtimeError):
    """We broke a rule of the protocol or of this package."""


class InvalidEvent(LocalError):
    """Raised when what was to be sent is not a JSON object with a string ``type``."""


class NotConnected(LocalError):
    """Raised when something was to be sent and no session is open."""


class UnknownProvider(LocalError):
    """Raised when a provider is asked for that does not exist or is not configured."""


class InvalidFilter(LocalError):
    """Raised when a filter cannot be parsed."""


class InvalidPolicy(LocalError):
    """Raised when a policy cannot be read; names the field and what is wrong with it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        """As it is written in the policy, with a dot below an object: ``session.voice``; empty for the policy itself."""
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field or 'The policy'}: {self.reason}"


class InvalidLog(LocalError):
    """Raised when a log file cannot be read; nothing of it has been stored."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line = line
        """Line in the file, from 1; 0 when the file as a whole is meant."""
        self.reason = reason

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else self.reason


class RemoteError(RealtimeError):
    """The other side refused or broke off. ``str()`` names its address, for those who run the console."""

    @property
    def public(self) -> str:
        """The same for a client of the relay: without the address, which may be nobody's business outside."""
        return "The provider broke off."


class Unreachable(RemoteError):
    """Raised when no connection could be made at all."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        """Without user, password and query."""
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.url} could not be reached: {self.reason}"

    @property
    def public(self) -> str:
        """Without the address."""
        return f"The provider could not be reached: {without_address(self.reason, self.url)}"


class HandshakeRefused(RemoteError):
    """Raised when the server answered the WebSocket handshake with an HTTP error."""

    def __init__(self, url: str, status: int, body: str) -> None:
        super().__init__(url, status, body)
        self.url = url
        """Without user, password and query."""
        self.status = status
        self.body = body

    def __str__(self) -> str:
        return f"{self.url} refused the connection with HTTP {self.status}: {self._said() or 'no body'}"

    @property
    def public(self) -> str:
        """Without the address."""
        return f"The provider refused the connection with HTTP {self.status}: {without_address(self._said(), self.url) or 'no body'}"

    def _said(self) -> str:
        """The message of the API's error body, or what else came."""
        try:
            message = json.loads(self.body)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            return self.body[:500]
        return str(message)[:500]


class ToolError(RealtimeError):
    """Raised by a tool that could not do its work; the sentence goes to the model and to the page."""


def traced(error: BaseException) -> str:
    """What an error is and where it came from, for the log; without its own words, which may repeat a secret."""
    return f"{type(error).__name__} at\n{''.join(traceback.format_tb(error.__traceback__))}"


def without_address(text: str, url: str) -> str:
    """A sentence about an address without the address: its host, its port, and IP addresses, which the host may stand for."""
    try:
        parts = urlsplit(url)
        netloc, host, port = parts.netloc.rpartition("@")[2], parts.hostname or "", parts.port
    except ValueError:  # a port that is none
        netloc, host, port = "", "", None
    for name in filter(None, (netloc, host)):
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "the provider", text, flags=re.IGNORECASE)
    if port is not None:
        text = re.sub(rf"(?<=', ){port}|(?<=port ){port}", "…", text)
    return _ADDRESS.sub("the provider", text)
