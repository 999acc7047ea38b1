"""Why a session is over, as a person needs to hear it: what happened, and what to do."""

from __future__ import annotations

import re

ADVICE: tuple[tuple[str, str], ...] = (
    (r"invalid_api_key|HTTP 401", "The key was refused. Type another one, or check OPENAI_API_KEY."),
    (r"insufficient_permissions|HTTP 403", "This key may not do that. Check its permissions, or use another one."),
    (r"missing_model", "The API wants the name of a model. Choose one and connect again."),
    (r"invalid_model|model_not_found", "The API does not offer this model here. Choose another one and connect again."),
    (r"beta_api_shape_disabled", "The API no longer speaks the beta's events. Leave out the header OpenAI-Beta."),
    (r"maximum duration|session_expired", "The API ends every session after its longest time. Connect again to go on."),
    (r"HTTP 404", "There is nothing at this address. Check the provider's URL and the model."),
    (r"HTTP 409", "The API says this clashes with something that is already there. Wait a moment and connect again."),
    (r"HTTP 413", "What was sent is too large for the API."),
    (r"HTTP 429|rate_limit", "Too many requests, or the quota is used up. Wait a moment and connect again."),
    (r"HTTP 5\d\d", "The API has trouble of its own. Wait a moment and connect again."),
    (r"could not be reached", "Check the network and the provider's address, then connect again."),
)
"""Pattern in the reason → the sentence that helps. The first that fits is said."""
BROKEN = "Nothing that was recorded is lost. Connect again to go on; what it remembers goes along."
STOPPED = "the console stopped"
"""What the reason begins with of a session that ended because the console was killed."""
CODES = {
    1001: "The API ended the session. Connect again to go on.",
    1009: "A message was too large for the other side.",
    1011: "The API has trouble of its own. Wait a moment and connect again.",
    1012: "The API restarts. Wait a moment and connect again.",
    1013: "The API is overloaded. Wait a moment and connect again.",
}
"""Close codes that say something by themselves (RFC 6455 section 7.4.1 and its registry)."""


def ending(by: str, code: int | None, reason: str) -> str:
    """The sentence for a close: ``by`` is client, server or console, ``code`` None when there was no close frame."""
    reason = reason.strip().rstrip(".")
    if by == "console" and code is None and reason.startswith(STOPPED):
        return f"{reason[0].upper()}{reason[1:]}. What came after that is not recorded. Connect again to go on."
    if by == "console":
        return f"Closed here{f': {reason}' if reason else ''}."
    who = {"client": "The client", "server": "The API"}.get(by, "The other side")
    marks = " ".join(str(part) for part in (code if code is not None else "", reason) if part != "")
    if code is None and not reason.startswith(("ws:", "wss:")):
        return f"The connection broke off: {reason or 'it just vanished'}. {BROKEN}"
    said = f"{who} closed the connection ({marks})." if code is not None else reason + ("" if reason.endswith("?") else ".")
    advice = next((text for pattern, text in ADVICE if re.search(pattern, reason)), CODES.get(code or 0, ""))
    return f"{said} {advice}".strip()
