"""Secrets in frames: masked when they are written, never on the wire; nothing else of a frame changes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from realtime.audio import AUDIO_FIELDS

MASK = "•••"
"""Stands for what is hidden; the last four characters stay, so that two keys can be told apart."""

_TOKEN = re.compile(r"\b(?:sk|ek)[-_][A-Za-z0-9_\-]{8,}")
"""OpenAI's keys and client secrets, wherever they stand in a text."""
_FIELD = re.compile(r'("(?:authorization|client_secret|api[-_]key)"\s*:\s*")((?:[^"\\]|\\.)*)(")', re.IGNORECASE)
"""A field whose whole value is secret: MCP ``authorization`` (MCP tool object), the beta's ``client_secret``."""
_HEADERS = re.compile(r'"headers"\s*:\s*\{((?:[^{}"]|"(?:[^"\\]|\\.)*")*)\}')
_STRING_VALUE = re.compile(r'(:\s*")((?:[^"\\]|\\.)*)(")')
_SECRET_VALUE = re.compile(r'("client_secret"\s*:\s*\{[^{}]*?"value"\s*:\s*")((?:[^"\\]|\\.)*)(")')
_HINTS = ("sk-", "sk_", "ek_", "ek-", "uthorization", "UTHORIZATION", '"headers"', "client_secret", "api_key", "api-key")


def mask(raw: str, type_: str) -> tuple[str, bool]:
    """A frame's text with its secrets masked, and whether there were any. Frames of sound are not looked at."""
    if type_ in AUDIO_FIELDS or not may_hold_secrets(raw):
        return raw, False
    masked = _SECRET_VALUE.sub(_hide, raw)
    masked = _FIELD.sub(_hide, masked)
    masked = _HEADERS.sub(lambda found: _STRING_VALUE.sub(_hide, found.group()), masked)
    masked = _TOKEN.sub(lambda found: _hidden(found.group()), masked)
    return masked, masked != raw


def may_hold_secrets(raw: str) -> bool:
    """Whether a frame holds a word that goes with secrets; most do not, and need no closer look."""
    return any(hint in raw for hint in _HINTS)


def secret(value: str) -> str:
    """A value that is secret as a whole, as a person may see it."""
    return _hidden(value)


SECRET_HEADERS = ("authorization", "api-key", "x-api-key", "proxy-authorization")
KEY_PROTOCOL = re.compile(r"\b(openai-insecure-api-key\.|xai-client-secret\.)([^,\s]+)")
"""Subprotocols that hold a key: of OpenAI's browsers, and of xAI's."""


def headers(given: Mapping[str, str]) -> dict[str, str]:
    """A handshake's headers, by lower-case name, with their secrets masked; cookies are no part of the story."""
    told = {}
    for name, value in given.items():
        if name in ("cookie", "set-cookie"):
            continue
        if name in SECRET_HEADERS:
            kind, space, key = value.partition(" ")
            value = f"{kind} {_hidden(key)}" if space else _hidden(value)
        told[name] = KEY_PROTOCOL.sub(lambda found: found.group(1) + _hidden(found.group(2)), value)
    return told


def _hide(found: re.Match[str]) -> str:
    return found.group(1) + _hidden(found.group(2)) + found.group(3)


def _hidden(secret: str) -> str:
    """The mask with the last four characters of a long secret; one already masked stays as it is."""
    if not secret or secret.startswith(MASK):
        return secret
    end = secret[-4:]
    return MASK + (end if len(secret) >= 12 and end.isalnum() else "")
