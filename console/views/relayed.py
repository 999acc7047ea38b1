"""What a person switches in somebody else's session while it runs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from console.forms import SwitchForm
from console.views.commands import tell
from realtime.errors import LocalError
from realtime.relaying import RelayRunner
from realtime.runner import SessionRunner

NOT_RELAYED = "This session is the page's own, not a client's: there is nothing to switch."
WITHHOLDING = {
    True: "Answers to what the page sends are kept from the client from now on.",
    False: "Answers to what the page sends reach the client from now on.",
}
ANSWERING = {
    True: "Function calls are run and answered by the console from now on.",
    False: "Function calls are left to the client from now on.",
}


@require_POST
async def withhold(request: HttpRequest, session_id: str) -> HttpResponse:
    """Keep answers to what the page sends from the client, or let them through."""
    form = SwitchForm(request.POST)

    async def switch(runner: SessionRunner) -> None:
        relayed, on = _relayed(runner), form.cleaned_data["on"]
        relayed.passage.withholds = on
        relayed.note("switch", WITHHOLDING[on], {"withholds": on})

    return await tell(request, session_id, form, switch)


@require_POST
async def answer_calls(request: HttpRequest, session_id: str) -> HttpResponse:
    """Run and answer function calls here, or leave them to the client."""
    form = SwitchForm(request.POST)

    async def switch(runner: SessionRunner) -> None:
        relayed, on = _relayed(runner), form.cleaned_data["on"]
        relayed.answers_calls = on
        relayed.note("switch", ANSWERING[on], {"answers_calls": on})

    return await tell(request, session_id, form, switch)


def _relayed(runner: SessionRunner) -> RelayRunner:
    """The session as a relayed one. Raises LocalError when it is the page's own."""
    if not isinstance(runner, RelayRunner):
        raise LocalError(NOT_RELAYED)
    return runner
