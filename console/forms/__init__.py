"""A form for every input."""

from __future__ import annotations

from console.forms.base import ConsoleForm
from console.forms.commands import MemoryForm, ModeForm, RenameForm, RowsForm, SayForm, SendForm, StartForm, SwitchForm
from console.forms.relay import RelayKeyForm
from console.forms.settings import PresetForm, SessionSettingsForm

__all__ = [
    "ConsoleForm", "MemoryForm", "ModeForm", "PresetForm", "RelayKeyForm", "RenameForm", "RowsForm", "SayForm", "SendForm",
    "SessionSettingsForm", "StartForm", "SwitchForm",
]  # fmt: skip
