"""The sound elements in a real browser, against an audio socket that the test plays itself."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from realtime.audio import RATE
from tests.browser.conftest import ANSWER, ARGUMENTS, becomes, chromium, happens, write_wav
from tests.browser.sound_stage import SoundStage
from tests.conftest import START_WITHIN

pytestmark = pytest.mark.browser

MS = RATE // 1000
"""Samples per millisecond."""


def tone(hertz: float, ms: int, amplitude: float = 0.3) -> bytes:
    """PCM16 of a sine."""
    t = np.arange(ms * MS) / RATE
    return (amplitude * 32767 * np.sin(2 * np.pi * hertz * t)).astype("<i2").tobytes()


def peak_hertz(pcm: bytes) -> float:
    """The strongest frequency of PCM16 at 24 kHz."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum[1:]) + 1) * RATE / len(samples)


def until(condition: Callable[[], Any], page: Page, what: str) -> Any:
    """Wait, letting the page go on, until a condition holds; returns what it gave."""
    return happens(page, condition, what)


def announce(item_id: str) -> dict[str, Any]:
    """The message before an item's sound."""
    return {"type": "item", "item_id": item_id, "content_index": 0, "response_id": f"resp_{item_id}"}


def played(page: Page) -> dict[str, Any] | None:
    """What the page says is being heard."""
    heard: dict[str, Any] | None = page.evaluate("voice.played()")
    return heard


def sounding(page: Page) -> None:
    """Wait until the loudspeaker plays."""
    becomes(page, "voice.state.speaker === 'playing' && voice.played()?.played_ms > 0")


@pytest.fixture(scope="module")
def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium as people have it, silent until touched, with a microphone that hears a tone without end."""
    microphone = write_wav(tmp_path_factory.mktemp("microphone") / "tone.wav", tone(440, 5000))
    arguments = [argument for argument in ARGUMENTS if "autoplay" not in argument]
    browser = playwright.chromium.launch(
        executable_path=chromium(), args=[*arguments, f"--use-file-for-fake-audio-capture={microphone}"],
        timeout=START_WITHIN * 1000,
    )
    yield browser
    browser.close()


@pytest.fixture
def stage() -> Iterator[SoundStage]:
    """The server's side."""
    with SoundStage.open() as stage:
        yield stage


@pytest.fixture
def page(browser: Browser, stage: SoundStage) -> Iterator[Page]:
    """The page's side, touched once and connected; what it complains of fails the test."""
    context = browser.new_context(permissions=["microphone"])
    context.set_default_timeout(ANSWER)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None)
    page.goto(stage.url)
    page.locator("#gesture").click()
    page.locator("#gesture").blur()  # a space would press it again
    becomes(page, "window.voice?.state.link === 'open'")
    yield page
    context.close()
    assert complaints == []


class TestMicrophone:
    """From the microphone to the socket."""

    def test_streaming_sends_chunks_of_20_ms(self, page: Page, stage: SoundStage) -> None:
        """With voice detection on, 960 bytes leave fifty times a second."""
        page.evaluate("document.querySelector('#mode').dataset.mode = 'vad'")
        until(lambda: stage.chunks, page, "the first chunk")

        def rate() -> float:
            count, begin = len(stage.chunks), time.monotonic()
            page.wait_for_timeout(2000)
            return (len(stage.chunks) - count) / (time.monotonic() - begin)

        until(lambda: 47 <= rate() <= 53, page, "two seconds in which the browser has its share of a busy machine")
        assert {len(chunk) for chunk in stage.chunks} == {960}
        assert page.evaluate("voice.state.mic") == "on"

    def test_a_tone_keeps_its_pitch(self, page: Page, stage: SoundStage) -> None:
        """440 Hz at the device's rate arrive as 440 Hz at 24 kHz."""
        page.evaluate("voice.setStreaming(true)")
        until(lambda: len(stage.chunks) >= 75, page, "a second and a half of sound")
        assert abs(peak_hertz(b"".join(stage.chunks[25:75])) - 440) <= 1

    def test_talking_is_framed(self, page: Page, stage: SoundStage) -> None:
        """Holding the button sends talk_start, sound, the rest of the sound, and talk_end, in this order."""
        button = page.get_by_role("button", name="Hold to talk")
        expect(button).to_be_enabled()
        button.hover()
        page.mouse.down()
        until(lambda: len(stage.chunks) >= 10, page, "sound")
        expect(page.get_by_role("button", name="Release to send")).to_have_attribute("aria-pressed", "true")
        page.mouse.up()
        until(lambda: len(stage.told) == 2, page, "talk_end")
        page.wait_for_timeout(200)
        kinds = [message["type"] if isinstance(message, dict) else "sound" for message in stage.heard]
        assert kinds[0] == "talk_start"
        assert set(kinds[1:-1]) == {"sound"}
        assert kinds[-1] == "talk_end"
        assert {len(chunk) for chunk in stage.chunks[:-1]} == {960}
        assert 0 < len(stage.chunks[-1]) <= 960
        assert len(stage.chunks[-1]) % 2 == 0

    def test_the_space_bar_talks_except_while_typing(self, page: Page, stage: SoundStage) -> None:
        """Space held on the page talks; space in a text field writes a space."""
        page.locator("input").focus()
        page.keyboard.press("Space")
        assert page.locator("input").input_value() == " "
        page.locator("input").blur()
        page.keyboard.down("Space")
        until(lambda: len(stage.chunks) >= 3, page, "sound")
        page.keyboard.up("Space")
        until(lambda: len(stage.told) == 2, page, "talk_end")
        assert [message["type"] for message in stage.told] == ["talk_start", "talk_end"]

    def test_a_window_that_loses_focus_lets_go(self, page: Page, stage: SoundStage) -> None:
        """The hold ends when the window is left, whatever happens to the key."""
        page.keyboard.down("Space")
        until(lambda: stage.chunks, page, "sound")
        page.evaluate("window.dispatchEvent(new Event('blur'))")
        until(lambda: stage.told[-1]["type"] == "talk_end", page, "talk_end")

    def test_mute_sends_nothing(self, page: Page, stage: SoundStage) -> None:
        """A muted microphone sends nothing, says so, and goes on where it is unmuted."""
        page.evaluate("voice.setStreaming(true)")
        until(lambda: stage.chunks, page, "sound")
        page.get_by_role("button", name="Mute").click()
        expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
        assert page.evaluate("voice.state.mic") == "muted"
        page.wait_for_timeout(100)
        count = len(stage.chunks)
        page.wait_for_timeout(300)
        assert len(stage.chunks) == count
        page.get_by_role("button", name="Mute").click()
        until(lambda: len(stage.chunks) > count, page, "sound again")

    def test_voice_detection_hides_the_button(self, page: Page, stage: SoundStage) -> None:
        """The mode shows the button or streams, and the server's word about it counts as well."""
        page.evaluate("document.querySelector('#mode').dataset.mode = 'vad'")
        expect(page.locator("push-to-talk")).to_be_hidden()
        until(lambda: stage.chunks, page, "sound")
        page.evaluate("document.querySelector('#mode').outerHTML = '<span id=mode data-mode=manual></span>'")
        expect(page.locator("push-to-talk")).to_be_visible()
        page.wait_for_timeout(100)
        count = len(stage.chunks)
        stage.say({"type": "mode", "vad": True})
        until(lambda: len(stage.chunks) > count, page, "sound for the server's voice detection")

    def test_the_level_is_told_at_most_30_times_a_second(self, page: Page) -> None:
        """The microphone's meter moves, 30 times a second at most, and says its value."""
        page.evaluate("voice.setStreaming(true)")
        becomes(page, "levels.some(({mic}) => mic > 0.05)")
        count, seconds = page.evaluate("""async () => {
            const first = levels.length, begin = performance.now()
            await new Promise((resolve) => setTimeout(resolve, 1000))
            return [levels.length - first, (performance.now() - begin) / 1000]
        }""")
        assert count <= 30 * seconds + 1
        meter = page.get_by_role("meter", name="Microphone level")
        assert int(meter.get_attribute("aria-valuenow") or 0) > 0


class TestRefusals:
    """When there is no microphone to be had."""

    @pytest.mark.parametrize(
        ("error", "state", "sentence"),
        [
            ("NotAllowedError", "denied", "does not let this page use the microphone"),
            ("NotFoundError", "missing", "No microphone found"),
            ("NotReadableError", "missing", "another program may be using it"),
        ],
    )
    def test_a_refusal_is_explained(self, page: Page, stage: SoundStage, error: str, state: str, sentence: str) -> None:
        """Each reason why the microphone cannot be had is told in its own sentence, and nothing is sent."""
        page.evaluate(
            "name => navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', name) }", error
        )
        page.get_by_role("button", name="Hold to talk").click(delay=200)
        becomes(page, "problems.length === 1")
        assert sentence in page.evaluate("problems[0]")
        assert page.evaluate("voice.state.mic") == state
        assert stage.heard == []

    def test_letting_go_too_early_is_explained(self, page: Page, stage: SoundStage) -> None:
        """A button released before the microphone was granted sends nothing and says why."""
        page.evaluate("""() => {
            const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
            navigator.mediaDevices.getUserMedia = async (what) => {
                await new Promise((resolve) => (window.grant = resolve))
                return ask(what)
            }
        }""")
        page.get_by_role("button", name="Hold to talk").click(delay=50)
        becomes(page, "voice.state.mic === 'asking' && Boolean(window.grant)")
        page.evaluate("grant()")
        becomes(page, "problems.length === 1")
        assert "let go before the microphone was ready" in page.evaluate("problems[0]")
        assert stage.heard == []

    def test_a_muted_hold_is_explained(self, page: Page, stage: SoundStage) -> None:
        """Talking into a muted microphone sends nothing and says why."""
        page.evaluate("voice.mute(true)")
        page.get_by_role("button", name="Hold to talk").click(delay=50)
        assert "muted" in page.evaluate("problems[0]")
        assert stage.heard == []


class TestLoudspeaker:
    """From the socket to the ear."""

    def test_the_position_is_exact(self, page: Page, stage: SoundStage) -> None:
        """Between two moments while playing, the position advances as the clock does, within 60 ms."""
        stage.say(announce("a"), tone(440, 60_000))
        sounding(page)

        def apart() -> float:
            first, ms, second = page.evaluate("""async () => {
                const first = voice.played().played_ms, begin = performance.now()
                await new Promise((resolve) => setTimeout(resolve, 1500))
                return [first, performance.now() - begin, voice.played().played_ms]
            }""")
            return abs((second - first) - ms)

        until(lambda: apart() <= 60, page, "a moment in which the browser has its share of a busy machine")
        assert page.evaluate("voice.peakOut") > 0.1

    def test_it_plays_what_came(self, page: Page, stage: SoundStage) -> None:
        """The loudspeaker plays 440 Hz as loud as they came: 0.3 of full scale is 0.21 RMS."""
        stage.say(announce("a"), tone(440, 1500), {"type": "end", "item_id": "a"})
        sounding(page)
        page.wait_for_timeout(500)
        assert abs(page.evaluate("voice.peakOut") - 0.3 / 2**0.5) < 0.02

    def test_a_gap_is_not_counted(self, page: Page, stage: SoundStage) -> None:
        """Silence while nothing arrives moves no position; the position never exceeds what came."""
        stage.say(announce("a"), tone(440, 300))
        becomes(page, "voice.played()?.played_ms > 200")
        page.wait_for_timeout(700)
        assert 200 < played(page)["played_ms"] <= 300  # type: ignore[index]
        stage.say(tone(440, 2000), {"type": "end", "item_id": "a"})
        becomes(page, "voice.played()?.played_ms > 350")
        until(lambda: stage.told, page, "drained")
        assert stage.told == [{"type": "drained", "item_id": "a"}]
        assert played(page) is None

    def test_items_follow_each_other(self, page: Page, stage: SoundStage) -> None:
        """The second item's position starts when the first has been heard; each is told when it is over."""
        page.evaluate("""() => {
            window.furthest = {}
            const look = () => {
                const now = voice.played()
                if (now) furthest[now.item_id] = Math.max(furthest[now.item_id] ?? 0, now.played_ms)
                setTimeout(look, 5)
            }
            look()
        }""")
        stage.say(announce("a"), tone(440, 400), {"type": "end", "item_id": "a"})
        stage.say(announce("b"), tone(660, 600), {"type": "end", "item_id": "b"})
        until(lambda: len(stage.told) == 2, page, "both drained")
        assert page.evaluate("furthest.a ?? 0") <= 400
        assert 0 < page.evaluate("furthest.b ?? 0") <= 600  # none of the first item's time is counted
        assert [message["item_id"] for message in stage.told] == ["a", "b"]

    def test_stop_cuts_at_once(self, page: Page, stage: SoundStage) -> None:
        """The server's stop is answered with what was heard, and within 100 ms there is silence."""
        stage.say(announce("a"), tone(440, 5000))
        becomes(page, "voice.played()?.played_ms > 500")
        page.evaluate("""() => document.addEventListener("voice:state", ({ detail }) => {
            if (detail.speaker === "on") window.cutAt ??= performance.now()
        })""")
        before = played(page)["played_ms"]  # type: ignore[index]
        stage.say({"type": "stop", "reason": "speech_started"})
        (stopped,) = until(lambda: stage.told, page, "the answer")
        assert stopped["type"] == "stopped"
        assert stopped["item_id"] == "a"
        assert before <= stopped["played_ms"] <= 5000
        assert page.evaluate("voice.lastHeard.played_ms") == stopped["played_ms"]
        becomes(page, "levels.at(-1).out === 0")
        assert page.evaluate("levels.findLast(({ out }) => out > 0).at - cutAt") < 100
        assert played(page) is None

    def test_a_stop_into_silence_names_no_item(self, page: Page, stage: SoundStage) -> None:
        """When nothing plays, stop is answered without an item."""
        stage.say({"type": "stop", "reason": "speech_started"})
        assert until(lambda: stage.told, page, "the answer") == [{"type": "stopped"}]

    def test_talking_interrupts(self, page: Page, stage: SoundStage) -> None:
        """Pressing the button silences the answer, says what was heard, and the rest of the answer stays silent."""
        page.evaluate("voice.setStreaming(true)")
        until(lambda: stage.chunks, page, "an open microphone")
        page.evaluate("voice.setStreaming(false)")
        stage.say(announce("a"), tone(440, 10_000))
        becomes(page, "voice.played()?.played_ms > 400")
        page.keyboard.down("Space")
        (talk,) = until(lambda: stage.told, page, "talk_start")
        assert talk["type"] == "talk_start"
        assert talk["item_id"] == "a"
        assert 400 < talk["played_ms"] <= 10_000
        stage.say(tone(440, 1000), announce("a"), tone(440, 1000))
        page.wait_for_timeout(200)
        assert played(page) is None
        page.keyboard.up("Space")
        stage.say(announce("b"), tone(660, 500))
        becomes(page, "voice.played()?.item_id === 'b'")

    def test_an_untouched_page_says_why_it_is_silent(self, page: Page, stage: SoundStage) -> None:
        """Before the first touch sound waits, and the page says so; the touch lets it be heard from its beginning."""
        page.reload()
        becomes(page, "window.voice?.state.link === 'open'")
        stage.say(announce("a"), tone(440, 2000), tone(440, 500))
        becomes(page, "problems.length === 1")
        assert (
            page.evaluate("problems[0]") == "The browser keeps this page silent until you click on it or press a key."
        )
        heard = played(page)
        assert heard is not None
        assert heard["played_ms"] == 0
        page.locator("#gesture").click()
        sounding(page)

    def test_modules_that_cannot_be_loaded(self, page: Page, stage: SoundStage) -> None:
        """Where the sound modules are missing the page says so instead of keeping quiet."""
        page.reload()
        page.evaluate("document.querySelector('voice-link').dataset.playbackWorklet = '/static/js/nowhere.js'")
        page.locator("#gesture").click()
        becomes(page, "window.voice?.state.link === 'open'")
        page.get_by_role("button", name="Hold to talk").click(delay=100)
        becomes(page, "problems.length >= 1")
        assert "sound modules could not be loaded" in page.evaluate("problems[0]")

    def test_a_form_that_interrupts(self, page: Page, stage: SoundStage) -> None:
        """Sending a form marked so silences the answer and adds what was heard; other forms do neither."""
        stage.say(announce("a"), tone(440, 3000))
        becomes(page, "voice.played()?.played_ms > 300")
        send = """interrupts => {
            const form = document.createElement("form"), parameters = {}
            form.toggleAttribute("data-interrupts", interrupts)
            document.body.append(form)
            const detail = { elt: form, parameters }
            form.dispatchEvent(new CustomEvent("htmx:configRequest", { bubbles: true, detail }))
            return parameters
        }"""
        assert page.evaluate(send, False) == {}
        parameters = page.evaluate(send, True)
        assert parameters["item_id"] == "a"
        assert parameters["content_index"] == 0
        assert 300 < parameters["played_ms"] <= 3000
        assert played(page) is None
        assert page.evaluate(send, True) == {}


class TestListeningIn:
    """Another voice beside the model's: that of a relayed session's client."""

    def test_both_are_heard_and_one_is_cut(self, page: Page, stage: SoundStage) -> None:
        """The client's sound plays beside the model's, counts as nothing heard of it, and goes on when that is cut."""
        stage.say({"type": "client"}, tone(300, 3000))
        becomes(page, "levels.some(({out}) => out > 0.05)")
        assert played(page) is None
        stage.say(announce("item_a"), tone(440, 2000), {"type": "client"}, tone(300, 100))
        sounding(page)
        stage.say({"type": "stop", "reason": "client"})
        becomes(page, "voice.played() === null")
        page.evaluate("levels.length = 0")
        becomes(page, "levels.some(({out}) => out > 0.05)")

    def test_a_page_that_listens_has_no_microphone(self, page: Page, stage: SoundStage) -> None:
        """Neither the button nor voice detection sends a sound from a page that only listens."""
        page.evaluate("""() => {
            const link = document.querySelector("voice-link")
            link.dataset.listenUrl = link.dataset.url = "/audio?listening"
        }""")
        becomes(page, "voice.state.link === 'open'")
        until(lambda: stage.connections == 2, page, "the other socket is open")
        page.evaluate("voice.setStreaming(true)")
        page.get_by_role("button", name="Hold to talk").click(delay=200)
        page.wait_for_timeout(200)
        assert stage.heard == []
        assert page.evaluate("voice.state.mic") == "off"


class TestConnection:
    """The socket comes and goes."""

    def test_it_connects_again(self, page: Page, stage: SoundStage) -> None:
        """After a loss the page connects again by itself, plays on meanwhile, and streams again."""
        page.evaluate("voice.setStreaming(true)")
        stage.say(announce("a"), tone(440, 10_000))
        sounding(page)
        stage.hang_up(1006)
        becomes(page, "voice.state.link === 'closed'")
        assert page.evaluate("voice.state.speaker") == "playing"
        expect(page.locator("push-to-talk button")).to_be_disabled()
        until(lambda: stage.connections == 2, page, "the second connection")
        count = len(stage.chunks)
        until(lambda: len(stage.chunks) > count, page, "sound on the second connection")

    def test_it_tries_more_than_once(self, page: Page, stage: SoundStage) -> None:
        """A server that is away for longer is found when it is back."""
        stage.refuse = True
        stage.hang_up(1006)
        page.wait_for_timeout(700)
        stage.refuse = False
        until(lambda: stage.connections == 2, page, "the second connection")

    def test_a_refusal_is_final(self, page: Page, stage: SoundStage) -> None:
        """A close code of 4000 and above is told and not argued with."""
        stage.hang_up(4001, "Another tab has taken over this session's sound.")
        becomes(page, "problems.length === 1")
        assert page.evaluate("problems[0]") == "Another tab has taken over this session's sound."
        page.wait_for_timeout(800)
        assert stage.connections == 1

    def test_a_swap_keeps_the_sound(self, page: Page, stage: SoundStage) -> None:
        """An element swapped for one like it keeps the socket and the sound; removed, it hangs up."""
        stage.say(announce("a"), tone(440, 10_000))
        sounding(page)
        page.evaluate("""() => {
            const link = document.querySelector("voice-link")
            link.outerHTML = link.outerHTML
        }""")
        page.wait_for_timeout(100)
        assert stage.connections == 1
        assert page.evaluate("voice.state.speaker") == "playing"
        assert page.evaluate("document.querySelector('voice-link').voice === voice")
        page.evaluate("document.querySelector('voice-link').remove()")
        becomes(page, "voice.state.link === 'closed' && voice.state.speaker === 'on'")

    def test_another_session_starts_afresh(self, page: Page, stage: SoundStage) -> None:
        """Another address is another socket; the same sound machinery plays for it."""
        stage.say(announce("a"), tone(440, 3000))
        sounding(page)
        page.evaluate("document.querySelector('voice-link').dataset.url = '/audio?other'")
        until(lambda: stage.connections == 2, page, "the second connection")
        becomes(page, "voice.state.link === 'open'")
        assert played(page) is None
        stage.say(announce("a"), tone(440, 1000))
        sounding(page)


class TestResampler:
    """The arithmetic, in the page."""

    @pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 96_000])
    def test_the_passband_is_kept_and_nothing_folds_back(self, page: Page, rate: int) -> None:
        """Down to 24 kHz, 1 kHz keeps its level within 0.1 dB and what 24 kHz cannot carry is 60 dB down."""
        gains = page.evaluate(
            """async ([rate, tones]) => {
                const { Resampler } = await import("/static/js/resample.js")
                return tones.map((hertz) => {
                    const resampler = new Resampler(rate, 24000)
                    const turn = (2 * Math.PI * hertz) / rate
                    const sound = Float32Array.from({ length: rate / 2 }, (_, i) => Math.sin(turn * i))
                    const out = []
                    for (let at = 0; at < sound.length; at += 128) {
                        out.push(...resampler.push(sound.subarray(at, at + 128)))
                    }
                    const middle = out.slice(1000, -1000)
                    return Math.sqrt((2 * middle.reduce((sum, x) => sum + x * x, 0)) / middle.length)
                })
            }""",
            [rate, [1000, *[hertz for hertz in (13_000, 15_000, 20_000) if hertz < rate / 2]]],
        )
        decibels = 20 * np.log10(np.maximum(gains, 1e-9))
        assert abs(decibels[0]) < 0.1
        assert all(decibels[1:] < -60)


class TestMap:
    """<weather-map>."""

    def test_a_map_without_a_network(self, page: Page) -> None:
        """The land is drawn from the page's own file, with the place marked and the sources named."""
        frame = page.locator("weather-map .leaflet-container")
        expect(frame).to_have_attribute("aria-label", "Map of Lisbon, Portugal: 38.72° N, 9.14° W")
        expect(page.locator("weather-map path.leaflet-interactive")).to_have_count(1)
        expect(page.locator("weather-map .leaflet-land-pane path")).to_have_count(1)
        expect(page.locator("weather-map .leaflet-control-attribution")).to_contain_text("Weather data by Open-Meteo")

    def test_it_follows_its_attributes(self, page: Page) -> None:
        """Another place moves map, marker and words; markup in a name stays text."""
        expect(page.locator("weather-map .leaflet-container")).to_be_visible()
        page.evaluate(
            "place => Object.assign(document.querySelector('weather-map').dataset, place)",
            {"lat": -33.87, "lng": 151.21, "location": "<b>Sydney</b>"},
        )
        label = "Map of <b>Sydney</b>: 33.87° S, 151.21° E"
        expect(page.locator("weather-map .leaflet-container")).to_have_attribute("aria-label", label)
        assert page.locator("weather-map b").count() == 0

    def test_tiles_come_on_top(self, page: Page) -> None:
        """Where tiles can be had they are shown and their makers named; before that nobody is credited for nothing."""
        pixel = b64decode("R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=")
        page.route(
            "https://tile.openstreetmap.org/**", lambda route: route.fulfill(body=pixel, content_type="image/png")
        )
        small_print = page.locator("weather-map .leaflet-control-attribution")
        expect(small_print).not_to_contain_text("OpenStreetMap")
        page.evaluate("""() => {
            const map = document.querySelector("weather-map")
            map.dataset.tiles = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
            map.outerHTML = map.cloneNode().outerHTML
        }""")
        expect(page.locator("weather-map img.leaflet-tile-loaded").first).to_be_attached()
        expect(small_print).to_contain_text("© OpenStreetMap contributors")

    def test_a_map_in_a_hidden_tab(self, page: Page) -> None:
        """A map made while hidden shows its place in the middle once it is seen."""
        page.evaluate("""() => {
            const map = document.querySelector("weather-map")
            const tab = document.createElement("div")
            tab.hidden = true
            map.replaceWith(tab)
            tab.append(map.cloneNode())
        }""")
        expect(page.locator("weather-map .leaflet-container")).to_be_attached()
        page.evaluate("document.querySelector('div[hidden]').hidden = false")
        frame = page.locator("weather-map .leaflet-container").bounding_box()
        assert frame is not None

        def marker_is_centred() -> bool:
            dot = page.locator("weather-map path.leaflet-interactive").bounding_box()
            return dot is not None and all(
                abs(frame[side] + frame[size] / 2 - dot[side] - dot[size] / 2) < 3
                for side, size in (("x", "width"), ("y", "height"))
            )

        until(marker_is_centred, page, "a marker in the middle")

    def test_words_stay_without_leaflet(self, page: Page) -> None:
        """Where the map's code cannot be loaded, place and coordinates stand in words."""
        page.route("**/leaflet.js", lambda route: route.abort())
        page.reload()
        expect(page.locator("weather-map")).to_have_text("Lisbon, Portugal: 38.72° N, 9.14° W")
