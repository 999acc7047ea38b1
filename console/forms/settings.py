"""The session settings form: every field of the GA session, grouped; from a session object and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.forms import BoundField

from console.forms.base import ConsoleForm
from console.forms.fields import JSONText, OpenChoice
from console.forms.session_values import session_of, values_of
from console.models import Session
from realtime import catalog, tools
from realtime.settings import MODEL_LOCK, locks

ASKED_AT_START: dict[str, Any] = {
    "instructions": "You are a helpful voice assistant in a debug console. Answer briefly. Use your tools when they help.",
    "tools": tools.schemas(tools.DEFAULT),
    "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": None}},
}
"""What the console asks for when nobody has changed anything: its two tools, the user's words written down, manual turns."""

FORMATS = [("audio/pcm", "PCM16 24 kHz"), ("audio/pcmu", "G.711 µ-law 8 kHz"), ("audio/pcma", "G.711 A-law 8 kHz")]
YES_NO = [("", "API's default"), ("true", "yes"), ("false", "no")]
GROUPS: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
    ("Voice and answer", True, ("instructions", "voice", "voice_id", "speed", "output_modality", "output_format")),
    ("Turns", True, (
        "turn_detection", "threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms", "eagerness",
        "create_response", "interrupt_response",
    )),
    ("Hearing", False, (
        "transcription_model", "transcription_language", "transcription_prompt", "transcription_languages",
        "transcription_keywords", "transcription_delay", "logprobs", "noise_reduction", "input_format",
    )),
    ("Tools", False, ("tools", "tool_choice", "parallel_tool_calls")),
    ("Limits", False, (
        "max_output_tokens", "reasoning_effort", "truncation", "retention_ratio", "token_limit",
    )),
    ("Advanced", False, ("tracing", "prompt_id", "prompt_version", "prompt_variables")),
)  # fmt: skip
"""Title, whether it stands open, fields."""

PATHS = {
    "instructions": "instructions", "voice": "audio.output.voice", "speed": "audio.output.speed",
    "output_modality": "output_modalities", "output_format": "audio.output.format",
    "turn_detection": "audio.input.turn_detection", "threshold": "audio.input.turn_detection.threshold",
    "prefix_padding_ms": "audio.input.turn_detection.prefix_padding_ms",
    "silence_duration_ms": "audio.input.turn_detection.silence_duration_ms",
    "idle_timeout_ms": "audio.input.turn_detection.idle_timeout_ms",
    "eagerness": "audio.input.turn_detection.eagerness",
    "create_response": "audio.input.turn_detection.create_response",
    "interrupt_response": "audio.input.turn_detection.interrupt_response",
    "transcription_model": "audio.input.transcription.model",
    "transcription_language": "audio.input.transcription.language",
    "transcription_prompt": "audio.input.transcription.prompt",
    "transcription_languages": "audio.input.transcription.languages",
    "transcription_keywords": "audio.input.transcription.keywords",
    "transcription_delay": "audio.input.transcription.delay",
    "logprobs": "include", "noise_reduction": "audio.input.noise_reduction.type",
    "input_format": "audio.input.format", "tools": "tools", "tool_choice": "tool_choice",
    "parallel_tool_calls": "parallel_tool_calls", "max_output_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort", "truncation": "truncation", "tracing": "tracing", "prompt_id": "prompt.id",
    "prompt_version": "prompt.version", "prompt_variables": "prompt.variables",
}  # fmt: skip
"""Field of the form → where it stands in the session object, which is where its help comes from."""


@dataclass(frozen=True)
class Group:
    """Fields that stand together."""

    title: str
    open: bool
    fields: list[BoundField]


def _named(path: str, blank: str = "API's default") -> list[tuple[str, str]]:
    """The values the API names for a setting, after an empty one."""
    return [("", blank), *((value, value) for value in catalog.choices(path))]


class SessionSettingsForm(ConsoleForm):
    """Empty fields are left to the API. ``session()`` is what the fields say, as a session object."""

    base = JSONText(required=False, widget=forms.HiddenInput)
    instructions = forms.CharField(required=False, strip=False, widget=forms.Textarea(attrs={"rows": 5}))
    voice = OpenChoice(required=False, choices=partial(_named, "audio.output.voice"))
    voice_id = forms.CharField(
        required=False, max_length=128, label="Custom voice", help_text="The id of a voice of your own, instead of those above."
    )
    speed = forms.FloatField(required=False, min_value=0.25, max_value=1.5)
    output_modality = OpenChoice(label="Answer in", choices=[("audio", "sound, with transcript"), ("text", "text only")], required=False)
    output_format = OpenChoice(required=False, choices=FORMATS)
    turn_detection = OpenChoice(
        label="Who ends a turn",
        required=False,
        choices=[("", "manual: the talk button"), ("server_vad", "server_vad: a silence"), ("semantic_vad", "semantic_vad: the sense")],
    )
    threshold = forms.FloatField(required=False, min_value=0, max_value=1)
    prefix_padding_ms = forms.IntegerField(required=False, min_value=0, max_value=10_000, label="Prefix padding, ms")
    silence_duration_ms = forms.IntegerField(required=False, min_value=0, max_value=30_000, label="Silence duration, ms")
    idle_timeout_ms = forms.IntegerField(required=False, min_value=5000, max_value=30_000, label="Idle timeout, ms")
    eagerness = OpenChoice(required=False, choices=partial(_named, "audio.input.turn_detection.eagerness"))
    create_response = forms.ChoiceField(required=False, choices=YES_NO)
    interrupt_response = forms.ChoiceField(required=False, choices=YES_NO)
    transcription_model = OpenChoice(
        required=False, label="Transcription", choices=partial(_named, "audio.input.transcription.model", "off")
    )
    transcription_language = forms.CharField(required=False, max_length=35, label="Language")
    transcription_prompt = forms.CharField(required=False, label="Transcription prompt", max_length=4000)
    transcription_languages = forms.CharField(required=False, label="Languages", help_text="Codes with commas between them.")
    transcription_keywords = forms.CharField(required=False, label="Keywords", help_text="Words with commas between them.")
    transcription_delay = OpenChoice(required=False, label="Delay", choices=partial(_named, "audio.input.transcription.delay"))
    logprobs = forms.BooleanField(required=False, label="Include log probabilities")
    noise_reduction = OpenChoice(required=False, choices=partial(_named, "audio.input.noise_reduction.type", "off"))
    input_format = OpenChoice(required=False, choices=FORMATS)
    tools = JSONText(required=False, widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}))
    tool_choice = forms.CharField(required=False, max_length=128, help_text="auto, none, required, or the name of a function.")
    parallel_tool_calls = forms.ChoiceField(required=False, choices=YES_NO)
    max_output_tokens = forms.CharField(required=False, help_text="A whole number, or inf.")
    reasoning_effort = OpenChoice(required=False, choices=partial(_named, "reasoning.effort"))
    truncation = OpenChoice(required=False, choices=[("auto", "auto"), ("disabled", "disabled"), ("retention_ratio", "keep a part of it")])
    retention_ratio = forms.FloatField(required=False, min_value=0, max_value=1, help_text="Part of the context that is kept.")
    token_limit = forms.IntegerField(required=False, min_value=0, label="Token limit", help_text="Tokens after the instructions.")
    tracing = forms.CharField(required=False, help_text='auto, or an object such as {"workflow_name": "demo"}.')
    prompt_id = forms.CharField(required=False, max_length=128, label="Stored prompt")
    prompt_version = forms.CharField(required=False, max_length=32)
    prompt_variables = JSONText(required=False, widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}))

    def __init__(self, *args: Any, audio_spoken: bool = False, session: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """``session`` fills the fields; ``audio_spoken`` locks what the API has locked by then."""
        if session is not None:
            kwargs["initial"] = values_of(session)
        super().__init__(*args, **kwargs)
        locked = locks(audio_spoken)
        for name, path in PATHS.items():
            field = self.fields[name]
            help_ = catalog.session_help(path)
            field.help_text = field.help_text or _first_sentence(help_)
            field.widget.attrs["title"] = help_
            if reason := locked.get(path):
                field.disabled, field.help_text = True, reason
        for name, field in self.fields.items():
            if isinstance(field, OpenChoice):
                field.offer(str(self[name].value() or ""))
            if isinstance(field, forms.IntegerField) and field.max_value is not None:  # decimals are among them
                limits = f"A number from {field.min_value:,} to {field.max_value:,}."
                field.error_messages |= {"min_value": limits, "max_value": limits, "invalid": limits}
        for name in ("speed", "threshold", "retention_ratio"):
            self.fields[name].widget.attrs["step"] = 0.05

    @classmethod
    def of(cls, session: Session | None, audio_spoken: bool = False) -> SessionSettingsForm:
        """The form of a session: what is in force there; before anything is, what was or will be asked for."""
        if session is None:
            return cls(session=ASKED_AT_START)
        return cls(session=session.in_force() or session.asked() or ASKED_AT_START, audio_spoken=audio_spoken)

    @property
    def model_lock(self) -> str:
        """Why the model has no field here."""
        return MODEL_LOCK

    def groups(self) -> Iterator[Group]:
        """The fields as the page shows them; a group with an error in it stands open."""
        for title, is_open, names in GROUPS:
            fields = [self[name] for name in names]
            yield Group(title, is_open or any(field.errors for field in fields), fields)

    def base_json(self) -> str:
        """What the fields said when they were shown: only what differs from it is sent."""
        shown = SessionSettingsForm({name: self[name].field.prepare_value(value) for name, value in self.initial.items()})
        return json.dumps(shown.session()) if shown.is_valid() else "null"

    def values(self) -> dict[str, Any]:
        """What the fields hold now, as initial values of another form."""
        return {name: self[name].value() for name in self.fields if name != "base"}

    def clean_tools(self) -> list[Any]:
        """A list of functions and MCP servers."""
        value = self.cleaned_data["tools"]
        if value in (None, ""):
            return []
        if not isinstance(value, list):
            raise forms.ValidationError("Tools are a JSON array: [ … ].")
        for number, tool in enumerate(value, 1):
            if not isinstance(tool, dict) or tool.get("type") not in ("function", "mcp"):
                raise forms.ValidationError(f'Tool {number} must be an object with "type": "function" or "mcp".')
            if tool["type"] == "function" and not tool.get("name"):
                raise forms.ValidationError(f'Tool {number} is a function and needs a "name".')
        return value

    def clean_max_output_tokens(self) -> int | str | None:
        """``inf`` or 1 to 32,000; smaller models take up to 4,096 and say so themselves."""
        text = self.cleaned_data["max_output_tokens"].strip()
        if text in ("", "inf"):
            return text or None
        if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 32_000:
            raise forms.ValidationError("A whole number from 1 to 32,000, or inf.")
        return int(text)

    def clean_tracing(self) -> Any:
        """Empty, auto, or an object."""
        text = self.cleaned_data["tracing"].strip()
        if text in ("", "auto"):
            return text or None
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(f"auto, or a JSON object: {error}.") from None
        if not isinstance(value, dict):
            raise forms.ValidationError("auto, or a JSON object.")
        return value

    def clean_prompt_variables(self) -> dict[str, Any] | None:
        """An object or nothing."""
        value = self.cleaned_data["prompt_variables"]
        if value in (None, ""):
            return None
        if not isinstance(value, dict):
            raise forms.ValidationError("Variables are a JSON object: { … }.")
        return value

    def clean(self) -> dict[str, Any]:
        """Fields that need each other."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("truncation") == "retention_ratio" and data.get("retention_ratio") is None:
            self.add_error("retention_ratio", "Say which part is to be kept, from 0 to 1.")
        if not data.get("prompt_id") and (data.get("prompt_version") or data.get("prompt_variables")):
            self.add_error("prompt_id", "A version or variables belong to a stored prompt: give its id.")
        return data

    def session(self) -> dict[str, Any]:
        """What the valid fields say, as a partial session object; what is left to the API is not named."""
        return session_of(self.cleaned_data)


def _first_sentence(text: str) -> str:
    flat = " ".join(text.split()).replace("`", "")
    found = re.match(r".*?[^.][a-z0-9)]\.(?= [A-Z]|$)", flat)
    return found.group() if found else flat


class PresetForm(ConsoleForm):
    """The name under which settings are kept."""

    name = forms.CharField(max_length=80)
