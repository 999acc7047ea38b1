"""A form for every input."""

from __future__ import annotations

from console.forms.commands import MemoryForm, ModeForm, RenameForm, RowsForm, SayForm, SendForm, StartForm
from console.forms.settings import PresetForm, SessionSettingsForm

__all__ = [
    "MemoryForm", "ModeForm", "PresetForm", "RenameForm", "RowsForm", "SayForm", "SendForm", "SessionSettingsForm",
    "StartForm",
]  # fmt: skip
