"""What a person tells a running session; each POST finds it, validates, calls and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import aget_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from console import live
from console.access import keyring
from console.forms import ConsoleForm, MemoryForm, ModeForm, SayForm, SendForm, StartForm
from console.models import Entry, Session
from console.providers import providers
from console.views.answers import problems
from console.views.pages import console_page
from realtime.errors import LocalError
from realtime.runner import SessionRunner
from realtime.tools.memory import memory_of

NOT_RUNNING = "This session is not running (any more): nothing was sent. Start a new one to go on."


@require_POST
async def start_session(request: HttpRequest) -> HttpResponse:
    """Make a session and dial; the page goes there at once and shows how it goes."""
    form = StartForm(request.POST)
    if not await live.in_reader(form.is_valid):  # it looks for the session to be continued
        return problems(request, form.sentences())
    provider = providers()[form.cleaned_data["provider"]]
    browser = await live.in_reader(lambda: request.session.session_key)
    key = keyring.key(browser, provider.name)
    if provider.needs_key and not (key or provider.key):
        variable = "AZURE_OPENAI_API_KEY" if provider.name == "azure" else "OPENAI_API_KEY"
        return problems(request, [f"{provider.name} needs a key: type one here, or set {variable} in .env."])
    earlier = await live.in_reader(_earlier, form.cleaned_data["continues"])
    asked = live.Start(
        provider,
        form.cleaned_data["model"],
        key,
        settings=form.cleaned_data["settings"],
        memory=earlier,
        label=form.cleaned_data["label"],
    )
    try:
        session = await live.start(asked)
    except live.NotRecording as error:
        return await live.in_reader(partial(problems, request, [str(error)], status=503))
    if not request.htmx:  # type: ignore[attr-defined]  # set by HtmxMiddleware
        return HttpResponseRedirect(reverse("session_page", args=[session.pk]))
    response = await live.in_reader(console_page, request, session)
    response["HX-Push-Url"] = reverse("session_page", args=[session.pk])
    return response


def _earlier(session_id: str) -> dict[str, str]:
    """What was remembered in the session this one continues."""
    if not session_id:
        return {}
    return memory_of(e.to_entry() for e in Entry.objects.of(Session.objects.get(pk=session_id)).of_types("memory"))


@require_POST
async def say(request: HttpRequest, session_id: str) -> HttpResponse:
    """Say something in writing."""
    form = SayForm(request.POST)
    return await tell(request, session_id, form, lambda to: to.send_text(form.cleaned_data["text"], form.played()))


@require_POST
async def mode(request: HttpRequest, session_id: str) -> HttpResponse:
    """Take turns by hand, or let the API hear when somebody speaks. Only the change is sent."""
    form = ModeForm(request.POST)
    return await tell(request, session_id, form, lambda to: to.update_session(form.changes()))


@require_POST
async def send_event(request: HttpRequest, session_id: str) -> HttpResponse:
    """Send any event as it was written; it need not be a right one."""
    form = SendForm(request.POST)
    return await tell(request, session_id, form, lambda to: to.send_event(form.cleaned_data["event"], "composer"))


@require_POST
async def memory(request: HttpRequest, session_id: str) -> HttpResponse:
    """Set or forget one thing the session remembers."""
    form = MemoryForm(request.POST)
    return await tell(request, session_id, form, lambda to: live.set_memory(to, form.cleaned_data["key"], form.value()))


@require_POST
async def disconnect(request: HttpRequest, session_id: str) -> HttpResponse:
    """Close the session; the page learns of it from the timeline."""
    await aget_object_or_404(Session, pk=session_id)
    await live.stop(session_id)
    return HttpResponse(status=204)


async def tell(
    request: HttpRequest, session_id: str, form: ConsoleForm, act: Callable[[SessionRunner], Awaitable[None]]
) -> HttpResponse:
    """Find the session, validate, act, answer: 204, for the timeline shows the effect; what is wrong is said on the page."""
    await aget_object_or_404(Session, pk=session_id)
    runner = live.find(session_id)
    if runner is None:
        return problems(request, [NOT_RUNNING])
    if not form.is_valid():
        return problems(request, form.sentences())
    try:
        await act(runner)
    except LocalError as error:
        return problems(request, [str(error)])
    return HttpResponse(status=204)
