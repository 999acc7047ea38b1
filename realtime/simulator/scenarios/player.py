"""Scenario player: a session that follows a scenario, with SimulatedSession's interface and without I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from realtime.simulator.conversation.jobs import Work
from realtime.simulator.scenarios.cursor import StepCursor
from realtime.simulator.scenarios.placeholders import Known, Unfilled, fill, matches
from realtime.simulator.scenarios.steps import (
    JUNK,
    Binary,
    Call,
    Close,
    Delay,
    Drop,
    Emit,
    Error,
    Expect,
    Fail,
    Hang,
    Malformed,
    Say,
    Scenario,
    Step,
    Until,
)
from realtime.simulator.session.session import SimulatedSession
from realtime.simulator.shared import response_plan
from realtime.simulator.shared.frames import Abort, Frame, Freeze, Raw, Shut
from realtime.simulator.validation.api_errors import Refusal
from realtime.simulator.validation.json_reader import read


class ScenarioPlayer:
    """One session and its scenario.

    Feed and drain it as a SimulatedSession. ``events_to_send`` may return more than events; ``failures`` and ``unreached``
    report deviations from the scenario.
    """

    def __init__(
        self, session: SimulatedSession, scenario: Scenario, fallback_plan: Callable[[], response_plan.Plan | None] = lambda: None
    ) -> None:
        """``session`` is new. ``fallback_plan`` plans responses without a step; None leaves the plan to the model."""
        self.session = session
        self.scenario = scenario
        self.fallback_plan = fallback_plan
        self.failures: list[str] = []
        """Failed steps, one sentence each."""
        self.over = False
        """The connection was ended by a step: nothing follows."""
        session.responder.planned_by_scenario = True
        self._cursor = StepCursor(scenario.steps)
        self._resume_at: float | None = None
        self._out: list[Frame] = []
        ids = {"conversation_id": session.conversation_id, "session_id": session.config.session["id"]}
        self._known = Known(session.ids.make, lambda: session.config.session, ids)
        if scenario.mode == "only":
            session.events_to_send()
        self._pump()

    @property
    def close(self) -> tuple[int, str] | None:
        """Set when the session ended by itself: close code and reason."""
        return self.session.close

    @property
    def conversation_id(self) -> str:
        """Of the session."""
        return self.session.conversation_id

    # ── In ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive_text(self, raw: str) -> None:
        """Process one text frame of the client."""
        if self.over:
            return
        self._pump()
        step, event = self._cursor.next, _read(raw)
        expected = isinstance(step, Expect) and event is not None and _is(step, event)
        normally = self.scenario.mode == "on top"
        if expected and event is not None and isinstance(step, Expect):
            self._known.event = event
            self._cursor.step()
            normally = normally if step.normally is None else step.normally
        if normally:
            self.session.receive_text(raw)
        self._pump()

    def receive_binary(self, data: bytes) -> None:
        """Process one binary frame of the client."""
        if self.scenario.mode == "on top" and not self.over:
            self.session.receive_binary(data)
            self._pump()

    def advance(self) -> None:
        """Run everything that is due."""
        if not self.over:
            self.session.advance()
            self._pump()

    def work_done(self, key: int, result: Any) -> None:
        """A piece of work is finished."""
        self.session.work_done(key, result)
        self._pump()

    def work_failed(self, key: int, reason: str) -> None:
        """A piece of work could not be done."""
        self.session.work_failed(key, reason)
        self._pump()

    # ── Out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def events_to_send(self) -> list[Frame]:
        """Return the frames due now, in order."""
        self._pump()
        out, self._out = self._out, []
        return out

    def work_to_do(self) -> list[tuple[int, Work]]:
        """Work for threads."""
        return self.session.work_to_do()

    def next_at(self) -> float | None:
        """Return the time of the next ``advance``, on the session's clock."""
        times = [at for at in (self.session.next_at(), self._resume_at) if at is not None]
        return None if self.over else min(times, default=None)

    def unreached(self) -> list[str]:
        """Return the steps not reached, with their numbers; a step still waiting is the first of them."""
        return self._cursor.unreached()

    # ── Steps ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pump(self) -> None:
        """Collect the session's events, then take steps, until neither produces anything more."""
        moving = not self.over
        while moving:
            events = self.session.events_to_send()
            if not all(map(self._forward, events)):
                return
            moving = bool(events) or self._run_steps() or self._leave_to_model()

    def _forward(self, raw: str) -> bool:
        """Pass on an event of the session, then the steps that waited for this event. False if a step ended the connection."""
        self._out.append(raw)
        event = json.loads(raw)
        self._known.learn(event)
        step = self._cursor.next
        if isinstance(step, Until) and _is(step, event):
            self._cursor.step()
            self._run_steps()
        return not self.over

    def _run_steps(self) -> bool:
        """Take the steps that need not wait. Returns True if steps were taken and the connection goes on."""
        before = self._cursor.passed
        while not self.over and (step := self._cursor.next) is not None and self._run_step(step):
            self._cursor.step()
        return before != self._cursor.passed and not self.over

    def _run_step(self, step: Step) -> bool:
        """Take a step; False if the step has to wait."""
        if isinstance(step, Expect | Until):
            return False
        if isinstance(step, Delay):
            return self._wait(step.seconds)
        if isinstance(step, Say | Call | Fail):
            return self._answer()
        try:
            self._out.extend(self._frames(step))
        except Unfilled as unfilled:
            self._add_failure(f"there is nothing yet that {{{unfilled}}} could stand for")
        self.over = isinstance(step, Drop | Close)
        return True

    def _frames(self, step: Step) -> Iterator[Frame]:
        """Yield the frames of a step. Raises Unfilled."""
        if isinstance(step, Emit):
            what = fill(step.what, self._known.value_of)
            if isinstance(what, dict):
                event = {"type": what["type"], "event_id": self.session.ids.make("event"), **what}
                self._known.learn(event)
                yield json.dumps(event, ensure_ascii=False, separators=(",", ":"))
            else:
                yield Raw(what)
        elif isinstance(step, Error):
            refusal = Refusal(step.code, step.message or f"Failed with {step.code}.", step.param)
            error = refusal.error(self._known.event.get("event_id"), step.type)
            event = {"type": "error", "event_id": self.session.ids.make("event"), "error": error}
            yield json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        elif isinstance(step, Malformed):
            yield Raw(JUNK[step.kind])
        elif isinstance(step, Binary):
            yield Raw(step.data)
        elif isinstance(step, Hang):
            yield Freeze(step.seconds)
        elif isinstance(step, Drop):
            yield Abort()
        elif isinstance(step, Close):
            yield Shut(step.code, step.reason)

    def _wait(self, seconds: float) -> bool:
        now = self.session.clock()
        if self._resume_at is None:
            self._resume_at = now + seconds
        if now < self._resume_at:
            return False
        self._resume_at = None
        return True

    def _answer(self) -> bool:
        """Plan the waiting response from this step and the steps of the same kind after it; begin a response if none waits."""
        if not self.session.awaited_plans():
            if self.session.responder.active is not None or self.session.close is not None:
                return False
            if self.session.config.transcribes:
                self._add_failure("there are no responses in a transcription session")
                return True
            self.session.responder.respond({})
        awaited = self.session.awaited_plans()
        plan: response_plan.Plan = []
        while isinstance(step := self._cursor.next, Say | Call | Fail):
            try:
                plan.append(self._planned(step))
            except Unfilled as unfilled:
                self._add_failure(f"there is nothing yet that {{{unfilled}}} could stand for")
                plan.append(response_plan.Say(f"{{{unfilled}}}"))
            if not isinstance(self._cursor.peek(1), Say | Call | Fail):
                break
            self._cursor.step()
        self.session.work_done(awaited[0], plan)
        return True

    def _planned(self, step: Say | Call | Fail) -> response_plan.Say | response_plan.CallTool | response_plan.Fail:
        if isinstance(step, Fail):
            return response_plan.Fail(step.error)
        if isinstance(step, Say):
            return response_plan.Say(str(fill(step.text, self._known.value_of)), step.phase)
        arguments = fill(step.arguments, self._known.value_of)
        return response_plan.CallTool(step.name, arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))

    def _leave_to_model(self) -> bool:
        """Leave waiting responses to the model if no step is going to answer them. Returns True if there were any."""
        awaited = self.session.awaited_plans()
        if not awaited or self._cursor.will_answer():
            return False
        for key in awaited:
            self.session.work_done(key, self.fallback_plan())
        return True

    def _add_failure(self, what: str) -> None:
        self.failures.append(f"{self._cursor.described}: {what}")


def _is(step: Expect | Until, event: dict[str, Any]) -> bool:
    return step.type in ("*", event.get("type")) and matches(step.where, event)


def _read(raw: str) -> dict[str, Any] | None:
    """Parse a client's frame; None if it is not an event."""
    try:
        event = read(raw)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
