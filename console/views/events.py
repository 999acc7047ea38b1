"""What happened: pages of rows, one event in full, the conversation and the tools as they stood at a moment."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from console import fragments, moments, panes, watch
from console.forms import RowsForm
from console.models import Entry, Session
from realtime.errors import InvalidFilter

MOST_DIGITS = 19
"""Of a number a database can compare with."""
MEMBERS_PAGE = 200
"""Members of a fold shown at once: with the rows around them the page stays below a thousand."""


@require_GET
def rows(request: HttpRequest, session_id: str) -> HttpResponse:
    """One page of rows before, after or around a place; ``X-Has-More`` says whether the way goes on."""
    session = get_object_or_404(Session, pk=session_id)
    form = RowsForm(request.GET)
    if not form.is_valid():
        return HttpResponse(fragments.problems(form.sentences()), status=422)
    try:
        all_rows = Entry.objects.of(session).rows()
        matching = all_rows.matching(form.cleaned_data["q"])
        page, more = form.page(matching)
    except InvalidFilter as error:
        return HttpResponse(fragments.problems([str(error)]), status=422)
    response = HttpResponse(fragments.rows(watch.rows_of(page)))
    response["X-Has-More"] = "true" if more else "false"
    complete = form.from_the_end and not more  # then the rows need not be found again to be counted
    response["X-Matching"] = str(len(page) if complete else matching.count())
    response["X-Total"] = str(all_rows.count())
    return response


@require_GET
def event_detail(request: HttpRequest, session_id: str, seq: int) -> HttpResponse:
    """One row in full, for the Event tab."""
    session = get_object_or_404(Session, pk=session_id)
    entry = get_object_or_404(Entry.objects.of(session), seq=seq)
    return HttpResponse(fragments.event_pane(panes.pane_of(entry)))


@require_GET
def members(request: HttpRequest, session_id: str, seq: int) -> HttpResponse:
    """A page of the entries a fold gathers, as rows: the newest, or those ``?before=`` or ``?after=`` one."""
    session = get_object_or_404(Session, pk=session_id)
    entries = Entry.objects.of(session)
    head = get_object_or_404(entries, seq=get_object_or_404(entries, seq=seq).row)
    form = RowsForm(request.GET)
    if not form.is_valid():
        return HttpResponse(fragments.problems(form.sentences()), status=422)
    form.cleaned_data["limit"] = MEMBERS_PAGE
    found = entries.members_of(head)
    page, _ = form.page(found)
    earlier = found.before(page[0].seq).count() if page else 0
    later = found.after(page[-1].seq).count() if page else 0
    return HttpResponse(fragments.member_rows(watch.member_rows_of(page), earlier, later))


@require_GET
def conversation(request: HttpRequest, session_id: str) -> HttpResponse:
    """The conversation, all of it or as it stood then (see ``_until``)."""
    session = get_object_or_404(Session, pk=session_id)
    return HttpResponse(fragments.conversation(moments.conversation_until(session, _until(request, session)).items))


@require_GET
def tools(request: HttpRequest, session_id: str) -> HttpResponse:
    """Memory and weather, now or as they stood then (see ``_until``)."""
    session = get_object_or_404(Session, pk=session_id)
    memory, weather = moments.tools_until(session, _until(request, session))
    return HttpResponse("".join(fragments.tools(session, memory, weather, oob=False).values()))


def _until(request: HttpRequest, session: Session) -> int:
    """``?until=SEQ``, or ``?at_us=``: the last place at or before that moment; without either, the end."""
    at_us = request.GET.get("at_us", "")
    if at_us.isdecimal() and len(at_us) < MOST_DIGITS:
        before = Entry.objects.of(session).filter(t_us__lte=int(at_us)).order_by("-seq").values_list("seq", flat=True)
        return before.first() or 0
    return watch.place(request.GET.get("until", ""), session.last_seq)
