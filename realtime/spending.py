"""Spending: one account of money per relay key, and what a relayed session adds to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from realtime.audio import AUDIO_FIELDS, BYTES_PER_MS, SPEECH, encoded_length_ms
from realtime.events import Event
from realtime.policy import End
from realtime.prices import cost, is_priced, price_of
from realtime.shapes import in_ga

FIRST_TOKENS = 600
"""Tokens reserved for a response while no response of the key has told its usage: half a minute of speech."""
TOKENS_PER_MS_IN, TOKENS_PER_MS_OUT = 1 / 100, 1 / 50
"""Tokens of a millisecond of sound, from the user and from the model."""
MOST_TOKENS = 128_000
"""Tokens a model reads at most: the bound of what is assumed of an answer that was cut off."""
CODE = "insufficient_quota"

Note = Callable[[str, dict[str, Any]], object]


class Account:
    """The money of one relay key, over all its sessions.

    Call ``pay`` for what was used. ``changed`` is called when there is something to write: write ``unwritten``, then
    call ``wrote`` with the amount written and the sum that is stored.
    """

    def __init__(
        self, limit: float | None = None, spent: float = 0.0, dearest: float = 0.0, changed: Callable[[], object] = lambda: None
    ) -> None:
        """``limit``: US$ that may be spent, None for any sum. ``spent``, ``dearest``: as they are stored."""
        self.limit = limit
        self.stored = spent
        self.unwritten = 0.0
        self.dearest = dearest
        """US$ of the key's dearest response so far; 0 until one has told its usage."""
        self.changed = changed
        self.sessions: list[Spending] = []
        """Those that run."""

    @property
    def spent(self) -> float:
        """US$ spent so far."""
        return self.stored + self.unwritten

    @property
    def is_reached(self) -> bool:
        """Whether what is spent, and the dearest response for each one under way, is at the limit."""
        if self.limit is None:
            return False
        return self.spent + self.dearest * sum(session.under_way for session in self.sessions) >= self.limit

    @property
    def end(self) -> End:
        """Why sessions end whose account has reached its limit."""
        return End(CODE, f"This relay key may spend US$ {self.limit or 0:,g}, which is spent, or reserved for answers under way.")

    def allows_one_more(self) -> bool:
        """Whether another response may begin. Before the first usage is known, an estimate is reserved for each."""
        if self.limit is None:
            return True
        reserved = sum(session.under_way * session.hold for session in self.sessions)
        return self.spent + reserved < self.limit

    def pay(self, dollars: float, *, response: bool = False) -> None:
        """Add what something cost, in US$; a ``response`` may be the dearest so far."""
        if response and dollars > self.dearest:
            self.dearest = dollars
        if dollars > 0:
            self.unwritten += dollars
            self.changed()
        self.heed()

    def wrote(self, dollars: float, stored: float, dearest: float) -> None:
        """Note that ``dollars`` of ``unwritten`` have been written and which figures are stored now."""
        self.unwritten -= dollars
        self.stored = stored
        self.dearest = max(self.dearest, dearest)
        self.heed()

    def heed(self) -> None:
        """End the sessions that have no response under way, if the limit is reached."""
        if self.is_reached:
            for session in list(self.sessions):
                session.end_if_idle()


class Spending:
    """What one relayed session spends: it is shown every frame, prices each usage, and says when the session must end.

    Call ``join`` before the first frame, ``may_pass`` and ``sent`` for each frame of the client, ``received`` for each
    of the API, ``leave`` at the end. A session is ended when it would begin a response that the account does not
    allow, and when the limit is reached while none of its responses is under way: so an answer that was allowed to
    begin is heard to its end.
    """

    def __init__(self, account: Account, model: str = "", *, translates: bool = False) -> None:
        """``model``: the one dialled. ``translates``: a translation, which tells no usage and is paid by elapsed sound."""
        self.account = account
        self.model = model
        self.translates = translates
        self.ended: End | None = None
        """Why the session is being ended; nothing of the client is passed on from then on."""
        self._session: Callable[[], Mapping[str, Any] | None] = lambda: None
        self._note: Note = lambda sentence, facts: None
        self._end: Callable[[End], object] = lambda end: None
        self._asked: list[str] = []
        """Event ids of each response.create that nothing has answered yet."""
        self._active: set[str] = set()
        """Ids of responses that were created and are not done."""
        self._unpriced: set[str] = set()
        self._sound_in = self._sound_out = self._text_in = 0
        """Bytes of frames since the last response that told its usage."""
        self._context = 0
        """Tokens of the conversation when it did."""
        self._elapsed = {"sent": 0.0, "received": 0.0}
        """Milliseconds of sound of a translation, each way."""
        self._billed_ms = 0.0

    def join(self, session: Callable[[], Mapping[str, Any] | None], note: Note, end: Callable[[End], object]) -> None:
        """Begin: ``session`` gives the settings in force, ``note`` writes a sentence on the timeline, ``end`` ends it."""
        self._session, self._note, self._end = session, note, end
        self.account.sessions.append(self)
        if self.account.limit is not None and self.model and not is_priced(self.model):
            self._without_price(self.model)
        self.account.heed()

    @property
    def under_way(self) -> int:
        """Responses that were asked for or created, and are not done."""
        return len(self._asked) + len(self._active)

    @property
    def hold(self) -> float:
        """US$ reserved for each of them when another one is to begin."""
        if self.account.dearest:
            return self.account.dearest
        price = price_of(self._model())
        return FIRST_TOKENS * price.audio_out / 1_000_000 if price else 0.0

    # ── From the client ────────────────────────────────────────────────────────────────────────────────────────────

    def may_pass(self, event: Event) -> End | None:
        """Why a frame of the client may not pass, None when it may. A response.create is under way from here on."""
        if self.ended is None and event.type == "response.create" and self.account.limit is not None:
            if self.account.allows_one_more():
                self._asked.append(event.event_id)
                self.account.heed()
            else:
                self._stop()
        return self.ended

    def sent(self, event: Event) -> None:
        """A frame goes to the API."""
        if self.translates:
            self._elapse("sent", encoded_length_ms(event.raw, "audio", "audio/pcm") if event.type.endswith("append") else 0.0)
        elif self.account.limit is not None:
            if event.type in AUDIO_FIELDS:
                self._sound_in += event.size
            else:
                self._text_in += event.size

    # ── From the API ───────────────────────────────────────────────────────────────────────────────────────────────

    def received(self, event: Event) -> None:
        """A frame of the API has come, and ``session`` knows of it."""
        type_ = event.type
        if type_ in SPEECH:
            self._sound_out += event.size
        elif type_.endswith(".delta"):
            if self.translates and type_ == "session.output_audio.delta":
                self._elapse("received", encoded_length_ms(event.raw, "delta", "audio/pcm"))
        elif type_ == "response.created":
            self._created(event)
        elif type_ == "response.done":
            self._done(event)
        elif type_ == "conversation.item.input_audio_transcription.completed":
            self._pay(self._transcriber(), event.data.get("usage"), "a transcription")
        elif type_ == "error":
            self._refused(event)
        elif '"usage"' in event.raw and isinstance(usage := event.data.get("usage"), dict) and usage:
            self._without_price(f"what {type_ or 'a frame without a type'} tells of")

    def leave(self, *, reached: bool = True) -> None:
        """The session is over. Responses under way are paid for as reserved, or as what was heard of them came to, if
        that is more: what they used is not told any more. ``reached``: whether the API was."""
        if self not in self.account.sessions:
            return
        count = self.under_way if reached and self.account.limit is not None else 0
        dollars = max(self.hold, self._measured()) + self.hold * (count - 1) if count else 0.0
        self.account.sessions.remove(self)
        if dollars:
            answers = "an answer" if count == 1 else f"{count} answers"
            said = f"The session ended during {answers}, whose usage is unknown: US$ {dollars:.4f} count towards the key's limit."
            self._note(said, {"usd": dollars, "responses": count})
        self.account.pay(dollars)

    def end_if_idle(self) -> None:
        """End the session, unless a response is under way."""
        if not self.under_way:
            self._stop()

    def _stop(self) -> None:
        if self.ended is None:
            self.ended = self.account.end
            self._end(self.ended)

    def _created(self, event: Event) -> None:
        if self._asked:
            self._asked.pop(0)
            self._active.add(event.response_id)
            return
        allowed = self.account.allows_one_more()  # by itself, as after speech
        self._active.add(event.response_id)
        if allowed:
            self.account.heed()
        else:
            self._stop()

    def _done(self, event: Event) -> None:
        if event.response_id in self._active:
            self._active.remove(event.response_id)
        elif self._asked:  # of an API that does not say when a response begins
            self._asked.pop(0)
        response = event.data.get("response")
        response = response if isinstance(response, dict) else {}
        usage = response.get("usage") or event.data.get("usage")
        if not usage and response.get("status") in ("failed", "cancelled"):
            self.account.pay(0.0)
            return
        self._pay(self._model(), usage, "an answer", response=True)
        if isinstance(usage, dict):
            self._sound_in = self._sound_out = self._text_in = 0
            total = usage.get("total_tokens")
            self._context = min(total, MOST_TOKENS) if type(total) is int and total > 0 else 0

    def _refused(self, event: Event) -> None:
        """An error answers a response.create, if it names it; many name nothing, then it answers the first."""
        if event.about in self._asked:
            self._asked.remove(event.about)
        elif not event.about and self._asked:
            self._asked.pop(0)
        self.account.heed()

    # ── Prices ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pay(self, model: str, usage: Any, what: str, *, response: bool = False) -> None:
        dollars = cost(model, usage)
        if dollars is None:
            self._without_price(f"{what} of {model}" if model else f"{what} of a model that is not told", not usage)
        self.account.pay(dollars or 0.0, response=response)

    def _without_price(self, what: str, no_usage: bool = False) -> None:
        if what in self._unpriced:
            return
        self._unpriced.add(what)
        why = "The API told no usage" if no_usage else "No price is known"
        self._note(f"{why} for {what}: it is not counted in what the key has spent.", {"unpriced": what})

    def _elapse(self, direction: str, ms: float) -> None:
        """Pay for a translation's sound: one side's goes on while the other's does, so the longer one counts."""
        if not ms:
            return
        self._elapsed[direction] += ms
        new = max(self._elapsed.values()) - self._billed_ms
        if new <= 0:
            return
        self._billed_ms += new
        usage = {"type": "duration", "seconds": new / 1000}
        models = [self._model(), *([transcriber] if (transcriber := self._transcriber()) else [])]
        prices = [cost(model, usage) for model in models]
        for model, price in zip(models, prices, strict=True):
            if price is None:
                self._without_price(model or "this translation")
        self.account.pay(sum(price or 0.0 for price in prices))

    def _measured(self) -> float:
        """US$ of an answer that was cut off, by what was sent since the last usage and what was heard of it."""
        price = price_of(self._model())
        if price is None:
            return 0.0
        ms_in = self._sound_in * 3 / 4 / BYTES_PER_MS[self._format()]
        came = min(ms_in * TOKENS_PER_MS_IN, MOST_TOKENS) * price.audio + min(self._text_in / 4, MOST_TOKENS) * price.text
        left = self._sound_out * 3 / 4 / BYTES_PER_MS["audio/pcm"] * TOKENS_PER_MS_OUT * price.audio_out
        return (self._context * price.audio_cached + came + left) / 1_000_000

    def _model(self) -> str:
        """The model in force; one without a price may be a deployment's own name, then the dialled one tells."""
        told = (self._session() or {}).get("model")
        return told if isinstance(told, str) and (is_priced(told) or not is_priced(self.model)) else self.model

    def _input(self) -> Mapping[str, Any]:
        audio = in_ga(dict(self._session() or {})).get("audio")
        here = audio.get("input") if isinstance(audio, dict) else None
        return here if isinstance(here, dict) else {}

    def _transcriber(self) -> str:
        transcription = self._input().get("transcription")
        model = transcription.get("model") if isinstance(transcription, dict) else None
        return model if isinstance(model, str) else ""

    def _format(self) -> str:
        told = self._input().get("format")
        name = told.get("type") if isinstance(told, dict) else None
        return name if name in BYTES_PER_MS else "audio/pcm"
