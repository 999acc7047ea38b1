"""The pytest plugin, as another project uses it."""

from __future__ import annotations

import textwrap

import pytest

pytest_plugins = ["pytester"]


def test_a_project_that_uses_the_plugin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """One line in a conftest.py gives tests a fixture that starts simulators with scenarios, faults and options."""
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))
    pytester.makeconftest('pytest_plugins = ["realtime.pytest_plugin"]')
    (pytester.path / "short.yaml").write_text("- expect: response.create\n- say: From a file.\n")
    pytester.makepyfile(
        textwrap.dedent(
            '''
            import json
            import pytest
            from websockets.sync.client import connect
            from realtime.simulator import Expect, FaultError, Say

            @pytest.mark.parametrize("scenario", ["short.yaml", (Expect("response.create"), Say("From a file."))])
            def test_words(realtime_simulator, scenario):
                simulator = realtime_simulator(scenario, faults=("no_rate_limits",), seed=5)
                with connect(simulator.url + "?model=gpt-realtime") as client:
                    client.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))
                    while json.loads(client.recv(20))["type"] != "response.done":
                        pass
                done = simulator.received("response.output_text.done")
                assert [event["text"] for event in done] == ["From a file."]
                assert len(simulator.sent("response.create")) == 1
                assert simulator.complaints == []

            def test_several(realtime_simulator):
                assert realtime_simulator().url != realtime_simulator().url
                with pytest.raises(FaultError):
                    realtime_simulator(faults=("nonsense",))
            '''
        )
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)
