"""What is a file: a session's log, its sound, one event's sound and one frame as it travelled."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import aget_object_or_404, get_object_or_404
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_safe

from console import logfiles, sound
from console.live import in_reader
from console.models import Entry, Session
from realtime import filters
from realtime.errors import InvalidFilter
from realtime.events import parse
from realtime.logs import jsonl
from realtime.soundtrack import Soundtrack

_RANGE = re.compile(r"bytes=(?:(?P<first>\d{1,18})-(?P<last>\d{0,18})|-(?P<suffix>\d{1,18}))\Z")


@require_GET
async def log_jsonl(request: HttpRequest, session_id: str) -> HttpResponseBase:
    """The event log. ``?q=`` filters; ``?audio=none`` leaves the sound out."""
    session = await aget_object_or_404(Session, pk=session_id)
    query = request.GET.get("q", "")
    try:
        filters.parse(query)
    except InvalidFilter as error:
        return _sentence(str(error), 422)
    log = logfiles.pieces(session, query, audio=request.GET.get("audio") != "none")
    response = StreamingHttpResponse(_stream(log), content_type="application/x-ndjson; charset=utf-8")
    response["Content-Disposition"] = content_disposition_header(True, f"{file_name(session)}.jsonl") or ""
    return response


async def _stream(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Pieces made on a reader's thread, each when the one before has gone out."""
    while piece := await in_reader(next, pieces, b""):
        yield piece


def file_name(session: Session) -> str:
    """A file's name without its suffix: the label made harmless, and when the session began."""
    label = re.sub(r"[^\w .()+-]+", "_", session.label).strip(" ._")[:80]
    return f"{label or session.pk} {session.started_at:%Y-%m-%d %H.%M.%S}"


@require_safe
async def session_audio(request: HttpRequest, session_id: str) -> HttpResponseBase:
    """The session as it was heard, user left and assistant right; byte ranges are answered, so players can seek."""
    session = await aget_object_or_404(Session, pk=session_id)
    track = await in_reader(sound.of_session, session)
    return _wav(request, session.pk, track, f"{session.pk}-{session.last_seq}")


@require_safe
async def event_audio(request: HttpRequest, session_id: str, seq: int) -> HttpResponseBase:
    """The sound of one event, or of all a row gathers."""
    session = await aget_object_or_404(Session, pk=session_id)
    entry = await aget_object_or_404(Entry.objects.of(session), seq=seq)
    track = await in_reader(sound.of_row, entry)
    if track is None:
        return _sentence("This event carries no sound.", 404)
    return _wav(request, session.pk, track, f"{session.pk}-{seq}-{track.length}")


def _wav(request: HttpRequest, session_id: str, track: Soundtrack, tag: str) -> HttpResponseBase:
    """A WAV file, or the part of it that is asked for (RFC 9110 section 14), made while it is sent."""
    first, end, status = 0, track.wav_size, 200
    asked = _RANGE.match(request.headers.get("Range", ""))
    if asked and request.headers.get("If-Range", f'"{tag}"') == f'"{tag}"':
        status = 206
        if asked["suffix"]:
            first = max(0, end - int(asked["suffix"]))
        else:
            first, end = int(asked["first"]), min(int(asked["last"] or end) + 1, end)
        if first >= end:
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{track.wav_size}"})
    body = sound.pieces(session_id, track, first, end if request.method == "GET" else first)
    response = StreamingHttpResponse(_stream(body), status=status, content_type="audio/wav")
    response["Accept-Ranges"] = "bytes"
    response["Content-Length"] = str(end - first)
    response["ETag"] = f'"{tag}"'
    if status == 206:
        response["Content-Range"] = f"bytes {first}-{end - 1}/{track.wav_size}"
    return response


@require_GET
def raw_event(request: HttpRequest, session_id: str, seq: int) -> HttpResponse:
    """One frame's text, byte for byte as it travelled (secrets masked); for a note or the close its line in the log."""
    session = get_object_or_404(Session, pk=session_id)
    entry = get_object_or_404(Entry.objects.of(session), seq=seq)
    if entry.kind != "ev":
        return HttpResponse(jsonl.entry_line(entry.to_entry()), content_type="application/json")
    raw = entry.frame().raw
    kind = "application/json" if parse(raw).data else "text/plain; charset=utf-8"
    return HttpResponse(raw.encode("utf-8", "surrogatepass"), content_type=kind)


def _sentence(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
