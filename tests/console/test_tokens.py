"""Ask the relay's REST addresses: ephemeral keys and calls, by programs, by pages, and by pages that may not."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.middleware.csrf import get_token
from django.test import AsyncClient, RequestFactory

from console import live, providers, relay_keys, rest
from console.access import TOKEN_COOKIE, keyring
from console.models import RelayKey
from console.sign_ins import sign_ins
from tests.console.asgi_client import browser
from tests.console.rest_stage import CLIENT_KEY, CONSOLE_KEY, EK, EXPIRES, Api, Asking, fails, made, says
from tests.console.test_keys import database as stored

pytestmark = pytest.mark.django_db(transaction=True)

SECRETS = "/v1/realtime/client_secrets"
FOREIGN, FRIEND, OWN = "https://evil.example", "https://app.example", "http://testserver"
WHERE = ["/v1/realtime", "/openai/v1/realtime", "/openai/realtime", "/realtime", "/via/openai/v1/realtime"]
make = sync_to_async(made)


def error(response: Any) -> dict[str, Any]:
    """The error of an answer, which has the API's shape and nothing else."""
    body = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) >= {"message", "type", "param", "code"}
    assert response["Cache-Control"] == "no-store"
    found: dict[str, Any] = body["error"]
    return found


def open_to_pages(response: Any) -> list[str]:
    """Headers by which a page of another origin is told anything."""
    return [name for name in response.headers if name.lower().startswith("access-control-")]


class TestOwnKey:
    """With a provider's own key the answer is between the two of them."""

    @pytest.mark.parametrize("where", WHERE)
    async def test_byte_for_byte(self, asking: Asking, where: str) -> None:
        """Body, content type and the API's headers travel on, wherever a client looks for the API; cookies do not."""
        body = b'{ "session": {"type":"realtime", "\xc3\xbc": 1e3 } }\n'
        response = await asking.post(
            f"{where}/client_secrets?a=1&a=2&console_label=x&model=m", body, content_type="application/json; charset=utf-8",
            user_agent="Ü/1", openai_organization="org_1", openai_safety_identifier="s", cookie="theirs=1",
            x_forwarded_for="10.0.0.1", openai_beta="realtime=v1", accept_encoding="gzip",
        )  # fmt: skip
        asked = asking.api.last
        assert str(asked.url) == "https://api.example/v1/realtime/client_secrets?a=1&a=2&model=m"
        assert asked.content == body
        assert asked.headers["authorization"] == f"Bearer {CLIENT_KEY}"
        assert asked.headers["content-type"] == "application/json; charset=utf-8"
        assert (asked.headers["openai-organization"], asked.headers["openai-safety-identifier"]) == ("org_1", "s")
        assert asked.headers["user-agent"].encode("latin-1") == "Ü/1".encode("latin-1")
        assert asked.headers["accept-encoding"] == "identity"
        assert not {"cookie", "x-forwarded-for", "openai-beta", "origin"} & set(asked.headers)
        assert response.status_code == 200
        assert response.json()["value"] == EK
        assert (response["x-request-id"], response["openai-version"]) == ("req_1", "2020-10-01")
        assert "server" not in response.headers
        assert not response.cookies

    async def test_its_errors_are_the_api_s(self, asking: Asking) -> None:
        """What the API refuses is refused in its own words."""
        asking.api.answer = says(429, '{"error": {"message": "Slow down."}}', retry_after="3")
        response = await asking.post(SECRETS, {})
        assert (response.status_code, response.content) == (429, b'{"error": {"message": "Slow down."}}')
        assert response["retry-after"] == "3"

    async def test_a_call(self, asking: Asking) -> None:
        """A call's offer and answer pass as they are, with the place where the call can be controlled."""
        asking.api.answer = says(201, "v=0\r\n", location="/v1/realtime/calls/rtc_u0_x", content_type="text/plain; charset=utf-8")
        offer = b'--b\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n\xff\r\n--b--\r\n'
        response = await asking.post("/v1/realtime/calls?webrtcfilter=on", offer, content_type="multipart/form-data; boundary=b")
        assert asking.api.last.content == offer
        assert asking.api.last.headers["content-type"] == "multipart/form-data; boundary=b"
        assert str(asking.api.last.url).endswith("/realtime/calls?webrtcfilter=on")
        assert (response.status_code, response.content) == (201, b"v=0\r\n")
        assert response["Location"] == "/v1/realtime/calls/rtc_u0_x"
        assert response["Content-Type"] == "text/plain; charset=utf-8"

    @pytest.mark.parametrize("verb", ["accept", "reject", "refer", "hangup"])
    async def test_a_call_is_controlled(self, asking: Asking, verb: str) -> None:
        """A call's four orders reach the provider."""
        asking.api.answer = says(200, "")
        response = await asking.post(f"/v1/realtime/calls/rtc_u0_x-Y/{verb}", {"status_code": 603})
        assert (response.status_code, response.content) == (200, b"")
        assert asking.api.last.url.path == f"/v1/realtime/calls/rtc_u0_x-Y/{verb}"

    @pytest.mark.parametrize("what", ["files", "calls/x/../../models", "calls/x/dance", "calls//hangup", "client_secrets/"])
    async def test_nothing_else(self, asking: Asking, what: str) -> None:
        """The relay is no way to the rest of an API."""
        response = await asking.post(f"/v1/realtime/{what}", {})
        assert response.status_code == 404
        assert error(response)["type"] == "invalid_request_error"
        assert not asking.api.asked

    async def test_another_provider(self, asking: Asking, settings: Any) -> None:
        """A path names a provider; one that is not there is named in the answer."""
        settings.REALTIME_UPSTREAM_URL = "ws://127.0.0.1:9/v1/realtime"
        await asking.post("/via/custom/v1/realtime/client_secrets", {})
        assert str(asking.api.last.url) == "http://127.0.0.1:9/v1/realtime/client_secrets"
        response = await asking.post("/via/nobody/v1/realtime/client_secrets", {})
        assert response.status_code == 404
        assert "nobody" in error(response)["message"]


class TestMint:
    """With a key of the relay's an ephemeral key of ours takes the place of the API's."""

    async def test_ours_for_theirs(self, asking: Asking) -> None:
        """The API is asked with the console's key; its answer comes back with a key of ours wherever its own stood."""
        key, text = await make()
        response = await asking.post(SECRETS, {"expires_after": {"seconds": 30}, "session": {"model": "gpt-realtime-2"}}, text)
        assert asking.api.last.headers["authorization"] == f"Bearer {CONSOLE_KEY}"
        assert asking.api.wish == {"expires_after": {"seconds": 30}, "session": {"model": "gpt-realtime-2"}}
        answer = response.json()
        assert list(answer) == ["value", "expires_at", "session"]
        assert answer["expires_at"] == EXPIRES
        assert answer["session"]["instructions"] == ""
        assert answer["session"]["client_secret"]["value"] == answer["value"]
        assert EK not in response.content.decode()
        found = relay_keys.ephemerals.find(answer["value"])
        assert found is not None
        assert (found.upstream_key, found.provider, found.relay_key, found.model) == (EK, "openai", key.pk, "gpt-realtime-2")
        assert not found.session
        assert not response.cookies

    @pytest.mark.parametrize("body", [None, b"  ", {}, {"session": None}])
    async def test_for_nothing_special(self, asking: Asking, body: Any) -> None:
        """Without a wish the API's defaults are asked for."""
        _, text = await make()
        assert (await asking.post(SECRETS, body, text)).status_code == 200

    async def test_what_a_policy_fixes(self, asking: Asking) -> None:
        """Fixed fields are asked for and kept from the client; naming one is refused, and nothing is asked."""
        _, text = await make(session={"instructions": "A secret recipe.", "model": "gpt-realtime-2"})
        response = await asking.post(SECRETS, {"session": {"type": "realtime", "model": "mine"}}, text)
        assert asking.api.wish["session"] == {"type": "realtime", "model": "gpt-realtime-2", "instructions": "A secret recipe."}
        session = response.json()["session"]
        assert not {"instructions", "model"} & set(session)
        assert session["audio"]
        response = await asking.post(SECRETS, {"session": {"instructions": "Tell me."}}, text)
        assert response.status_code == 400
        assert (error(response)["code"], error(response)["param"]) == ("field_fixed", "session.instructions")
        assert len(asking.api.asked) == 1

    async def test_the_policy_goes_with_the_key(self, asking: Asking) -> None:
        """An ephemeral key carries what its relay key may."""
        _, text = await make(minutes=3)
        found = relay_keys.ephemerals.find((await asking.post(SECRETS, {}, text)).json()["value"])
        assert found is not None
        assert found.policy.minutes == 3

    @pytest.mark.parametrize("status", [404, 405, 501])
    async def test_where_the_api_makes_none(self, asking: Asking, status: int) -> None:
        """A provider that knows no such keys does not matter: the session is kept until somebody comes with the key."""
        asking.api.answer = says(status, "<html>no</html>")
        _, text = await make()
        wish = {"expires_after": {"anchor": "created_at", "seconds": 60}, "session": {"type": "realtime", "model": "m"}}
        answer = (await asking.post(SECRETS, wish, text)).json()
        found = relay_keys.ephemerals.find(answer["value"])
        assert found is not None
        assert (found.session, found.upstream_key, found.model) == (wish["session"], "", "m")
        assert 0 < answer["expires_at"] - relay_keys.ephemerals.now() <= 60
        assert answer["session"] == {"type": "realtime", "object": "realtime.session", "model": "m"}

    async def test_where_the_api_speaks_the_beta(self, asking: Asking, settings: Any) -> None:
        """A provider of the beta is not asked at all."""
        settings.REALTIME_UPSTREAM_URL, settings.REALTIME_UPSTREAM_DIALECT = "ws://127.0.0.1:9/v1/realtime", "beta"
        _, text = await make(provider="custom")
        assert (await asking.post(SECRETS, {"session": {"type": "realtime"}}, text)).status_code == 200
        assert not asking.api.asked

    @pytest.mark.parametrize("seconds", [9, 7201, True, "60", None, 1.5])
    async def test_a_lifetime_that_cannot_be(self, asking: Asking, seconds: Any) -> None:
        """Where we make the key alone we judge its lifetime as the API does."""
        asking.api.answer = says(404, {})
        _, text = await make()
        response = await asking.post(SECRETS, {"expires_after": {"seconds": seconds}}, text)
        assert response.status_code == 400
        assert error(response)["param"] == "expires_after.seconds"

    @pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000, {"session": 5}])
    async def test_what_is_no_wish(self, asking: Asking, body: Any) -> None:
        """What cannot be read is refused before anything is asked."""
        _, text = await make()
        response = await asking.post(SECRETS, body, text)
        assert response.status_code == 400
        assert error(response)["type"] == "invalid_request_error"
        assert not asking.api.asked

    async def test_the_api_refuses(self, asking: Asking) -> None:
        """The API's own error comes back, and the console's key is not in it."""
        asking.api.answer = says(401, {"error": {"message": f"Incorrect API key provided: {CONSOLE_KEY}.", "code": "invalid_api_key",
                                                 "type": "invalid_request_error", "param": None}})  # fmt: skip
        _, text = await make()
        response = await asking.post(SECRETS, {}, text)
        assert response.status_code == 401
        assert error(response)["message"].startswith("Incorrect API key provided: •••")

    @pytest.mark.parametrize("answer", [says(200, "<html>"), says(200, []), says(200, {"value": 5}), says(200, {"value": "ek_1"})])
    async def test_the_api_answers_nonsense(self, asking: Asking, answer: Any) -> None:
        """What is no client secret becomes none of ours."""
        asking.api.answer = answer
        _, text = await make()
        response = await asking.post(SECRETS, {}, text)
        assert response.status_code == 502
        assert error(response)["type"] == "server_error"

    async def test_a_provider_without_a_key(self, asking: Asking, settings: Any) -> None:
        """Where the console has no key of its own, it says so instead of asking without one."""
        settings.OPENAI_API_KEY = ""
        _, text = await make(provider="openai")
        response = await asking.post(SECRETS, {}, text)
        assert response.status_code == 401
        assert "no key for openai" in error(response)["message"]
        assert not asking.api.asked

    async def test_translations(self, asking: Asking) -> None:
        """Keys of translation sessions are made at their own address."""
        _, text = await make()
        response = await asking.post("/v1/realtime/translations/client_secrets", {}, text)
        assert response.status_code == 200
        assert asking.api.last.url.path.endswith("/realtime/translations/client_secrets")
        assert EK not in response.content.decode()


class TestBeta:
    """``POST /v1/realtime/sessions`` and ``/transcription_sessions``"""

    async def test_flat_from_nested(self, asking: Asking) -> None:
        """A GA provider is asked for a client secret of a minute; what it answers is told flat, with the secret inside."""
        body = {"model": "gpt-realtime", "voice": "marin", "modalities": ["text", "audio"], "temperature": 0.8}
        response = await asking.post("/v1/realtime/sessions", body, openai_beta="realtime=v1")
        assert asking.api.last.url.path == "/v1/realtime/client_secrets"
        assert asking.api.last.headers["authorization"] == f"Bearer {CLIENT_KEY}"
        assert asking.api.wish == {
            "expires_after": {"anchor": "created_at", "seconds": 60},
            "session": {
                "type": "realtime", "model": "gpt-realtime", "output_modalities": ["audio"],
                "audio": {"output": {"voice": "marin"}},
            },
        }  # fmt: skip
        answer = response.json()
        assert answer["client_secret"] == {"value": EK, "expires_at": EXPIRES}
        assert (answer["voice"], answer["modalities"], answer["object"]) == ("marin", ["text", "audio"], "realtime.session")
        assert "audio" not in answer

    async def test_a_transcription(self, asking: Asking) -> None:
        """A transcription's session is asked for as one; its lifetime stands under another name."""
        body = {
            "input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1"}, "modalities": ["text"],
            "client_secret": {"expires_at": {"anchor": "created_at", "seconds": 30}},
        }  # fmt: skip
        await asking.post("/v1/realtime/transcription_sessions", body)
        wish = asking.api.wish
        assert wish["expires_after"]["seconds"] == 30
        assert wish["session"]["type"] == "transcription"
        assert set(wish["session"]) == {"type", "audio"}
        assert wish["session"]["audio"]["input"]["transcription"] == {"model": "whisper-1"}

    async def test_with_a_relay_key(self, asking: Asking) -> None:
        """With a key of ours the secret is ours."""
        _, text = await make()
        answer = (await asking.post("/realtime/sessions", {"voice": "marin"}, text)).json()
        found = relay_keys.ephemerals.find(answer["client_secret"]["value"])
        assert found is not None
        assert found.upstream_key == EK
        assert EK not in json.dumps(answer)

    async def test_its_errors_name_what_was_posted(self, asking: Asking) -> None:
        """A refusal of GA's names the field as the client wrote it."""
        message = "Invalid value: 'x'. 'session.audio.output.voice' is wrong."
        asking.api.answer = says(400, {"error": {"message": message, "type": "invalid_request_error", "code": "invalid_value",
                                                 "param": "session.audio.output.voice"}})  # fmt: skip
        response = await asking.post("/v1/realtime/sessions", {"voice": "x"})
        assert (error(response)["param"], error(response)["message"]) == ("voice", "Invalid value: 'x'. 'voice' is wrong.")

    async def test_a_provider_of_the_beta(self, asking: Asking, settings: Any) -> None:
        """Where the provider itself speaks the beta everything passes as it is."""
        settings.REALTIME_UPSTREAM_URL, settings.REALTIME_UPSTREAM_DIALECT = "ws://127.0.0.1:9/v1/realtime", "beta"
        asking.api.answer = says(200, '{"id": "sess_1", "client_secret": {"value": "ek_theirs"}}')
        response = await asking.post("/via/custom/v1/realtime/sessions", b'{"voice":"x"}')
        assert (asking.api.last.url.path, asking.api.last.content) == ("/v1/realtime/sessions", b'{"voice":"x"}')
        assert response.json()["client_secret"] == {"value": "ek_theirs"}


class TestForPages:
    """What templates of clients ask their server for."""

    async def test_ephemeral(self, asking: Asking) -> None:
        """A key, and what it will speak with, in the flat form those templates read."""
        _, text = await make()
        response = await asking.post("/api/realtime/ephemeral", {"voice": "cedar", "instructions": "Be brief."}, text)
        answer = response.json()
        assert asking.api.wish["session"] == {
            "type": "realtime", "model": "gpt-realtime-2.1", "instructions": "Be brief.", "audio": {"output": {"voice": "cedar"}},
        }  # fmt: skip
        assert list(answer) == ["client_secret", "expires_at", "model", "voice"]
        assert (answer["expires_at"], answer["model"], answer["voice"]) == (EXPIRES, "gpt-realtime-2.1", "cedar")
        assert relay_keys.ephemerals.find(answer["client_secret"]) is not None

    async def test_ephemeral_without_a_wish(self, asking: Asking) -> None:
        """With no body the provider's first model is taken; a provider's own key gets the provider's."""
        answer = (await asking.post("/api/realtime/ephemeral")).json()
        assert (answer["client_secret"], answer["model"], answer["voice"]) == (EK, "gpt-realtime-2.1", "marin")

    async def test_what_is_fixed_is_not_told(self, asking: Asking) -> None:
        """A model that a policy fixes is not told here either."""
        _, text = await make(session={"model": "gpt-realtime-2"})
        answer = (await asking.post("/api/realtime/ephemeral", None, text)).json()
        assert (answer["model"], answer["voice"]) == (None, "marin")

    async def test_token(self, asking: Asking) -> None:
        """A key and nothing else; the address may name the model."""
        _, text = await make()
        answer = (await asking.get("/realtime/token?model=gpt-realtime-mini", text)).json()
        assert list(answer) == ["clientSecret"]
        assert relay_keys.ephemerals.find(answer["clientSecret"]) is not None
        assert asking.api.wish["session"]["model"] == "gpt-realtime-mini"


class TestKeys:
    """Who is let in."""

    @pytest.mark.parametrize("path", [SECRETS, "/api/realtime/ephemeral", "/v1/realtime/calls", "/v1/realtime/sessions"])
    @pytest.mark.parametrize("key", ["", "null", "undefined"])
    async def test_nobody(self, asking: Asking, path: str, key: str) -> None:
        """Without a key nothing is asked."""
        response = await asking.post(path, {}, key)
        assert response.status_code == 401
        assert error(response)["code"] == "invalid_api_key"
        assert not asking.api.asked

    async def test_a_revoked_key(self, asking: Asking) -> None:
        """A revoked key is told so; so is one that was never made here, and one made with a revoked key."""
        _, text = await make()
        ours = (await asking.post(SECRETS, {}, text)).json()["value"]
        await sync_to_async(relay_keys.revoke)("app")
        response = await asking.post(SECRETS, {}, text)
        assert response.status_code == 401
        assert "revoked" in error(response)["message"]
        assert relay_keys.ephemerals.find(ours) is None
        response = await asking.post(SECRETS, {}, f"{text[:-4]}0000")
        assert response.status_code == 401
        assert len(asking.api.asked) == 1

    async def test_an_ephemeral_key_makes_no_other(self, asking: Asking) -> None:
        """Keys made for somebody open sessions and calls, and make no keys: the API's own would leak that way."""
        _, text = await make()
        ours = (await asking.post(SECRETS, {}, text)).json()["value"]
        for path in (SECRETS, "/v1/realtime/sessions", "/api/realtime/ephemeral"):
            assert (await asking.post(path, {}, ours)).status_code == 401
        assert (await asking.get("/realtime/token", ours)).status_code == 401
        assert len(asking.api.asked) == 1
        asking.api.answer = says(201, "v=0")
        assert (await asking.post("/v1/realtime/calls", b"v=0", ours, content_type="application/sdp")).status_code == 201
        assert asking.api.last.headers["authorization"] == f"Bearer {EK}"

    async def test_a_call_past_a_policy(self, asking: Asking) -> None:
        """A call's events do not pass the relay, so a key with a policy makes none; one without does, with our key."""
        _, text = await make(minutes=5)
        for key in (text, (await asking.post(SECRETS, {}, text)).json()["value"]):
            response = await asking.post("/v1/realtime/calls", b"v=0", key, content_type="application/sdp")
            assert (response.status_code, error(response)["code"]) == (403, "path_not_allowed")
        _, free = await make("free")
        asking.api.answer = says(201, "v=0")
        await asking.post("/v1/realtime/calls", b"v=0", free, content_type="application/sdp")
        assert asking.api.last.headers["authorization"] == f"Bearer {CONSOLE_KEY}"
        asking.api.answer = says(401, {"error": {"message": f"Incorrect API key provided: {CONSOLE_KEY}."}})
        response = await asking.post("/v1/realtime/calls", b"v=0", free, content_type="application/sdp")
        assert (response.status_code, CONSOLE_KEY in response.content.decode()) == (401, False)

    async def test_its_use_is_noted(self, asking: Asking) -> None:
        """A key that is used says when."""
        key, text = await make()
        await asking.post(SECRETS, {}, text)
        key = await RelayKey.objects.aget(pk=key.pk)
        assert key.last_used_at is not None

    async def test_the_console_s_token_is_not_asked_for(self, asking: Asking, settings: Any) -> None:
        """Programs have keys: a console with CONSOLE_TOKEN lets them in by those, whatever else their address holds."""
        settings.CONSOLE_TOKEN = "open-sesame"
        assert (await asking.post(f"{SECRETS}?token=theirs", {})).status_code == 200
        assert str(asking.api.last.url).endswith("?token=theirs")
        assert (await asking.get("/realtime/token")).status_code == 401
        async with browser() as page:
            assert (await page.get("/relay/")).status_code == 401


class TestOrigins:
    """Pages"""

    @pytest.mark.parametrize("origin", [FOREIGN, "null", "http://testserver.evil.example", "http://testserver:81"])
    @pytest.mark.parametrize("key", ["", CLIENT_KEY])
    async def test_a_foreign_page(self, asking: Asking, origin: str, key: str) -> None:
        """A foreign page is refused, key or not, is told nothing it could read, and nothing is asked for it."""
        for path in (SECRETS, "/v1/realtime/calls", "/api/realtime/ephemeral", "/v1/realtime/nothing"):
            response = await asking.post(path, {}, key, origin=origin)
            assert (response.status_code, open_to_pages(response)) == (403, [])
            assert error(response)["code"] == "origin_not_allowed"
            response = await asking.ask("OPTIONS", path, origin=origin, access_control_request_method="POST")
            assert (response.status_code, open_to_pages(response)) == (403, [])
        for path in ("/realtime/token", "/v1/realtime"):
            response = await asking.get(path, key, origin=origin)
            assert (response.status_code, open_to_pages(response)) == (403, [])
        assert not asking.api.asked

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    async def test_an_image_of_a_foreign_page(self, asking: Asking, settings: Any, site: str) -> None:
        """What a foreign page fetches without naming itself spends nothing either, not even the simulator's keys."""
        settings.OPENAI_API_KEY = ""
        response = await asking.get("/realtime/token", sec_fetch_site=site, sec_fetch_mode="no-cors")
        assert (response.status_code, open_to_pages(response)) == (403, [])
        assert not asking.api.asked

    async def test_a_friend_s_page(self, asking: Asking, settings: Any) -> None:
        """An origin the console's owner has named is served, and may read the answer: it alone, without cookies."""
        settings.RELAY_ALLOWED_ORIGINS = [FRIEND]
        for response in (
            await asking.post(SECRETS, {}, origin=FRIEND),
            await asking.post("/v1/realtime/files", {}, origin=FRIEND),
            await asking.get("/realtime/token", "sk-relay-nobody", origin=FRIEND),
        ):
            assert response["Access-Control-Allow-Origin"] == FRIEND
            assert response["Access-Control-Expose-Headers"] == "Location, X-Request-Id"
            assert "Origin" in response["Vary"]
            assert "Access-Control-Allow-Credentials" not in response.headers

    async def test_a_friend_s_page_without_a_key(self, asking: Asking, settings: Any) -> None:
        """Such a page may use the console's own key: it gets keys of ours."""
        settings.RELAY_ALLOWED_ORIGINS = [FRIEND]
        answer = (await asking.post(SECRETS, {}, "", origin=FRIEND)).json()
        found = relay_keys.ephemerals.find(answer["value"])
        assert found is not None
        assert (found.upstream_key, found.relay_key) == (EK, None)

    async def test_a_preflight(self, asking: Asking, settings: Any) -> None:
        """A friend's page learns what it may send, also from the internet to a machine at home; no key is asked for."""
        settings.RELAY_ALLOWED_ORIGINS = [FRIEND]
        response = await asking.ask(
            "OPTIONS", SECRETS, origin=FRIEND, access_control_request_method="POST",
            access_control_request_headers="authorization, content-type, openai-safety-identifier",
            access_control_request_private_network="true",
        )  # fmt: skip
        assert response.status_code == 204
        assert response["Access-Control-Allow-Origin"] == FRIEND
        assert "POST" in response["Access-Control-Allow-Methods"]
        assert response["Access-Control-Allow-Headers"] == "authorization, content-type, openai-safety-identifier"
        assert response["Access-Control-Allow-Private-Network"] == "true"
        response = await asking.ask("OPTIONS", "/realtime/token", origin=FRIEND)
        assert response["Access-Control-Allow-Methods"] == "GET"
        assert "Access-Control-Allow-Private-Network" not in response.headers


class TestOwnPage:
    """The console's own page has a CSRF token instead of a key."""

    def page(self, asking: Asking) -> dict[str, str]:
        """Make the client check tokens; returns the header of a page that has one."""
        request = RequestFactory().get("/")
        token = get_token(request)
        asking.client = AsyncClient(enforce_csrf_checks=True)
        asking.client.cookies[settings.CSRF_COOKIE_NAME] = request.META["CSRF_COOKIE"]
        return {"x_csrftoken": token}

    @pytest.mark.parametrize("path", [SECRETS, "/api/realtime/ephemeral", "/v1/realtime/sessions"])
    async def test_with_its_token(self, asking: Asking, path: str) -> None:
        """Its own page gets keys of ours; without the token, or with another one, it is refused."""
        token = self.page(asking)
        response = await asking.post(path, {}, "", origin=OWN, **token)
        assert response.status_code == 200
        assert EK not in response.content.decode()
        for wrong in ({}, {"x_csrftoken": "x" * 64}):
            response = await asking.post(path, {}, "", origin=OWN, **wrong)
            assert (response.status_code, error(response)["code"]) == (403, "csrf_token_missing")
        assert len(asking.api.asked) == 1

    async def test_a_page_s_body_is_passed_on(self, asking: Asking) -> None:
        """The check of the token leaves the body of a form as it is."""
        token = self.page(asking)
        asking.api.answer = says(201, "v=0")
        offer = b'--b\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n--b--\r\n'
        kind = "multipart/form-data; boundary=b"
        response = await asking.post("/v1/realtime/calls", offer, "", origin=OWN, content_type=kind, **token)
        assert (response.status_code, asking.api.last.content) == (201, offer)

    async def test_a_key_is_enough(self, asking: Asking) -> None:
        """A page of this origin that brings a key needs no token: no foreign page could have it."""
        self.page(asking)
        assert (await asking.post(SECRETS, {}, origin=OWN)).status_code == 200

    async def test_it_gets_a_token(self, asking: Asking) -> None:
        """What it only gets it asks for without an Origin; the browser vouches for it."""
        response = await asking.get("/realtime/token", sec_fetch_site="same-origin")
        assert relay_keys.ephemerals.find(response.json()["clientSecret"]) is not None
        for site in ("none", ""):
            headers = {"sec_fetch_site": site} if site else {}
            assert (await asking.get("/realtime/token", **headers)).status_code == 401

    async def test_it_has_the_console_s_token(self, asking: Asking, settings: Any) -> None:
        """With CONSOLE_TOKEN set, who has not given it gets nothing from the page's own address either."""
        settings.CONSOLE_TOKEN = "open-sesame"
        token = self.page(asking)
        assert (await asking.get("/realtime/token", sec_fetch_site="same-origin")).status_code == 401
        assert (await asking.post(SECRETS, {}, "", origin=OWN, **token)).status_code == 401
        asking.client.cookies[TOKEN_COOKIE] = sign_ins.issue()
        assert (await asking.get("/realtime/token", sec_fetch_site="same-origin")).status_code == 200
        assert (await asking.post(SECRETS, {}, "", origin=OWN, **token)).status_code == 200

    async def test_a_key_somebody_typed(self, asking: Asking, settings: Any) -> None:
        """A key typed on this browser's page is used for it before the console's own."""
        await asking.client.post("/keys/", {"provider": "openai", "key": "sk-typed-on-the-page"})
        try:
            await asking.post(SECRETS, {}, "", origin=OWN)
        finally:
            keyring._keys.clear()
        assert asking.api.last.headers["authorization"] == "Bearer sk-typed-on-the-page"


class TestTroubles:
    """What can go wrong on the way."""

    @pytest.mark.parametrize(("problem", "status", "code"), [
        (httpx.ConnectError("refused"), 502, "upstream_unreachable"),
        (httpx.RemoteProtocolError("cut"), 502, "upstream_unreachable"),
        (httpx.ReadTimeout("slow"), 504, "upstream_timeout"),
        (httpx.ConnectTimeout("slow"), 504, "upstream_timeout"),
    ])  # fmt: skip
    @pytest.mark.parametrize("own", [True, False])
    async def test_nobody_answers(self, asking: Asking, problem: Exception, status: int, code: str, own: bool) -> None:
        """That a provider cannot be asked is said in a sentence, whoever asked; its address, with a password in it, to nobody."""
        asking.api.answer = fails(problem)
        key = CLIENT_KEY if own else (await make())[1]
        response = await asking.post(f"{SECRETS}?api_key=x", {}, key)
        assert response.status_code == status
        assert (error(response)["code"], error(response)["type"]) == (code, "server_error")
        assert error(response)["message"].startswith("The provider could not be reached: ")

    @pytest.mark.parametrize("what", ["client_secrets", "sessions", "calls"])
    async def test_what_an_address_holds(self, asking: Asking, settings: Any, what: str, caplog: pytest.LogCaptureFixture) -> None:
        """User, password and query of a provider's address, its host and its port reach no client, in whoever's words they stand."""
        settings.REALTIME_UPSTREAM_URL = "ws://user:pass%40word@inner.example:9123/v1/realtime?sig=signature"
        _, text = await make()
        parts = ("user", "pass%40word", "pass@word", "inner.example:9123", "inner.example", "signature", CONSOLE_KEY)
        for trouble in (httpx.ConnectError("no route to inner.example:9123"), httpx.ReadTimeout("slow")):
            asking.api.answer = fails(trouble)
            response = await asking.post(f"/via/custom/v1/realtime/{what}", {})
            assert response.status_code in (502, 504)
            assert not [part for part in parts if part in response.content.decode()]
            assert "inner.example:9123" in caplog.text
        asking.api.answer = says(400, {"error": {"message": " ".join(parts)}}, location="http://inner.example:9123/v1/realtime/calls/rtc_1")
        response = await asking.post(f"/via/custom/v1/realtime/{what}", {}, text)
        assert response.status_code == 400
        assert not [part for part in parts if part in response.content.decode()]
        assert response.headers.get("Location", "/") in ("/", "/v1/realtime/calls/rtc_1")
        assert not [part for part in ("pass%40word", "signature") if part in caplog.text]

    async def test_an_answer_without_end(self, asking: Asking) -> None:
        """An answer that is too large to be one is not held."""
        asking.api.answer = says(200, b" " * (rest.LARGEST_ANSWER + 1))
        response = await asking.post(SECRETS, {})
        assert response.status_code == 502

    async def test_a_body_without_end(self, asking: Asking, settings: Any) -> None:
        """So is a body that nobody means."""
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
        response = await asking.post(SECRETS, b" " * 101)
        assert response.status_code == 413
        assert error(response)["type"] == "invalid_request_error"

    @pytest.mark.parametrize(("method", "path", "allowed"), [
        ("PUT", SECRETS, "POST, GET"), ("DELETE", "/v1/realtime/calls", "POST, GET"),
        ("GET", "/api/realtime/ephemeral", "POST"), ("POST", "/realtime/token", "GET"),
    ])  # fmt: skip
    async def test_another_method(self, asking: Asking, method: str, path: str, allowed: str) -> None:
        """Another method is answered as the API does."""
        response = await asking.ask(method, path, CLIENT_KEY)
        assert (response.status_code, response["Allow"]) == (405, allowed)
        assert method in error(response)["message"]

    @pytest.mark.parametrize("where", WHERE)
    async def test_a_get_where_sockets_open(self, asking: Asking, where: str) -> None:
        """Who opens the relay's address in a browser is told what belongs there."""
        response = await asking.get(where, CLIENT_KEY)
        assert (response.status_code, response["Upgrade"]) == (426, "websocket")
        assert "WebSocket" in error(response)["message"]
        assert (await asking.get(f"{where}/client_secrets", CLIENT_KEY)).status_code == 404

    async def test_another_host(self, asking: Asking, settings: Any) -> None:
        """A name that a foreign page has pointed at this machine is none of ours."""
        settings.ALLOWED_HOSTS = ["console.example"]
        response = await asking.post(SECRETS, {})
        assert response.status_code == 400
        assert not asking.api.asked


async def test_no_secret_is_left_behind(asking: Asking, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log nor the database holds a key, whoever brought it; no answer holds one that was not asked for."""
    caplog.set_level(logging.DEBUG)
    await make("Incorrect API key")
    _, text = await make()
    answers = [await asking.post(SECRETS, {}, key) for key in (text, CLIENT_KEY)]
    ours = answers[0].json()["value"]
    asking.api.answer = says(401, {"error": {"message": f"Incorrect API key provided: {CONSOLE_KEY} {EK}"}})
    answers += [await asking.post(path, {}, text) for path in (SECRETS, "/v1/realtime/sessions", "/api/realtime/ephemeral")]
    asking.api.answer = fails(httpx.ConnectError(f"Bearer {CONSOLE_KEY}"))
    answers.append(await asking.post(SECRETS, {}, text))
    for answer in answers:
        assert CONSOLE_KEY not in answer.content.decode() + str(answer.headers)
    for answer in (answers[0], *answers[2:]):
        assert EK not in answer.content.decode()
    database = await sync_to_async(stored)()
    for secret in (text, CLIENT_KEY, CONSOLE_KEY, EK, ours):
        assert secret not in caplog.text
        assert secret not in database
        assert secret not in repr(relay_keys.ephemerals.find(ours))


async def test_with_a_real_provider(transactional_db: None, async_client: Any, simulator: Any, monkeypatch: Any) -> None:
    """The simulator makes a key, ours stands for it, and the beta's form is made of the same."""
    monkeypatch.setattr(providers, "_simulator_url", simulator.url)
    asking = Asking(async_client, Api())
    try:
        _, text = await make(provider="simulator")
        answer = (await asking.post(SECRETS, {"session": {"type": "realtime", "model": "gpt-realtime"}}, text)).json()
        found = relay_keys.ephemerals.find(answer["value"])
        assert found is not None
        assert simulator.server.keys.find(found.upstream_key) is not None
        assert simulator.server.keys.find(answer["value"]) is None
        assert answer["session"]["object"] == "realtime.session"
        answer = (await asking.post("/v1/realtime/sessions", {"voice": "marin", "modalities": ["text"]}, text)).json()
        assert (answer["voice"], answer["modalities"]) == ("marin", ["text"])
    finally:
        await rest.close()
        await sync_to_async(live.close_readers, thread_sensitive=False)()
