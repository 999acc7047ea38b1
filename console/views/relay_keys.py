"""The relay's page: how a client is pointed here, and the keys people make for theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from console import relay_keys, relays
from console.forms import RelayKeyForm
from console.models import RelayKey
from console.providers import providers
from realtime.errors import LocalError
from realtime.policy import Policy
from realtime.upstream import Provider


@dataclass(frozen=True)
class ListedKey:
    """A key as a row of the table."""

    key: RelayKey
    allows: list[str]
    """What its policy says, a few words each."""

    @property
    def made(self) -> str:
        """When, for this browser's clock."""
        return self.key.created_at.isoformat()

    @property
    def used(self) -> str:
        """When last, for this browser's clock; empty: never."""
        return self.key.last_used_at.isoformat() if self.key.last_used_at else ""

    @property
    def revoked(self) -> str:
        """When, for this browser's clock; empty: it can be used."""
        return self.key.revoked_at.isoformat() if self.key.revoked_at else ""


@dataclass(frozen=True)
class RelayPage:
    """What the page shows."""

    host: str
    """With its port, as the browser knows it."""
    secure: bool
    providers: list[Provider]
    """The default first."""
    keys: list[ListedKey]
    form: RelayKeyForm
    made: RelayKey | None = None
    text: str = field(default="", repr=False)
    """The key that was just made; shown this once."""
    said: str = ""

    @property
    def http(self) -> str:
        """What addresses of the relay begin with."""
        return f"http{'s' if self.secure else ''}://{self.host}"

    @property
    def ws(self) -> str:
        """The same for sockets."""
        return f"ws{'s' if self.secure else ''}://{self.host}"

    @property
    def model(self) -> str:
        """A model to name in examples."""
        models = self.providers[0].models
        return models[0] if models else "gpt-realtime"

    @property
    def models(self) -> list[str]:
        """Models to offer where one may be fixed."""
        return list(dict.fromkeys(model for provider in self.providers for model in provider.models))

    @property
    def example_key(self) -> str:
        """What stands for a key in examples."""
        return self.text or "sk-relay-…"


@require_GET
@ensure_csrf_cookie
def relay_page(request: HttpRequest) -> HttpResponse:
    """How to point a client here, the keys there are, and the form to make one."""
    return _page(request, RelayKeyForm())


@require_POST
def make_key(request: HttpRequest) -> HttpResponse:
    """Make a key. Answers with the page that shows it, once, or with what was wrong."""
    form = RelayKeyForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    try:
        made, text = relay_keys.make(form.cleaned_data["name"], form.cleaned_data["provider"], form.policy())
    except LocalError as error:  # somebody was quicker with this name
        form.add_error("name", str(error))
        return _page(request, form, status=422)
    return _page(request, RelayKeyForm(), made=made, text=text)


@require_POST
def revoke_key(request: HttpRequest, key_id: int) -> HttpResponse:
    """Revoke a key: whoever uses it is refused from now on."""
    key = get_object_or_404(RelayKey, pk=key_id)
    try:
        relay_keys.revoke(key.name)
    except LocalError as error:
        return _page(request, RelayKeyForm(), said=str(error), status=422)
    ended = async_to_sync(relays.end_with)(key.pk)
    sessions = f" {ended} running session{'s were' if ended > 1 else ' was'} ended." if ended else ""
    return _page(request, RelayKeyForm(), said=f"“{key}” is revoked: whoever uses it is refused from now on.{sessions}")


def _page(
    request: HttpRequest,
    form: RelayKeyForm,
    *,
    made: RelayKey | None = None,
    text: str = "",
    said: str = "",
    status: int = 200,
) -> HttpResponse:
    if request.method == "POST" and status == 200 and not made and not request.htmx:  # type: ignore[attr-defined]  # HtmxMiddleware
        return HttpResponseRedirect(reverse("relay_page"))
    page = RelayPage(
        host=request.get_host(),
        secure=request.is_secure(),
        providers=list(providers().values()),
        keys=listed(RelayKey.objects.newest_first()),
        form=form,
        made=made,
        text=text,
        said=said,
    )
    form.point_out()
    template = "console/_relay.html" if request.htmx else "console/relay.html"  # type: ignore[attr-defined]
    response = render(request, template, {"page": page}, status=status)
    response["Cache-Control"] = "no-store"  # a key shown once is not shown again by the browser's memory either
    return response


def listed(keys: Iterable[RelayKey]) -> list[ListedKey]:
    """Keys as rows."""
    return [ListedKey(key, words_of(Policy.read(key.policy))) for key in keys]


def words_of(policy: Policy) -> list[str]:
    """What a policy allows, a few words for each thing it says."""
    words = []
    if policy.minutes is not None:
        words.append(f"{policy.minutes:g} min")
    if policy.sessions is not None:
        words.append(f"{policy.sessions} at a time")
    if policy.dollars is not None:
        words.append(f"US$ {policy.dollars:,g}")
    fixed = [name for name in policy.session if name not in ("audio", "type")]
    audio = policy.session.get("audio") or {}
    fixed += [name for side in audio.values() if isinstance(side, dict) for name in side]
    if fixed:
        words.append(f"fixed {', '.join(fixed)}")
    if policy.client_events:
        words.append(f"sends only {', '.join(policy.client_events)}")
    if policy.withhold:
        words.append(f"withholds {', '.join(policy.withhold)}")
    return words
