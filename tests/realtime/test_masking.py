"""Secrets: hidden when written, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.masking import MASK, conceal, headers, mask, query

KEY = "sk-proj-abcdefghijklmnop1234"
SECRET = "ek_abcdefghijklmnop5678"


def dump(**fields: Any) -> str:
    """A frame."""
    return json.dumps({"type": "x", **fields}, ensure_ascii=False)


class TestSecrets:
    """What is hidden."""

    @pytest.mark.parametrize(("raw", "hidden"), [
        (dump(client_secret={"value": SECRET, "expires_at": 1}),
         dump(client_secret={"value": MASK + "5678", "expires_at": 1})),
        (dump(client_secret={"expires_at": 1, "value": "odd form"}),
         dump(client_secret={"expires_at": 1, "value": MASK})),
        (dump(client_secret=SECRET), dump(client_secret=MASK + "5678")),
        (dump(text=f"my key is {KEY}, keep it"), dump(text=f"my key is {MASK}1234, keep it")),
        (dump(tools=[{"type": "mcp", "authorization": "Bearer abcdefgh9999"}]),
         dump(tools=[{"type": "mcp", "authorization": MASK + "9999"}])),
        (dump(tools=[{"type": "mcp", "headers": {"X-Key": "abcdefghijkl7777", "n": "short"}}]),
         dump(tools=[{"type": "mcp", "headers": {"X-Key": MASK + "7777", "n": MASK}}])),
        (dump(api_key="hunter2"), dump(api_key=MASK)),
        (dump(tools=[{"headers": {"A": ["first value 1111", {"B": "second value 2222"}], "C": {}, "D": "x"}, "server_label": "stays"}]),
         dump(tools=[{"headers": {"A": [MASK + "1111", {"B": MASK + "2222"}], "C": {}, "D": MASK}, "server_label": "stays"}])),
        (dump(client_secret={"expires_at": {"seconds": 1}, "value": "odd form"}),
         dump(client_secret={"expires_at": {"seconds": 1}, "value": MASK})),
        ('{"AuThOrIzAtIoN" : "hunter2"}', '{"AuThOrIzAtIoN" : "•••"}'),
        (r'{"auth\u006frization":"hunter2","\u0068eaders":{"X":"hunter3"}}', r'{"auth\u006frization":"•••","\u0068eaders":{"X":"•••"}}'),
        ('{"headers":{"X":12345678,"Y":null},"n":1}', '{"headers":{"X":"•••","Y":null},"n":1}'),
        ('{"authorization":"cut off in the mid', '{"authorization":"•••'),
        ('{"authorization":"one","authorization":"two"}', '{"authorization":"•••","authorization":"•••"}'),
    ])  # fmt: skip
    def test_a_secret_is_hidden_but_for_its_end(self, raw: str, hidden: str) -> None:
        """Its last four characters stay where it is long, so that two keys can be told apart."""
        assert mask(raw, "session.update") == (hidden, True)

    @given(st.text(alphabet=st.characters(codec="ascii", categories=("L", "N")), min_size=12, max_size=60))
    def test_no_key_gets_through(self, key: str) -> None:
        """Of a key in a field made for it, nothing but four characters is left."""
        raw = dump(session={"tools": [{"type": "mcp", "authorization": key}]})
        masked, found = mask(raw, "session.update")
        assert found
        assert json.loads(masked)["session"]["tools"][0]["authorization"] == MASK + key[-4:]


class TestEverythingElse:
    """What stays."""

    @given(st.text())
    def test_what_holds_no_hint_is_the_same_object(self, text: str) -> None:
        """A frame without a trace of a secret is given back as it is, not as a copy."""
        raw = dump(text=text)
        hints = ("sk-", "sk_", "ek_", "ek-", "authorization", "headers", "client_secret", "api")
        if not any(hint in raw.lower() for hint in hints):
            assert mask(raw, "session.update")[0] is raw

    @given(st.text(), st.text())
    def test_text_around_a_secret_stays(self, before: str, after: str) -> None:
        """Nothing of a frame differs but the secret's own characters."""
        raw = dump(before=before, authorization=KEY, after=after)
        told = json.loads(mask(raw, "session.update")[0])
        expected = {"before": mask(dump(v=before), "x")[0], "after": mask(dump(v=after), "x")[0]}
        assert told["authorization"] == MASK + "1234"
        assert dump(v=told["before"]) == expected["before"]
        assert dump(v=told["after"]) == expected["after"]

    @given(st.text(), st.text())
    def test_masking_twice_is_masking_once(self, before: str, secret: str) -> None:
        """A log that is exported and imported again does not change."""
        raw = dump(before=before, authorization=secret, headers={"a": secret}, client_secret={"value": secret})
        once = mask(raw, "session.update")[0]
        assert mask(once, "session.update") == (once, False)
        json.loads(once)

    def test_sound_is_not_looked_at(self) -> None:
        """Base64 may spell anything; a frame of sound is never changed."""
        raw = '{"type":"input_audio_buffer.append","audio":"sk-abcdefghijklmnop"}'
        assert mask(raw, "input_audio_buffer.append") == (raw, False)

    @pytest.mark.parametrize("raw", [
        '{"tools":[{"type":"mcp","headers":null,"authorization":null}]}',
        '{"text":"ask-me-anything, a desk-lamp"}',
        '{"text":"the word authorization in a sentence"}',
        '{"parameters":{"properties":{"headers":{"type":"object"},"authorization":{"type":"string"},"client_secret":{"value":"x"}}}}',
        '{"required":["headers","authorization"],"headers":"in words","value":"client_secret"}',
        '{"authorization":{},"headers":[],"client_secret":{"expires_at":1}}',
        'not json: "headers"',
    ])  # fmt: skip
    def test_what_only_looks_like_a_secret_stays(self, raw: str) -> None:
        """Words that hint at secrets are not secrets."""
        assert mask(raw, "session.update") == (raw, False)


class TestHandshakes:
    """What is kept of a client's handshake."""

    def test_headers(self) -> None:
        """Host, origin, user agent and what says the same for everybody; any other value is masked, whatever its name."""
        given = {
            "host": "console:8000", "origin": "https://app.example", "user-agent": "OpenAI/Python 3.52.0",
            "cookie": "a=b", "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13", "openai-beta": "realtime=v1",
            "authorization": "Bearer abcdefgh12345678", "x-goog-api-key": "AIza-secret-of-google",
            "ocp-apim-subscription-key": "abcdef0123456789", "x-anything": "hunter2", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        }  # fmt: skip
        assert headers(given) == {
            **{name: value for name, value in list(given.items())[:8] if name != "cookie"},
            "authorization": f"Bearer {MASK}5678", "x-goog-api-key": f"{MASK}ogle", "ocp-apim-subscription-key": f"{MASK}6789",
            "x-anything": MASK, "sec-websocket-key": MASK,
        }  # fmt: skip

    def test_what_is_kept_may_hold_a_key(self) -> None:
        """A key is masked where a name or an origin stands, too; a constant that says something else is none."""
        given = {"user-agent": f"curl {KEY}", "origin": "https://user:hunter2@app.example", "openai-beta": "hunter2", "upgrade": "hunter2"}
        assert headers(given) == {
            "user-agent": f"curl {MASK}1234", "origin": "https://app.example", "openai-beta": MASK, "upgrade": MASK,
        }  # fmt: skip

    def test_protocols(self) -> None:
        """Their names are kept; what one carries is masked, and so is one nobody has heard of."""
        given = "realtime, openai-beta.realtime-v1, openai-insecure-api-key.abcd-efgh-1234, openai-project.proj_1"
        given += ", eyJhbGciOi.J9-secret, hunter2"
        assert headers({"sec-websocket-protocol": given})["sec-websocket-protocol"] == (
            f"realtime, openai-beta.realtime-v1, openai-insecure-api-key.{MASK}1234, openai-project.{MASK}, {MASK}cret, {MASK}"
        )

    def test_parameters(self) -> None:
        """Those on the list are kept; a token that stands without a value is masked as well."""
        kept = {"model": "m", "intent": "transcription", "call_id": "rtc_1", "api-version": "v1", "deployment": "d", "console_label": "x"}
        secret = dict.fromkeys(("key", "token", "access_token", "sig", "api-key", "anything", "Model"), "hunter2")
        assert query([*kept.items(), *secret.items(), ("dG9rZW4tc2VjcmV0", ""), ("model", KEY)]) == {
            **kept, **dict.fromkeys(secret, MASK), "model": f"{MASK}1234", f"{MASK}cmV0": "",
        }  # fmt: skip

    @given(st.dictionaries(st.text(), st.text()))
    def test_no_parameter_raises(self, given: dict[str, str]) -> None:
        """Whatever a client writes there."""
        query(given.items())
        headers(given)

    def test_what_the_other_side_says(self) -> None:
        """A secret is masked as it is, as an address writes it and as JSON does; what is too short to be one stays."""
        said = 'a/b c"d, a%2Fb%20c%22d, a%2Fb+c%22d, a/b c\\"d, abc'
        assert conceal(said, ['a/b c"d', "abc", ""]) == f"{MASK}, {MASK}, {MASK}, {MASK}, abc"
