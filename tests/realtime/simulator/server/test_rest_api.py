"""Ephemeral keys and the beta's sessions: what is answered to whom, and what a key is good for at the socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI, AuthenticationError, BadRequestError
from openai.types.beta.realtime import SessionCreateResponse, TranscriptionSession
from openai.types.realtime import ClientSecretCreateResponse
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from realtime.simulator.server import SimulatorServer
from realtime.simulator.server.http import HttpRequest, HttpResponse
from realtime.simulator.server.keys import EphemeralKeys
from realtime.simulator.server.rest_api import RestApi
from realtime.simulator.shared.options import SimulatorOptions
from tests.realtime.frames import values
from tests.waiting import PATIENCE

NOW = 1_795_000_000
QUICK = SimulatorOptions(latency_ms=5, pace=60, voice="tone", allow_beta=True)
SECRETS = "/v1/realtime/client_secrets"
SESSIONS = "/v1/realtime/sessions"
TRANSCRIPTION_SESSIONS = "/v1/realtime/transcription_sessions"


def ask(body: Any = None, path: str = SECRETS, method: str = "POST", key: str = "sk-test", **options: Any) -> HttpResponse:
    """One request; a body that is no bytes is written as JSON."""
    told = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    rest = RestApi(replace(QUICK, **options), EphemeralKeys(lambda: NOW))
    return rest.answer(HttpRequest(method, path, {"authorization": f"Bearer {key}"} if key else {}, told))


def session(body: Any) -> dict[str, Any]:
    """The session of a key that was minted with it."""
    answer = ask({"session": body})
    assert answer.status == 200, answer.body
    ClientSecretCreateResponse.model_validate(answer.body)
    found: dict[str, Any] = answer.body["session"]
    return found


@pytest.mark.parametrize("body", [None, b" ", {}, {"session": None, "expires_after": None}])
def test_a_key_for_nothing_special(body: Any) -> None:
    """Without a body, or an empty one, a key is good for ten minutes and a session as the API begins it."""
    answer = ask(body)
    ClientSecretCreateResponse.model_validate(answer.body)
    assert answer.status == 200
    assert list(answer.body) == ["value", "expires_at", "session"]
    assert answer.body["expires_at"] == NOW + 600
    assert answer.body["session"]["expires_at"] == 0
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(("seconds", "status"), [(9, 400), (10, 200), (7200, 200), (7201, 400), (60.5, 400), ("60", 400), (True, 400)])
def test_how_long_a_key_may_be_good(seconds: Any, status: int) -> None:
    """Ten seconds to two hours, in whole seconds."""
    answer = ask({"expires_after": {"anchor": "created_at", "seconds": seconds}})
    assert answer.status == status
    if status == 200:
        assert answer.body["expires_at"] == NOW + seconds
    else:
        assert answer.body["error"]["param"] == "expires_after.seconds"


def test_a_session_of_ones_own() -> None:
    """The settings given are in force, the others as the API has them; a function without a description has null."""
    told = session(
        {"type": "realtime", "model": "gpt-realtime-2.1", "instructions": "Be brief.", "tools": [{"type": "function", "name": "f"}],
         "audio": {"output": {"voice": "cedar"}, "input": {"turn_detection": None}}}
    )  # fmt: skip
    assert (told["model"], told["instructions"], told["object"]) == ("gpt-realtime-2.1", "Be brief.", "realtime.session")
    assert told["tools"] == [{"type": "function", "name": "f", "description": None}]
    assert told["audio"]["output"]["voice"] == "cedar"
    assert told["audio"]["input"]["turn_detection"] is None


def test_a_transcription_session() -> None:
    """A key for a transcription session tells one, without a model; its turn detection has an idle timeout of null."""
    told = session({"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}})
    assert (told["object"], told["expires_at"], "model" in told) == ("realtime.transcription_session", 0, False)
    assert told["audio"]["input"]["transcription"]["model"] == "whisper-1"
    assert told["audio"]["input"]["turn_detection"]["idle_timeout_ms"] is None
    for detection in (None, {"type": "semantic_vad"}):
        told = session({"type": "transcription", "audio": {"input": {"turn_detection": detection}}})["audio"]["input"]["turn_detection"]
        assert told == detection or "idle_timeout_ms" not in told


def test_models_are_not_looked_up() -> None:
    """A key may name a model that does not exist: only the handshake knows."""
    assert session({"type": "realtime", "model": "gpt-nope"})["model"] == "gpt-nope"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", None, None),
        (b"\xff", None, None),
        (b"[1]", None, None),
        ({"x": 1}, "unknown_parameter", "x"),
        ({"expires_after": 7}, "invalid_type", "expires_after"),
        ({"expires_after": {"x": 1}}, "unknown_parameter", "expires_after.x"),
        ({"expires_after": {"anchor": "now"}}, "invalid_value", "expires_after.anchor"),
        ({"session": 7}, "invalid_type", "session"),
        ({"session": {}}, "missing_required_parameter", "session.type"),
        ({"session": {"type": "realtime", "model": 7}}, "invalid_type", "session.model"),
        ({"session": {"type": "transcription", "model": "whisper-1"}}, "unknown_parameter", "session.model"),
        ({"session": {"type": "realtime", "voice": "ash"}}, "unknown_parameter", "session.voice"),
        ({"session": {"type": "realtime", "audio": {"output": {"voice": "x"}}}}, "invalid_value", "session.audio.output.voice"),
    ],
)
def test_what_is_refused(body: Any, code: str | None, param: str | None) -> None:
    """Each mistake is a 400 in the API's shape that names the field."""
    answer = ask(body)
    assert answer.status == 400
    assert list(answer.body["error"]) == ["message", "type", "param", "code"]
    assert (answer.body["error"]["code"], answer.body["error"]["param"]) == (code, param)


@pytest.mark.parametrize(
    ("key", "options", "code"),
    [
        ("sk-bad-1", {}, "invalid_api_key"),
        ("other", {"require_key": "sk-mine"}, "invalid_api_key"),
        ("", {"require_key": "sk-mine"}, None),
        ("ek_" + "0" * 32, {}, "invalid_api_key"),
    ],
)
def test_whose_key_makes_none(key: str, options: dict[str, Any], code: str | None) -> None:
    """Who is not let in at the socket gets no key either, and is told so with 401."""
    answer = ask(key=key, **options)
    assert (answer.status, answer.body["error"]["code"]) == (401, code)
    assert ask(key="sk-mine", require_key="sk-mine").status == 200


def test_an_ephemeral_key_makes_no_other() -> None:
    """A key that was minted here opens sessions, and nothing else."""
    rest = RestApi(QUICK, EphemeralKeys(lambda: NOW))
    value = rest.answer(HttpRequest("POST", SECRETS, {}, b"")).body["value"]
    assert rest.answer(HttpRequest("POST", SECRETS, {"authorization": f"Bearer {value}"}, b"")).status == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PUT", SECRETS, 405, "POST"), ("DELETE", "/realtime/client_secrets?x=1", 405, "POST"), ("POST", "/v1/realtime", 405, "GET"),
        ("POST", "/realtime?model=a", 405, "GET"), ("POST", "/v1/realtime/nope", 404, None), ("POST", "//[", 404, None),
        ("POST", "*", 404, None), ("GET", SECRETS, 405, "POST"), ("GET", "/v1/nope", 404, None), ("HEAD", "/v1/realtime", 405, "GET"),
    ],
)  # fmt: skip
def test_other_addresses(method: str, path: str, status: int, allow: str | None) -> None:
    """What is not there is 404; what is there for another method says for which."""
    answer = ask(path=path, method=method)
    assert (answer.status, answer.headers.get("Allow")) == (status, allow)


@pytest.mark.parametrize(("headers", "status"), [({}, 426), ({"upgrade": "h2c"}, 426), ({"upgrade": "WebSocket"}, 400)])
def test_a_get_where_websockets_open(headers: dict[str, str], status: int) -> None:
    """Who asks there without a WebSocket is told to use one; a handshake that came here is one that nobody can read."""
    answer = RestApi(QUICK, EphemeralKeys(lambda: NOW)).answer(HttpRequest("GET", "/v1/realtime?model=gpt-realtime", headers, b""))
    assert (answer.status, answer.headers.get("Upgrade")) == (status, "websocket" if status == 426 else None)
    assert list(answer.body["error"]) == ["message", "type", "param", "code"]


def test_a_session_of_the_beta() -> None:
    """A flat session with a key for one minute; what GA does not know is left out."""
    body = {"model": "gpt-realtime", "modalities": ["text"], "voice": "ash", "temperature": 0.7, "input_audio_format": "g711_ulaw"}
    answer = ask(body, SESSIONS)
    SessionCreateResponse.model_validate(answer.body)
    told = answer.body
    assert told["client_secret"]["expires_at"] == NOW + 60
    assert (told["modalities"], told["voice"], told["input_audio_format"], told["model"]) == (["text"], "ash", "g711_ulaw", "gpt-realtime")
    assert {"type", "audio", "temperature", "output_modalities"}.isdisjoint(told)
    longer = ask({"client_secret": {"expires_after": {"anchor": "created_at", "seconds": 100}}}, SESSIONS).body
    assert longer["client_secret"]["expires_at"] == NOW + 100


def test_a_transcription_session_of_the_beta() -> None:
    """A flat transcription session with a key for one minute, which may be asked for longer; its modalities mean nothing."""
    body = {
        "modalities": ["text"], "input_audio_format": "g711_alaw", "include": ["item.input_audio_transcription.logprobs"],
        "input_audio_transcription": {"model": "whisper-1", "language": "en"}, "turn_detection": None,
    }  # fmt: skip
    told = ask(body, TRANSCRIPTION_SESSIONS).body
    TranscriptionSession.model_validate(told)
    assert (told["object"], told["client_secret"]["expires_at"]) == ("realtime.transcription_session", NOW + 60)
    assert (told["input_audio_format"], told["turn_detection"], told["include"]) == ("g711_alaw", None, body["include"])
    assert told["input_audio_transcription"] == {"model": "whisper-1", "language": "en", "prompt": None}
    assert {"type", "audio", "modalities", "model", "voice"}.isdisjoint(told)
    longer = ask({"client_secret": {"expires_at": {"anchor": "created_at", "seconds": 100}}}, TRANSCRIPTION_SESSIONS).body
    assert longer["client_secret"]["expires_at"] == NOW + 100


def test_what_a_transcription_session_of_the_beta_refuses() -> None:
    """What belongs to answers is unknown there, and a mistake is named flat."""
    for body, code, param in (
        ({"voice": "ash"}, "unknown_parameter", "voice"),
        ({"instructions": "a"}, "unknown_parameter", "instructions"),
        ({"input_audio_transcription": {"model": "x"}}, "invalid_value", "input_audio_transcription.model"),
        ({"client_secret": {"expires_at": {"seconds": 1}}}, "integer_below_min_value", "client_secret.expires_at.seconds"),
    ):
        error = ask(body, TRANSCRIPTION_SESSIONS).body["error"]
        assert (error["code"], error["param"]) == (code, param)


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"voice": "x"}, "voice", "Invalid value: 'x'."),
        ({"turn_detection": {"type": "server_vad", "threshold": 2}}, "turn_detection.threshold",
         "Invalid 'turn_detection.threshold': decimal above maximum value."),
        ({"x": 1}, "x", "Unknown parameter: 'x'."),
        ({"client_secret": 7}, "client_secret", "Invalid type for 'client_secret'"),
        ({"client_secret": {"expires_after": {"seconds": 1}}}, "client_secret.expires_after.seconds", "Invalid 'client_secret."),
    ],
)  # fmt: skip
def test_what_the_beta_refuses(body: Any, param: str, message: str) -> None:
    """A mistake is named as the client wrote it, flat and without a session around it."""
    error = ask(body, SESSIONS).body["error"]
    assert error["param"] == param
    assert error["message"].startswith(message)


def test_the_beta_is_not_there_unless_allowed() -> None:
    """Without leave the beta's address does not exist."""
    for path in (SESSIONS, TRANSCRIPTION_SESSIONS):
        assert (ask({}, path).status, ask({}, path, allow_beta=False).status) == (200, 404)


@given(st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode()) | st.builds(
    lambda one, other: json.dumps({"session": one, "expires_after": other}).encode(), values, values
), st.sampled_from([SECRETS, SESSIONS, TRANSCRIPTION_SESSIONS]))  # fmt: skip
def test_whatever_is_posted(body: bytes, path: str) -> None:
    """Nothing that is posted raises: it is answered with a key or an error of the API's."""
    answer = ask(body, path)
    assert answer.status in (200, 400)
    json.dumps(answer.body).encode()


# ── At the socket ──────────────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    """Unix time that stands until it is set."""

    def __init__(self) -> None:
        self.time = float(NOW)

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    """The simulator's clock."""
    return Clock()


@pytest.fixture
async def simulator(clock: Clock) -> AsyncIterator[SimulatorServer]:
    """A simulator that allows the beta and wants a key."""
    async with SimulatorServer(port=0, options=replace(QUICK, require_key="sk-test"), now=clock) as running:
        yield running


@pytest.fixture
async def openai(simulator: SimulatorServer) -> AsyncIterator[AsyncOpenAI]:
    """The makers' own client."""
    base = simulator.url.removesuffix("/realtime")
    async with AsyncOpenAI(
        base_url=base.replace("ws:", "http:"), websocket_base_url=base, api_key="sk-test", max_retries=0
    ) as client:
        yield client


async def first(url: str, **arguments: Any) -> dict[str, Any]:
    """The first event a client is sent."""
    async with asyncio.timeout(PATIENCE), connect(url, compression=None, **arguments) as client:
        event: dict[str, Any] = json.loads(await client.recv())
        return event


async def test_a_key_opens_its_session(simulator: SimulatorServer, openai: AsyncOpenAI, clock: Clock) -> None:
    """A session opened with a key begins with the key's settings, as often as one likes until it expires."""
    secret = await openai.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "realtime", "model": "gpt-realtime-2.1", "instructions": "Be brief.", "output_modalities": ["text"]},
    )
    assert secret.expires_at == NOW + 60
    bearer = {"Authorization": f"Bearer {secret.value}"}
    for url in (simulator.url, f"{simulator.url}?model=gpt-realtime"):
        told = (await first(url, additional_headers=bearer))["session"]
        assert (told["model"], told["instructions"], told["output_modalities"]) == ("gpt-realtime-2.1", "Be brief.", ["text"])
        assert told["expires_at"] == NOW + 3600
    protocols = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{secret.value}")]
    assert (await first(simulator.url, subprotocols=protocols))["session"]["instructions"] == "Be brief."
    clock.time += 60
    refused = await first(simulator.url, additional_headers=bearer)
    assert refused["error"]["code"] == "invalid_api_key"


async def test_a_session_outlives_its_key(simulator: SimulatorServer, openai: AsyncOpenAI, clock: Clock) -> None:
    """The key is looked at when the session is opened, and never again; it may leave the model to the client."""
    secret = await openai.realtime.client_secrets.create()
    async with AsyncOpenAI(api_key=secret.value, base_url=openai.base_url, websocket_base_url=openai.websocket_base_url) as client:
        async with client.realtime.connect(model="gpt-realtime") as connection, asyncio.timeout(PATIENCE):
            assert (await connection.recv()).type == "session.created"
            clock.time += 7200
            await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            assert (await connection.recv()).type == "session.updated"


async def test_a_key_for_transcription(simulator: SimulatorServer, openai: AsyncOpenAI) -> None:
    """Without an intent the kind of session is the key's."""
    secret = await openai.realtime.client_secrets.create(session={"type": "transcription"})
    created = await first(simulator.url, additional_headers={"Authorization": f"Bearer {secret.value}"})
    assert created["session"]["type"] == "transcription"


async def test_the_makers_client_is_told_what_is_wrong(openai: AsyncOpenAI) -> None:
    """Refusals are the SDK's own exceptions, with code and param."""
    with pytest.raises(BadRequestError) as refused:
        await openai.realtime.client_secrets.create(session={"type": "realtime", "output_modalities": ["audio", "text"]})
    assert (refused.value.code, refused.value.param) == ("invalid_value", "session.output_modalities")
    with pytest.raises(AuthenticationError):
        await openai.with_options(api_key="sk-other").realtime.client_secrets.create()


async def test_a_beta_session_is_opened(simulator: SimulatorServer, openai: AsyncOpenAI) -> None:
    """The beta's way: post a session, open it with its key, be told of it flat."""
    session = await openai.beta.realtime.sessions.create(model="gpt-realtime", modalities=["text"], voice="verse")
    assert session.client_secret.expires_at == NOW + 60
    headers = {"Authorization": f"Bearer {session.client_secret.value}", "OpenAI-Beta": "realtime=v1"}
    told = (await first(simulator.url, additional_headers=headers))["session"]
    assert (told["modalities"], told["voice"], told["model"]) == (["text"], "verse", "gpt-realtime")


async def test_a_beta_transcription_session_is_opened(simulator: SimulatorServer, openai: AsyncOpenAI) -> None:
    """The same for transcription: the key's kind of session begins, and is told in the beta's events."""
    session = await openai.beta.realtime.transcription_sessions.create(input_audio_transcription={"model": "whisper-1"})
    assert session.client_secret.expires_at == NOW + 60
    headers = {"Authorization": f"Bearer {session.client_secret.value}", "OpenAI-Beta": "realtime=v1"}
    for url in (simulator.url, f"{simulator.url}?intent=transcription"):
        created = await first(url, additional_headers=headers)
        assert created["type"] == "transcription_session.created"
        assert created["session"]["input_audio_transcription"]["model"] == "whisper-1"


async def test_get_is_not_post(simulator: SimulatorServer) -> None:
    """A GET of an address for POST is told so, in the API's shape."""
    base = simulator.url.replace("ws:", "http:")
    async with httpx.AsyncClient() as client:
        for name, status in (("client_secrets", 405), ("sessions", 405), ("calls", 404)):
            answer = await client.get(f"{base}/{name}")
            assert (answer.status_code, answer.headers.get("allow")) == (status, "POST" if status == 405 else None)
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        posted = await client.post(f"{base}/client_secrets", headers={"Authorization": "Bearer sk-test"})
    assert posted.status_code == 200
    assert posted.headers["openai-version"] == "2020-10-01"
