"""Give a session a name, and delete one that is over."""

from __future__ import annotations

import pytest
from django.test import Client

from console import housekeeping
from console.models import Entry, Frame, Session
from tests.console.stage import HTMX, Story

pytestmark = pytest.mark.django_db(transaction=True)


def finished(**columns: str) -> str:
    """A session that is over."""
    story = Story(**columns)
    story.received("session.created", session={})
    story.close()
    return story.store()


class TestRename:
    """``POST /sessions/<id>/rename``"""

    def test_a_name(self, client: Client) -> None:
        """The name is kept, exactly, and the list comes back with it, as text."""
        session_id = finished()
        response = client.post(f"/sessions/{session_id}/rename", {"label": "<b>Olá</b>"}, headers=HTMX)
        assert Session.objects.get().label == "<b>Olá</b>"
        text = response.content.decode()
        assert '<ul id="session-list"' in text
        assert "&lt;b&gt;Olá&lt;/b&gt;" in text
        assert "<b>Olá" not in text

    def test_no_name(self, client: Client) -> None:
        """An empty name takes the name away."""
        session_id = finished(label="Demo")
        client.post(f"/sessions/{session_id}/rename", {"label": " "}, headers=HTMX)
        assert Session.objects.get().label == ""

    def test_the_one_on_the_page_stays_marked(self, client: Client) -> None:
        """The list knows which session the page shows."""
        session_id = finished()
        fields = {"label": "Demo", "current": session_id}
        assert 'aria-current="true"' in client.post(f"/sessions/{session_id}/rename", fields, headers=HTMX).content.decode()

    def test_too_long_a_name(self, client: Client) -> None:
        """A name beyond 200 characters is refused with a sentence, and nothing changes."""
        session_id = finished(label="Demo")
        response = client.post(f"/sessions/{session_id}/rename", {"label": "x" * 201}, headers=HTMX)
        assert (response.status_code, Session.objects.get().label) == (422, "Demo")
        assert "at most 200 characters" in response.content.decode()

    def test_a_running_session(self, client: Client) -> None:
        """A session can be named while it runs; what the recorder writes meanwhile does not undo it."""
        story = Story(status="ready")
        client.post(f"/sessions/{story.session.pk}/rename", {"label": "Demo"}, headers=HTMX)
        story.received("rate_limits.updated")
        story.store()
        session = Session.objects.get()
        assert (session.label, session.events) == ("Demo", 1)

    def test_without_htmx_it_is_a_redirect(self, client: Client) -> None:
        """A plain form leads to the library."""
        assert client.post(f"/sessions/{finished()}/rename", {"label": "Demo"})["Location"] == "/sessions/"


class TestDelete:
    """``POST /sessions/<id>/delete``"""

    def test_all_of_it_goes(self, client: Client) -> None:
        """Session, entries and frames are gone, and no other session's."""
        session_id, other = finished(label="Demo"), finished(label="Other")
        text = client.post(f"/sessions/{session_id}/delete", headers=HTMX).content.decode()
        assert "Demo" not in text
        assert "Other" in text
        assert client.get(f"/sessions/{session_id}/").status_code == 404
        housekeeping.soon().result(60)  # rows go a little later
        assert {*Session.all_objects.values_list("pk", flat=True)} == {other}
        assert {*Entry.objects.values_list("session_id", flat=True)} == {other}
        assert {*Frame.objects.values_list("entry__session_id", flat=True)} == {other}

    def test_one_that_runs_stays(self, client: Client) -> None:
        """A running session is refused with a sentence, escaped."""
        session_id = str(Story(status="ready", label="<i>Demo").session.pk)
        response = client.post(f"/sessions/{session_id}/delete", headers=HTMX)
        assert (response.status_code, Session.objects.count()) == (422, 1)
        assert "“&lt;i&gt;Demo” is still running: disconnect it before you delete it." in response.content.decode()

    def test_without_htmx_it_is_a_redirect(self, client: Client) -> None:
        """A plain form leads to the library."""
        assert client.post(f"/sessions/{finished()}/delete")["Location"] == "/sessions/"


@pytest.mark.parametrize("what", ["rename", "delete"])
def test_what_is_not_there(client: Client, what: str) -> None:
    """A session nobody knows is a 404; an address that is only opened changes nothing."""
    assert client.post(f"/sessions/nobody/{what}", {"label": "x"}).status_code == 404
    assert client.get(f"/sessions/{finished()}/{what}").status_code == 405
