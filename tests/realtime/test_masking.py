"""Secrets: hidden when written, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.masking import MASK, mask

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
        'not json: "headers"',
    ])  # fmt: skip
    def test_what_only_looks_like_a_secret_stays(self, raw: str) -> None:
        """Words that hint at secrets are not secrets."""
        assert mask(raw, "session.update") == (raw, False)
