"""What views answer alike: what was wrong, in sentences, where the page shows such things."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_htmx.http import reswap, retarget

COMPOSER = "compose-says"
"""Id of the place in the composer's dialog where answers stand: notices are out of sight behind it."""


def problems(request: HttpRequest, sentences: Sequence[str], status: int = 422) -> HttpResponse:
    """Say what was wrong; nothing was done.

    Goes to the page's notices, whatever the request was about to replace; into a dialog that has a place of its own.
    """
    response = render(request, "console/_problems.html", {"sentences": sentences}, status=status)
    if request.htmx.target == COMPOSER:  # type: ignore[attr-defined]  # set by HtmxMiddleware
        return response
    return reswap(retarget(response, "#notices"), "beforeend")
