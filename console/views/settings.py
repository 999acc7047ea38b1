"""A session's settings: the form, and sending what of it was changed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import aget_object_or_404, render
from django.views.decorators.http import require_http_methods

from console import live
from console.forms import SessionSettingsForm
from console.models import Preset, Session
from realtime.errors import LocalError
from realtime.settings import changes, with_cleared

NOT_RUNNING = "This session is not running (any more): nothing was sent. Start a new one with these settings."
SENT = "Sent."
ANSWERED = "Sent; the form shows what is in force now."
NOTHING = "Nothing was changed, so nothing was sent."


@require_http_methods(["GET", "POST"])
async def settings(request: HttpRequest, session_id: str) -> HttpResponse:
    """GET: the form as the session stands. POST: one session.update with only what was changed, or what is wrong."""
    session = await aget_object_or_404(Session, pk=session_id)
    runner = live.find(session_id)
    spoken = runner is not None and runner.protocol.audio_spoken
    if request.method == "GET":
        said = ANSWERED if request.GET.get("sent") else ""
        return await _pane(request, session, await live.in_reader(SessionSettingsForm.of, session, spoken), said)
    before = await live.in_reader(SessionSettingsForm.of, session, spoken)
    form = SessionSettingsForm(request.POST, initial=before.initial, audio_spoken=spoken)
    if not form.is_valid():
        return await _pane(request, session, form, status=422)
    if runner is None:
        return await _pane(request, session, form, NOT_RUNNING, status=422)
    base = form.cleaned_data["base"]
    if isinstance(base, dict):  # what the page showed: what is empty now was cleared
        changed = changes(with_cleared(form.session(), base), base)
    else:
        changed = changes(form.session(), runner.protocol.session or {})
    if not changed:
        return await _pane(request, session, form, NOTHING)
    try:
        await runner.update_session(changed)
    except LocalError as error:
        return await _pane(request, session, form, str(error), status=422)
    # What was just sent is what the next change starts from, until the pane asks again: the API has answered by then.
    shown = SessionSettingsForm(initial=form.values(), audio_spoken=spoken)
    return await _pane(request, session, shown, SENT, sent=True)


async def _pane(
    request: HttpRequest,
    session: Session,
    form: SessionSettingsForm,
    said: str = "",
    status: int = 200,
    *,
    sent: bool = False,
) -> HttpResponse:
    """The form, with a sentence when there is something to say; ``sent``: it asks again for what is in force."""

    def draw() -> HttpResponse:
        context = {"form": form, "session": session, "presets": list(Preset.objects.all()), "said": said, "sent": sent}
        return render(request, "console/_settings.html", context, status=status)

    return await live.in_reader(draw)
