"""What is kept: sessions, their entries and frames, presets, relay keys. Django finds the models here."""

from console.models.presets import Preset
from console.models.relay_keys import RelayKey
from console.models.sessions import Removal, Session, SessionQuerySet, merge, new_session_id
from console.models.timeline import Entry, EntryQuerySet, Frame, RowNumber

__all__ = [
    "Entry",
    "EntryQuerySet",
    "Frame",
    "Preset",
    "RelayKey",
    "Removal",
    "RowNumber",
    "Session",
    "SessionQuerySet",
    "merge",
    "new_session_id",
]
