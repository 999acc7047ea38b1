"""Every template, drawn with what its view gives it: no name in it is one that nobody gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template.base import FilterExpression, Template, Variable, VariableDoesNotExist
from django.test import Client

from console import fragments, watch
from console.models import Entry, Preset, Session
from console.rail import Rail
from console.recorder import recorder
from tests.console.relayed_stage import RelayedStory
from tests.console.stage import HTMX, Story
from tests.console.test_change_settings import FULL, shown
from tests.console.test_reopen import told

pytestmark = pytest.mark.django_db(transaction=True)

DEFAULTS = ("default", "default_if_none")
"""Filters that say that a name may be missing."""


class Undefined(Exception):
    """Raised when a template asks for what is not there; Django would draw nothing."""


def missing(variable: Variable, context: Any, optional: bool) -> str:
    """The part of a dotted name that is not there; ``""`` when it is, or when nothing can be there (None has no parts).

    An optional name, in ``{% if %}`` or with a default, may be left out of the context, or be a key a mapping lacks.
    """
    here: Any = context
    for part in variable.lookups or ():
        if here is None or here == "":
            return ""
        try:
            here = Variable(f"it.{part}").resolve({"it": here}) if here is not context else context[part]
        except (KeyError, VariableDoesNotExist):
            return "" if optional and (here is context or isinstance(here, Mapping)) else str(part)
    return ""


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The templates that were drawn; an undefined name in one of ours raises."""
    names: set[str] = set()
    resolve, render = FilterExpression.resolve, Template._render

    def checked(self: FilterExpression, context: Any, ignore_failures: bool = False) -> Any:
        template = str(getattr(context.template, "name", "") or "")
        if isinstance(self.var, Variable) and context.render_context.template.name.startswith("console/"):
            optional = ignore_failures or any(filter_.__name__ in DEFAULTS for filter_, _ in self.filters)
            if part := missing(self.var, context, optional):
                raise Undefined(f"{template}: {part} of {self.token}")
        return resolve(self, context, ignore_failures)

    def noted(self: Template, context: Any) -> Any:
        names.add(str(self.name))
        return render(self, context)

    monkeypatch.setattr(FilterExpression, "resolve", checked)
    monkeypatch.setattr(Template, "_render", noted)
    return names


def test_the_check_finds_what_is_missing() -> None:
    """A name that nobody gives is found, wherever its path breaks off; what may be missing is not."""
    session = told().session
    for wrong in ("{{ page.nothing }}", "{{ nobody }}", "{% if page.session.nothing %}{% endif %}"):
        template = Template(wrong, name="console/wrong.html")
        with pytest.raises(Undefined):
            template.render(_context({"page": {"session": session}}))
    for right in ("{% if nobody %}{% endif %}", '{{ nobody|default:"x" }}', "{{ page.none.pk }}", "{{ page.session.pk }}"):
        Template(right, name="console/right.html").render(_context({"page": {"session": session, "none": None}}))


def _context(values: dict[str, Any]) -> Any:
    from django.template import Context  # noqa: PLC0415

    return Context(values)


def test_every_template_with_what_it_is_given(client: Client, drawn: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages, fragments and pushes of all kinds of sessions name only what their views give; every template is drawn."""
    monkeypatch.setattr(recorder, "trouble", "Recording is held up.")
    Preset.objects.create(name="calm", settings=FULL)
    story = told(by="server", code=1008, reason="no")
    running = Story(status="ready")
    for number in range(450):
        running.received("response.output_text.delta", item_id="item_1", delta=str(number))
    _talk(running)
    running.note("tool", "", name="get_weather", ok=False, ms=5, arguments={}, output={"error": "No place."})
    running.store()
    fresh = Story(status="connecting")
    relayed = RelayedStory(label="kiosk", key_name="shop")
    relayed.sides(("client", {"type": "a", "b": 1}), ("upstream", {"type": "a", "c": 2}))
    relayed.note("meter", "added nothing")
    relayed.store()
    addresses = ["/", "/sessions/", "/relay/", f"/presets/{Preset.objects.get().pk}/apply"]
    for one in (story, running, fresh, relayed):
        sid = one.session.pk
        addresses += [f"/sessions/{sid}/{what}" for what in ("", "rows", "rows?q=no:where", "conversation", "tools", "settings")]
        addresses += [f"/sessions/{sid}/events/{e.seq}/" for e in one.entries[-20:]]
    addresses += [f"/sessions/{running.session.pk}/events/1/members?after=100"]
    for address in addresses:
        for headers in ({}, HTMX):
            assert client.get(address, headers=headers).status_code in (200, 422), address
    posts: list[tuple[str, dict[str, str]]] = [
        ("/keys/", {"provider": "openai", "key": "sk-a-key-of-mine"}), ("/keys/", {"provider": "openai", "key": "x"}),
        ("/relay/keys", {"name": "app", "minutes": "5"}), ("/relay/keys", {"name": "app"}),
        ("/keys/forget", {}), ("/presets/save", {**shown(FULL), "name": "loud"}), ("/presets/save", {"speed": "9"}),
        (f"/sessions/{story.session.pk}/rename", {"label": "Demo"}), (f"/sessions/{story.session.pk}/settings", {"speed": "9"}),
    ]  # fmt: skip
    assert b'class="unheard"' in client.get(f"/sessions/{running.session.pk}/conversation").content
    for address, fields in posts:
        client.post(address, fields, headers=HTMX)
    for one in (story, running, fresh, relayed):
        _push(one)
    _list(fresh)
    every = {f"console/{file.name}" for file in Path(settings.BASE_DIR, "templates/console").glob("*.html")}
    assert every - drawn == set()


def _talk(story: Story) -> None:
    """A conversation with everything an item can show: heard in part, failed, deleted, a call and its output."""
    for number, item in enumerate((
        {"type": "message", "role": "assistant", "content": [], "phase": "commentary"},
        {"type": "message", "role": "user", "content": [{"type": "input_audio"}]},
        {"type": "function_call", "name": "get_weather", "call_id": "call_1", "arguments": "{}", "status": "incomplete"},
        {"type": "function_call_output", "call_id": "call_1", "output": "{}"},
    )):  # fmt: skip
        story.received("conversation.item.added", item={**item, "id": f"item_t{number}"})
    story.received("response.output_audio.delta", item_id="item_t0", content_index=0, delta="A" * 12_800)
    story.received("response.output_audio_transcript.done", item_id="item_t0", content_index=0, transcript="One two.")
    story.received("conversation.item.truncated", item_id="item_t0", content_index=0, audio_end_ms=100)
    story.received("conversation.item.input_audio_transcription.failed", item_id="item_t1", error={"message": "No."})
    story.received("conversation.item.deleted", item_id="item_t1")


def _list(story: Story) -> None:
    """Bring a list of sessions up to date: with one more, one that grew, one that is gone."""
    listed = Rail(story.session.pk)
    assert listed.news()
    story.received("rate_limits.updated")
    story.store()
    more = Story(label="new", status="ready")
    assert more.session.pk in listed.news()
    more.session.delete()
    assert listed.news()


def _push(story: Story) -> None:
    """Bring a page up to date from nothing, then after what is new of every kind."""
    seen = watch.Watch(story.session.pk, 0)
    while seen.catch_up():
        pass
    story.received("conversation.item.added", item={"id": "item_9", "type": "message", "role": "user", "content": []})
    story.received("conversation.item.done", item={"id": "item_9", "type": "message", "role": "user", "content": []})
    story.note("problem", "No.")
    story.store()
    seen.shown.clear()
    assert seen.catch_up()
    [entry] = Entry.objects.of(story.session).filter(type="problem")
    assert "No." in fragments.notice(entry, "No.")
    assert fragments.replace_timeline(watch.rows_of([entry]))
    assert Session.objects.filter(pk=story.session.pk).exists()
