"""Keep settings under a name, and fill the form from them again."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.test import Client

from console.models import Preset
from tests.console.stage import HTMX, IN_FORCE, Story
from tests.console.test_change_settings import FULL, shown

pytestmark = pytest.mark.django_db


def save(client: Client, name: str, **fields: str) -> Any:
    """Press Save beside a name."""
    return client.post("/presets/save", {**shown(FULL), "name": name, **fields}, headers=HTMX)


def test_settings_are_kept_under_a_name(client: Client) -> None:
    """What the form says is kept, and its name stands among the presets at once."""
    page = save(client, "<b>calm</b>").content.decode()
    assert Preset.objects.get().settings == FULL
    assert "Saved as “&lt;b&gt;calm&lt;/b&gt;”." in page
    assert "<b>calm" not in page
    assert f"/presets/{Preset.objects.get().pk}/apply" in page


def test_a_name_is_used_once(client: Client) -> None:
    """Saving under a name that is there replaces what it holds, and says so."""
    save(client, "calm")
    assert "“calm” was replaced." in save(client, "calm", instructions="Hush.").content.decode()
    assert Preset.objects.get().settings["instructions"] == "Hush."


@pytest.mark.parametrize(("fields", "sentence"), [
    ({"name": ""}, "Not saved: give the preset a name."),
    ({"name": "x" * 81}, "Not saved: give the preset a name."),
    ({"name": "fast", "speed": "9"}, "Not saved: something in the form is not right."),
])  # fmt: skip
def test_what_cannot_be_kept(client: Client, fields: dict[str, str], sentence: str) -> None:
    """A missing name or a wrong field is said, the form stays as it was typed, and nothing is kept."""
    response = client.post("/presets/save", {**shown(FULL), **fields}, headers=HTMX)
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert "“rhymes”" in response.content.decode()
    assert not Preset.objects.exists()


def test_applying_fills_the_form(client: Client) -> None:
    """The form shows the preset; what the page showed before stays its base, so that sending it sends the difference."""
    save(client, "calm")
    base = shown(IN_FORCE)["base"]
    page = client.get(f"/presets/{Preset.objects.get().pk}/apply", {"base": base}, headers=HTMX).content.decode()
    [kept] = re.findall(r'name="base" value="([^"]*)"', page)
    assert json.loads(html.unescape(kept)) == json.loads(base)
    assert "“rhymes”" in page
    assert "nothing is sent yet" in page


def test_it_is_the_form_of_that_session(client: Client) -> None:
    """On a running session's page the filled form can be sent to it; without one it waits for connecting."""
    save(client, "calm")
    session_id = Story(status="ready").store()
    address = f"/presets/{Preset.objects.get().pk}/apply"
    assert f'hx-post="/sessions/{session_id}/settings"' in client.get(address, {"session": session_id}).content.decode()
    assert "These settings are asked for when you connect." in client.get(address).content.decode()


def test_deleting_leaves_the_form(client: Client) -> None:
    """A deleted preset is gone from the list; what stands in the form stays."""
    save(client, "calm")
    response = client.post(f"/presets/{Preset.objects.get().pk}/delete", {**shown(FULL), "speed": "1.25"}, headers=HTMX)
    page = response.content.decode()
    assert "“calm” is deleted." in page
    assert 'value="1.25"' in page
    assert not Preset.objects.exists()


@pytest.mark.parametrize(("method", "what"), [("get", "apply"), ("post", "delete")])
def test_a_preset_nobody_knows(client: Client, method: str, what: str) -> None:
    """A preset that is not there is a 404."""
    assert getattr(client, method)(f"/presets/99/{what}").status_code == 404


@pytest.mark.parametrize("what", ["save", "1/delete"])
def test_it_takes_the_token_of_the_page(what: str) -> None:
    """A form from elsewhere keeps nothing and deletes nothing."""
    assert Client(enforce_csrf_checks=True).post(f"/presets/{what}", {"name": "calm"}).status_code == 403
