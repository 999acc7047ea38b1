"""The console page: the same for no session yet, a live, a finished and a replayed one."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from console import fragments, live, moments, rail, watch
from console.access import keyring
from console.forms import SessionSettingsForm
from console.forms.settings import ASKED_AT_START
from console.models import Entry, Preset, Session
from console.page import ConsolePage
from console.providers import providers
from console.recorder import recorder
from realtime.settings import compare


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
    rows = Entry.objects.of(session).rows() if session else Entry.objects.none()
    in_force = session.in_force() if session else None
    memory, weather = moments.tools_until(session, session.last_seq) if session else ({}, None)
    runner = live.find(session.pk) if session else None
    page = ConsolePage(
        session=session,
        rows=watch.rows_of(watch.newest(rows, watch.SNAPSHOT_ROWS)),
        rail=rail.listed(session.pk if session else ""),
        providers=list(providers().values()),
        hint=keyring.hint(request.session.session_key, "openai"),
        settings=SessionSettingsForm.of(session, bool(runner and runner.protocol.audio_spoken)),
        presets=list(Preset.objects.all()),
        items=None if session else [],
        memory=memory,
        weather=weather,
        differences=compare(session.asked(), in_force) if session else [],
        mode=fragments.mode_of(in_force or ASKED_AT_START),
        expires_at=watch.expires_at(in_force),
        trouble=recorder.trouble,
        total=rows.count(),
        address=request.build_absolute_uri("/").rstrip("/"),
        meter=watch.meter_of(session) if session else "",
        acting=watch.acting_in(session) if session else None,
        told=rail.told(),
    )
    template = "console/_console.html" if request.htmx else "console/page.html"  # type: ignore[attr-defined]
    return render(request, template, {"page": page})
