"""Keys typed on the page: held in this process's memory, shown by their last four characters, forgotten on request."""

from __future__ import annotations

import re

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from console.access import keyring
from console.providers import providers

KEY = re.compile(r"[\x21-\x7e]{8,400}")
"""What can travel in an Authorization header; OpenAI's are 51 to 200 characters."""


class KeyForm(forms.Form):
    """A provider and its key."""

    provider = forms.CharField(max_length=64)
    key = forms.CharField(max_length=400, strip=True)

    def clean_provider(self) -> str:
        """One of those configured."""
        name: str = self.cleaned_data["provider"]
        if name not in providers():
            raise forms.ValidationError(f'There is no provider "{name}" here.')
        return name

    def clean_key(self) -> str:
        """Printable ASCII without spaces; the key itself is never repeated in the sentence."""
        key: str = self.cleaned_data["key"]
        if not KEY.fullmatch(key):
            raise forms.ValidationError("This is not a key: 8 to 400 letters, digits and signs without spaces.")
        return key


@require_POST
@sensitive_post_parameters("key")
def set_key(request: HttpRequest) -> HttpResponse:
    """Hold a key for this browser. Answers with the key panel: held, or the form with what was wrong."""
    form = KeyForm(request.POST)
    if not form.is_valid():
        return _panel(request, form, status=422)
    if not request.session.session_key:
        request.session.create()
    keyring.hold(str(request.session.session_key), form.cleaned_data["provider"], form.cleaned_data["key"])
    return _panel(request, KeyForm())


@require_POST
def forget_key(request: HttpRequest) -> HttpResponse:
    """Drop every key this browser has given."""
    keyring.forget(request.session.session_key)
    return _panel(request, KeyForm())


def _panel(request: HttpRequest, form: KeyForm, status: int = 200) -> HttpResponse:
    if not request.htmx:  # type: ignore[attr-defined]  # set by HtmxMiddleware
        return HttpResponseRedirect(reverse("home"))
    errors = [str(error) for errors in form.errors.values() for error in errors]
    context = {"hint": keyring.hint(request.session.session_key, "openai"), "errors": errors}
    return render(request, "console/_key.html", context, status=status)
