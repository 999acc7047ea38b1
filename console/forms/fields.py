"""Fields that take more than Django's own: values nobody foresaw, and JSON that a person edits."""

from __future__ import annotations

import json
from typing import Any

from django import forms


class OpenChoice(forms.ChoiceField):
    """Offers the values the API names, and takes others: providers differ, and a debugger must be able to ask."""

    def valid_value(self, value: Any) -> bool:
        """Anything that was written."""
        return True

    def offer(self, value: str) -> None:
        """Show a value of somebody else's among the others."""
        offered = [(str(name), str(label)) for name, label in self.widget.choices]
        if value and value not in dict(offered):
            self.choices = [*offered, (value, value)]


class JSONText(forms.JSONField):
    """JSON a person edits: indented, and kept as it was typed while it is wrong."""

    def to_python(self, value: Any) -> Any:
        """As Django's; JSON nested too deep to be read is no JSON, and half of a surrogate pair is no character."""
        try:
            data = super().to_python(value)
            json.dumps(data, ensure_ascii=False).encode()  # as a page will show it again
        except RecursionError:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None
        except UnicodeEncodeError:
            raise forms.ValidationError("An escape such as \\ud800 is half a character: its other half is missing.") from None
        return data

    def prepare_value(self, value: Any) -> str:
        """Text stays text."""
        if value in (None, "", [], {}):
            return "" if value in (None, "") else str(value)
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
