"""The function calls of a session: run each once, answer all of a response together, go on once."""

from __future__ import annotations

from dataclasses import dataclass, field

from realtime.events import Event


@dataclass(frozen=True, slots=True)
class Call:
    """A function call the model has completed; whoever runs it answers with ``RealtimeProtocol.answer_call``."""

    call_id: str
    name: str
    arguments: str
    item_id: str
    response_id: str


@dataclass(slots=True)
class Answers:
    """The calls of one response."""

    waiting: set[str] = field(default_factory=set)
    outputs: dict[str, str] = field(default_factory=dict)
    response_done: bool = False
    cancelled: bool = False

    @property
    def settled(self) -> bool:
        """Whether the outputs may be sent: the API takes the next response.create only after response.done."""
        return self.response_done and not self.waiting


class Calls:
    """Which calls are to be run, and which responses wait for answers."""

    def __init__(self) -> None:
        self._completed: list[Call] = []
        self._answers: dict[str, Answers] = {}
        self._told: dict[str, Event] = {}
        """Arguments that are complete, of items that are not known to be, by call id."""

    def arguments_done(self, event: Event) -> None:
        """``response.function_call_arguments.done``: not yet a call, for the API also sends it for one that was
        interrupted. The item's end decides; where a provider tells none, the response's does."""
        self._told[event.call_id] = event

    def output_item_done(self, event: Event) -> None:
        """``response.output_item.done``: a call cut off by a cancel is incomplete and is not run."""
        item = event.data.get("item")
        if not isinstance(item, dict) or item.get("type") != "function_call":
            return
        self._told.pop(event.call_id, None)
        if item.get("status") != "incomplete":
            self._complete(event, item.get("name"), item.get("arguments"))

    def _complete(self, event: Event, name: object, arguments: object) -> None:
        """A call is run once, whoever tells of it twice."""
        if not event.call_id or not isinstance(name, str) or not name:
            return
        answers = self._answers.setdefault(event.response_id, Answers())
        if event.call_id not in answers.waiting and event.call_id not in answers.outputs:
            answers.waiting.add(event.call_id)
            text = arguments if isinstance(arguments, str) else ""
            self._completed.append(Call(event.call_id, name, text, event.item_id, event.response_id))

    def response_done(self, response_id: str, status: object) -> Answers | None:
        """A response is over. Returns its answers when they are settled."""
        for call_id, event in list(self._told.items()):
            if event.response_id == response_id:
                del self._told[call_id]
                if status == "completed":
                    self._complete(event, event.data.get("name"), event.data.get("arguments"))
        if (answers := self._answers.get(response_id)) is None:
            return None
        answers.response_done = True
        answers.cancelled = status in ("cancelled", "failed")
        return self._take(response_id)

    def answer(self, call: Call, output: str) -> Answers | None:
        """A call's output. Returns the response's answers when they are settled."""
        answers = self._answers.get(call.response_id)
        if answers is None or call.call_id not in answers.waiting:
            return None
        answers.waiting.discard(call.call_id)
        answers.outputs[call.call_id] = output
        return self._take(call.response_id)

    def answered_by_hand(self, call_id: object) -> Answers | None:
        """A person has sent the output of a call: nobody waits for it any longer."""
        for response_id, answers in self._answers.items():
            if call_id in answers.waiting:
                answers.waiting.discard(str(call_id))
                return self._take(response_id)
        return None

    def take_completed(self) -> list[Call]:
        """Calls completed since the last time."""
        completed, self._completed = self._completed, []
        return completed

    def _take(self, response_id: str) -> Answers | None:
        return self._answers.pop(response_id) if self._answers[response_id].settled else None
