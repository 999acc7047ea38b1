"""The list of sessions: the library page, the same as JSON, renaming, pinning and deleting."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from console import columns, housekeeping, outages, rail, retention, watch
from console.forms import RenameForm
from console.models import Session
from console.views.answers import problems

LIST_LIMIT = 1000
"""Sessions in one answer; the newest."""


@require_GET
def library(request: HttpRequest) -> HttpResponse:
    """Every session, newest first."""
    sessions = [rail.rail_session(session) for session in Session.objects.newest_first()[:LIST_LIMIT]]
    return render(request, "console/library.html", {"sessions": sessions, "told": rail.told()})


@require_POST
def rename(request: HttpRequest, session_id: str) -> HttpResponse:
    """Give a session a name."""
    session = get_object_or_404(Session, pk=session_id)
    form = RenameForm(request.POST)
    if not form.is_valid():
        return problems(request, form.sentences())
    session.label = form.cleaned_data["label"]
    session.save(update_fields=["label"])
    return _rail(request)


@require_POST
def delete(request: HttpRequest, session_id: str) -> HttpResponse:
    """Delete a finished session: it is gone from every list at once. One that still runs is refused."""
    session = get_object_or_404(Session, pk=session_id)
    if session.is_live:
        sentence = f"“{session}” is still running: disconnect it before you delete it."
        return problems(request, [sentence])
    retention.hide(Session.objects.filter(pk=session_id))
    housekeeping.soon()  # its rows go a few at a time: a long session's would hold up what is being recorded
    return _rail(request)


@require_POST
def pin(request: HttpRequest, session_id: str) -> HttpResponse:
    """Keep a session whatever the limits of age and size say (``pinned=1``), or no longer (``pinned=0``)."""
    session = get_object_or_404(Session, pk=session_id)
    session.pinned = request.POST.get("pinned") == "1"
    session.save(update_fields=["pinned"])
    housekeeping.tell()
    if not request.htmx:  # type: ignore[attr-defined]  # set by HtmxMiddleware
        return HttpResponseRedirect(reverse("library"))
    return render(request, "console/_pin.html", {"session": session})


def _rail(request: HttpRequest) -> HttpResponse:
    """The list as it is now."""
    if not request.htmx:  # type: ignore[attr-defined]  # set by HtmxMiddleware
        return HttpResponseRedirect(reverse("library"))
    return HttpResponse(rail.drawn(rail.listed(request.POST.get("current", ""))))


@require_GET
def sessions_json(request: HttpRequest) -> HttpResponse:
    """The list for programs, newest first."""
    sessions = Session.objects.newest_first()[:LIST_LIMIT]
    return JsonResponse([_facts(session) for session in sessions], safe=False)


@require_GET
def session_json(request: HttpRequest, session_id: str) -> HttpResponse:
    """One session for programs."""
    session = get_object_or_404(Session, pk=session_id)
    close = {"by": session.close_by, "code": session.close_code, "reason": session.close_reason}
    return JsonResponse({
        **_facts(session),
        "close": None if session.is_live else close,
        "duration_ms": round(session.duration_us / 1000),
        "session": columns.plain(session.in_force()),
        "meter": watch.meter_of(session) or None,
    })  # fmt: skip


def _facts(session: Session) -> dict[str, Any]:
    """What the contract names for each session."""
    return {
        "id": session.pk,
        "label": session.label,
        "source": session.source,
        "provider": session.provider,
        "model": session.model,
        "dialect": session.dialect,
        "client": session.client,
        "key_name": session.key_name,
        "status": session.status,
        "started_at": session.started_at.isoformat(),
        "ended_at": session.ended_at.isoformat() if session.ended_at else None,
        "events": session.events,
        "errors": session.errors,
        "pinned": session.pinned,
    }


@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and recording goes on, else 503 with the reason."""
    why = outages.reason()
    return HttpResponse(f"{why or 'ok'}\n", status=503 if why else 200, content_type="text/plain; charset=utf-8")
