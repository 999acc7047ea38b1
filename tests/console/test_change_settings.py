"""Change a running session's settings: what was changed is sent, nothing else; what is wrong is said beside its field."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

from console.forms import SessionSettingsForm
from console.forms.settings import ASKED_AT_START
from realtime.settings import VOICE_LOCK
from tests.console.stage import IN_FORCE, Stage

pytestmark = pytest.mark.django_db(transaction=True)

FULL: dict[str, Any] = {
    "output_modalities": ["text"],
    "instructions": "  Answer in “rhymes”.\n",
    "tool_choice": {"type": "function", "name": "get_weather"},
    "parallel_tool_calls": False,
    "max_output_tokens": 4096,
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 8000}},
    "reasoning": {"effort": "low"},
    "tools": [
        {"type": "function", "name": "f", "description": "é", "parameters": {"type": "object", "properties": {}}},
        {"type": "mcp", "server_label": "docs", "server_url": "https://example.org/mcp", "require_approval": "never"},
    ],
    "tracing": {"workflow_name": "demo", "metadata": {"a": "1"}},
    "prompt": {"id": "pmpt_1", "version": "3", "variables": {"name": "Ada", "topic": {"type": "input_text", "text": "x"}}},
    "include": ["item.input_audio_transcription.logprobs"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {
                "model": "gpt-4o-transcribe", "language": "pt", "prompt": "Names: Ada", "languages": ["pt", "en"],
                "keywords": ["Lisbon"], "delay": "low",
            },
            "noise_reduction": {"type": "near_field"},
            "turn_detection": {
                "type": "server_vad", "threshold": 0.0, "prefix_padding_ms": 0, "silence_duration_ms": 500,
                "idle_timeout_ms": 6000, "create_response": True, "interrupt_response": False,
            },
        },
        "output": {"format": {"type": "audio/pcma"}, "voice": {"id": "voice_1"}, "speed": 0.9},
    },
}  # fmt: skip
"""Every field of a session object that the form has, none with the value it has by itself."""


def shown(session: dict[str, Any]) -> dict[str, str]:
    """What a browser posts when nobody has touched the form of this session."""
    form = SessionSettingsForm(session=session)
    values = {name: form[name].field.prepare_value(value) for name, value in form.initial.items()}
    posted = {name: str(value) for name, value in values.items() if value is not None and value is not False}
    return {**posted, "base": form.base_json()}


def read(session: dict[str, Any]) -> dict[str, Any]:
    """A session object through the form and back."""
    form = SessionSettingsForm(shown(session))
    assert form.is_valid(), form.errors
    return form.session()


class TestTheForm:
    """``SessionSettingsForm``"""

    def test_every_field_goes_there_and_back(self) -> None:
        """A session object with every setting comes out of the form as it went in."""
        assert read(FULL) == FULL

    @pytest.mark.parametrize("detection", [
        {"type": "semantic_vad", "eagerness": "high", "create_response": False},
        {"type": "semantic_vad"}, {"type": "server_vad"}, None, {"type": "telepathy_vad"},
    ])  # fmt: skip
    def test_every_way_to_end_a_turn(self, detection: dict[str, Any] | None) -> None:
        """Each kind of turn detection keeps its own parameters, and has none of another's."""
        session = {**FULL, "audio": {**FULL["audio"], "input": {**FULL["audio"]["input"], "turn_detection": detection}}}
        assert read(session) == session

    @pytest.mark.parametrize(("path", "value"), [
        ("max_output_tokens", "inf"), ("truncation", "auto"), ("truncation", "disabled"), ("tool_choice", "required"),
        ("tool_choice", "none"), ("tracing", "auto"), ("tools", []), ("prompt", None), ("include", None),
        ("prompt", {"id": "pmpt_2"}),
    ])  # fmt: skip
    def test_every_shape_of_a_setting(self, path: str, value: Any) -> None:
        """Settings that are a word or an object keep whichever they were."""
        assert read({**FULL, path: value}) == {**FULL, path: value}

    @pytest.mark.parametrize("session", [{}, IN_FORCE, ASKED_AT_START, {
        "audio": "loud", "tools": None, "truncation": 7, "prompt": [], "output_modalities": [], "include": "all",
        "tool_choice": {"type": "mcp", "server_label": "docs"}, "reasoning": None, "tracing": None,
    }, {
        "audio": {"input": {"transcription": {"languages": "en", "keywords": 5, "model": 3}}, "output": {"speed": "fast"}},
        "max_output_tokens": {}, "instructions": 9, "output_modalities": 5, "include": 5, "parallel_tool_calls": "yes",
    }])  # fmt: skip
    def test_odd_sessions_can_be_shown(self, session: dict[str, Any]) -> None:
        """Whatever a provider tells, the form can be drawn, and what was not touched is not a change."""
        form = SessionSettingsForm(session=session)
        drawn = "".join(str(field) for group in form.groups() for field in group.fields)
        assert 'name="instructions"' in drawn
        assert json.loads(form.base_json()) is None or SessionSettingsForm(shown(session)).is_valid()

    def test_a_voice_of_somebody_else_s(self) -> None:
        """A value the API does not name is offered, since providers differ."""
        form = SessionSettingsForm(session={"audio": {"output": {"voice": "gandalf"}}})
        assert '<option value="gandalf" selected>' in str(form["voice"])
        assert SessionSettingsForm({**shown({}), "voice": "gandalf"}).is_valid()

    @pytest.mark.parametrize(("field", "value", "sentence"), [
        ("speed", "9", "A number from 0.25 to 1.5."),
        ("threshold", "nan", "A number from 0 to 1."),
        ("idle_timeout_ms", "1", "A number from 5,000 to 30,000."),
        ("create_response", "perhaps", "Select a valid choice."),
        ("tools", "[", "Enter a valid JSON."),
        ("tools", "[" * 100_000, "Enter a valid JSON."),
        ("tools", '{"type": "function"}', "Tools are a JSON array"),
        ("tools", '[{"type": "function"}]', 'Tool 1 is a function and needs a "name".'),
        ("tools", '[{"type": "mcp"}, 5]', "Tool 2 must be an object"),
        ("max_output_tokens", "0", "A whole number from 1 to 32,000, or inf."),
        ("max_output_tokens", "many", "A whole number from 1 to 32,000, or inf."),
        ("max_output_tokens", "²", "A whole number from 1 to 32,000, or inf."),
        ("max_output_tokens", "9" * 5000, "A whole number from 1 to 32,000, or inf."),
        ("tracing", "{", "auto, or a JSON object"),
        ("tracing", "[1]", "auto, or a JSON object."),
        ("tracing", "[" * 100_000, "auto, or a JSON object"),
        ("prompt_variables", "[1]", "Variables are a JSON object"),
        ("truncation", "retention_ratio", "Say which part is to be kept"),
        ("prompt_version", "3", "belong to a stored prompt"),
    ])  # fmt: skip
    def test_what_is_wrong_is_said_at_its_field(self, field: str, value: str, sentence: str) -> None:
        """A value that cannot be asked for has its sentence at one field, in a group that stands open."""
        form = SessionSettingsForm({**shown(IN_FORCE), field: value})
        assert not form.is_valid()
        [(wrong, errors)] = form.errors.items()
        assert any(sentence in str(error) for error in errors)
        [group] = [group for group in form.groups() if wrong in [bound.name for bound in group.fields]]
        assert group.open


class TestSend:
    """``POST /sessions/<id>/settings``"""

    async def test_only_what_was_changed_is_sent(self, stage: Stage) -> None:
        """One session.update with the changed fields; all others stay as they are."""
        session_id = await stage.start()
        response = await stage.post(session_id, "settings", **{**shown(IN_FORCE), "voice": "cedar", "instructions": "Sing."})
        assert (response.status_code, "Sent." in response.content.decode()) == (200, True)
        [update] = await stage.api.expect("session.update")
        assert update["session"] == {"type": "realtime", "instructions": "Sing.", "audio": {"output": {"voice": "cedar"}}}
        assert len(stage.api.sent) == 1

    async def test_what_the_page_showed_is_what_counts(self, stage: Stage) -> None:
        """A setting that has changed since the form was drawn is not changed back by sending another."""
        session_id = await stage.start()
        drawn = shown(IN_FORCE)
        await stage.hear(session_id, {"type": "session.updated", "session": {**IN_FORCE, "instructions": "From elsewhere."}})
        await stage.post(session_id, "settings", **{**drawn, "max_output_tokens": "100"})
        [update] = await stage.api.expect("session.update")
        assert update["session"] == {"type": "realtime", "max_output_tokens": 100}

    async def test_the_next_change_starts_from_the_last(self, stage: Stage) -> None:
        """The form that comes back takes what was sent for granted: sending it again sends nothing."""
        session_id = await stage.start()
        response = await stage.post(session_id, "settings", **{**shown(IN_FORCE), "voice": "cedar"})
        posted = {**shown(IN_FORCE), "voice": "cedar", "base": base_of(response)}
        assert "Nothing was changed" in (await stage.post(session_id, "settings", **posted)).content.decode()
        assert len(stage.api.sent) == 1

    @pytest.mark.parametrize("base", ["", "null", "[]", "nonsense", "[" * 5000])
    async def test_without_what_was_shown(self, stage: Stage, base: str) -> None:
        """A form that does not say what it showed is compared with what is in force, or refused; never an error."""
        session_id = await stage.start()
        response = await stage.post(session_id, "settings", **{**shown(IN_FORCE), "base": base, "voice": "cedar"})
        assert response.status_code in (200, 422)
        assert [frame["session"].get("audio") for frame in stage.api.sent] == (
            [{"output": {"voice": "cedar"}}] if response.status_code == 200 else []
        )

    async def test_nothing_was_changed(self, stage: Stage) -> None:
        """A form nobody has touched sends nothing and says so."""
        session_id = await stage.start()
        response = await stage.post(session_id, "settings", **shown(IN_FORCE))
        assert "Nothing was changed, so nothing was sent." in response.content.decode()
        assert stage.api.sent == []

    async def test_what_is_wrong_stands_beside_its_field(self, stage: Stage) -> None:
        """The form comes back with 422, what was typed still in it, and the sentence in that field's place."""
        session_id = await stage.start()
        page = await stage.refused(session_id, "settings", **{**shown(IN_FORCE), "max_output_tokens": "<b>many</b>", "voice": "cedar"})
        [field] = re.findall(r'<div class="field"[^>]*>(?:(?!</div></div>).)*name="max_output_tokens".*?</div>', page, re.S)
        assert "A whole number from 1 to 32,000, or inf." in field
        assert "&lt;b&gt;many&lt;/b&gt;" in field
        assert "<b>many" not in page
        assert '<option value="cedar" selected>' in page
        assert "Nothing was sent: something in the form is not right." in page

    async def test_the_voice_is_locked_once_it_was_heard(self, stage: Stage) -> None:
        """After the first sound the voice cannot be changed: the field says why, and is not sent however it is posted."""
        session_id = await stage.start()
        await stage.hear(session_id, {"type": "response.output_audio.delta", "item_id": "item_1", "delta": "AAAA"})
        drawn = (await stage.client.get(f"/sessions/{session_id}/settings")).content.decode()
        assert VOICE_LOCK in html.unescape(drawn)
        assert re.search(r'<select name="voice"[^>]* disabled', drawn)
        await stage.post(session_id, "settings", **{**shown(IN_FORCE), "voice": "cedar", "instructions": "Sing."})
        [update] = await stage.api.expect("session.update")
        assert update["session"] == {"type": "realtime", "instructions": "Sing."}

    async def test_a_session_that_is_over(self, stage: Stage) -> None:
        """Nothing is sent to a session that has ended; what was typed stays in the form."""
        session_id = await stage.start()
        await stage.stop(session_id)
        page = await stage.refused(session_id, "settings", **{**shown(IN_FORCE), "instructions": "Sing."})
        assert "This session is not running (any more): nothing was sent." in page
        assert "Sing." in page

    async def test_a_session_that_closes(self, stage: Stage) -> None:
        """Between the goodbye and the end nothing is sent, and the page says where the session stands."""
        session_id = await stage.start()
        stage.runner(session_id).protocol.closing()
        page = await stage.refused(session_id, "settings", **{**shown(IN_FORCE), "instructions": "Sing."})
        assert "The session is closing; nothing was sent." in page

    async def test_the_form_is_what_is_in_force(self, stage: Stage) -> None:
        """The form of a running session shows what the API says, not what was asked for."""
        session_id = await stage.start(in_force={**IN_FORCE, "instructions": "Granted <i>."})
        await stage.stop(session_id)
        page = (await stage.client.get(f"/sessions/{session_id}/settings")).content.decode()
        assert "Granted &lt;i&gt;." in page
        assert ASKED_AT_START["instructions"] not in page


def base_of(response: Any) -> str:
    """What the form that came back says it shows."""
    [base] = re.findall(r'name="base" value="([^"]*)"', response.content.decode())
    return html.unescape(base)
