"""What all forms here have in common."""

from __future__ import annotations

from django import forms


class ConsoleForm(forms.Form):
    """A form that can say what is wrong with it in sentences, and shows its labels without a colon."""

    template_name = "django/forms/div.html"

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # Django's own signature

    def sentences(self) -> list[str]:
        """Every error, with its field's name where it belongs to one."""
        return [
            f"{self[name].label}: {error}" if name in self.fields else str(error)
            for name, errors in self.errors.items()
            for error in errors
        ]
