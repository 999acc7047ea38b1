"""Tests for realtime.endings: how a close is told to a person."""

from __future__ import annotations

import pytest

from realtime.endings import ADVICE, BROKEN, CODES, ending
from realtime.errors import HandshakeRefused, Unreachable


@pytest.mark.parametrize(
    ("code", "reason", "advice"),
    [
        (3000, "invalid_request_error.invalid_api_key", "Type another one"),
        (4000, "invalid_request_error.missing_model", "Choose one"),
        (4000, "invalid_request_error.invalid_model", "Choose another one"),
        (4000, "invalid_request_error.beta_api_shape_disabled", "OpenAI-Beta"),
        (1001, "Your session hit the maximum duration of 60 minutes.", "longest time"),
        (1013, "", "overloaded"),
    ],
)
def test_what_the_api_closes_with_is_told_with_what_to_do(code: int, reason: str, advice: str) -> None:
    """A close by the API says its code and reason, and what helps."""
    told = ending("server", code, reason)
    assert str(code) in told
    assert reason.rstrip(".") in told
    assert advice in told


@pytest.mark.parametrize("status", [401, 403, 404, 409, 413, 429, 503])
def test_refused_handshakes_are_explained(status: int) -> None:
    """An HTTP refusal says the API's own message, not its JSON, and what to do."""
    refused = HandshakeRefused("wss://api.example/v1/realtime", status, '{"error": {"message": "No, because."}}')
    told = ending("server", None, str(refused))
    assert f"HTTP {status}: No, because." in told
    assert "{" not in told
    assert any(told.endswith(advice) for _, advice in ADVICE)


def test_a_body_that_is_no_error_of_the_api_is_shown_as_it_is() -> None:
    """A gateway's own page is quoted, cut to what a person reads."""
    told = str(HandshakeRefused("wss://api.example/v1/realtime", 502, "<html>Bad gateway</html>" * 100))
    assert "<html>Bad gateway</html>" in told
    assert len(told) < 700


def test_an_address_that_cannot_be_reached_says_so() -> None:
    """Nobody answering names the address and the next step."""
    for why, said in (("the connection was refused", "refused."), ("is a server running there?", "running there?")):
        told = ending("server", None, str(Unreachable("ws://127.0.0.1:9/v1/realtime", why)))
        assert told.startswith("ws://127.0.0.1:9/v1/realtime could not be reached")
        assert f"{said} Check the network" in told


def test_a_line_that_breaks_loses_nothing() -> None:
    """A connection that vanishes is told as that, with the comfort that the record is whole."""
    assert ending("server", None, "the connection vanished without a close frame").endswith(BROKEN)
    assert ending("server", None, "").endswith(BROKEN)


def test_closing_it_oneself_needs_no_advice() -> None:
    """Who closes a session here knows why."""
    assert ending("console", 1000, "") == "Closed here."
    assert ending("console", None, "cancelled while connecting") == "Closed here: cancelled while connecting."


def test_every_code_with_a_meaning_is_told() -> None:
    """Each close code that says something by itself ends in its sentence."""
    for code, advice in CODES.items():
        assert ending("server", code, "").endswith(advice)


def test_an_unknown_close_says_what_is_known() -> None:
    """A code nobody has explained is shown with its reason, without advice that may be wrong."""
    assert ending("client", 4999, "custom reason") == "The client closed the connection (4999 custom reason)."
