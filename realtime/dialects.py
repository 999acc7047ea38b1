"""Dialects: frames of the beta as the GA API's and back, frame by frame, without I/O.

What means the same in both travels as it is, byte for byte; so does what nobody has documented, and what is no event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from realtime import events
from realtime.catalog import BETA_NAMES, GA_NAMES
from realtime.errors import InvalidEvent
from realtime.events import Event
from realtime.shapes import (
    CONTENT_BACK,
    PATHS,
    RESPONSE_NAMES,
    Data,
    item_to_beta,
    item_to_ga,
    renamed_part,
    renamed_path,
    settings_to_beta,
    settings_to_ga,
    told_item_to_beta,
    with_items,
)

Dialect = Literal["ga", "beta"]
Rule = Callable[[Any, Data], list[Data]]
"""Takes the translator and a frame's data, which it leaves alone; gives the events to be sent instead."""
Rules = Mapping[str, Rule | str]
"""By type of event; a string is the type under which it travels on, with nothing else changed."""

GONE = ("temperature", "client_secret")
"""The beta's settings that the GA API refuses: there is nothing to translate them to."""
SUCCESSORS = {"gpt-4o-realtime-preview": "gpt-realtime", "gpt-4o-mini-realtime-preview": "gpt-realtime-mini"}
"""The beta's models, shut down on 2026-05-07 (protocol 3.2) → what took their place; dated snapshots are meant too."""
BETA_VOICE, BETA_TEMPERATURE = "alloy", 0.8
"""What a session of the beta had when its client did not say: GA's voice depends on the model, and there is no temperature."""
MOST_OPEN = 256
"""Items that are remembered while they are being generated; more are a server's mistake."""
_RENAMED = {ga: beta for ga, beta in BETA_NAMES.items() if ga.startswith("response.")}


def asks_for_beta(headers: Mapping[str, str]) -> bool:
    """Whether a client's handshake asks for the beta; ``headers`` have lower-case names."""
    offered = headers.get("sec-websocket-protocol", "")
    return "realtime=v1" in headers.get("openai-beta", "") or "openai-beta.realtime-v1" in offered


def spoken_in(event: Event) -> Dialect | None:
    """What a client speaks, judged by one of its frames; None when the frame would be the same in both."""
    if event.type == "transcription_session.update":
        return "beta"
    if event.type not in ("session.update", "response.create"):
        return None
    settings = event.data.get(event.type.partition(".")[0])
    if not isinstance(settings, dict):
        return None
    if any(name in settings for name in ("type", "audio", "output_modalities")):
        return "ga"
    return "beta" if any(name in settings for name in PATHS) else None


def successor(model: str) -> str:
    """The model OpenAI has in place of one of the beta's; any other as it is."""
    return next((new for gone, new in SUCCESSORS.items() if model == gone or model.startswith(f"{gone}-20")), model)


def between(client: Dialect, api: Dialect) -> Translator:
    """A translator for one session, by what its client and its API speak."""
    if client == api:
        return Translator()
    return BetaClient() if client == "beta" else BetaApi()


class Translator:
    """One session's translator. This one stands between two of the same dialect and passes every frame on as it is.

    ``to_api`` takes each frame of the client, ``to_client`` each of the API, in order; both give the frames to send
    instead: mostly one, sometimes none or several. Nothing raises. ``notes_to_tell`` says what was lost on the way.
    """

    FROM_CLIENT: Rules = {}
    FROM_API: Rules = {}

    transparent = True
    """Whether every frame passes as it is."""

    def __init__(self) -> None:
        self._notes: list[str] = []

    def to_api(self, raw: str) -> list[str]:
        """A client's frame as the API understands it."""
        return self._translated(raw, self.FROM_CLIENT)

    def to_client(self, raw: str) -> list[str]:
        """An API's frame as the client understands it."""
        return self._translated(raw, self.FROM_API)

    def notes_to_tell(self) -> list[str]:
        """What could not be translated since the last call, in sentences."""
        notes, self._notes = self._notes, []
        return notes

    def _translated(self, raw: str, rules: Rules) -> list[str]:
        if not rules:
            return [raw]
        type_ = events.parse(raw).type
        rule = rules.get(type_)
        if rule is None:
            return [raw]
        if isinstance(rule, str):
            return [_renamed(raw, type_, rule)]
        try:
            data = json.loads(raw)
            return [raw if event == data else events.dump(event) for event in rule(self, data)]
        except (ValueError, RecursionError, InvalidEvent):  # NaN and the like, which is no JSON: the other side will say so
            return [raw]


def _renamed(raw: str, type_: str, name: str) -> str:
    """A frame under another type. Its text is not read: most of such frames are sound."""
    renamed = raw.replace(f'"{type_}"', f'"{name}"', 1)
    if events.parse(renamed).type == name:
        return renamed
    try:  # the same word stands elsewhere before it, or it is written with escapes
        return events.dump({**json.loads(raw), "type": name})
    except (ValueError, RecursionError, InvalidEvent):
        return raw


class BetaClient(Translator):
    """Between a beta client and a GA API."""

    transparent = False

    def __init__(self, conversation_id: str = "") -> None:
        """``conversation_id``: what responses will call the conversation, if that is known; GA does not tell it at first."""
        super().__init__()
        self.conversation_id = conversation_id
        self.conversation_told = False
        self.temperature: Any = BETA_TEMPERATURE
        """What the client believes to be in force."""
        self._voice_open = True
        """No voice was chosen, and nothing was said yet that would fix one."""

    def _session_update(self, data: Data) -> list[Data]:
        kind = "transcription" if data["type"].startswith("transcription_") else "realtime"
        told = _with(data, "session", lambda session: {"type": kind, **self._asked(session, kind)})
        return [{**told, "type": "session.update"}]

    def _asked(self, session: Data, kind: str) -> Data:
        """A client's settings; the first have the beta's voice, if they name none."""
        if session.get("temperature") is not None:
            self.temperature = session["temperature"]
        if self._voice_open and kind == "realtime":
            self._voice_open = False
            session = {"voice": BETA_VOICE, **session}
        return self._settings(session)

    def _response_create(self, data: Data) -> list[Data]:
        return [_with(data, "response", lambda response: with_items(self._settings(response), "input", item_to_ga))]

    def _settings(self, given: Data) -> Data:
        for name in GONE:
            if given.get(name) is not None:
                value = f" {given[name]}" if name == "temperature" else ""
                self._notes.append(f"The GA API has no such setting: {name}{value} was left out.")
        return settings_to_ga({name: value for name, value in given.items() if name not in GONE})

    def _session(self, data: Data) -> list[Data]:
        session = data.get("session")
        if not isinstance(session, dict):
            return [data]
        flat = _without_type(settings_to_beta(session))
        if session.get("type") == "transcription":
            return [{**data, "session": flat, "type": f"transcription_{data['type']}"}]
        told = {**data, "session": {**flat, "temperature": self.temperature}}
        if data["type"] != "session.created" or self.conversation_told:
            return [told]
        self.conversation_told = True
        id_ = self.conversation_id or f"conv_{str(session.get('id', '')).removeprefix('sess_')}"
        conversation = {"id": id_, "object": "realtime.conversation"}
        return [told, {"type": "conversation.created", **_added_id(data, "conversation"), "conversation": conversation}]

    def _conversation_created(self, data: Data) -> list[Data]:
        return [] if self.conversation_told else [data]

    def _item(self, data: Data) -> list[Data]:
        return [{**_with(data, "item", told_item_to_beta), "type": BETA_NAMES.get(data["type"], data["type"])}]

    def _item_done(self, data: Data) -> list[Data]:
        return []  # the beta tells only that an item has begun

    def _part(self, data: Data) -> list[Data]:
        return [_with(data, "part", lambda part: renamed_part(part, CONTENT_BACK))]

    def _response(self, data: Data) -> list[Data]:
        self._voice_open = False  # it may be speaking: the API locks the voice with the first sound

        def told(response: Data) -> Data:
            return with_items(settings_to_beta(response, RESPONSE_NAMES), "output", told_item_to_beta)

        return [_with(data, "response", told)]

    def _error(self, data: Data) -> list[Data]:
        return [_told_error(data, "beta")]

    FROM_CLIENT = {
        "session.update": _session_update,
        "transcription_session.update": _session_update,
        "conversation.item.create": lambda _, data: [_with(data, "item", item_to_ga)],
        "response.create": _response_create,
    }
    FROM_API = {
        **_RENAMED,
        "session.created": _session,
        "session.updated": _session,
        "conversation.created": _conversation_created,
        "conversation.item.added": _item,
        "conversation.item.created": _item,
        "conversation.item.done": _item_done,
        "conversation.item.retrieved": _item,
        "response.output_item.added": _item,
        "response.output_item.done": _item,
        "response.content_part.added": _part,
        "response.content_part.done": _part,
        "response.created": _response,
        "response.done": _response,
        "error": _error,
    }


class BetaApi(Translator):
    """Between a GA client and an API that speaks the beta."""

    transparent = False

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[str, Any] = {}
        """Items that are being generated → the item before each: the beta does not tell when they are done."""

    def _session_update(self, data: Data) -> list[Data]:
        session = data.get("session")
        transcription = isinstance(session, dict) and session.get("type") == "transcription"
        told = _with(data, "session", lambda session: _without_type(settings_to_beta(session)))
        return [{**told, "type": "transcription_session.update"} if transcription else told]

    def _response_create(self, data: Data) -> list[Data]:
        return [_with(data, "response", lambda response: with_items(settings_to_beta(response), "input", item_to_beta))]

    def _session(self, data: Data) -> list[Data]:
        kind = "transcription" if data["type"].startswith("transcription_") else "realtime"
        told = _with(data, "session", lambda session: {"type": kind, **settings_to_ga(_without(session, "temperature"))})
        return [{**told, "type": data["type"].removeprefix("transcription_")}]

    def _item_created(self, data: Data) -> list[Data]:
        added = {**_with(data, "item", item_to_ga), "type": GA_NAMES[data["type"]]}
        item_id, status = _of_item(added, "id"), _of_item(added, "status")
        if not isinstance(item_id, str):
            return [added]
        if status in ("in_progress", "incomplete"):
            self._open[item_id] = data.get("previous_item_id")
            while len(self._open) > MOST_OPEN:
                del self._open[next(iter(self._open))]
            return [added]
        return [added, {**added, "type": "conversation.item.done", **_added_id(data, "done")}]

    def _item(self, data: Data) -> list[Data]:
        return [_with(data, "item", item_to_ga)]

    def _output_item_done(self, data: Data) -> list[Data]:
        told = _with(data, "item", item_to_ga)
        item_id = _of_item(told, "id")
        if not isinstance(item_id, str) or item_id not in self._open:
            return [told]
        before = {"previous_item_id": self._open.pop(item_id)}
        return [{"type": "conversation.item.done", **_added_id(data, "item"), **before, "item": told["item"]}, told]

    def _response(self, data: Data) -> list[Data]:
        def told(response: Data) -> Data:
            return with_items(settings_to_ga(response, RESPONSE_NAMES), "output", item_to_ga)

        return [_with(data, "response", told)]

    def _error(self, data: Data) -> list[Data]:
        return [_told_error(data, "ga")]

    FROM_CLIENT = {
        "session.update": _session_update,
        "conversation.item.create": lambda _, data: [_with(data, "item", item_to_beta)],
        "response.create": _response_create,
    }
    FROM_API = {
        **{beta: ga for ga, beta in _RENAMED.items()},
        "session.created": _session,
        "session.updated": _session,
        "transcription_session.created": _session,
        "transcription_session.updated": _session,
        "conversation.item.created": _item_created,
        "conversation.item.retrieved": _item,
        "response.output_item.added": _item,
        "response.output_item.done": _output_item_done,
        "response.created": _response,
        "response.done": _response,
        "error": _error,
    }


def _with(data: Data, name: str, translate: Callable[[Data], Data]) -> Data:
    """An event with one of its objects translated; as it is when it has no such object."""
    return {**data, name: translate(data[name])} if isinstance(data.get(name), dict) else data


def _of_item(data: Data, name: str) -> Any:
    item = data.get("item")
    return item.get(name) if isinstance(item, dict) else None


def _without_type(session: Data) -> Data:
    """A session of the beta: the name of its events says of which type it is."""
    return _without(session, "type")


def _without(data: Data, gone: str) -> Data:
    return {name: value for name, value in data.items() if name != gone}


def _added_id(data: Data, word: str) -> Data:
    """An id for an event that is added to another: the other's and a word."""
    return {"event_id": f"{data['event_id']}_{word}"} if isinstance(data.get("event_id"), str) else {}


def _told_error(data: Data, to: Dialect) -> Data:
    """An error that names a setting, by the setting's name in the other dialect."""
    error = data.get("error")
    param = error.get("param") if isinstance(error, dict) else None
    if not isinstance(error, dict) or not isinstance(param, str):
        return data
    root, _, path = param.partition(".")
    if root not in ("session", "response"):
        return data
    told = {"param": f"{root}.{renamed_path(path, to=to)}" if path else root}
    if isinstance(message := error.get("message"), str):
        told["message"] = message.replace(f"'{param}'", f"'{told['param']}'")
    return {**data, "error": {**error, **told}}
