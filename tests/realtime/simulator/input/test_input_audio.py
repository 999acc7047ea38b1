"""What becomes of a user's sound: turns by hand and by voice detection, their words, and what they cost."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from realtime.pcm import to_g711
from tests.realtime.simulator.harness import (
    AUDIO_CLOSED,
    COMMITTED,
    ENDED,
    ITEM,
    OPENED,
    TEXT_ANSWER,
    SimulatorHarness,
    chunks,
    encoded,
    errors,
    only,
    silence,
    sound,
    spoken_words,
    types,
    user,
    utterance,
)

MANUAL: dict[str, Any] = {"turn_detection": None}
TRANSCRIPTION = "conversation.item.input_audio_transcription"
VAD_TURN = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", *COMMITTED]
GRID = 32  # milliseconds


def kinds(stage: SimulatorHarness, *types_: str) -> list[str]:
    """Types of all events so far, of these only."""
    return types(event for event in stage.events if event["type"] in types_)


def manual(heard: str | None = None, model: str = "gpt-realtime", **audio_input: Any) -> SimulatorHarness:
    """A session whose turns end by hand."""
    stage = SimulatorHarness(model, heard=heard)
    stage.update(audio={"input": {**MANUAL, **audio_input}})
    return stage


def test_a_manual_turn() -> None:
    """Sound is taken without a word, committed on demand, and answered only when a response is wished for."""
    stage = manual(heard="Hello.")
    assert stage.hear(silence(300)) == []
    assert types(stage.send("input_audio_buffer.commit")) == COMMITTED
    assert stage.run(10) == []
    answer = stage.respond()
    assert types(answer)[:4] == OPENED
    assert types(answer)[-len(AUDIO_CLOSED + ENDED) :] == AUDIO_CLOSED + ENDED
    assert spoken_words(answer).startswith("Hello, this is the built-in simulator.")


def test_a_committed_turn_names_what_it_follows() -> None:
    """Committed tells the item to come and its predecessor; added and done tell the same."""
    stage = manual()
    stage.send("conversation.item.create", item=user("Hello.", id="a"))
    stage.hear(silence(100))
    events = stage.send("input_audio_buffer.commit")
    assert [event["previous_item_id"] for event in events] == ["a", "a", "a"]
    assert {event.get("item_id") or event["item"]["id"] for event in events} == {stage.order[1]}


@pytest.mark.parametrize("ms", [0, 50, 99])
def test_too_little_to_commit(ms: int) -> None:
    """Less than 100 ms is refused with the length there is, and stays in the buffer."""
    stage = manual()
    stage.hear(silence(ms))
    error = only(stage.send("input_audio_buffer.commit"), "error")["error"]
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["message"] == (
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
        f"but buffer only has {ms}.00ms of audio."
    )
    stage.hear(silence(100 - ms))
    assert types(stage.send("input_audio_buffer.commit")) == COMMITTED


def test_clear() -> None:
    """A cleared buffer holds nothing to commit."""
    stage = manual()
    stage.hear(silence(500))
    assert types(stage.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert errors(stage.send("input_audio_buffer.commit")) == [("input_audio_buffer_commit_empty", None)]


@pytest.mark.parametrize("audio", ["?", "AAA", "ÄÄÄÄ", "AA\nAA"])
def test_sound_that_cannot_be_decoded(audio: str) -> None:
    """Text that is no base64 is refused, and nothing of it is kept."""
    stage = manual()
    assert errors(stage.send("input_audio_buffer.append", audio=audio)) == [("invalid_value", "audio")]
    assert stage.session.input_audio.buffer.end_ms == 0


def test_the_largest_append() -> None:
    """One event takes 15 MiB of sound and no more."""
    stage = manual()
    largest = 15 * 1024 * 1024
    assert stage.send("input_audio_buffer.append", audio=encoded(bytes(largest))) == []
    assert errors(stage.send("input_audio_buffer.append", audio=encoded(bytes(largest + 3)))) == [("invalid_value", "audio")]


def test_a_turn_is_heard_in_speech() -> None:
    """Real speech is found by the real detector: started, stopped, committed, answered, with one id from first to last."""
    stage = SimulatorHarness(heard="What time is it?")
    stage.hear(silence(1000) + utterance("What is the weather in Lisbon?") + silence(1000))
    stage.run(10)
    heard = [event for event in stage.events if event["type"] != "session.created"]
    assert types(heard)[: len(VAD_TURN) + len(OPENED)] == VAD_TURN + OPENED
    assert types(heard)[-len(AUDIO_CLOSED + ENDED) :] == AUDIO_CLOSED + ENDED
    ids = {event.get("item_id") or event["item"]["id"] for event in heard[:5]}
    assert ids == {stage.order[0]}


@pytest.mark.parametrize(("prefix_ms", "silence_ms"), [(300, 500), (0, 200), (500, 800)])
def test_times_lie_on_the_grid(prefix_ms: int, silence_ms: int) -> None:
    """Start is a frame's time less the prefix, end the frame in which the silence was long enough; the item is between."""
    stage = SimulatorHarness()
    detection = {"type": "server_vad", "prefix_padding_ms": prefix_ms, "silence_duration_ms": silence_ms, "create_response": False}
    stage.update(audio={"input": {"turn_detection": detection}})
    spoken = utterance("Tell me a long story.")
    stage.hear(silence(1000) + spoken + silence(1500))
    start = only(stage.events, "input_audio_buffer.speech_started")["audio_start_ms"]
    end = only(stage.events, "input_audio_buffer.speech_stopped")["audio_end_ms"]
    assert ((start + prefix_ms) % GRID, end % GRID) == (0, 0)
    assert 1000 <= start + prefix_ms <= 1000 + 8 * GRID
    spoken_until = 1000 + len(spoken) / 48
    assert spoken_until - 8 * GRID + silence_ms <= end <= spoken_until + 8 * GRID + silence_ms
    assert len(stage.session.items.get(stage.order[0]).audio) == (end - start) * 48


def test_a_turn_that_begins_with_the_session() -> None:
    """Speech from the first moment starts at 0, not before."""
    stage = SimulatorHarness()
    stage.hear(utterance("Tell me a long story.") + silence(1000))
    assert only(stage.events, "input_audio_buffer.speech_started")["audio_start_ms"] == 0


def test_nobody_speaks() -> None:
    """Silence and a tone that is no voice begin no turn."""
    stage = SimulatorHarness()
    assert stage.hear(silence(2000)) == []


def test_time_is_counted_in_sound() -> None:
    """Milliseconds count the sound received since the beginning, over all turns, whatever the clock says."""
    stage = SimulatorHarness()
    stage.update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    spoken = utterance("Tell me a long story.")
    for _ in range(2):
        stage.hear(silence(1000) + spoken + silence(1000))
        stage.run(20)
    first, second = (event["audio_start_ms"] for event in stage.all("input_audio_buffer.speech_started"))
    assert abs(second - first - 2000 - len(spoken) / 48) <= 4 * GRID


def test_two_turns_in_one_frame() -> None:
    """Two sentences in a single append are two turns with ids of their own."""
    stage = SimulatorHarness()
    spoken = silence(500) + utterance("Tell me a long story.") + silence(1000)
    stage.send("input_audio_buffer.append", audio=encoded(spoken * 2))
    assert len(stage.all("input_audio_buffer.speech_started")) == 2
    ids = [event["item_id"] for event in stage.all("input_audio_buffer.committed")]
    assert len(set(ids)) == 2
    assert [item_id for item_id in stage.order if item_id in ids] == ids


def test_without_create_response_nobody_answers() -> None:
    """A turn is committed, and the client decides about the answer."""
    stage = SimulatorHarness()
    stage.update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    stage.hear(utterance("Tell me a long story.") + silence(1000))
    stage.run(10)
    assert types(stage.events)[2:] == VAD_TURN


@pytest.mark.parametrize(("eagerness", "wait_ms"), [("high", 400), ("medium", 900), ("auto", 900), ("low", 1600)])
def test_semantic_detection_waits_by_eagerness(eagerness: str, wait_ms: int) -> None:
    """The more eager, the sooner a turn is taken for finished."""
    stage = SimulatorHarness()
    stage.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": eagerness}}})
    spoken = utterance("Tell me a long story.")
    stage.hear(spoken + silence(2500))
    end = only(stage.events, "input_audio_buffer.speech_stopped")["audio_end_ms"]
    assert abs(end - len(spoken) / 48 - wait_ms) <= 8 * GRID


def test_detection_can_be_turned_off_amid_speech() -> None:
    """Without detection the turn is finished by hand, with all that was said."""
    stage = SimulatorHarness()
    spoken = utterance("Tell me a long story.")
    stage.hear(spoken)
    only(stage.events, "input_audio_buffer.speech_started")
    stage.update(audio={"input": MANUAL})
    stage.hear(silence(1500))
    assert stage.all("input_audio_buffer.speech_stopped") == []
    assert types(stage.send("input_audio_buffer.commit")) == COMMITTED


def test_speech_interrupts() -> None:
    """Speech ends the answer at once, in the fixed order, as cancelled by turn detection; then it is answered itself."""
    stage = SimulatorHarness()
    stage.update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 200}}})
    stage.write("Tell me a story.")
    stage.send("response.create")
    stage.run(until="response.output_audio.delta")
    heard = stage.hear(utterance("Stop.") + silence(600))
    at = next(index for index, event in enumerate(heard) if event["type"] == "input_audio_buffer.speech_started")
    cut = heard[at:]
    assert types(cut)[: 1 + len(AUDIO_CLOSED) + 1] == ["input_audio_buffer.speech_started", *AUDIO_CLOSED, "response.done"]
    response = only(cut, "response.done")["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert (response["status"], response["output"][0]["status"]) == ("cancelled", "incomplete")
    assert response["usage"]["output_token_details"]["audio_tokens"] > 0
    assert kinds(stage, "response.created", "response.done")[-3:] == ["response.created", "response.done", "response.created"]
    truncated = stage.send(
        "conversation.item.truncate", item_id=response["output"][0]["id"], content_index=0, audio_end_ms=100
    )
    assert types(truncated) == ["conversation.item.truncated"]


def test_speech_may_be_forbidden_to_interrupt() -> None:
    """With interrupt_response off, speech is committed while the answer goes on to its end."""
    stage = SimulatorHarness()
    detection = {"type": "server_vad", "silence_duration_ms": 200, "interrupt_response": False}
    stage.update(audio={"input": {"turn_detection": detection}})
    stage.write("Tell me a story.")
    stage.send("response.create")
    stage.run(until="response.output_audio.delta")
    stage.hear(utterance("Stop.") + silence(600))
    assert [event["item_id"] for event in stage.all("input_audio_buffer.committed")] == [stage.order[-1]]
    stage.run(until="response.done")
    assert only(stage.events, "response.done")["response"]["status"] == "completed"


@pytest.mark.parametrize("format_", ["audio/pcmu", "audio/pcma"])
def test_the_telephone_sounds_alike(format_: str) -> None:
    """Turns are found in G.711 sound too, on the same grid, and the answer is told in it, 8 bytes a millisecond."""
    stage, plain = SimulatorHarness(heard="Hello."), SimulatorHarness(heard="Hello.")
    stage.update(audio={"input": {"format": {"type": format_}}, "output": {"format": {"type": format_}}})
    spoken = silence(640) + utterance("Tell me a long story.") + silence(1000)
    from_8k = spoken[: len(spoken) // 2 * 2]
    samples = b"".join(from_8k[at : at + 2] for at in range(0, len(from_8k), 6))
    stage.hear(to_g711(samples, format_), format_ms=8)
    plain.hear(spoken)
    started = [only(each.events, "input_audio_buffer.speech_started")["audio_start_ms"] for each in (stage, plain)]
    assert (started[0] + 300) % GRID == 0
    assert abs(started[0] - started[1]) <= 2 * GRID
    for each in (stage, plain):
        each.run(10)
    assert abs(len(sound(stage.events)) * 6 - len(sound(plain.events))) <= 6 * len(stage.all("response.output_audio.delta"))
    assert only(stage.events, "response.done")["response"]["audio"]["output"]["format"] == {"type": format_}


def transcribed(model: str, heard: str = "What time is it?", seconds: float = 2.796, **session: Any) -> SimulatorHarness:
    """A manual turn that is written down."""
    stage = manual(heard, transcription={"model": model})
    if session:
        stage.update(**session)
    stage.hear(silence(seconds * 1000))
    stage.send("input_audio_buffer.commit")
    stage.run(5)
    return stage


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe", "gpt-live-transcribe"])
def test_speech_is_written_down(model: str) -> None:
    """Deltas add up to the transcript, which comes with what it cost; the item itself never carries it."""
    stage = transcribed(model)
    assert kinds(stage, f"{TRANSCRIPTION}.delta", f"{TRANSCRIPTION}.completed") == [f"{TRANSCRIPTION}.delta", f"{TRANSCRIPTION}.completed"]
    deltas = [event["delta"] for event in stage.all(f"{TRANSCRIPTION}.delta")]
    assert len(deltas) > 3
    completed = only(stage.events, f"{TRANSCRIPTION}.completed")
    assert "".join(deltas) == completed["transcript"] == "What time is it?"
    assert {event["item_id"] for event in stage.all(f"{TRANSCRIPTION}.delta")} == {completed["item_id"]} == set(stage.order)
    assert "logprobs" not in completed
    assert only(stage.events, "conversation.item.done")["item"]["content"] == [{"type": "input_audio", "transcript": None}]


def test_whisper_says_it_all_at_once() -> None:
    """whisper-1 sends one delta with the whole text."""
    assert [event["delta"] for event in transcribed("whisper-1").all(f"{TRANSCRIPTION}.delta")] == ["What time is it?"]


def test_the_streaming_whisper_leads_with_a_space() -> None:
    """The first delta of gpt-realtime-whisper begins with a space, which the transcript does not have."""
    stage = transcribed("gpt-realtime-whisper")
    deltas = "".join(event["delta"] for event in stage.all(f"{TRANSCRIPTION}.delta"))
    assert (deltas, only(stage.events, f"{TRANSCRIPTION}.completed")["transcript"]) == (" What time is it?", "What time is it?")


@pytest.mark.parametrize("model", ["whisper-1", "gpt-transcribe", "gpt-live-transcribe", "gpt-realtime-whisper"])
def test_some_are_paid_by_the_second(model: str) -> None:
    """These models bill whole seconds, rounded up."""
    assert only(transcribed(model).events, f"{TRANSCRIPTION}.completed")["usage"] == {"type": "duration", "seconds": 3}


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-4o-mini-transcribe-2025-12-15"])
def test_some_are_paid_by_the_token(model: str) -> None:
    """The gpt-4o models bill tokens: one for each whole tenth of a second, and those of the words."""
    usage = only(transcribed(model).events, f"{TRANSCRIPTION}.completed")["usage"]
    assert usage["input_token_details"] == {"text_tokens": 0, "audio_tokens": 27}
    assert usage["input_tokens"] == 27
    assert usage["total_tokens"] == 27 + usage["output_tokens"]


def test_logprobs_on_demand() -> None:
    """When the session includes them, completed tells how likely each token was."""
    stage = transcribed("gpt-4o-transcribe", heard="Grüße.", include=["item.input_audio_transcription.logprobs"])
    completed = only(stage.events, f"{TRANSCRIPTION}.completed")
    assert "".join(entry["token"] for entry in completed["logprobs"]) == "Grüße."
    assert b"".join(bytes(entry["bytes"]) for entry in completed["logprobs"]).decode() == "Grüße."
    assert all(-1 < entry["logprob"] <= 0 for entry in completed["logprobs"])
    deltas = [entry for event in stage.all(f"{TRANSCRIPTION}.delta") for entry in event["logprobs"]]
    assert deltas == completed["logprobs"]


def test_words_are_made_out_once() -> None:
    """Transcription and answer wait for the same ears, and a later answer asks no more."""
    stage = SimulatorHarness(heard="What time is it?")
    session = stage.session
    stage.update(audio={"input": {**MANUAL, "transcription": {"model": "whisper-1"}}})
    for chunk in chunks(silence(500), 4800):
        session.receive_text(f'{{"type":"input_audio_buffer.append","audio":"{encoded(chunk)}"}}')
    session.receive_text('{"type":"input_audio_buffer.commit"}')
    session.receive_text('{"type":"response.create"}')
    asked = session.work_to_do()
    stage.time += 1
    session.advance()
    asked += session.work_to_do()
    assert len(asked) == 1
    session.work_done(asked[0][0], "What time is it?")
    stage.run(until="rate_limits.updated")
    assert only(stage.events, f"{TRANSCRIPTION}.completed")["transcript"] == "What time is it?"
    assert spoken_words(stage.events).startswith("It is ")
    stage.respond()
    assert stage.hearings == []


def test_ears_that_fail() -> None:
    """When the words cannot be made out, the transcription fails and the session goes on."""
    stage = manual(transcription={"model": "whisper-1"})
    stage.broken = "The ears hurt."
    stage.hear(silence(500))
    stage.send("input_audio_buffer.commit")
    failed = only(stage.run(1), f"{TRANSCRIPTION}.failed")
    stage.broken = ""
    message = f"Input transcription failed for item '{failed['item_id']}'."
    assert failed["error"] == {"type": "server_error", "code": None, "message": message, "param": None}
    assert types(stage.ask("Hello.", output_modalities=["text"])) == [*ITEM, *TEXT_ANSWER]


def test_a_voice_that_fails() -> None:
    """When a sentence cannot be spoken, the response ends as failed, in the fixed order, and another can be made."""
    stage = SimulatorHarness()
    stage.broken = "The voice broke."
    events = stage.ask("Hello.")
    stage.broken = ""
    assert types(events)[-len(AUDIO_CLOSED + ENDED) :] == AUDIO_CLOSED + ENDED
    response = only(events, "response.done")["response"]
    assert (response["status"], response["status_details"]["error"]["message"]) == ("failed", "The voice broke.")
    assert types(stage.respond(output_modalities=["text"])) == TEXT_ANSWER


def test_a_client_may_bring_its_sound_in_an_item() -> None:
    """Sound in a message is heard like sound in the buffer; its words count where they are given."""
    stage = SimulatorHarness(heard="What time is it?")
    part = {"type": "input_audio", "audio": base64.b64encode(silence(500)).decode()}
    stage.send("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
    assert spoken_words(stage.respond()).startswith("It is ")
    stage.send("conversation.item.create", item={"type": "message", "role": "user", "content": [{**part, "transcript": "Hello."}]})
    assert spoken_words(stage.respond()).startswith("Hello, ")
