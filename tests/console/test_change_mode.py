"""Change who ends a turn: by hand, or when the API hears that somebody has stopped speaking."""

from __future__ import annotations

import pytest

from tests.console.stage import IN_FORCE, Stage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("mode", "detection"), [("manual", None), ("vad", {"type": "server_vad"})])
async def test_only_the_change_is_sent(stage: Stage, mode: str, detection: object) -> None:
    """One session.update names the turn detection and nothing else."""
    session_id = await stage.start()
    assert (await stage.post(session_id, "mode", mode=mode)).status_code == 204
    [update] = await stage.api.expect("session.update")
    assert update["session"] == {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    assert len(stage.api.sent) == 1


@pytest.mark.parametrize("fields", [{}, {"mode": ""}, {"mode": "telepathy"}])
async def test_another_mode(stage: Stage, fields: dict[str, str]) -> None:
    """A mode that is none is answered with a sentence, and nothing is sent."""
    assert "Mode: " in await stage.refused(await stage.start(), "mode", **fields)


async def test_a_session_that_is_over(stage: Stage) -> None:
    """A session that has ended keeps its mode."""
    session_id = await stage.start()
    await stage.stop(session_id)
    assert "nothing was sent" in await stage.refused(session_id, "mode", mode="vad")


@pytest.mark.parametrize(("type_", "mode"), [("server_vad", "vad"), ("semantic_vad", "vad"), ("", "manual")])
async def test_the_page_shows_what_is_in_force(stage: Stage, type_: str, mode: str) -> None:
    """The toggle stands as the API says, not as was asked."""
    sound = {**IN_FORCE["audio"], "input": {"turn_detection": {"type": type_} if type_ else None}}
    session_id = await stage.start(in_force={**IN_FORCE, "audio": sound})
    await stage.stop(session_id)
    html = (await stage.client.get(f"/sessions/{session_id}/")).content.decode()
    assert f'<form id="mode" data-mode="{mode}"' in html
