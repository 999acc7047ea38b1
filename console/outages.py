"""What requests get while the database or the recording is down: 503 with a sentence; and the sentence on every page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase

from console.access import RELAY_PATHS
from console.recorder import recorder
from console.writer import explain


def reason() -> str:
    """Why nothing new can be recorded: a sentence; empty while recording goes on and the database answers."""
    if recorder.stopped:
        return recorder.stopped
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        connection.close()
        return f"The database does not answer: {explain(error)}."
    return ""


def trouble(request: HttpRequest) -> dict[str, Any]:
    """What every page can say: ``recording_trouble``, empty when all is well."""
    return {"recording_trouble": recorder.trouble}


class OutageMiddleware:
    """Answers 503 with a sentence where a view found the database full, locked or gone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The answer; None for what is no outage."""
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        connection.close()
        sentence = f"The console cannot do this now: {explain(exception)}."
        if RELAY_PATHS.match(request.path):
            error = {"message": sentence, "type": "server_error", "param": None, "code": "recording_unavailable"}
            return JsonResponse({"error": error}, status=503)
        return HttpResponse(f"{sentence}\n", status=503, content_type="text/plain; charset=utf-8")
