"""Presets: settings under a name, to be filled into the form again."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_POST

from console import columns
from console.forms import PresetForm, SessionSettingsForm
from console.models import Preset, Session


@require_POST
def save_preset(request: HttpRequest) -> HttpResponse:
    """Keep what the form says under a name; a preset of that name is replaced."""
    named, form = PresetForm(request.POST), SessionSettingsForm(request.POST)
    if not form.is_valid():
        return _pane(request, form, "Not saved: something in the form is not right.", status=422)
    if not named.is_valid():
        return _pane(request, form, "Not saved: give the preset a name.", status=422)
    if not columns.holds(form.session()):
        said = "Not saved: a value holds NUL, or a number that cannot be kept. It can be sent all the same."
        return _pane(request, form, said, status=422)
    name = named.cleaned_data["name"]
    _, created = Preset.objects.update_or_create(name=name, defaults={"settings": form.session()})
    return _pane(request, form, f"Saved as “{name}”." if created else f"“{name}” was replaced.")


@require_GET
def apply_preset(request: HttpRequest, preset_id: int) -> HttpResponse:
    """Fill the form. Nothing is sent before the user sends it: what the page showed before stays the base."""
    preset = get_object_or_404(Preset, pk=preset_id)
    form = SessionSettingsForm(session=preset.settings)
    return _pane(request, form, f"Filled in from “{preset}”; nothing is sent yet.", base=request.GET.get("base"))


@require_POST
def delete_preset(request: HttpRequest, preset_id: int) -> HttpResponse:
    """Drop a preset; the form stays as it is."""
    preset = get_object_or_404(Preset, pk=preset_id)
    preset.delete()
    return _pane(request, SessionSettingsForm(request.POST), f"“{preset}” is deleted.")


def _pane(request: HttpRequest, form: SessionSettingsForm, said: str, base: str | None = None, status: int = 200) -> HttpResponse:
    """The settings pane again, for the session it belongs to, if any."""
    session_id = request.POST.get("session") or request.GET.get("session") or ""
    context = {
        "form": form,
        "session": Session.objects.filter(pk=session_id).first(),
        "presets": Preset.objects.all(),
        "said": said,
        "base": base or request.POST.get("base"),
    }
    return render(request, "console/_settings.html", context, status=status)
