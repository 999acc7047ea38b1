"""Who comes in by which address, with which key, and what of a handshake travels on; under both servers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import ROOT, SHIELDED, Console
from tests.relay.stage import (
    BOTH,
    CONSOLES_KEY,
    ORIGIN,
    OWN_KEY,
    Api,
    dial,
    ended,
    facts,
    fetch,
    got,
    log,
    notes,
    port_of,
    refusal,
    session_of,
)
from tests.waiting import PATIENCE

pytestmark = BOTH


async def denied(relay: Console, path: str = "/v1/realtime?model=m", **options: Any) -> tuple[int, dict[str, Any], Any]:
    """How a handshake is refused: status, the error, headers. The error has the API's shape."""
    with pytest.raises(InvalidStatus) as caught:
        async with dial(relay, path, **options):
            pass
    answer = caught.value.response
    assert answer.headers["Content-Type"] == "application/json"
    body = json.loads(bytes(answer.body or b""))
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    return answer.status_code, body["error"], answer.headers


@pytest.mark.parametrize(
    "path", ["/v1/realtime", "/realtime", "/openai/v1/realtime", "/openai/realtime", "/", "/via/custom/v1/realtime", "/via/custom/realtime"]
)
async def test_every_address_leads_to_the_api(relay: Console, api: Api, path: str) -> None:
    """Clients that build their addresses differently reach the same provider, with the model they ask for."""
    async with dial(relay, f"{path}?model=gpt-realtime-2.1") as program:
        talk = await api.talk()
        assert talk.request is not None
        assert talk.request.path == "/v1/realtime?model=gpt-realtime-2.1"
        await talk.send('{"type":"session.created"}')
        assert await got(program) == '{"type":"session.created"}'


async def test_an_unknown_provider(relay: Console) -> None:
    """A provider nobody has configured is 404, with the names there are."""
    status, error, _ = await denied(relay, "/via/nobody/v1/realtime")
    assert (status, error["code"]) == (404, "provider_not_found")
    assert "custom" in error["message"]


async def test_an_unknown_address(relay: Console) -> None:
    """What is no address of the relay is 404 and says where the relay is."""
    status, error, _ = await denied(relay, "/v1/chat/completions")
    assert status == 404
    assert "/v1/realtime" in error["message"]


@pytest.mark.parametrize("options", [
    {"key": OWN_KEY},
    {"key": "", "additional_headers": {"api-key": OWN_KEY}},
    {"key": "", "subprotocols": ["realtime", f"openai-insecure-api-key.{OWN_KEY}"]},
])  # fmt: skip
async def test_a_providers_own_key_is_passed_on(relay: Console, api: Api, options: dict[str, Any]) -> None:
    """In whichever of the three places it is given, it arrives as the bearer."""
    async with dial(relay, **options):
        talk = await api.talk()
        assert talk.request is not None
        assert talk.request.headers["Authorization"] == f"Bearer {OWN_KEY}"
        assert "api-key" not in talk.request.headers
        assert "Sec-WebSocket-Protocol" not in talk.request.headers


@pytest.mark.parametrize("options", [
    {"key": ""},
    {"key": "null"},
    {"key": "", "subprotocols": ["realtime", "openai-insecure-api-key.null"]},
    {"key": "", "additional_headers": {"Authorization": "Bearer "}},
])  # fmt: skip
async def test_without_a_key(relay: Console, api: Api, options: dict[str, Any]) -> None:
    """No key, or the word null where one belongs: 401 before the WebSocket opens, and nobody is dialled."""
    status, error, _ = await denied(relay, **options)
    assert (status, error["code"], error["type"]) == (401, "invalid_api_key", "invalid_request_error")
    assert not api.asked


async def test_the_simulator_needs_no_key(relay: Console) -> None:
    """A program on this machine may use the simulator without one."""
    async with dial(relay, "/via/simulator/v1/realtime?model=gpt-realtime", key="") as program:
        assert json.loads(await got(program))["type"] == "session.created"


async def test_a_foreign_page(relay: Console, api: Api) -> None:
    """A page of another origin gets 403, with a key as without, and learns nothing by CORS headers."""
    for key in ("", OWN_KEY):
        status, error, _ = await denied(relay, key=key, origin="https://evil.example")
        assert (status, error["code"]) == (403, "origin_not_allowed")
    assert not api.asked


async def test_a_foreign_host(relay: Console, api: Api) -> None:
    """A name that somebody has pointed at this machine is not served: no page can come in by it."""
    status, error, _ = await denied(relay, path="ws://rebound.example/v1/realtime", host="127.0.0.1", port=port_of(relay))
    assert (status, error["code"]) == (403, "host_not_allowed")
    assert not api.asked


async def test_a_page_that_may(relay: Console, api: Api) -> None:
    """The console's own origin and those of RELAY_ALLOWED_ORIGINS work with the console's key."""
    for origin in (ORIGIN, relay.url.rstrip("/")):
        async with dial(relay, key="", origin=origin):
            talk = await api.talk()
            assert talk.request is not None
            assert talk.request.headers["Authorization"] == f"Bearer {CONSOLES_KEY}"
            assert "Origin" not in talk.request.headers


@pytest.mark.parametrize(("offered", "chosen"), [
    (["realtime", f"openai-insecure-api-key.{OWN_KEY}", "openai-agents-sdk.0.20.0"], "realtime"),
    ([f"openai-insecure-api-key.{OWN_KEY}", "realtime"], "realtime"),
    ([f"openai-insecure-api-key.{OWN_KEY}"], None),
    (None, None),
])  # fmt: skip
async def test_the_subprotocol(relay: Console, api: Api, offered: list[Any] | None, chosen: str | None) -> None:
    """Of what is offered exactly realtime is selected; what holds the key is never echoed."""
    async with dial(relay, subprotocols=offered) as program:
        await api.talk()
        assert program.subprotocol == chosen
        assert program.response is not None
        assert OWN_KEY not in str(program.response.headers)
        assert "Sec-WebSocket-Extensions" not in program.response.headers


async def test_what_travels_on(relay: Console, api: Api) -> None:
    """Query, organisation, project, safety identifier and user agent reach the API; cookies and the hop's own do not."""
    headers = {
        "OpenAI-Organization": "org-1", "OpenAI-Project": "proj_1", "OpenAI-Safety-Identifier": "hash",
        "X-Stainless-Lang": "python", "Cookie": "csrftoken=1", "Connection": "Upgrade", "X-Forwarded-For": "10.0.0.1",
        "Proxy-Authorization": "Basic eDp5", "Accept-Language": "pt",
    }  # fmt: skip
    query = "model=m&intent=realtime&console_label=Mine&x=a%20b&x=c&empty="
    async with dial(relay, f"/v1/realtime?{query}", additional_headers=headers, user_agent_header="MyApp/1.0"):
        talk = await api.talk()
        assert talk.request is not None
        sent = talk.request.headers
        assert httpx.QueryParams(talk.request.path.partition("?")[2]).multi_items() == [
            ("model", "m"), ("intent", "realtime"), ("x", "a b"), ("x", "c"), ("empty", ""),
        ]  # fmt: skip
        assert [sent[name] for name in ("OpenAI-Organization", "OpenAI-Project", "OpenAI-Safety-Identifier")] == ["org-1", "proj_1", "hash"]
        assert (sent["User-Agent"], sent["X-Stainless-Lang"]) == ("MyApp/1.0", "python")
        for name in ("Cookie", "X-Forwarded-For", "Proxy-Authorization", "Accept-Language", "Origin", "Sec-WebSocket-Extensions"):
            assert name not in sent
        assert talk.request.headers["Host"] != relay.url.split("/")[2]


async def test_what_a_browser_says_by_subprotocol(relay: Console, api: Api) -> None:
    """Organisation and project, which a browser can only offer as subprotocols, reach the API as headers."""
    offered: list[Any] = ["realtime", f"openai-insecure-api-key.{OWN_KEY}", "openai-organization.org-1", "openai-project.proj_1"]
    async with dial(relay, key="", subprotocols=offered):
        talk = await api.talk()
        assert talk.request is not None
        assert (talk.request.headers["OpenAI-Organization"], talk.request.headers["OpenAI-Project"]) == ("org-1", "proj_1")


async def test_the_paths_behind_it(relay: Console, api: Api) -> None:
    """An interface of the API that nobody has heard of here is reached, too."""
    async with dial(relay, "/v1/realtime/translations?model=gpt-realtime-translate"):
        talk = await api.talk()
        assert talk.request is not None
        assert talk.request.path == "/v1/realtime/translations?model=gpt-realtime-translate"


async def test_a_session_has_its_name(relay: Console, api: Api) -> None:
    """X-Console-Session leads to the session, which has the label, the client library and the model."""
    agent = "OpenAI/Python 3.52.0"
    async with dial(relay, "/v1/realtime?model=m-1&console_label=My%20app", user_agent_header=agent) as program:
        await api.talk()
        found = await facts(relay, session_of(program))
        assert (found["label"], found["source"], found["provider"], found["model"]) == ("My app", "relay", "custom", "m-1")
    rows = await log(relay, session_of(program))
    assert rows[0]["label"] == "My app"
    assert agent in notes(rows, "client")[0]


async def test_a_relay_key(relay: Console, api: Api) -> None:
    """A key made by the command is good for the console's own; revoked it is good for nothing, and the 401 says so."""
    name = f"app on {relay.url}"
    key = relay_key(relay, name)
    async with dial(relay, key=key) as program:
        talk = await api.talk()
        assert talk.request is not None
        assert talk.request.headers["Authorization"] == f"Bearer {CONSOLES_KEY}"
        assert (await facts(relay, session_of(program)))["label"] == name
    relay_key(relay, name, "--revoke")
    status, error, _ = await denied(relay, key=key)
    assert (status, error["code"]) == (401, "invalid_api_key")
    assert "revoked" in error["message"]
    status, error, _ = await denied(relay, key="sk-relay-" + "A" * 43)
    assert status == 401


async def test_a_key_that_is_revoked_while_it_is_used(relay: Console, api: Api) -> None:
    """The command ends the sessions that run with the key, another process's too: their clients are told why."""
    name = f"used on {relay.url}"
    async with dial(relay, key=relay_key(relay, name)) as program:
        await api.talk()
        relay_key(relay, name, "--revoke")
        error = json.loads(await got(program))["error"]
        assert (error["code"], "revoked" in error["message"]) == ("invalid_api_key", True)
        assert await ended(program) == (3000, "This relay key has been revoked.")


async def test_what_a_policy_allows(relay: Console, api: Api) -> None:
    """A key's policy: events that are not allowed are answered with an error, what is fixed is set, sessions are counted."""
    policy = {"client_events": ["response.*"], "session": {"instructions": "Be brief."}, "sessions": 1}
    key = relay_key(relay, f"limited on {relay.url}", "--policy", json.dumps(policy))
    async with dial(relay, key=key) as program:
        talk = await api.talk()
        opening = json.loads(await got(talk))
        assert (opening["type"], opening["session"]["instructions"]) == ("session.update", "Be brief.")
        await program.send('{"type":"input_audio_buffer.clear","event_id":"mine"}')
        error = json.loads(await got(program))
        assert (error["type"], error["error"]["event_id"]) == ("error", "mine")
        await program.send('{"type":"response.cancel"}')
        assert await got(talk) == '{"type":"response.cancel"}'
        status, refused, _ = await denied(relay, key=key)
        assert (status, refused["code"]) == (429, "too_many_sessions")
    assert notes(await log(relay, session_of(program)), "policy")


async def test_an_ephemeral_key(relay: Console) -> None:
    """A key made for a while, with a relay key: it opens a session with the settings it was made for."""
    key = relay_key(relay, f"mint on {relay.url}", "--provider", "simulator")
    async with httpx.AsyncClient(base_url=relay.url, trust_env=False, timeout=PATIENCE) as client:
        wish = {"session": {"type": "realtime", "model": "gpt-realtime", "instructions": "Speak like a sailor."}}
        answer = await client.post("v1/realtime/client_secrets", json=wish, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    value = answer.json()["value"]
    assert value.startswith("ek_")
    async with dial(relay, "/v1/realtime", key=value) as program:
        created = json.loads(await got(program))
        assert created["session"]["instructions"] == "Speak like a sailor."


async def test_an_api_that_refuses(relay: Console, api: Api) -> None:
    """The upstream's HTTP answer is told as an error event and close 1011, since the client is connected already."""
    api.refusal = refusal(403, "Forbidden", b'{"error":{"message":"No access to sk-secret-of-somebody-42.","code":"no_access"}}')
    async with dial(relay) as program:
        error = json.loads(await got(program))
        assert (error["type"], error["error"]["code"]) == ("error", "upstream_failed")
        assert "403" in error["error"]["message"]
        assert "No access" in error["error"]["message"]
        assert "sk-secret" not in error["error"]["message"]
        code, reason = await ended(program)
        assert code == 1011
        assert "403" in reason
    rows = await log(relay, session_of(program))
    assert (rows[-1]["by"], "403" in rows[-1]["reason"]) == ("server", True)


async def test_an_api_that_is_not_there(relay: Console) -> None:
    """Nobody answers at the provider's address: an error event with a sentence, and close 1011."""
    async with dial(relay, "/via/openai/v1/realtime?model=m") as program:
        error = json.loads(await got(program))["error"]
        assert "refused" in error["message"]
        assert (await ended(program))[0] == 1011


async def test_a_beta_client_without_its_model(relay: Console) -> None:
    """A client of the beta asks OpenAI for a model that went with it: its successor is dialled, and the timeline says so."""
    async with dial(
        relay, "/via/openai/v1/realtime?model=gpt-4o-realtime-preview-2024-10-01", additional_headers={"OpenAI-Beta": "realtime=v1"}
    ) as program:
        assert json.loads(await got(program))["type"] == "error"  # nobody is there to be dialled
        found = await facts(relay, session_of(program))
        assert (found["model"], found["dialect"]) == ("gpt-realtime", "beta")
    assert "gpt-4o-realtime-preview-2024-10-01" in notes(await log(relay, session_of(program)), "translation")[0]


async def test_a_client_that_speaks_the_beta(relay: Console, api: Api) -> None:
    """The header of the beta does not reach an API that speaks GA, which would refuse it; frames are translated, and kept as pairs."""
    async with dial(relay, additional_headers={"OpenAI-Beta": "realtime=v1"}) as program:
        talk = await api.talk()
        assert talk.request is not None
        assert "OpenAI-Beta" not in talk.request.headers
        await program.send('{"type":"session.update","session":{"modalities":["text"],"voice":"ash"}}')
        asked = {"type": "realtime", "output_modalities": ["text"], "audio": {"output": {"voice": "ash"}}}
        assert json.loads(await got(talk))["session"] == asked
        await talk.send('{"type":"response.output_text.delta","delta":"a"}')
        assert json.loads(await got(program))["type"] == "response.text.delta"
    rows = await log(relay, session_of(program))
    pairs = [(row["pair"], row["dir"], row["leg"]) for row in rows if "pair" in row]
    assert [pair[1:] for pair in pairs] == [
        ("sent", "client"), ("sent", "upstream"), ("received", "upstream"), ("received", "client")
    ]  # fmt: skip
    assert pairs[0][0] == pairs[1][0] != pairs[2][0] == pairs[3][0]


async def test_keys_are_nowhere(relay: Console, api: Api) -> None:
    """Keys in headers, subprotocol, query and frames stand in no row, no file and no line of the terminal."""
    secrets = [f"sk-hidden-{place}-0123456789abcdef" for place in ("header", "protocol", "query", "mcp")]
    session = {"tools": [{"type": "mcp", "server_label": "x", "authorization": secrets[3], "headers": {"X": "private-value-77"}}]}
    ids = []
    for options in (
        {"key": secrets[0]},
        {"key": "", "subprotocols": ["realtime", f"openai-insecure-api-key.{secrets[1]}"]},
        {"key": "", "path": f"/v1/realtime?model=m&api-key={secrets[2]}"},
    ):
        async with dial(relay, **options) as program:  # type: ignore[arg-type]
            talk = await api.talk()
            frame = json.dumps({"type": "session.update", "session": session})
            await program.send(frame)
            assert await got(talk) == frame
            await talk.send('{"type":"session.created","client_secret":{"value":"ek_0123456789abcdef"}}')
            await got(program)
            ids.append(session_of(program))
        await log(relay, ids[-1])
    written = b"".join(path.read_bytes() for path in relay.data_dir.rglob("*") if path.is_file()) + relay.log.read_bytes()
    for secret in (*secrets, "private-value-77", "ek_0123456789abcdef", OWN_KEY, CONSOLES_KEY):
        assert secret.encode() not in written
    for id_ in ids:
        assert "sk-hidden" not in json.dumps(await log(relay, id_))


async def test_secrets_of_any_name(relay: Console, api: Api) -> None:
    """Values of headers and parameters that nobody has listed stand in no row, no page, no file and no line of the terminal,
    and a refusal that repeats them does not tell them; upstream they arrive."""
    heads = {name: f"hidden-value-of-{name.lower()}" for name in ("X-Goog-Api-Key", "Ocp-Apim-Subscription-Key", "X-MS-Thing", "Anything")}
    asked = {name: f"hidden-value-of-{name}" for name in ("key", "token", "access_token", "sig", "anything")}
    path = "/v1/realtime?" + "&".join(f"{name}={value}" for name, value in {"model": "m-1", **asked}.items())
    ids = []
    async with dial(relay, path, additional_headers=heads) as program:
        request = (await api.talk()).request
        assert request is not None
        assert request.path == path
        ids.append(session_of(program))
    api.refusal = refusal(403, "Forbidden", json.dumps({"error": {"message": f"No: {' '.join(asked.values())}"}}).encode())
    async with dial(relay, path, additional_headers=heads) as program:
        assert "hidden-value" not in str(await got(program))
        assert "hidden-value" not in (await ended(program))[1]
        ids.append(session_of(program))
    for id_ in ids:
        rows = await log(relay, id_)
        assert "hidden-value" not in json.dumps(rows)
        facts_of = next(row["data"] for row in rows if row.get("kind") == "client")
        assert facts_of["query"]["model"] == "m-1"
        assert set(facts_of["query"]) == {"model", *asked}
        assert "hidden-value" not in (await fetch(relay, f"sessions/{id_}/")).text
    written = b"".join(file.read_bytes() for file in relay.data_dir.rglob("*") if file.is_file()) + relay.log.read_bytes()
    assert b"hidden-value" not in written


async def test_the_address_of_an_api_that_is_not_there(relay: Console) -> None:
    """A client is told that the provider could not be reached, not where it was looked for; the page says where."""
    async with dial(relay, "/via/openai/v1/realtime?model=m") as program:
        error = json.loads(await got(program))["error"]
        _, reason = await ended(program)
    close = (await log(relay, session_of(program)))[-1]
    where = re.search(r"//([\d.]+):(\d+)/", close["reason"])
    assert where is not None
    assert not [part for part in where.groups() if part in error["message"] or part in reason]


def relay_key(relay: Console, name: str, *options: str) -> str:
    """Run the command; the key it prints, ``""`` when none is made."""
    command = [sys.executable, "manage.py", "relay_key", name, *options]
    environment = {**SHIELDED, "PATH": "", "CONSOLE_DATA_DIR": str(relay.data_dir), "REALTIME_UPSTREAM_URL": "ws://127.0.0.1:9/v1/realtime"}
    said = subprocess.run(command, cwd=Path(ROOT), env=environment, check=True, capture_output=True, text=True).stdout
    return next((word for word in said.split() if word.startswith("sk-relay-")), "")
