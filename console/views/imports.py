"""Importing a log: the form of a page, and what a program is told of how far it is."""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from console import housekeeping, imports
from console.live import in_reader

UPLOAD_LIMIT = 4 * 1024**3
"""Bytes of a log that may be imported: half a day of two-way talk."""


@require_POST
async def import_log(request: HttpRequest) -> HttpResponse:
    """Import an uploaded log. A program that accepts JSON is told at once where to ask how far it is: 202.

    Others are answered when it is over: 303 to the session, of several to the library, or why nothing was stored.
    """
    upload, sentence = await in_reader(_upload, request)
    for_program = "application/json" in request.headers.get("Accept", "")
    if upload is None:
        return JsonResponse({"error": sentence}, status=422) if for_program else _sentence(sentence)
    one = imports.start(upload, housekeeping.tell)
    if for_program:
        address = reverse("import_progress", args=[one.id])
        return JsonResponse({"import": address}, status=202, headers={"Location": address})
    try:
        await one.over()
    except asyncio.CancelledError:  # whoever waited has left
        one.stop()
        raise
    if one.state != "done":
        return _sentence(one.sentence, 422 if one.state == "refused" else 503)
    response = HttpResponseRedirect(_page(one))
    response.status_code = 303
    return response


def _upload(request: HttpRequest) -> tuple[TemporaryUploadedFile | None, str]:
    """Take the file out of a request, which would delete it at its end; or say why there is none."""
    upload = request.FILES.get("file")
    if not isinstance(upload, TemporaryUploadedFile):
        return None, "No file came with the form: choose an event log (.jsonl)."
    if (upload.size or 0) > UPLOAD_LIMIT:
        return None, f"“{upload.name}” is larger than {UPLOAD_LIMIT // 1024**3} GiB: nothing was stored."
    request.FILES.pop("file")
    return upload, ""


@require_http_methods(["GET", "DELETE"])
def import_progress(request: HttpRequest, import_id: str) -> HttpResponse:
    """How far an import is; DELETE stops it, and nothing of it stays."""
    one = imports.find(import_id)
    if one is None:
        raise Http404("There is no such import.")
    if request.method == "DELETE":
        one.stop()
    return JsonResponse(_facts(one), headers={"Cache-Control": "no-store"})


def _facts(one: imports.Import) -> dict[str, Any]:
    """An import for programs."""
    return {
        "import": reverse("import_progress", args=[one.id]),
        "file": one.file,
        "state": one.state,
        "size": one.size,
        **one.progress,
        "sessions": one.sessions,
        "page": _page(one) if one.state == "done" else None,
        "report": one.report,
        "error": one.sentence or None,
    }


def _page(one: imports.Import) -> str:
    """Where the import is to be seen: its session, of several the library."""
    return reverse("session_page", args=one.sessions) if len(one.sessions) == 1 else reverse("library")


def _sentence(text: str, status: int = 422) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
