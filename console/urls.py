"""Every address of the console; a name is its view's name."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from console import converters  # noqa: F401  (makes <session:…> known)
from console.views import (
    commands,
    events,
    files,
    imports,
    keys,
    lists,
    pages,
    presets,
    relay_keys,
    relayed,
    settings,
    tokens,
)  # fmt: skip

urlpatterns = [
    # Pages
    path("", pages.home, name="home"),
    path("sessions/", lists.library, name="library"),
    path("sessions/<session:session_id>/", pages.session_page, name="session_page"),
    path("admin/", admin.site.urls),
    # What happened
    path("sessions/<session:session_id>/rows", events.rows, name="rows"),
    path("sessions/<session:session_id>/events/<int:seq>/", events.event_detail, name="event_detail"),
    path("sessions/<session:session_id>/events/<int:seq>/members", events.members, name="members"),
    path("sessions/<session:session_id>/events/<int:seq>/raw", files.raw_event, name="raw_event"),
    path("sessions/<session:session_id>/events/<int:seq>/audio.wav", files.event_audio, name="event_audio"),
    path("sessions/<session:session_id>/conversation", events.conversation, name="conversation"),
    path("sessions/<session:session_id>/tools", events.tools, name="tools"),
    # What to do
    path("sessions/start", commands.start_session, name="start_session"),
    path("sessions/<session:session_id>/say", commands.say, name="say"),
    path("sessions/<session:session_id>/mode", commands.mode, name="mode"),
    path("sessions/<session:session_id>/send", commands.send_event, name="send_event"),
    path("sessions/<session:session_id>/memory", commands.memory, name="memory"),
    path("sessions/<session:session_id>/disconnect", commands.disconnect, name="disconnect"),
    path("sessions/<session:session_id>/withhold", relayed.withhold, name="withhold"),
    path("sessions/<session:session_id>/answer-calls", relayed.answer_calls, name="answer_calls"),
    path("sessions/<session:session_id>/settings", settings.settings, name="settings"),
    path("sessions/<session:session_id>/rename", lists.rename, name="rename"),
    path("sessions/<session:session_id>/pin", lists.pin, name="pin"),
    path("sessions/<session:session_id>/delete", lists.delete, name="delete"),
    path("keys/", keys.set_key, name="set_key"),
    path("keys/forget", keys.forget_key, name="forget_key"),
    path("presets/save", presets.save_preset, name="save_preset"),
    path("presets/<int:preset_id>/apply", presets.apply_preset, name="apply_preset"),
    path("presets/<int:preset_id>/delete", presets.delete_preset, name="delete_preset"),
    # The relay: its page, and what clients ask beside its WebSocket
    path("relay/", relay_keys.relay_page, name="relay_page"),
    path("relay/keys", relay_keys.make_key, name="make_key"),
    path("relay/keys/<int:key_id>/revoke", relay_keys.revoke_key, name="revoke_key"),
    path("api/realtime/ephemeral", tokens.ephemeral_door, name="ephemeral"),
    path("realtime/token", tokens.token_door, name="token"),
    *(path(f"{prefix}/<path:what>", tokens.rest_door) for prefix in tokens.PREFIXES),
    *(path(prefix, tokens.rest_door) for prefix in tokens.PREFIXES),
    # Files, and what programs read
    path("sessions/import", imports.import_log, name="import_log"),
    path("sessions/imports/<str:import_id>", imports.import_progress, name="import_progress"),
    path("sessions/<session:session_id>/log.jsonl", files.log_jsonl, name="log_jsonl"),
    path("sessions/<session:session_id>/audio.wav", files.session_audio, name="session_audio"),
    path("sessions.json", lists.sessions_json, name="sessions_json"),
    path("sessions/<session:session_id>.json", lists.session_json, name="session_json"),
    path("healthz", lists.healthz, name="healthz"),
]
