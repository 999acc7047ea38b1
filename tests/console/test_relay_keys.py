"""Make keys for the relay, on their page and from the command line: shown once, kept as a digest, limited, revoked."""

from __future__ import annotations

import io
import json
import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from console import relay_keys
from console.models import RelayKey
from console.relay_keys import Ephemerals, NameTaken, NoSuchKey
from console.views.relay_keys import words_of
from realtime import masking
from realtime.errors import InvalidPolicy
from realtime.policy import Policy
from tests.console.stage import HTMX
from tests.console.test_keys import database as stored

pytestmark = pytest.mark.django_db

FORM = re.compile(r"sk-relay-[0-9A-Za-z]{43}")


class TestMake:
    """``relay_keys.make``, ``find``, ``revoke``, ``touch``, ``settle``"""

    def test_its_form(self) -> None:
        """256 bits of chance behind a prefix by which whatever masks keys masks these."""
        made = [relay_keys.make(f"key {number}") for number in range(20)]
        assert all(FORM.fullmatch(text) for _, text in made)
        assert len({text for _, text in made}) == 20
        assert masking.mask(f'{{"x": "{made[0][1]}"}}', "")[0] == f'{{"x": "•••{made[0][0].hint}"}}'

    def test_only_its_digest_is_kept(self) -> None:
        """What is stored does not give the key away."""
        key, text = relay_keys.make("app")
        row = str(RelayKey.objects.filter(pk=key.pk).values())
        assert text not in row
        assert text[9:20] not in row
        assert (key.hint, len(key.digest)) == (text[-4:], 64)

    def test_it_is_found_again(self) -> None:
        """The key is found by its text, nothing else by anything like it."""
        key, text = relay_keys.make("app", "simulator", {"minutes": 2})
        found = relay_keys.find(text)
        assert found is not None
        assert (found.pk, found.provider, found.policy) == (key.pk, "simulator", {"minutes": 2})
        for other in ("", "sk-relay-", text[:-1], f"{text} ", text.swapcase(), "sk-relay-ü"):
            assert relay_keys.find(other) is None

    def test_a_name_is_given_once(self) -> None:
        """Two keys of one name could not be told apart on a timeline; a revoked one keeps its name."""
        relay_keys.make("app")
        with pytest.raises(NameTaken, match="already a key “app”:"):
            relay_keys.make("app")
        relay_keys.revoke("app")
        with pytest.raises(NameTaken, match="revoked"):
            relay_keys.make("app")
        assert RelayKey.objects.count() == 1

    def test_a_policy_that_cannot_be_kept(self) -> None:
        """No key is made with a policy nobody can read."""
        with pytest.raises(InvalidPolicy, match="minutes"):
            relay_keys.make("app", "", {"minutes": -1})
        assert not RelayKey.objects.exists()

    def test_revoked(self) -> None:
        """A revoked key is found, so that its user can be told, and is not usable; ephemeral ones made with it are gone."""
        key, text = relay_keys.make("app")
        other, _ = relay_keys.make("other")
        minted = relay_keys.ephemerals.mint("openai", 9_999_999_999, relay_key=key.pk)
        kept = relay_keys.ephemerals.mint("openai", 9_999_999_999, relay_key=other.pk)
        relay_keys.revoke("app")
        found = relay_keys.find(text)
        assert found is not None
        assert found.revoked_at is not None
        assert list(RelayKey.objects.usable()) == [other]
        assert (relay_keys.by_id(key.pk), relay_keys.by_id(other.pk)) == (None, other)
        assert relay_keys.ephemerals.find(minted.value) is None
        assert relay_keys.ephemerals.find(kept.value) is kept
        for name in ("app", "nobody"):
            with pytest.raises(NoSuchKey, match=name):
                relay_keys.revoke(name)

    def test_its_use_is_written_once_a_minute(self, django_assert_num_queries: Any) -> None:
        """Using a key a hundred times a second writes once."""
        key, text = relay_keys.make("app")
        relay_keys.touch(key)
        used = RelayKey.objects.get().last_used_at
        assert used is not None
        found = relay_keys.find(text)
        assert found is not None
        with django_assert_num_queries(0):
            relay_keys.touch(found)
        found.last_used_at = timezone.now() - timedelta(minutes=2)
        with django_assert_num_queries(1):
            relay_keys.touch(found)

    def test_what_it_spent_adds_up(self) -> None:
        """Sessions side by side lose nothing: the database adds."""
        key, _ = relay_keys.make("app")
        for _ in range(4):
            relay_keys.settle(key.pk, 0.25, 0.0)
        assert RelayKey.objects.get().spent_usd == 1.0

    def test_the_dearest_only_grows(self) -> None:
        """What is reserved for a response is the dearest there ever was, whichever process wrote it."""
        key, _ = relay_keys.make("app")
        for dearest in (0.25, 0.5, 0.125, 0.0):
            settled = relay_keys.settle(key.pk, 0.0, dearest)
        assert settled is not None
        assert settled.dearest_usd == 0.5
        assert relay_keys.settle(key.pk + 1, 1.0, 1.0) is None


class TestEphemeral:
    """``Ephemerals``: a while, in memory"""

    def test_its_form(self) -> None:
        """``ek_``, the time in hexadecimal, and chance, as the API's own (protocol 1.3)."""
        keys = Ephemerals(lambda: 0x6A1B2C3D)
        first, second = keys.mint("openai", 0x6A1B2C3E), keys.mint("openai", 0x6A1B2C3E)
        assert re.fullmatch("ek_6a1b2c3d[0-9a-f]{24}", first.value)
        assert first.value != second.value

    def test_it_expires(self) -> None:
        """A key is good until its second has come."""
        now = [1000.0]
        keys = Ephemerals(lambda: now[0])
        key = keys.mint("openai", 1060, upstream_key="ek_theirs", model="m")
        assert keys.find(key.value) is key
        now[0] = 1059.9
        assert keys.find(key.value) is key
        now[0] = 1060
        assert keys.find(key.value) is None

    def test_nobody_else_s(self) -> None:
        """Keys of others, and anything else, are none of ours."""
        keys = Ephemerals()
        for value in ("", "ek_", "ek_6a1b2c3d5e6f8190a7b8c9d0e1f20344", "sk-x", "ü"):
            assert keys.find(value) is None

    def test_they_are_bounded(self) -> None:
        """What nobody uses does not grow: expired keys go first, then the oldest."""
        now = [1000.0]
        keys = Ephemerals(lambda: now[0], most=3)
        short = keys.mint("openai", 1010)
        first, second, third = (keys.mint("openai", 2000) for _ in range(3))
        assert keys.find(short.value) is None
        now[0] = 1020
        fourth = keys.mint("openai", 2000)
        assert [keys.find(key.value) is not None for key in (first, second, third, fourth)] == [False, True, True, True]

    def test_it_is_not_told(self) -> None:
        """Whoever writes a key into a log writes none of its secrets."""
        key = Ephemerals().mint("openai", 9_999_999_999, upstream_key="ek_theirs", session={"instructions": "hush"})
        for secret in (key.value, "ek_theirs", "hush"):
            assert secret not in repr(key)
        assert "openai" in repr(key)


class TestCommand:
    """``manage.py relay_key``"""

    def run(self, *arguments: str) -> tuple[str, str]:
        """What it says: to whoever reads its output, and beside it."""
        out, err = io.StringIO(), io.StringIO()
        call_command("relay_key", *arguments, stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()

    def test_it_makes_one(self) -> None:
        """The key is all of the output, so a script can take it; beside it stands how it is used."""
        out, err = self.run("app", "--provider", "simulator", "--policy", '{"minutes": 5}')
        assert FORM.fullmatch(out.strip())
        assert "OPENAI_BASE_URL=http" in err
        key = RelayKey.objects.get()
        assert (key.name, key.provider, key.policy) == ("app", "simulator", {"minutes": 5})
        assert relay_keys.find(out.strip()) == key

    def test_a_policy_from_a_file(self, tmp_path: Path) -> None:
        """A policy may stand in a file."""
        file = tmp_path / "policy.json"
        file.write_text('{"session": {"instructions": "Be brief."}}')
        self.run("app", "--policy", str(file))
        assert RelayKey.objects.get().policy == {"session": {"instructions": "Be brief."}}

    def test_list_and_revoke(self) -> None:
        """The list names every key and shows none; revoking takes one out of use."""
        text = self.run("app", "--policy", '{"dollars": 2}')[0].strip()
        relay_keys.settle(RelayKey.objects.get().pk, 0.5, 0.0)
        self.run("other", "--provider", "openai")
        assert "“app” is revoked" in self.run("app", "--revoke")[0]
        lines = self.run("--list")[0].splitlines()
        assert re.fullmatch(r"other  sk-relay-….{4}  openai  last used never  US\$ 0.0000  no policy", lines[0])
        assert re.fullmatch(
            r'app  sk-relay-….{4}  default provider  revoked \d{4}-\d\d-\d\d \d\d:\d\d  US\$ 0.5000  {"dollars": 2}', lines[1]
        )
        assert text not in "".join(lines)

    def test_a_reset(self) -> None:
        """What a key has spent is zero again; its dearest response stays known. A revoked or unknown key is told."""
        self.run("app", "--policy", '{"dollars": 2}')
        relay_keys.settle(RelayKey.objects.get().pk, 0.5, 0.25)
        assert "US$ 0" in self.run("app", "--reset")[0]
        assert (RelayKey.objects.get().spent_usd, RelayKey.objects.get().dearest_usd) == (0.0, 0.25)
        with pytest.raises(CommandError, match="no key “other”"):
            self.run("other", "--reset")
        with pytest.raises(CommandError, match="Either"):
            self.run("app", "--reset", "--revoke")

    @pytest.mark.parametrize(("arguments", "sentence"), [
        ((), "Give the key a name"),
        ((" ",), "Give the key a name"),
        (("x" * 81,), "at most 80 characters"),
        (("taken",), "already a key “taken”"),
        (("app", "--provider", "moon"), 'no provider "moon" here; configured: simulator'),
        (("app", "--policy", "{"), "The policy is not JSON"),
        (("app", "--policy", "[1]"), "cannot be read"),
        (("app", "--policy", "nowhere.json"), "nowhere.json cannot be read: No such file"),
        (("app", "--policy", '{"hours": 1}'), "hours: a policy has no such field"),
        (("nobody", "--revoke"), "no key “nobody”"),
    ])  # fmt: skip
    def test_what_cannot_be_done(self, arguments: tuple[str, ...], sentence: str) -> None:
        """What is wrong is said in a sentence, and nothing is made."""
        relay_keys.make("taken")
        with pytest.raises(CommandError, match=re.escape(sentence)):
            self.run(*arguments)
        assert RelayKey.objects.count() == 1

    def test_without_a_database(self) -> None:
        """Before the console was ever started there is no table; who makes a key then is told what to do."""
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE console_relaykey RENAME TO elsewhere")
        with pytest.raises(CommandError, match="start the console once"):
            self.run("--list")


def post(client: Client, **fields: Any) -> Any:
    """Send the form of the page."""
    return client.post("/relay/keys", {"name": "my app", **fields}, headers=HTMX)


class TestPage:
    """``/relay/``"""

    def test_how_to_point_a_client_here(self, client: Client, settings: Any) -> None:
        """The page names its own address, for every provider there is."""
        settings.ALLOWED_HOSTS = ["console.example"]
        text = client.get("/relay/", headers={"host": "console.example:8123"}).content.decode()
        assert "<code id=\"base-url\">http://console.example:8123/v1</code>" in text
        assert "ws://console.example:8123/v1/realtime?model=gpt-realtime-2.1" in text
        assert "<code>/via/simulator/v1</code>" in text
        assert "<code>/via/openai/v1</code>" in text
        assert "No keys yet." in text
        secure = client.get("/relay/", headers={"host": "console.example"}, secure=True).content.decode()
        assert "https://console.example/v1" in secure
        assert "wss://console.example/v1/realtime" in secure

    def test_it_is_found(self, client: Client) -> None:
        """The console's page and the library lead here, and back."""
        for path in ("/", "/sessions/"):
            assert 'href="/relay/"' in client.get(path).content.decode()
        assert 'href="/sessions/"' in client.get("/relay/").content.decode()

    def test_a_key_is_shown_once(self, client: Client) -> None:
        """The answer to making it shows the key; nothing does again, and no cache keeps it."""
        response = post(client, minutes="10", dollars="2.5", instructions="Be brief.", voice="cedar", client_events="response.*, x.y")
        text = FORM.findall(response.content.decode())
        assert response.status_code == 200
        assert response["Cache-Control"] == "no-store"
        assert len(set(text)) == 1
        key = relay_keys.find(text[0])
        assert key is not None
        assert key.policy == {
            "minutes": 10, "dollars": 2.5, "client_events": ["response.*", "x.y"],
            "session": {"instructions": "Be brief.", "audio": {"output": {"voice": "cedar"}}},
        }  # fmt: skip
        again = client.get("/relay/").content.decode()
        assert not FORM.search(again)
        for words in (f"sk-relay-…{key.hint}", "10 min", "US$ 2.5", "fixed instructions, voice", "sends only response.*, x.y", "$0.00"):
            assert words in again

    def test_without_htmx(self, client: Client) -> None:
        """A plain form makes and shows a key too, with the page around it; revoking leads back."""
        response = client.post("/relay/keys", {"name": "plain"})
        assert FORM.search(response.content.decode())
        assert "<!DOCTYPE html>" in response.content.decode()
        response = client.post(f"/relay/keys/{RelayKey.objects.get().pk}/revoke")
        assert (response.status_code, response["Location"]) == (302, "/relay/")

    def test_all_of_a_policy(self, client: Client) -> None:
        """Every field of the form is in the policy; empty ones say nothing."""
        tool = {"type": "function", "name": "f", "parameters": {}}
        post(client, provider="simulator", model="gpt-realtime", tools=json.dumps([tool]), withhold="rate_limits.updated\nx", sessions="2")
        key = RelayKey.objects.get()
        assert key.provider == "simulator"
        assert key.policy == {
            "session": {"model": "gpt-realtime", "tools": [tool]}, "withhold": ["rate_limits.updated", "x"], "sessions": 2,
        }  # fmt: skip
        post(client, name="free", instructions="  ", tools="")
        assert RelayKey.objects.get(name="free").policy == {}

    @pytest.mark.parametrize(("field", "value", "sentence"), [
        ("name", "", "This field is required."),
        ("name", "taken", "There is a key of this name already"),
        ("name", "x" * 81, "at most 80 characters"),
        ("provider", "moon", "Select a valid choice"),
        ("minutes", "0", "greater than or equal to 0.1"),
        ("minutes", "inf", "Enter a number."),
        ("sessions", "1.5", "Enter a whole number."),
        ("dollars", "-1", "greater than or equal to 0.01"),
        ("tools", "[", "This is not JSON."),
        ("tools", "{}", "Tools are a JSON array of objects"),
        ("tools", "[1]", "Tools are a JSON array of objects"),
    ])  # fmt: skip
    def test_what_is_wrong_stands_beside_its_field(self, client: Client, field: str, value: str, sentence: str) -> None:
        """Nothing is made; the sentence stands in the field's own place, the cursor goes there, and the rest stays written."""
        relay_keys.make("taken")
        response = post(client, **{"instructions": "<b>Stay</b>", field: value})
        text = response.content.decode()
        assert response.status_code == 422
        place = re.search(rf'<div class="field" data-field="{field}">.*?</div>\s*</div>', text, re.DOTALL)
        assert place is not None
        assert sentence in place[0]
        assert "autofocus" in place[0]
        assert text.count("autofocus") == 1
        assert "&lt;b&gt;Stay&lt;/b&gt;" in text
        assert RelayKey.objects.count() == 1

    def test_somebody_was_quicker(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that is taken between the check and the making is refused all the same."""

        def taken(*_: Any) -> None:
            raise NameTaken("There is already a key.")

        monkeypatch.setattr(relay_keys, "make", taken)
        response = post(client)
        assert (response.status_code, "There is already a key." in response.content.decode()) == (422, True)

    def test_revoke(self, client: Client) -> None:
        """A revoked key stays in the list, last and marked, and cannot be revoked again."""
        key, text = relay_keys.make("old")
        relay_keys.make("new")
        page = client.get("/relay/").content.decode()
        assert page.index("new</th>") < page.index("old</th>")
        assert "Revoke “old”?" in page
        response = client.post(f"/relay/keys/{key.pk}/revoke", headers=HTMX)
        said = response.content.decode()
        assert "“old” is revoked" in said
        assert "Revoke “old”?" not in said
        assert "Revoke “new”?" in said
        found = relay_keys.find(text)
        assert found is not None
        assert found.revoked_at is not None
        assert client.post(f"/relay/keys/{key.pk}/revoke", headers=HTMX).status_code == 422
        assert client.post("/relay/keys/999/revoke", headers=HTMX).status_code == 404

    @pytest.mark.parametrize("path", ["/relay/keys", "/relay/keys/1/revoke"])
    def test_it_takes_the_token_of_the_page(self, path: str) -> None:
        """A form from elsewhere neither makes nor revokes; an address that is only opened does neither."""
        client = Client(enforce_csrf_checks=True)
        assert client.post(path, {"name": "x"}).status_code == 403
        assert client.get(path).status_code == 405
        assert not RelayKey.objects.exists()

    def test_it_leaves_no_trace(self, client: Client, caplog: pytest.LogCaptureFixture) -> None:
        """Neither the log nor the database holds the key that was shown."""
        caplog.set_level(logging.DEBUG)
        text = FORM.findall(post(client, name="Incorrect API key").content.decode())[0]
        assert text not in caplog.text
        assert text not in stored()


def test_a_policy_in_words() -> None:
    """Each thing a policy says is a few words."""
    policy = Policy.read({
        "minutes": 1.5, "sessions": 2, "dollars": 1000, "withhold": ["x"], "client_events": ["a", "b"],
        "session": {"type": "realtime", "model": "m", "audio": {"input": {"turn_detection": None}}},
    })  # fmt: skip
    assert words_of(policy) == [
        "1.5 min", "2 at a time", "US$ 1,000", "fixed model, turn_detection", "sends only a, b", "withholds x",
    ]  # fmt: skip
    assert words_of(Policy()) == []
