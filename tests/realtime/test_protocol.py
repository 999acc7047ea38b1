"""Driving a session, as conversations: what the API says, and what must go out before it says the next thing."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from realtime.errors import InvalidEvent, NotConnected
from realtime.protocol import CLOSED, CONNECTING, READY, Played, RealtimeProtocol
from realtime.testing import playbook

VAD = {"type": "server_vad", "interrupt_response": True}


def session(turn_detection: Any = None, **fields: Any) -> dict[str, Any]:
    """A session.created with these settings."""
    audio = {"input": {"turn_detection": turn_detection, "format": {"type": "audio/pcm", "rate": 24000}}}
    return {"type": "session.created", "session": {"type": "realtime", "audio": audio, **fields}}


def created(id_: str = "resp_1", conversation: str | None = "conv_1") -> dict[str, Any]:
    """A response.created."""
    return {"type": "response.created", "response": {"id": id_, "conversation_id": conversation}}


def done(id_: str = "resp_1", status: str = "completed") -> dict[str, Any]:
    """A response.done."""
    return {"type": "response.done", "response": {"id": id_, "status": status, "output": []}}


def sound(ms: int, item: str = "item_1", response: str = "resp_1") -> dict[str, Any]:
    """A delta with this much sound."""
    delta = base64.b64encode(bytes(48 * ms)).decode()
    return {"type": "response.output_audio.delta", "response_id": response, "item_id": item, "delta": delta}


def call(name: str, call_id: str, arguments: str = "{}", response: str = "resp_1") -> dict[str, Any]:
    """A function call, complete."""
    item = {"id": f"item_{call_id}", "type": "function_call", "name": name, "call_id": call_id, "arguments": arguments}
    return {"type": "response.output_item.done", "response_id": response, "item": item}


@pytest.fixture
def protocol() -> RealtimeProtocol:
    """A protocol with an open, ready session in manual mode."""
    protocol = RealtimeProtocol()
    protocol.connecting()
    playbook(protocol, [session(), []])
    return protocol


def sent(protocol: RealtimeProtocol) -> list[dict[str, Any]]:
    """What is to be sent, read."""
    return [json.loads(frame.raw) for frame in protocol.frames_to_send()]


def types(protocol: RealtimeProtocol) -> list[str]:
    """The types of what is to be sent."""
    return [event["type"] for event in sent(protocol)]


class TestState:
    """Where a session stands."""

    def test_it_is_ready_when_the_api_has_told_its_session(self) -> None:
        """A session is CONNECTING until session.created, then READY."""
        protocol = RealtimeProtocol()
        protocol.connecting()
        assert protocol.state is CONNECTING
        protocol.receive_text(json.dumps(session(VAD)))
        assert protocol.state is READY
        assert protocol.turn_detection == "server_vad"

    def test_nothing_can_be_sent_when_it_is_over(self, protocol: RealtimeProtocol) -> None:
        """After the close every send raises NotConnected with the state in its sentence."""
        protocol.closed()
        assert protocol.state is CLOSED
        with pytest.raises(NotConnected, match="closed"):
            protocol.send_text("hello")

    def test_the_other_side_never_makes_it_raise(self, protocol: RealtimeProtocol) -> None:
        """Frames that are no JSON, no objects, or have odd shapes have no effect and raise nothing."""
        for raw in ["", "nope", "[]", '"x"', "{}", '{"type":7}', '{"type":"session.updated","session":[1]}',
                    '{"type":"response.done","response":"x"}', '{"type":"error","error":"flat"}',
                    '{"type":"response.output_item.done","item":5}', '{"type":"response.output_audio.delta"}']:  # fmt: skip
            protocol.receive_text(raw)
        assert types(protocol) == []


class TestText:
    """Saying something in writing."""

    def test_it_makes_an_item_and_asks_once(self, protocol: RealtimeProtocol) -> None:
        """A text turn is conversation.item.create and response.create, and nothing the user did not say."""
        protocol.send_text("Which planet?")
        item, ask = sent(protocol)
        assert item["item"]["content"] == [{"type": "input_text", "text": "Which planet?"}]
        assert ask["type"] == "response.create"

    def test_it_interrupts_and_asks_when_the_old_response_is_done(self, protocol: RealtimeProtocol) -> None:
        """Text during a response cancels it; the new response.create waits for response.done (one active response)."""
        playbook(protocol, [created(), sound(1000), []])
        protocol.send_text("Stop", Played("item_1", 400))
        assert types(protocol) == ["response.cancel", "conversation.item.truncate", "conversation.item.create"]
        playbook(protocol, [done(status="cancelled"), ["response.create"]])

    def test_an_error_about_the_request_frees_the_way(self, protocol: RealtimeProtocol) -> None:
        """When a response.create is refused, the next wanted one is sent and not held back for ever."""
        protocol.send_text("one")
        ask = sent(protocol)[-1]
        protocol.ask_for_response("browser")
        assert types(protocol) == []
        error = {"type": "error", "error": {"code": "x", "message": "no", "event_id": ask["event_id"]}}
        playbook(protocol, [error, ["response.create"]])

    def test_an_out_of_band_response_does_not_stand_in_the_way(self, protocol: RealtimeProtocol) -> None:
        """A response without conversation_id may run beside the next one."""
        playbook(protocol, [created("resp_oob", None), []])
        protocol.send_text("hello")
        assert types(protocol) == ["conversation.item.create", "response.create"]


class TestTalking:
    """Push to talk."""

    def test_a_press_is_committed_and_answered(self, protocol: RealtimeProtocol) -> None:
        """Press, speak, release: appends, commit, response.create."""
        protocol.talk_start()
        for _ in range(10):
            protocol.append_audio(bytes(960))
        assert protocol.talk_end()
        assert types(protocol) == ["input_audio_buffer.append"] * 10 + ["input_audio_buffer.commit", "response.create"]

    def test_too_short_a_press_is_cleared(self, protocol: RealtimeProtocol) -> None:
        """Under 100 ms the API would refuse the commit: the buffer is cleared instead, and the caller is told."""
        protocol.talk_start()
        protocol.append_audio(bytes(960))
        assert not protocol.talk_end()
        assert types(protocol) == ["input_audio_buffer.append", "input_audio_buffer.clear"]

    def test_it_does_not_send_what_was_said_before(self, protocol: RealtimeProtocol) -> None:
        """Sound left over from hands-free mode is cleared before a press begins."""
        protocol.append_audio(bytes(9600))
        protocol.talk_start()
        assert types(protocol) == ["input_audio_buffer.append", "input_audio_buffer.clear"]

    def test_it_cancels_a_response_that_has_made_no_sound_yet(self, protocol: RealtimeProtocol) -> None:
        """A press while the model is thinking sends response.cancel although nothing is playing."""
        playbook(protocol, [created(), []])
        protocol.talk_start()
        assert types(protocol) == ["response.cancel"]
        assert protocol.take_stop() == "talk"

    def test_it_cancels_nothing_when_nothing_is_made(self, protocol: RealtimeProtocol) -> None:
        """Without an active response no response.cancel is sent: it would be an error."""
        playbook(protocol, [created(), sound(500), done(), []])
        protocol.talk_start(Played("item_1", 200))
        assert types(protocol) == ["conversation.item.truncate"]

    def test_sound_goes_out_in_the_format_in_force(self) -> None:
        """With G.711 input 20 ms of microphone are 160 bytes on the wire."""
        protocol = RealtimeProtocol()
        protocol.connecting()
        told = session()
        told["session"]["audio"]["input"]["format"] = {"type": "audio/pcmu"}
        playbook(protocol, [told, []])
        protocol.append_audio(bytes(960))
        assert len(base64.b64decode(sent(protocol)[0]["audio"])) == 160


class TestInterruption:
    """What was heard, and what the API is told of it."""

    def test_speech_stops_playback_and_truncates_at_what_was_heard(self, protocol: RealtimeProtocol) -> None:
        """speech_started asks the player to stop; its answer becomes conversation.item.truncate."""
        playbook(protocol, [session(VAD), created(), sound(2000), {"type": "input_audio_buffer.speech_started"}, []])
        assert protocol.take_stop() == "speech"
        playbook(protocol, [done(status="cancelled"), []])
        protocol.truncate(Played("item_1", 740))
        assert [e["audio_end_ms"] for e in sent(protocol)] == [740]

    def test_speech_does_not_stop_when_the_session_says_so(self, protocol: RealtimeProtocol) -> None:
        """With interrupt_response false the answer plays on."""
        told = session({**VAD, "interrupt_response": False})
        playbook(protocol, [told, created(), sound(500), {"type": "input_audio_buffer.speech_started"}, []])
        assert protocol.take_stop() == ""

    def test_it_never_claims_more_than_was_received(self, protocol: RealtimeProtocol) -> None:
        """A player that runs ahead is clamped to the sound received: the API refuses more."""
        playbook(protocol, [created(), sound(250), []])
        protocol.truncate(Played("item_1", 9000))
        assert sent(protocol)[0]["audio_end_ms"] == 250

    def test_what_was_heard_whole_is_left_alone(self, protocol: RealtimeProtocol) -> None:
        """An item played to its end needs no truncation, nor does one nobody heard of, nor the same one twice."""
        playbook(protocol, [created(), sound(250), done(), []])
        protocol.truncate(Played("item_1", 250))
        protocol.truncate(Played("item_unknown", 10))
        assert types(protocol) == []
        protocol.truncate(Played("item_1", 100))
        protocol.truncate(Played("item_1", 90))
        assert types(protocol) == ["conversation.item.truncate"]


class TestCalls:
    """Function calls."""

    def test_several_calls_are_answered_together_then_one_response_is_asked_for(self, protocol: RealtimeProtocol) -> None:
        """Two calls in one response: both outputs after response.done, then exactly one response.create."""
        playbook(protocol, [created(), call("get_weather", "call_1"), call("set_memory", "call_2"), []])
        first, second = protocol.calls_to_run()
        assert (first.name, second.name) == ("get_weather", "set_memory")
        protocol.answer_call(second, '{"ok":true}')
        playbook(protocol, [done(), []])
        protocol.answer_call(first, "{}")
        events = sent(protocol)
        assert [e["type"] for e in events] == ["conversation.item.create"] * 2 + ["response.create"]
        assert {e["item"]["call_id"] for e in events[:2]} == {"call_1", "call_2"}

    def test_a_call_is_run_once(self, protocol: RealtimeProtocol) -> None:
        """arguments.done and output_item.done both tell of a call; it is run for the first of them only."""
        arguments = {"type": "response.function_call_arguments.done", "response_id": "resp_1", "call_id": "call_1",
                     "item_id": "item_call_1", "name": "set_memory", "arguments": "{}"}  # fmt: skip
        playbook(protocol, [created(), arguments, call("set_memory", "call_1"), []])
        assert [c.call_id for c in protocol.calls_to_run()] == ["call_1"]

    def test_unfinished_calls_are_not_run(self, protocol: RealtimeProtocol) -> None:
        """A call cut off by a cancel is not run."""
        cut = call("get_weather", "call_1")
        cut["item"]["status"] = "incomplete"
        playbook(protocol, [created(), cut, done(status="cancelled"), []])
        assert protocol.calls_to_run() == []

    def test_a_cancelled_response_is_not_continued(self, protocol: RealtimeProtocol) -> None:
        """When the user cut in, the outputs are still given but no response is asked for."""
        playbook(protocol, [created(), call("get_weather", "call_1"), done(status="cancelled"), []])
        protocol.answer_call(protocol.calls_to_run()[0], "{}")
        assert types(protocol) == ["conversation.item.create"]

    def test_half_spoken_audio_is_not_committed(self, protocol: RealtimeProtocol) -> None:
        """A tool's answer while the user is talking never commits what the user has said so far."""
        playbook(protocol, [created(), call("get_weather", "call_1"), done(), []])
        protocol.talk_start()
        protocol.append_audio(bytes(9600))
        protocol.frames_to_send()
        protocol.answer_call(protocol.calls_to_run()[0], "{}")
        assert "input_audio_buffer.commit" not in types(protocol)

    def test_a_call_answered_by_hand_is_not_waited_for(self, protocol: RealtimeProtocol) -> None:
        """When a person answers a call with an event of their own, the others no longer wait for it."""
        playbook(protocol, [created(), call("mine", "call_1"), call("set_memory", "call_2"), done(), []])
        _, known = protocol.calls_to_run()
        protocol.answer_call(known, "{}")
        assert types(protocol) == []
        item = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
        protocol.send_event({"type": "conversation.item.create", "item": item}, "composer")
        assert types(protocol).count("response.create") == 1


class TestSending:
    """Events of people's own."""

    def test_nonsense_can_be_sent(self, protocol: RealtimeProtocol) -> None:
        """Any object with a type goes out as it is: a debugger must be able to send nonsense on purpose."""
        protocol.send_event({"type": "nope", "x": 1}, "composer")
        assert sent(protocol) == [{"type": "nope", "x": 1}]

    @pytest.mark.parametrize("data", [{}, {"type": 5}, {"type": ""}, {"type": "x", "n": float("nan")}])
    def test_what_is_no_event_is_refused(self, protocol: RealtimeProtocol, data: dict[str, Any]) -> None:
        """Without a string type, or with something JSON has no word for, InvalidEvent is raised and nothing is sent."""
        with pytest.raises(InvalidEvent):
            protocol.send_event(data)
        assert types(protocol) == []

    def test_an_update_names_its_session_type(self, protocol: RealtimeProtocol) -> None:
        """session.update always carries session.type, which the API requires."""
        protocol.update_session({"instructions": "Be brief."})
        assert sent(protocol)[0]["session"] == {"type": "realtime", "instructions": "Be brief."}
