"""The console page: the same for no session yet, a live, a finished and a replayed one."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from console import fragments, watch
from console.access import keyring
from console.forms import SessionSettingsForm
from console.models import Entry, Preset, Session
from console.providers import providers


@require_GET
@ensure_csrf_cookie
def home(request: HttpRequest) -> HttpResponse:
    """No session yet: what to do first."""
    return console_page(request, None)


@require_GET
@ensure_csrf_cookie
def session_page(request: HttpRequest, session_id: str) -> HttpResponse:
    """One session; with htmx only the console itself is answered, not the page around it."""
    return console_page(request, get_object_or_404(Session, pk=session_id))


def console_page(request: HttpRequest, session: Session | None) -> HttpResponse:
    """The whole page, or its ``#console`` for htmx."""
    known = providers()
    page = fragments.console_page(
        session=session,
        rows=watch.rows_of(watch.newest(Entry.objects.of(session).rows(), watch.SNAPSHOT_ROWS)) if session else [],
        sessions=Session.objects.newest_first()[: fragments.RAIL_LIMIT],
        providers=known.values(),
        hint=keyring.hint(request.session.session_key, "openai"),
        settings=SessionSettingsForm.of(session),
        presets=Preset.objects.all(),
    )
    template = "console/_console.html" if request.htmx else "console/page.html"  # type: ignore[attr-defined]
    return render(request, template, {"page": page})
