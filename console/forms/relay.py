"""The form a relay key is made with: its name, its provider, and the policy it carries."""

from __future__ import annotations

import re
from typing import Any

from django import forms

from console.forms.base import ConsoleForm
from console.forms.fields import JSONText, OpenChoice
from console.models import RelayKey
from console.providers import providers
from realtime import catalog
from realtime.errors import InvalidPolicy
from realtime.policy import Policy

ROWS = {"rows": 2, "spellcheck": "false"}
LIMITS = ("minutes", "sessions", "dollars")
TYPES = ("client_events", "withhold")
FIXED = ("instructions", "model", "voice", "tools")
"""Fields of the form that fix a field of the session."""


def _providers() -> list[tuple[str, str]]:
    """The default one, whichever that is, and those configured."""
    known = list(providers())
    return [("", f"the default ({known[0]})"), *((name, name) for name in known)]


def _voices() -> list[tuple[str, str]]:
    return [("", "the client's choice"), *((voice, voice) for voice in catalog.choices("audio.output.voice"))]


class RelayKeyForm(ConsoleForm):
    """What is left empty limits nothing. ``policy()`` is what the valid fields say, as ``Policy.read`` takes it."""

    name = forms.CharField(max_length=80, widget=forms.TextInput(attrs={"placeholder": "my app", "autocomplete": "off"}))
    provider = forms.ChoiceField(required=False, choices=_providers)
    instructions = forms.CharField(required=False, max_length=100_000, widget=forms.Textarea(attrs={"rows": 3}))
    model = forms.CharField(required=False, max_length=128, widget=forms.TextInput(attrs={"list": "relay-models"}))
    voice = OpenChoice(required=False, choices=_voices)
    tools = JSONText(
        required=False, widget=forms.Textarea(attrs=ROWS), help_text="A JSON array, as in session.update.",
        error_messages={"invalid": "This is not JSON."},
    )  # fmt: skip
    client_events = forms.CharField(
        required=False, label="May send", widget=forms.Textarea(attrs={**ROWS, "placeholder": "all events"}),
        help_text="Types of client events with spaces between them, such as response.* input_audio_buffer.*",
    )  # fmt: skip
    withhold = forms.CharField(
        required=False, label="Never receives", widget=forms.Textarea(attrs={**ROWS, "placeholder": "nothing"}),
        help_text="Types of server events that are kept from the client, such as rate_limits.updated",
    )  # fmt: skip
    minutes = forms.FloatField(required=False, label="Minutes", min_value=0.1, help_text="How long one session may last.")
    sessions = forms.IntegerField(required=False, label="At a time", min_value=1, help_text="How many sessions may run at once.")
    dollars = forms.FloatField(
        required=False, label="US$", min_value=0.01, help_text="What may be spent in all sessions together."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in LIMITS:
            self.fields[name].widget.attrs["placeholder"] = "no limit"
        voice = self.fields["voice"]
        if isinstance(voice, OpenChoice) and self.is_bound:
            voice.offer(str(self.data.get("voice", "")))

    def clean_name(self) -> str:
        """One no other key has, or had."""
        name: str = self.cleaned_data["name"]
        if RelayKey.objects.filter(name=name).exists():
            raise forms.ValidationError("There is a key of this name already; a revoked one keeps its name.")
        return name

    def clean_tools(self) -> list[dict[str, Any]] | None:
        """An array of objects, or nothing."""
        value = self.cleaned_data["tools"]
        if value in (None, ""):
            return None
        if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
            raise forms.ValidationError("Tools are a JSON array of objects: [ { … } ].")
        return value

    def clean(self) -> dict[str, Any]:
        """What can be wrong with a policy, beside the field it concerns."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                Policy.read(self.policy())
            except InvalidPolicy as error:
                named = re.split(r"[.\[]", error.field)[-1]
                self.add_error(named if named in self.fields else None, _sentence(error.reason))
        return data

    def policy(self) -> dict[str, Any]:
        """Only what is said."""
        data = self.cleaned_data
        session = {name: data[name] for name in FIXED if name != "voice" and data[name] not in ("", None)}
        if data["voice"]:
            session["audio"] = {"output": {"voice": data["voice"]}}
        told = {
            **{name: [type_ for type_ in re.split(r"[\s,]+", data[name]) if type_] for name in TYPES},
            "session": session,
            **{name: data[name] for name in LIMITS},
        }
        return {name: value for name, value in told.items() if value not in (None, [], {})}

    def groups(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        """Title, what it means, fields; the first two stand above the groups."""
        return [
            ("Limits", "The relay ends what goes beyond them.", [self[name] for name in LIMITS]),
            ("Fixed by you", "The client can neither change nor read these.", [self[name] for name in FIXED]),
            ("Events", "What is refused is answered with an error event and noted on the timeline.", [self[name] for name in TYPES]),
        ]

    def point_out(self) -> None:
        """Let the page lead to the first field that has something wrong; a phone shows few of them at a time."""
        for name in ("name", "provider", *LIMITS, *FIXED, *TYPES):
            if name in self.errors:
                self.fields[name].widget.attrs["autofocus"] = True
                return


def _sentence(reason: str) -> str:
    return reason[:1].upper() + reason[1:]
