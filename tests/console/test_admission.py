"""Who may use the relay from where: the simulator without a key, pages by their origin, and the console's token as a key."""

from __future__ import annotations

from typing import Any

import pytest

from console import admission, origin, relay_keys
from console.admission import Admitted, Denied, admit
from console.guesses import BURST, Guesses
from tests.console.asgi_client import BEYOND, OWN, request_scope
from tests.console.rest_stage import CONSOLE_KEY, Asking

FRIEND = "https://app.example"
TOKEN = "open-sesame-é"
SIMULATOR, OPENAI = "/via/simulator/v1/realtime", "/via/openai/v1/realtime"
FROM = {"here": {}, "elsewhere": {"address": BEYOND}, "a proxy": {"x_forwarded_for": BEYOND}}


@pytest.fixture(autouse=True)
def _relay(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A console with a key of its own, a friend's page, and no guesses yet."""
    settings.OPENAI_API_KEY = CONSOLE_KEY
    settings.RELAY_ALLOWED_ORIGINS = [FRIEND]
    monkeypatch.setattr(admission, "guesses", Guesses())
    monkeypatch.setattr(admission, "_known_keys", {})
    monkeypatch.setattr(relay_keys, "ephemerals", relay_keys.Ephemerals())


async def asked(path: str, key: str = "", **headers: str) -> tuple[int, str]:
    """How a handshake is judged: 0 and the key that goes upstream, else status and code."""
    given = {"authorization": f"Bearer {key}".encode().decode("latin-1")} if key else {}
    judged = await admit(request_scope(path, scheme="ws", **given, **headers))
    return (0, judged.key) if isinstance(judged, Admitted) else (judged.status, str(judged.code))


@pytest.mark.parametrize(("origin", "place", "status"), [
    ("", "here", 0), ("", "elsewhere", 401), ("", "a proxy", 401),
    (OWN, "here", 0), (OWN, "elsewhere", 401), (OWN, "a proxy", 401),
    (FRIEND, "here", 0), (FRIEND, "elsewhere", 401), (FRIEND, "a proxy", 401),
    ("http://127.0.0.1:8001", "here", 403), ("https://127.0.0.1:8000", "here", 403), ("null", "here", 403),
])  # fmt: skip
async def test_the_simulator_without_a_key(origin: str, place: str, status: int) -> None:
    """It is for clients on this machine, and for pages that are welcome there: an Origin is a line anybody can write."""
    given = {"origin": origin} if origin else {}
    assert (await asked(SIMULATOR, **given, **FROM[place]))[0] == status


@pytest.mark.parametrize("place", FROM)
async def test_the_simulator_with_any_key(place: str) -> None:
    """On this machine any key will do; beyond it a key must be one of ours."""
    assert (await asked(SIMULATOR, "any-key", **FROM[place]))[0] == (0 if place == "here" else 401)
    minted = relay_keys.ephemerals.mint("simulator", 2_000_000_000)
    assert (await asked(SIMULATOR, minted.value, **FROM[place]))[0] == 0


async def test_a_console_that_listens_beyond_loopback(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """There a client on this machine needs a key as well, and so where a public URL says that others come."""
    monkeypatch.setattr(origin.listening, "host", "0.0.0.0")
    assert (await asked(SIMULATOR))[0] == (await asked(SIMULATOR, "any-key"))[0] == 401
    monkeypatch.setattr(origin.listening, "host", "127.0.0.1")
    assert (await asked(SIMULATOR))[0] == 0
    settings.CONSOLE_PUBLIC_URL = "https://console.example"
    assert (await asked(SIMULATOR))[0] == 401


@pytest.mark.parametrize(("origin", "place", "status"), [
    (OWN, "here", 0), (FRIEND, "here", 0), (FRIEND, "elsewhere", 401), (FRIEND, "a proxy", 401), (OWN, "elsewhere", 401),
])  # fmt: skip
async def test_an_origin_that_anybody_can_write(origin: str, place: str, status: int) -> None:
    """The console's own key is not opened by an Origin alone, which a program elsewhere writes as well as a page."""
    assert (await asked(OPENAI, origin=origin, **FROM[place]))[0] == status


@pytest.mark.parametrize("place", FROM)
@pytest.mark.parametrize("path", [OPENAI, SIMULATOR])
@pytest.mark.parametrize("given", [{}, {"origin": FRIEND}])
async def test_the_console_s_token_is_a_key(settings: Any, place: str, path: str, given: dict[str, str]) -> None:
    """It opens every provider with the console's own key, from everywhere, and does not go upstream."""
    settings.CONSOLE_TOKEN = TOKEN
    assert await asked(path, TOKEN, **given, **FROM[place]) == (0, "")
    assert (await asked(path, TOKEN, origin="http://127.0.0.1:8001", **FROM[place]))[0] == 403


async def test_a_page_that_has_not_given_the_token(settings: Any) -> None:
    """With a token the own origin alone is not enough, not even on this machine."""
    settings.CONSOLE_TOKEN = TOKEN
    assert (await asked(OPENAI, origin=OWN))[0] == (await asked(SIMULATOR, origin=OWN))[0] == 401


async def test_the_token_is_not_guessed(settings: Any) -> None:
    """Different keys that are no provider's are compared with the token only so often; a client's own counts once."""
    settings.CONSOLE_TOKEN = TOKEN
    for _ in range(3 * BURST):
        assert await asked(OPENAI, "own-azure-key") == (0, "own-azure-key")
        assert (await asked(OPENAI, "sk-proj-another"))[0] == 0
    answers = [await asked(OPENAI, f"guess-{number}") for number in range(BURST + 1)]
    assert answers[:-2] == [(0, f"guess-{number}") for number in range(BURST - 1)]
    assert answers[-1] == (429, "rate_limit_exceeded")
    assert await asked(OPENAI, TOKEN) == (429, "rate_limit_exceeded")  # not compared, and not passed on either
    assert await asked(OPENAI, "own-azure-key") == (0, "own-azure-key")
    assert await asked(OPENAI, TOKEN, address=BEYOND) == (0, "")


@pytest.mark.django_db(transaction=True)
async def test_guesses_of_relay_keys_are_slowed(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay key that does not exist is a guess."""
    monkeypatch.setattr(admission, "guesses", Guesses())
    answers = [await asked(OPENAI, f"sk-relay-{number}") for number in range(BURST + 1)]
    assert [status for status, _ in answers] == [401] * BURST + [429]


@pytest.mark.parametrize("path", ["/v1/realtime?token={}", "/via/simulator/v1/realtime?x={}"])
async def test_the_token_in_an_address_is_not_passed_on(settings: Any, path: str) -> None:
    """Whoever writes the console's token into an address of the relay finds it neither upstream nor on the timeline."""
    from console.doors.relay import asked_by  # noqa: PLC0415

    settings.CONSOLE_TOKEN = "open-sesame"
    scope = request_scope(path.format("open-sesame"), scheme="ws")
    asked = asked_by(scope, {}, "")
    assert "open-sesame" not in repr(asked)


def test_what_a_refusal_says() -> None:
    """It has the API's error shape."""
    assert Denied(401, "Give a key.", "invalid_api_key").body["error"]["code"] == "invalid_api_key"


@pytest.mark.django_db(transaction=True)
async def test_the_token_makes_keys_of_ours(asking: Asking, settings: Any) -> None:
    """Who mints with the token gets a key of ours, made with the console's own, and the token is not sent on."""
    settings.CONSOLE_TOKEN = "open-sesame"
    answer = await asking.post("/v1/realtime/client_secrets?token=open-sesame&x=1", {}, "open-sesame")
    assert answer.status_code == 200
    assert relay_keys.ephemerals.find(answer.json()["value"]) is not None
    assert asking.api.last.headers["authorization"] == f"Bearer {CONSOLE_KEY}"
    assert "open-sesame" not in str(asking.api.last.url) + str(asking.api.last.headers)
