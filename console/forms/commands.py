"""Forms for what a person tells a session, and asks of its timeline."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from console.forms.base import ConsoleForm
from console.forms.settings import ASKED_AT_START, SessionSettingsForm
from console.models import Entry, EntryQuerySet, Session
from console.providers import providers
from realtime.errors import ToolError
from realtime.protocol import Played
from realtime.settings import changes
from realtime.tools.memory import check_key, check_value

MOST_ROWS = 400
"""Rows in one answer."""


class StartForm(ConsoleForm):
    """What a session is started with. The settings form may be posted along; without it the console's own defaults."""

    provider = forms.CharField(max_length=64)
    model = forms.CharField(max_length=128, required=False)
    label = forms.CharField(max_length=200, required=False)
    continues = forms.CharField(max_length=24, required=False)

    def clean_provider(self) -> str:
        """One of those configured."""
        name: str = self.cleaned_data["provider"]
        if name not in providers():
            raise forms.ValidationError(f'There is no provider "{name}" here; configured: {", ".join(providers())}.')
        return name

    def clean_continues(self) -> str:
        """A session that is there."""
        session_id: str = self.cleaned_data["continues"]
        if session_id and not Session.objects.filter(pk=session_id).exists():
            raise forms.ValidationError("The session to be continued is not there any more.")
        return session_id

    def clean(self) -> dict[str, Any]:
        """Model and settings, each with its default."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        provider = providers().get(data.get("provider", ""))
        if provider and not data.get("model"):
            data["model"] = provider.models[0] if provider.models else ""
        data["settings"] = ASKED_AT_START
        if "turn_detection" in self.data:
            settings = SessionSettingsForm(self.data)
            if settings.is_valid():
                # A new session begins with the API's defaults: everything the form names is asked for.
                data["settings"] = changes(settings.session(), API_DEFAULTS)
            for sentence in settings.sentences():
                self.add_error(None, f"Settings, {sentence}")
        return data


API_DEFAULTS: dict[str, Any] = {
    "output_modalities": ["audio"], "tools": [], "tool_choice": "auto", "max_output_tokens": "inf", "tracing": None,
    "truncation": "auto", "prompt": None, "include": None,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000}, "transcription": None, "noise_reduction": None,
            "turn_detection": {"type": "server_vad"},
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "speed": 1.0},
    },
}  # fmt: skip
"""What session.created tells before anything was asked: naming it again would say nothing."""


class SayForm(ConsoleForm):
    """Words, and what was playing when they interrupted it."""

    text = forms.CharField(max_length=100_000, error_messages={"required": "There is nothing to say: the text is empty."})
    item_id = forms.CharField(max_length=128, required=False)
    content_index = forms.IntegerField(min_value=0, required=False)
    played_ms = forms.FloatField(min_value=0, required=False)

    def played(self) -> Played | None:
        """What the loudspeaker had played of the item that was cut; None when it was silent."""
        data = self.cleaned_data
        if not data["item_id"]:
            return None
        return Played(data["item_id"], round(data["played_ms"] or 0), data["content_index"] or 0)


class ModeForm(ConsoleForm):
    """Who ends a turn."""

    mode = forms.ChoiceField(choices=[("manual", "Manual"), ("vad", "VAD")])

    def changes(self) -> dict[str, Any]:
        """The session.update that makes it so, and nothing else."""
        detection = None if self.cleaned_data["mode"] == "manual" else {"type": "server_vad"}
        return {"audio": {"input": {"turn_detection": detection}}}


class SwitchForm(ConsoleForm):
    """On or off: a checkbox that is off is not posted."""

    on = forms.BooleanField(required=False)


class SendForm(ConsoleForm):
    """Any event, as JSON. Whether the API knows it is not checked: a debugger must be able to send nonsense."""

    event = forms.CharField(widget=forms.Textarea, error_messages={"required": "There is nothing to send: write an event."})

    def clean_event(self) -> dict[str, Any]:
        """An object with a type. Not a JSONField: that takes an empty object for nothing at all."""
        try:
            value = json.loads(self.cleaned_data["event"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(f"This is not JSON: {error}.") from None
        if not isinstance(value, dict):
            raise forms.ValidationError("An event is a JSON object: { … }.")
        if not isinstance(value.get("type"), str) or not value["type"]:
            raise forms.ValidationError('An event needs a "type" that is a string.')
        return value


class MemoryForm(ConsoleForm):
    """One thing the session remembers; ``forget`` drops it."""

    key = forms.CharField(max_length=80)
    new_value = forms.CharField(required=False, max_length=4000, label="Value")
    forget = forms.BooleanField(required=False)

    def clean_key(self) -> str:
        """As set_memory takes it."""
        key: str = self.cleaned_data["key"]
        try:
            check_key(key)
        except ToolError as error:
            raise forms.ValidationError(str(error)) from None
        return key

    def clean_new_value(self) -> str:
        """As set_memory takes it."""
        value: str = self.cleaned_data["new_value"]
        try:
            check_value(value)
        except ToolError as error:
            raise forms.ValidationError(str(error)) from None
        return value

    def value(self) -> str | None:
        """What is to be remembered; None to forget."""
        return None if self.cleaned_data["forget"] else self.cleaned_data["new_value"]


class RenameForm(ConsoleForm):
    """A session's name; empty for none."""

    label = forms.CharField(max_length=200, required=False)


class RowsForm(ConsoleForm):
    """Which rows of a timeline: before or after one, around a moment, or the newest; and which of them match."""

    before = forms.IntegerField(required=False, min_value=0)
    after = forms.IntegerField(required=False, min_value=0)
    around_us = forms.IntegerField(required=False)
    limit = forms.IntegerField(required=False, min_value=1, max_value=MOST_ROWS)
    q = forms.CharField(required=False, max_length=500)

    @property
    def from_the_end(self) -> bool:
        """Whether no place is asked for: the newest rows."""
        return all(self.cleaned_data[name] is None for name in ("before", "after", "around_us"))

    def page(self, matching: EntryQuerySet) -> tuple[list[Entry], bool]:
        """The rows, oldest first, and whether there are more in the direction asked for."""
        data = self.cleaned_data
        limit = data["limit"] or 200
        if data["after"] is not None:
            found = list(matching.after(data["after"]).order_by("seq")[: limit + 1])
            return found[:limit], len(found) > limit
        if data["around_us"] is not None:
            earlier = list(matching.filter(t_us__lte=data["around_us"]).order_by("-seq")[: limit // 2])
            last = earlier[0].seq if earlier else 0
            later = list(matching.after(last).order_by("seq")[: limit - limit // 2])
            return [*earlier[::-1], *later], len(later) == limit - limit // 2
        if data["before"] is not None:
            matching = matching.before(data["before"])
        found = list(matching.order_by("-seq")[: limit + 1])
        return found[:limit][::-1], len(found) > limit
