"""The account of a relay key: every usage counts, what is under way is reserved, and what has no price says so once."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from realtime.events import parse
from realtime.policy import End
from realtime.spending import FIRST_TOKENS, Account, Spending

SESSION = {"type": "realtime", "model": "gpt-realtime"}
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


class Running:
    """A session of an account: what it notes, and why it ends."""

    def __init__(self, account: Account, session: dict[str, Any] | None = None, **options: Any) -> None:
        self.notes: list[str] = []
        self.ends: list[End] = []
        self.spending = Spending(account, "gpt-realtime", **options)
        self.spending.join(lambda: session or SESSION, lambda sentence, facts: self.notes.append(sentence), self.ends.append)

    def asks(self, **fields: Any) -> bool:
        """The client asks for a response; whether that is passed on."""
        event = parse(json.dumps({"type": "response.create", **fields}))
        if self.spending.may_pass(event) is not None:
            return False
        self.spending.sent(event)
        return True

    def hears(self, type_: str, **fields: Any) -> None:
        """The API says something."""
        self.spending.received(parse(json.dumps({"type": type_, **fields})))

    def answered(self, dollars: float, id_: str = "r") -> None:
        """The API answers with a response that costs this much."""
        self.hears("response.created", response={"id": id_})
        self.hears("response.done", response={"id": id_, "status": "completed", "usage": usage(dollars)})


def usage(dollars: float) -> dict[str, Any]:
    """Text that costs this much with gpt-realtime."""
    tokens = round(dollars * 1e6 / 16)
    return {
        "total_tokens": tokens, "input_tokens": 0, "output_tokens": tokens,
        "input_token_details": {"text_tokens": 0}, "output_token_details": {"text_tokens": tokens},
    }  # fmt: skip


class TestUsage:
    """What counts."""

    @pytest.mark.parametrize(("model", "told", "dollars"), [
        ("gpt-realtime-whisper", {"type": "duration", "seconds": 60}, 0.017),
        ("gpt-live-transcribe", {"type": "duration", "seconds": 30}, 0.0085),
        ("gpt-transcribe", {"type": "duration", "seconds": 60.0}, 0.0045),
        ("gpt-4o-transcribe", {"type": "tokens", "input_tokens": 100, "output_tokens": 10, "total_tokens": 110}, 0.00035),
        ("gpt-4o-mini-transcribe-2025-12-15", {"type": "tokens", "input_tokens": 100, "output_tokens": 10}, 0.000175),
    ])  # fmt: skip
    @pytest.mark.parametrize("flat", [False, True])
    def test_a_transcription(self, model: str, told: dict[str, Any], dollars: float, flat: bool) -> None:
        """By the minute or by tokens, at the price of the model that transcribes, which both dialects name."""
        account = Account()
        named = {"model": model}
        nested = {**SESSION, "audio": {"input": {"transcription": named}}}
        session = Running(account, {**SESSION, "input_audio_transcription": named} if flat else nested)
        session.hears(TRANSCRIBED, item_id="i", usage=told)
        assert account.spent == pytest.approx(dollars)
        assert not session.notes

    @pytest.mark.parametrize("by", ["client", "api"])
    def test_a_translation(self, by: str) -> None:
        """It tells no usage: its elapsed sound counts, the client's or the API's, whichever is longer, and never both."""
        account = Account()
        session = Running(account, {"type": "translation", "model": "gpt-realtime-translate"}, translates=True)
        sound = base64.b64encode(bytes(48_000)).decode()
        for second in range(60):
            if by == "client" or second < 20:
                session.spending.sent(parse(json.dumps({"type": "session.input_audio_buffer.append", "audio": sound})))
            if by == "api" or second < 20:
                session.hears("session.output_audio.delta", delta=sound)
        assert account.spent == pytest.approx(0.034)

    def test_a_translation_that_transcribes(self) -> None:
        """Its transcription is paid beside it."""
        account = Account()
        settings = {"model": "gpt-realtime-translate", "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}}
        session = Running(account, settings, translates=True)
        session.hears("session.output_audio.delta", delta=base64.b64encode(bytes(48_000 * 60)).decode())
        assert account.spent == pytest.approx(0.034 + 0.017)

    def test_what_has_no_price_says_so_once(self) -> None:
        """One note for each sort of thing, not one for each answer; and nothing is counted."""
        account = Account(1.0)
        session = Running(account, {**SESSION, "audio": {"input": {"transcription": {"model": "whisper-1"}}}})
        for _ in range(3):
            session.hears(TRANSCRIBED, usage={"type": "duration", "seconds": 3})
            session.hears("thinking.done", usage={"grok_tokens": 3})
            session.hears("response.done", response={"id": "r", "status": "completed", "usage": {}})
        assert len(session.notes) == 3
        assert "whisper-1" in session.notes[0]
        assert "thinking.done" in session.notes[1]
        assert "no usage" in session.notes[2]
        assert account.spent == 0

    def test_a_model_without_a_price_is_told_at_the_beginning(self) -> None:
        """Whoever set a limit learns from the first row on that it does not hold for this model."""
        notes: list[str] = []
        Spending(Account(1.0), "my-model").join(lambda: None, lambda sentence, facts: notes.append(sentence), lambda end: None)
        assert notes == ["No price is known for my-model: it is not counted in what the key has spent."]

    def test_a_deployment_s_name(self) -> None:
        """Where the API names a deployment as people like, the model that was dialled tells the price."""
        account = Account()
        Running(account, {"model": "my-deployment"}).answered(0.0016)
        assert account.spent == pytest.approx(0.0016)

    @pytest.mark.parametrize("told", [None, "x", [], {"usage": 5}, {"type": "duration"}])
    def test_nothing_an_api_says_raises(self, told: Any) -> None:
        """A usage of any shape is priced or noted."""
        session = Running(Account(1.0))
        session.hears(TRANSCRIBED, usage=told)
        session.hears("response.done", response=told, usage=told)
        session.hears("response.created", response=told)
        session.hears("error", error=told)
        session.spending.leave()


class TestLimit:
    """When it is reached."""

    def test_one_account_for_all_sessions(self) -> None:
        """What one session spends ends the other."""
        account = Account(0.005)
        first, second = Running(account), Running(account)
        first.answered(0.003)
        assert not first.ends and not second.ends
        second.answered(0.003)
        assert [end.code for end in first.ends + second.ends] == ["insufficient_quota", "insufficient_quota"]
        assert account.is_reached

    def test_what_is_under_way_is_reserved(self) -> None:
        """Each response under way counts as the dearest so far: with three of four thousandths under way, ten are reached."""
        account = Account(0.010, spent=0.0, dearest=0.004)
        sessions = [Running(account) for _ in range(5)]
        assert [session.asks() for session in sessions[:2]] == [True, True]
        assert not account.is_reached
        assert sessions[2].asks()
        assert account.is_reached
        assert [len(session.ends) for session in sessions] == [0, 0, 0, 1, 1]  # who has an answer under way hears it to its end
        assert not sessions[4].asks()
        for session in sessions[:3]:
            session.answered(0.004)
        assert account.spent == pytest.approx(0.012)
        assert [len(session.ends) for session in sessions] == [1] * 5

    def test_a_reservation_is_given_back(self) -> None:
        """A response that was refused, or was cheaper than the dearest, leaves room for another."""
        account = Account(0.010, spent=0.003, dearest=0.004)
        session = Running(account)
        for error in ({"event_id": "mine"}, {"event_id": None}, {}):
            assert session.asks(event_id="mine")
            session.hears("error", error=error)
            assert session.spending.under_way == 0
        assert session.asks()
        session.answered(0.001)
        assert session.asks()

    def test_an_api_that_tells_no_beginning(self) -> None:
        """Where only the end of a response is told, that is the end of what was reserved."""
        session = Running(Account(1.0))
        assert session.asks()
        session.hears("response.done", response={"status": "completed", "usage": usage(0.001)})
        assert session.spending.under_way == 0

    def test_the_overshoot(self) -> None:
        """Twenty sessions that ask as fast as they can spend the limit and one reservation at most."""
        account = Account(0.005, dearest=0.0016)
        sessions = [Running(account) for _ in range(20)]
        while any(not session.ends for session in sessions):
            asking = [session for session in sessions if session.asks()]
            for session in asking:
                session.answered(0.0016)
        assert 0.005 <= account.spent <= 0.005 + 0.0016

    def test_before_the_first_usage_is_known(self) -> None:
        """Then half a minute of speech is reserved for each, so that a small limit lets one begin and a large one many."""
        reserved = FIRST_TOKENS * 64 / 1e6
        for limit, most in ((0.005, 1), (reserved * 3, 3)):
            sessions = [Running(Account(limit))]
            sessions += [Running(sessions[0].spending.account) for _ in range(9)]
            assert sum(session.asks() for session in sessions) == most
            assert sum(bool(session.ends) for session in sessions) == 10 - most

    def test_a_response_nobody_asked_for(self) -> None:
        """After speech the API begins by itself: where the account does not allow it, the session ends at once."""
        account = Account(0.005, spent=0.004, dearest=0.002)
        first, second = Running(account), Running(account)
        first.hears("response.created", response={"id": "a"})
        assert second.ends and not first.ends
        assert first.spending.under_way == 1
        first.hears("response.created", response={"id": "b"})
        assert first.ends

    def test_after_the_end_nothing_passes(self) -> None:
        """Whatever a client sends behind the frame that was refused stays here."""
        account = Account(0.005, spent=0.006)
        session = Running(account)
        assert session.ends
        assert session.spending.may_pass(parse('{"type":"input_audio_buffer.commit"}')) is not None

    def test_a_limit_that_is_raised_or_reset(self) -> None:
        """The stored figures win: a reset by another process leaves room, a lower limit ends what runs."""
        account = Account(0.005, spent=0.006)
        assert account.is_reached
        account.wrote(0.0, 0.0, 0.0)
        session = Running(account)
        assert not account.is_reached and not session.ends
        account.limit = 0.001
        account.wrote(0.0, 0.002, 0.0)
        assert session.ends

    def test_without_a_limit_nothing_ends(self) -> None:
        """It is counted all the same."""
        account = Account()
        session = Running(account)
        for _ in range(100):
            assert session.asks()
            session.answered(1.0)
        assert account.spent == pytest.approx(100)
        assert not session.ends


class TestLeaving:
    """A client that hangs up before the usage is told."""

    def test_what_is_under_way_is_paid_for(self) -> None:
        """The key's dearest counts, and the timeline says that this is an assumption."""
        account = Account(1.0, dearest=0.004)
        session = Running(account)
        session.asks()
        session.hears("response.created", response={"id": "r"})
        session.spending.leave()
        session.spending.leave()
        assert account.spent == pytest.approx(0.004)
        assert account.dearest == 0.004
        assert "unknown" in session.notes[0]

    def test_a_long_answer_is_paid_for_as_it_was_heard(self) -> None:
        """A cheap first answer does not make a long one cheap that is cut off before its end."""
        account = Account(10.0)
        session = Running(account)
        session.asks()
        session.answered(0.0001)
        sound = base64.b64encode(bytes(48_000 * 60)).decode()
        session.spending.sent(parse(json.dumps({"type": "input_audio_buffer.append", "audio": sound})))
        session.asks()
        session.hears("response.created", response={"id": "r"})
        session.hears("response.output_audio.delta", delta=sound)
        session.spending.leave()
        assert account.spent == pytest.approx(0.0001 + 0.0192 + 0.0768, rel=0.01)

    def test_when_the_api_was_never_reached(self) -> None:
        """What never left costs nothing."""
        account = Account(1.0, dearest=0.004)
        session = Running(account)
        session.asks()
        session.spending.leave(reached=False)
        assert account.spent == 0


def test_what_changes_is_told() -> None:
    """Each payment calls for a write; what is written while more comes stays apart."""
    told: list[float] = []
    account = Account(changed=lambda: told.append(account.unwritten))
    account.pay(0.25)
    account.pay(0.5)
    account.wrote(0.25, 0.25, 0.0)
    assert told == [0.25, 0.75]
    assert (account.stored, account.unwritten, account.spent) == (0.25, 0.5, 0.75)
