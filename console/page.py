"""The console's page: everything it shows, as its template reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.forms import SessionSettingsForm
from console.fragments import Acting, Row, dialects_of, ended, to_json
from console.models import Preset, Session
from console.rail import RailRow, failed
from realtime import filters
from realtime.items import Item
from realtime.settings import Difference
from realtime.upstream import Provider


@dataclass(frozen=True)
class ConsolePage:
    """The console's page (``page.html``, ``_console.html``)."""

    session: Session | None
    rows: list[Row]
    rail: list[RailRow]
    providers: list[Provider]
    hint: str
    """Last characters of the key this browser has given; empty when it has not."""
    settings: SessionSettingsForm
    presets: list[Preset]
    items: list[Item] | None
    """None: fetched when somebody looks, or pushed while the session runs; folding a long one takes half a second."""
    memory: dict[str, str]
    weather: dict[str, Any] | None
    differences: list[Difference]
    mode: str
    expires_at: int | None
    trouble: str
    total: int
    """Rows there are, shown or not."""
    address: str
    """Where a client finds the relay."""
    meter: str = ""
    """What the console costs a relayed session."""
    acting: Acting | None = None
    told: Sequence[str] = ()
    """What is said below the list of sessions."""

    @property
    def relayed(self) -> bool:
        """Whether it is somebody else's session."""
        return self.session is not None and self.session.relayed

    @property
    def listens(self) -> bool:
        """Whether it is somebody else's session and still running: there is no microphone for it."""
        return self.relayed and self.session is not None and self.session.is_live

    @property
    def dialects(self) -> str:
        """What its client speaks, and its API."""
        return dialects_of(self.session) if self.session else ""

    @property
    def last_seq(self) -> int:
        """What the rows shown go up to."""
        return self.session.last_seq if self.session else 0

    @property
    def state(self) -> str:
        """Where the session stands; idle when there is none."""
        return self.session.status if self.session else Session.IDLE

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than it should."""
        return bool(self.session and failed(self.session))

    @property
    def ended(self) -> str:
        """Why it is over."""
        return ended(self.session) if self.session else ""

    @property
    def memory_json(self) -> str:
        """The memory as JSON."""
        return to_json(self.memory)

    @property
    def filter_help(self) -> list[tuple[str, str]]:
        """The filter's words and what each lets through."""
        return [(words, meaning) for words, _, meaning in (line.partition(" — ") for line in filters.HELP)]

    @property
    def openai_ready(self) -> bool:
        """Whether the real API can be called without asking for a key."""
        return bool(self.hint) or any(p.name == "openai" and p.key for p in self.providers)
