"""Who is let in, and how the others are told."""

from __future__ import annotations

import pytest

from realtime.simulator.server.handshake import Accepted, AcceptedThenClosed, Refused, check_handshake, given_key
from realtime.simulator.shared.options import SimulatorOptions

GOOD = {"authorization": "Bearer sk-good"}
BETA = "openai-beta.realtime-v1"


def verdict(
    model: str = "gpt-realtime", headers: dict[str, str] | None = None, path: str = "/v1/realtime", **options: object
) -> Accepted | AcceptedThenClosed | Refused:
    """Judge a client that asks for this model."""
    query = {"model": model} if model else {}
    return check_handshake(path, query, GOOD if headers is None else headers, SimulatorOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "model",
    ["gpt-realtime", "gpt-realtime-2.1-mini", "gpt-realtime-2025-08-28", "gpt-realtime-mini", "gpt-4o-realtime-preview"],
)
@pytest.mark.parametrize("path", ["/v1/realtime", "/realtime"])
def test_models_that_converse(model: str, path: str) -> None:
    """Every conversational model is accepted at both addresses, with a key or without."""
    assert verdict(model, path=path) == Accepted(model)
    assert verdict(model, {}, path) == Accepted(model)


@pytest.mark.parametrize(
    ("model", "headers", "options", "code", "close"),
    [
        ("gpt-realtime", {"authorization": "Bearer sk-bad-1"}, {}, "invalid_api_key", 3000),
        ("gpt-realtime", {"api-key": "sk-bad"}, {}, "invalid_api_key", 3000),
        ("gpt-realtime", {"sec-websocket-protocol": "realtime, openai-insecure-api-key.sk-bad"}, {}, "invalid_api_key", 3000),
        ("gpt-realtime", {"authorization": "Bearer other"}, {"require_key": "sk-mine"}, "invalid_api_key", 3000),
        ("gpt-realtime", {}, {"require_key": "sk-mine"}, "invalid_api_key", 3000),
        ("", GOOD, {}, "missing_model", 4000),
        ("gpt-nope", GOOD, {}, "invalid_model", 4000),
        ("whisper-1", GOOD, {}, "invalid_model", 4000),
        ("gpt-realtime-whisper", GOOD, {}, "invalid_model", 4000),
        ("gpt-realtime-translate", GOOD, {}, "invalid_model", 4000),
        ("gpt-realtime", {**GOOD, "openai-beta": "realtime=v1"}, {}, "beta_api_shape_disabled", 4000),
        ("gpt-realtime", {**GOOD, "sec-websocket-protocol": f"realtime, {BETA}"}, {}, "beta_api_shape_disabled", 4000),
    ],
)
def test_who_is_turned_away(model: str, headers: dict[str, str], options: dict[str, object], code: str, close: int) -> None:
    """A connection-level error names its code, has no param and answers no event; the reason is type and code."""
    found = verdict(model, headers, **options)
    assert isinstance(found, AcceptedThenClosed)
    assert (found.error["code"], found.error["param"], found.error["event_id"]) == (code, None, None)
    assert (found.code, found.reason) == (close, f"invalid_request_error.{code}")


def test_a_key_is_not_repeated() -> None:
    """The refusal shows enough of a key to know it again, and no more."""
    found = verdict(headers={"authorization": "Bearer sk-bad-0123456789-abcd"})
    assert isinstance(found, AcceptedThenClosed)
    assert "sk-bad-…abcd" in found.error["message"]
    assert "0123456789" not in found.error["message"]


def test_the_right_key_is_let_in() -> None:
    """With a required key only that one opens, however it is given."""
    by_protocol = {"sec-websocket-protocol": "openai-insecure-api-key.sk-mine"}
    for headers in ({"authorization": "bearer sk-mine"}, {"api-key": "sk-mine"}, by_protocol):
        assert verdict(headers=headers, require_key="sk-mine") == Accepted("gpt-realtime")


def test_the_beta_can_be_allowed() -> None:
    """An option lets clients in that ask for the beta, by header or subprotocol; the others are as ever."""
    for asking in ({"openai-beta": "realtime=v1"}, {"sec-websocket-protocol": f"realtime, {BETA}"}):
        assert verdict(headers={**GOOD, **asking}, allow_beta=True) == Accepted("gpt-realtime", beta=True)
    assert verdict(headers=GOOD, allow_beta=True) == Accepted("gpt-realtime")


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("gpt-http-401", 401, "invalid_api_key"),
        ("gpt-http-403", 403, "access_denied"),
        ("gpt-http-404", 404, "call_id_not_found"),
        ("gpt-http-429", 429, "rate_limit_exceeded"),
        ("gpt-http-500", 500, "server_error"),
        ("gpt-http-503", 503, "server_overloaded"),
        ("gpt-http-418", 418, "error"),
        ("gpt-http-499", 500, "server_error"),
        ("gpt-http-200", 500, "server_error"),
        ("gpt-http-²", 500, "server_error"),
        ("gpt-http-", 500, "server_error"),
    ],
)
def test_plain_refusals(model: str, status: int, code: str) -> None:
    """These models are refused with HTTP and the API's error body; a status there is not is 500."""
    found = verdict(model)
    assert isinstance(found, Refused)
    assert (found.status, found.body["error"]["code"]) == (status, code)
    assert set(found.body["error"]) == {"message", "type", "param", "code"}


def test_another_address() -> None:
    """Elsewhere there is nothing."""
    found = verdict(path="/v1/chat")
    assert isinstance(found, Refused)
    assert found.status == 404


def test_a_model_that_breaks_off() -> None:
    """gpt-drop is accepted as an ordinary model, and remembered as one that drops."""
    assert verdict("gpt-drop") == Accepted("gpt-realtime", drop=True)


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, ""),
        ({"authorization": "Bearer  a "}, "a"),
        ({"authorization": "Basic a"}, ""),
        ({"api-key": "b"}, "b"),
        ({"authorization": "Bearer a", "api-key": "b"}, "a"),
        ({"sec-websocket-protocol": "realtime,openai-insecure-api-key.c , other"}, "c"),
    ],
)
def test_where_the_key_is(headers: dict[str, str], key: str) -> None:
    """Bearer token, api-key header, or subprotocol."""
    assert given_key(headers) == key
