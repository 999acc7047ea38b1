"""Passage: what becomes of a relayed frame on its way: as it is, translated, refused or withheld; rules without I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from realtime import dialects, events
from realtime.dialects import Dialect
from realtime.events import Event, parse
from realtime.ours import Ours
from realtime.policy import Guard, Refusal

SNIFFED = 50
"""Frames of a client after which its dialect counts as known."""
NAMES: dict[Dialect, str] = {"ga": "GA dialect", "beta": "beta dialect"}


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of a frame."""

    frames: list[str]
    """What is sent on; empty when nothing is."""
    withheld: str = ""
    """Who kept an API's frame from the client: ``console``, ``policy`` or ``translation``."""
    refusals: list[Refusal] = field(default_factory=list)
    """What a policy has against a client's frame; each is to be answered to the client."""


class Passage:
    """Between one client and one API: their dialects, the policy of the client's key, and the console's own events.

    Show each frame of the client to ``sniff`` first. While ``transparent`` holds every frame passes as it is: tell
    ``client_sent`` of the client's, and no more. Else ask ``from_client`` and ``from_api`` about each frame, in order.
    Notes that arise are drained from ``notes_to_tell``.
    """

    def __init__(self, client: Dialect = "ga", api: Dialect = "ga", guard: Guard | None = None) -> None:
        self.client, self.api = client, api
        self.guard = guard
        self.translator = dialects.between(client, api)
        self.reader = dialects.between("ga", api)
        """Between the console, which speaks GA, and the API."""
        self.ours = Ours()
        self.withholds = False
        """Whether answers to what the console sends are kept from the client."""
        self._sniffed = SNIFFED if client == "beta" else 0
        self._notes: list[tuple[str, str, dict[str, Any]]] = []

    @property
    def transparent(self) -> bool:
        """Whether every frame passes as it is."""
        return self.guard is None and self.translator.transparent and not self.ours.open

    def sniff(self, event: Event) -> bool:
        """Judge by its first frames what a client speaks that did not say so when it connected. Whether that is news."""
        if self._sniffed >= SNIFFED:
            return False
        self._sniffed += 1
        dialect = dialects.spoken_in(event)
        if dialect is None:
            return False
        self._sniffed = SNIFFED
        if dialect == self.client:
            return False
        self.client, self.translator = dialect, dialects.between(dialect, self.api)
        self._notes.append(("dialect", f"The client speaks the {NAMES[dialect]} by its frames.", {"dialect": dialect}))
        return True

    def client_sent(self, event: Event) -> None:
        """A frame of the client goes to the API as it is."""
        self.ours.client_sent(event)

    def from_client(self, event: Event) -> Passed:
        """What of a client's frame reaches the API."""
        passed, refusals = [], []
        for frame in self.translator.to_api(event.raw):
            told = parse(frame)  # the guard judges what the API would read
            refusal = self.guard.from_client(told) if self.guard is not None else None
            if refusal is None:
                passed.append(frame)
                self.ours.client_sent(told)
            else:
                refusals.append(refusal)
                self._notes.append(("policy", refusal.sentence, {"type": event.type}))
        return Passed(passed, refusals=refusals)

    def from_api(self, event: Event) -> Passed:
        """What of an API's frame reaches the client."""
        if self.ours.answers(event):
            return Passed([], "console")
        shown = self.guard.to_client(event) if self.guard is not None else event.raw
        if shown is None:
            return Passed([], "policy")
        frames = self.translator.to_client(shown)
        return Passed(frames, "" if frames else "translation")

    def to_client(self, event: dict[str, Any]) -> list[str]:
        """An event of the console's own for the client, in its dialect."""
        return self.translator.to_client(events.dump(event))

    def to_api(self, event: dict[str, Any]) -> list[str]:
        """An event of the console's own for the API, in its dialect and with ids that say whose it is."""
        return self.reader.to_api(events.dump(self.ours.mark(event, self.withholds)))

    def openings(self, minted: dict[str, Any] | None) -> list[str]:
        """What the API is sent before anything of the client's: the session its key was minted for, the policy's.

        The client did not ask for the policy's and is not to read it: the answer is kept from it.
        """
        frames = self.to_api({"type": "session.update", "session": minted}) if minted else []
        opening = self.guard.opening() if self.guard is not None else None
        return [*frames, events.dump(self.ours.mark(opening, withhold=True))] if opening else frames

    def notes_to_tell(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Kind, sentence and facts of what is to be noted since the last call."""
        notes, self._notes = self._notes, []
        return notes + [("translation", sentence, {}) for sentence in self.translator.notes_to_tell()]
