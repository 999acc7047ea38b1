"""Secrets in frames and handshakes: masked when they are written, never on the wire; nothing else of a frame changes."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

from realtime.audio import AUDIO_FIELDS

MASK = "•••"
"""Stands for what is hidden; the last four characters stay, so that two keys can be told apart."""

_KEY = re.compile(r"\b(?:sk|ek)[-_][A-Za-z0-9_\-]{8,}")
"""OpenAI's keys and client secrets, and the relay's, wherever they stand in a text."""
_HINTS = ("sk-", "sk_", "ek_", "ek-", "authorization", '"headers"', "client_secret", "api_key", "api-key")
"""Without one of these, in any case, a frame holds no secret: nearly all do not."""
_ESCAPED = re.compile(r"\\u00[2-7]")
"""An escape of what needs none, by which a field may be named otherwise."""
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)|[{}\[\],]|[^\s"{}\[\],:]+', re.DOTALL)
"""Strings, also one that does not end, punctuation, and everything else, of text that may be no JSON at all."""
_COLON = re.compile(r"\s*:")
_NUMBER = re.compile(r"[-+.\d]")

HEADERS = "headers"
"""Of an MCP tool: an object of which every value is secret."""
SECRET_FIELDS = ("authorization", "api_key", "api-key", "x-api-key", HEADERS)
"""Fields whose values are secret: an MCP tool's, and keys by their names."""
CLIENT_SECRET, VALUE = "client_secret", "value"
"""A secret as a string, or an object in which the secret is the ``value``."""
SCHEMA = "properties"
"""An object of fields that are described, as a tool's parameters are: their names do not make secrets of what stands there."""
ALL = "all"


def mask(raw: str, type_: str) -> tuple[str, bool]:
    """Mask the secrets in a frame's text. Returns the text, and whether there were any.

    Frames of sound are not looked at. Outside of the secrets' own characters the text stays byte for byte.
    """
    if type_ in AUDIO_FIELDS or not may_hold_secrets(raw):
        return raw, False
    parts, at = [], 0
    for start, end, instead in _secrets(raw):
        parts += [raw[at:start], instead]
        at = end
    masked = _KEY.sub(lambda found: hidden(found.group()), "".join([*parts, raw[at:]]))
    return masked, masked != raw


def mask_or_hide(raw: str, type_: str = "") -> str:
    """Mask the secrets in a text. Never raises: where masking fails, the mask stands for a text that may hold a secret."""
    try:
        return mask(raw, type_)[0]
    except Exception:  # noqa: BLE001  (a key must not be stored for that; the caller says that the frame could not be read)
        return MASK if may_hold_secrets(raw) else raw


def text(given: str) -> str:
    """A text with the keys in it masked."""
    return _KEY.sub(lambda found: hidden(found.group()), given)


def hidden(secret: str) -> str:
    """The mask with the last four characters of a long secret; one already masked stays as it is."""
    if not secret or secret.startswith(MASK):
        return secret
    end = secret[-4:]
    return MASK + (end if len(secret) >= 12 and end.isalnum() else "")


def may_hold_secrets(raw: str) -> bool:
    """Return whether a frame holds a word that goes with secrets; most do not, and need no closer look."""
    lower = raw.lower()
    return any(hint in lower for hint in _HINTS) or ("\\u00" in lower and _ESCAPED.search(lower) is not None)


def _secrets(raw: str) -> Iterator[tuple[int, int, str]]:
    """Where the secret values of a frame begin and end, without quotation marks, and what takes their place."""
    above: list[str] = []
    """What each open object and list lies in: nothing, ALL, CLIENT_SECRET or SCHEMA."""
    within = name = ""
    for token in _TOKEN.finditer(raw):
        first = raw[token.start()]
        if first == '"' and _COLON.match(raw, token.end()):
            name = _name(token.group(1))
        elif first in "{[":
            above.append(within)
            within, name = _inside(name, within), ""
        elif first in "}],":
            name = ""
            if first != ",":
                within = above.pop() if above else ""
        elif first == '"' and _is_secret(name, within):
            yield *token.span(1), hidden(token.group(1))
        elif within == ALL and _NUMBER.match(first):
            yield *token.span(), f'"{MASK}"'


def _inside(name: str, within: str) -> str:
    """What the fields of an object or list lie in that is the value of a field of this name."""
    if within == ALL or (name in SECRET_FIELDS and within != SCHEMA):
        return ALL
    if within == SCHEMA:
        return ""
    if name in (CLIENT_SECRET, SCHEMA):
        return name
    return within


def _is_secret(name: str, within: str) -> bool:
    if within in (ALL, SCHEMA):
        return within == ALL
    return (name in SECRET_FIELDS and name != HEADERS) or name == CLIENT_SECRET or (within == CLIENT_SECRET and name == VALUE)


def _name(written: str) -> str:
    """The name of a field, in lower case; escapes read."""
    if "\\" in written:
        with contextlib.suppress(ValueError):
            written = str(json.loads(f'"{written}"', strict=False))
    return written.lower()


# ── Handshakes ─────────────────────────────────────────────────────────────────────────────────────────────────────

KEPT_HEADERS = ("host", "origin", "user-agent")
KEPT_PARAMETERS = ("model", "intent", "call_id", "api-version", "deployment")
"""All that is kept of a handshake, beside what begins with ``console_`` and the names of protocols: any other value may be
a key, whatever its name."""
CONSTANT = {
    "upgrade": ("websocket",), "connection": ("upgrade", "keep-alive, upgrade"), "sec-websocket-version": ("13",),
    "openai-beta": ("realtime=v1",),
}  # fmt: skip
"""Headers that say the same in every handshake, or nothing secret: kept where they do."""
DROPPED = ("cookie", "set-cookie")
"""No part of the story, not even masked."""
PROTOCOLS = ("realtime", "openai-beta.realtime-v1")
_PREFIX = re.compile(r"([a-z]+(?:-[a-z]+)*\.)(.+)", re.DOTALL)
"""A subprotocol that carries something: ``openai-insecure-api-key.KEY``, ``xai-client-secret.KEY``."""
_PLAIN = re.compile(r"[a-z][a-z0-9]{0,15}(?:[-_.][a-z0-9]{1,16}){0,4}", re.IGNORECASE)
"""The name of a parameter, as opposed to a token that stands in place of one."""
_USERINFO = re.compile(r"(?<=//)[^/?#@]*@")


def headers(given: Mapping[str, str]) -> dict[str, str]:
    """A handshake's headers by lower-case name, every value masked but those on the list."""
    return {name: _header(name, value) for name, value in given.items() if name not in DROPPED}


def query(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A handshake's parameters, every value masked but those on the list; so is a name that stands alone and may be a token."""
    told = {}
    for name, value in given:
        kept = name in KEPT_PARAMETERS or name.startswith("console_")
        if not kept and not (_PLAIN.fullmatch(name) and value):
            name = hidden(name)
        told[name] = text(value) if kept else hidden(value)
    return told


def _header(name: str, value: str) -> str:
    if name in KEPT_HEADERS:
        return text(_USERINFO.sub("", value))
    if name == "sec-websocket-protocol":
        return ", ".join(_protocol(offered.strip()) for offered in value.split(","))
    if value.lower() in CONSTANT.get(name, ()):
        return value
    kind, space, key = value.partition(" ")
    return f"{kind} {hidden(key)}" if space and kind.lower() in ("bearer", "basic") else hidden(value)


def _protocol(offered: str) -> str:
    if offered in PROTOCOLS:
        return offered
    carries = _PREFIX.fullmatch(offered)
    return carries.group(1) + hidden(carries.group(2)) if carries else hidden(offered)


# ── What the other side says of them ───────────────────────────────────────────────────────────────────────────────

SHORTEST = 4
"""Characters from which something sent is looked for in an answer: shorter ones stand in any text by chance."""


def conceal(said: str, secrets: Iterable[str]) -> str:
    """What the other side said, without these secrets, in whichever way it may have written them, and without keys."""
    for secret in sorted({secret for secret in secrets if len(secret) >= SHORTEST}, key=len, reverse=True):
        for written in dict.fromkeys((secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1])):
            said = said.replace(written, MASK)
    return text(said)
