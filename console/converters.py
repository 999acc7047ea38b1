"""Parts of addresses that are more than any text: what cannot be a session's id is not found, and no database is asked for it."""

from __future__ import annotations

from django.urls import register_converter
from django.urls.converters import StringConverter


class SessionIdConverter(StringConverter):
    """``<session:session_id>``: letters and digits, as ``models.new_session_id`` makes them."""

    regex = "[0-9A-Za-z]{1,24}"


register_converter(SessionIdConverter, "session")
