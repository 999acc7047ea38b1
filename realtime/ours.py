"""Ours: what the console itself put into somebody else's session, and which of the API's answers belong to it."""

from __future__ import annotations

import secrets
import string
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realtime.events import Event

ALPHABET = string.digits + string.ascii_letters
MARK = "console"
"""Key in a response's ``metadata``, which the API repeats in response.created and response.done (protocol 2.2)."""
METADATA_PAIRS = 16
"""The API takes no more in one ``metadata``."""
MOST_IDS = 2048
"""Ids that are remembered of each sort; older ones are forgotten, and what still comes of them reaches the client."""
MOST_ASKS = 256
"""Events that can wait for their answers; an API that answers none of them is no reason to remember more."""

ANSWERS = {
    "session.update": "session.updated",
    "transcription_session.update": "session.updated",
    "input_audio_buffer.commit": "input_audio_buffer.committed",
    "input_audio_buffer.clear": "input_audio_buffer.cleared",
    "conversation.item.retrieve": "conversation.item.retrieved",
    "conversation.item.truncate": "conversation.item.truncated",
    "conversation.item.delete": "conversation.item.deleted",
}
"""Events whose answers bear no id of theirs → the answer. The API answers those of a type in their order."""
COMMITTED = "input_audio_buffer.committed"
_ANSWERED = {answer: answer for answer in ANSWERS.values()} | {"transcription_session.updated": "session.updated"}
_OF_AN_ITEM = ("conversation.item.retrieved", "conversation.item.truncated", "conversation.item.deleted")
_COMMITTED_SOON = ("input_audio_buffer.speech_stopped", "input_audio_buffer.timeout_triggered")
"""After these the API commits by itself, under the item id they name."""
_FAILED = {
    "cannot_update_voice": "session.updated",
    "input_audio_buffer_commit_empty": COMMITTED,
    "item_retrieve_invalid_item_id": "conversation.item.retrieved",
    "item_truncate_invalid_item_id": "conversation.item.truncated",
    "item_delete_invalid_item_id": "conversation.item.deleted",
}
"""Codes of errors (protocol 4.15) → the answer that does not come. Some errors do not name the event they are about."""


@dataclass(frozen=True, slots=True)
class Ask:
    """An event that was sent and is not answered yet."""

    answer: str
    """The type that answers it."""
    item_id: str
    event_id: str
    withheld: bool
    """Whether its answer is kept from the client."""


class Ours:
    """Tells the console's part of a relayed session from its client's.

    ``mark`` every event of ours before it is sent, tell every event of the client's that is sent to ``client_sent``, and
    ask ``answers`` about every event of the API, all in the order of the wire and as the API reads and writes them.
    An answer is known by what we gave it: the event id in an error, the item id we made, the metadata of a response;
    where the API repeats nothing (ANSWERS), by who asked first. What is about no event at all, such as
    rate_limits.updated, is never ours; so is a response whose API does not repeat metadata, or to which a person gave
    as many as it takes.
    """

    def __init__(self, tag: str = "") -> None:
        """``tag``: eight base62 characters no client of the session uses; made by chance when not given."""
        self.tag = tag or "".join(secrets.choice(ALPHABET) for _ in range(8))
        self.open = False
        """Whether an answer may come that is to be withheld or counted; while not, ``answers`` need not be asked."""
        self._marked = 0
        self._asks: deque[Ask] = deque(maxlen=MOST_ASKS)
        self._events: dict[str, None] = {}
        """Ids of our events whose answers are withheld."""
        self._wished: dict[str, None] = {}
        """Those of them that wish for a response which has not begun."""
        self._items: dict[str, None] = {}
        self._responses: dict[str, None] = {}
        self._committed_soon = ""
        """The item the API is about to commit by itself."""

    # ── Towards the API ────────────────────────────────────────────────────────────────────────────────────────────

    def mark(self, data: Mapping[str, Any], withhold: bool) -> dict[str, Any]:
        """An event of ours as it is to be sent: with ids by which its answers are known, unless a person typed some.

        ``withhold``: keep its answers from the client. The given event is left as it is.
        """
        self._marked += 1
        marked = dict(data)
        if "event_id" not in marked:
            marked["event_id"] = f"console_{self.tag}_{self._marked}"
        event_id = marked["event_id"] if isinstance(marked["event_id"], str) else ""
        if marked.get("type") == "conversation.item.create" and isinstance(marked.get("item"), dict):
            marked["item"] = self._marked_item(marked["item"], withhold)
        elif marked.get("type") == "response.create" and withhold and event_id:
            self._mark_response(marked, event_id)
        if withhold:
            _keep(self._events, event_id)
        self._ask(marked.get("type"), marked.get("item_id"), event_id, withhold)
        self._judge()
        return marked

    def client_sent(self, event: Event) -> None:
        """The client's event has been sent to the API; one that a policy refused has not."""
        if event.type in ANSWERS:
            self._ask(event.type, event.item_id, event.event_id, False)
            self.open = True

    def _marked_item(self, item: dict[str, Any], withhold: bool) -> dict[str, Any]:
        marked = item if item.get("id") else {**item, "id": f"item_{self.tag}_{self._marked}"}
        if withhold and isinstance(marked["id"], str):
            _keep(self._items, marked["id"])
        return marked

    def _mark_response(self, marked: dict[str, Any], event_id: str) -> None:
        response = _given(marked, "response")
        metadata = _given(response, "metadata") if isinstance(response, dict) else None
        if not isinstance(metadata, dict) or len(metadata.keys() | {MARK}) > METADATA_PAIRS:
            return  # what was typed is wrong or full: the API shall judge it, not a mark of ours
        marked["response"] = {**response, "metadata": {**metadata, MARK: event_id}}
        _keep(self._wished, event_id)

    def _ask(self, type_: Any, item_id: Any, event_id: str, withheld: bool) -> None:
        if isinstance(type_, str) and type_ in ANSWERS:
            self._asks.append(Ask(ANSWERS[type_], item_id if isinstance(item_id, str) else "", event_id, withheld))

    # ── From the API ───────────────────────────────────────────────────────────────────────────────────────────────

    def answers(self, event: Event) -> bool:
        """Whether an event of the API was caused by one of ours and is to be kept from the client."""
        if not self.open:
            return False
        type_ = event.type
        if type_ == "error":
            return self._failed(event)
        if type_ in _COMMITTED_SOON:
            self._committed_soon = event.item_id
        elif type_ in _ANSWERED and (ask := self._answered(event, _ANSWERED[type_])):
            if ask.withheld and ask.answer == COMMITTED:
                _keep(self._items, event.item_id)
            return ask.withheld
        if self._is_response(event):
            _keep(self._items, event.item_id)
            return True
        return event.item_id in self._items

    def _answered(self, event: Event, answer: str) -> Ask | None:
        """The ask that this event answers, which is then answered; None when the API speaks of its own accord."""
        if answer == COMMITTED and event.item_id and event.item_id == self._committed_soon:
            self._committed_soon = ""
            return None
        item_id = event.item_id if answer in _OF_AN_ITEM else None
        return self._take(next((a for a in self._asks if a.answer == answer and item_id in (None, a.item_id)), None))

    def _is_response(self, event: Event) -> bool:
        if event.response_id in self._responses:
            return True
        if not self._wished or event.type not in ("response.created", "response.done"):
            return False
        response = event.data.get("response")
        metadata = response.get("metadata") if isinstance(response, dict) else None
        wish = metadata.get(MARK) if isinstance(metadata, dict) else None
        if not isinstance(wish, str) or wish not in self._wished:
            return False
        del self._wished[wish]
        _keep(self._responses, event.response_id)
        return True

    def _failed(self, event: Event) -> bool:
        if event.about:
            self._take(next((ask for ask in self._asks if ask.event_id == event.about), None))
            self._wished.pop(event.about, None)
            return event.about in self._events
        answer = _not_coming(event.data.get("error"))
        ask = self._take(next((ask for ask in self._asks if ask.answer == answer), None))
        return ask is not None and ask.withheld

    def _take(self, ask: Ask | None) -> Ask | None:
        if ask is not None:
            self._asks.remove(ask)
            self._judge()
        return ask

    def _judge(self) -> None:
        self.open = bool(self._asks or self._events or self._items)


def _given(data: Mapping[str, Any], name: str) -> Any:
    """What stands in a field; an empty object for null and for nothing."""
    value = data.get(name)
    return {} if value is None else value


def _not_coming(error: Any) -> str:
    """The answer that an error comes instead of, as far as it says so without naming the event."""
    if not isinstance(error, dict):
        return ""
    code, param = error.get("code"), error.get("param")
    if isinstance(code, str) and code in _FAILED:
        return _FAILED[code]
    return "session.updated" if isinstance(param, str) and param.split(".")[0] == "session" else ""


def _keep(ids: dict[str, None], id_: str) -> None:
    """Remember an id, and forget the oldest when they are too many."""
    if id_ and id_ not in ids:
        ids[id_] = None
        if len(ids) > MOST_IDS:
            del ids[next(iter(ids))]
