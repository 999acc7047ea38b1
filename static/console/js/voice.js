/** <voice-link>: the page's sound. Microphone, loudspeaker and audio socket, and who is heard when. */

import { Link } from "./link.js";
import { Microphone } from "./microphone.js";
import { SoundContext } from "./sound-context.js";
import { Speaker } from "./speaker.js";

const LEVEL_EVERY = 34; // milliseconds: 30 times a second is as smooth as a meter looks
const GESTURES = ["pointerdown", "pointerup", "keydown"]; // after one of these a browser lets a page make sound
const FULL = "Ten minutes of sound wait to be played: what follows is not heard here, only recorded.";
const UNTOUCHED = "The browser keeps this page silent until you click on it or press a key.";

/** @typedef {import("./speaker.js").Played} Played */

/**
 * The one voice of the page. It outlives the elements, so that the sound goes on when the page's parts are swapped.
 * Tells on `document`: `voice:level {mic, out}`, `voice:state {mic, speaker, link, muted}`, `voice:problem {text}`.
 */
class Voice {
  /** What a cut said last: what had been heard of which item. @type {Played | null} */
  lastHeard = null;
  /** The loudest the loudspeaker has been, 0 to 1; set it to 0 to measure anew. */
  peakOut = 0;

  #state = { mic: "off", speaker: "off", link: "closed", muted: false };
  #levels = { mic: 0, out: 0 };
  #levelTimer = 0;
  #element = null;
  #url = "";
  #link = null;
  #streaming = false; // whether the microphone sends all the time
  #held = null; // {started} while the talk button is held
  #ending = Promise.resolve(); // fulfilled when the microphone's last words are sent
  #hinted = false;

  #sound = new SoundContext({
    ready: (context) => {
      this.#speaker.attach(context);
      this.#become({ speaker: this.#rest() });
      this.#stream();
    },
    changed: () => this.#become({ speaker: this.#rest() }),
  });

  #microphone = new Microphone({
    state: (mic) => this.#become({ mic }),
    level: (mic) => this.#level({ mic }),
    chunk: (pcm) => this.#link?.sound(pcm),
    problem: (text) => this.#problem(text),
  });

  #speaker = new Speaker({
    level: (out) => this.#level({ out }),
    drained: (item_id) => this.#link?.tell({ type: "drained", item_id }),
    playing: (is) => this.#become({ speaker: is ? "playing" : this.#rest() }),
    full: () => this.#problem(FULL),
  });

  constructor() {
    for (const gesture of GESTURES) document.addEventListener(gesture, () => this.#wake(), { capture: true });
  }

  /** @param {string} url of an audio socket @returns {boolean} whether it is open, or tried again once lost */
  serves(url) {
    return this.#url === url;
  }

  /** As `voice:state` tells it. */
  get state() {
    return { ...this.#state };
  }

  /** @returns {Played | null} what is being heard now; null when nothing is */
  played() {
    return this.#speaker.played();
  }

  /**
   * Fall silent at once; what still comes of the same response is not played either.
   * @returns {Played | null} what had been heard, as `played()` says it
   */
  stop() {
    return this.#cut(true);
  }

  /** The talk button goes down: fall silent, then send what the microphone hears, asking for it first if need be. */
  async talkStart() {
    if (this.#held || this.#listening) return;
    if (!this.#link?.open) return this.#problem("Not connected: nobody would hear you.");
    if (this.#state.muted) return this.#problem("The microphone is muted. Unmute it to talk.");
    const hold = (this.#held = { started: false });
    const ready = await this.#listen();
    await this.#ending;
    if (this.#held !== hold) {
      if (ready) this.#problem("You let go before the microphone was ready: nothing was sent. Hold the button again.");
      return;
    }
    if (!ready) {
      this.#held = null;
      return;
    }
    hold.started = true;
    this.#link.tell({ type: "talk_start", ...this.#cut(true) });
    this.#microphone.start();
  }

  /** The talk button comes up: send the rest, then say so. */
  async talkEnd() {
    const hold = this.#held;
    this.#held = null;
    if (!hold?.started) return;
    this.#ending = this.#microphone.stop().then(() => this.#link?.tell({ type: "talk_end" }));
    await this.#ending;
    this.#stream();
  }

  /** @param {boolean} muted true sends nothing but keeps the microphone */
  mute(muted) {
    this.#microphone.mute(muted);
    this.#become({ muted });
  }

  /** @param {boolean} streaming true sends what the microphone hears all the time, as voice detection needs it */
  setStreaming(streaming) {
    if (streaming === this.#streaming || this.#listening) return;
    this.#streaming = streaming;
    if (streaming) this.#stream();
    else if (!this.#held) this.#ending = this.#microphone.stop();
  }

  /** @returns {Promise<{id: string, label: string, chosen: boolean}[]>} the microphones there are */
  devices() {
    return this.#microphone.devices();
  }

  /** @param {string} id of one of `devices()`, used now and remembered; "" leaves the choice to the browser */
  useMicrophone(id) {
    return this.#microphone.use(id);
  }

  /** @param {VoiceLink} element whose session to serve from now on */
  connect(element) {
    this.#element = element;
    const url = element.dataset.url ?? "";
    if (url === this.#url) return;
    this.#hangUp();
    this.#url = url;
    if (!url) return;
    this.#link = new Link(url, {
      opened: () => this.#opened(),
      lost: (forGood) => {
        if (forGood) this.#url = ""; // whoever connects next may try again
        this.#lost();
      },
      message: (message) => this.#hear(message),
      sound: (pcm) => {
        this.#speaker.sound(pcm);
        if (!this.#sound.context) this.#hint();
      },
      problem: (text) => this.#problem(text),
    });
    if (navigator.userActivation?.hasBeenActive) this.#wake();
  }

  /** @param {VoiceLink} element which has left the page; one that takes its place at once keeps the socket */
  disconnect(element) {
    queueMicrotask(() => {
      if (this.#element !== element || element.isConnected) return;
      this.#element = null;
      this.#hangUp();
    });
  }

  /** Whether it is somebody else's session, which never gets a sound from here. */
  get #listening() {
    return "listenUrl" in (this.#element?.dataset ?? {});
  }

  #hangUp() {
    this.#url = "";
    if (!this.#link) return;
    this.#link.close();
    this.#link = null;
    this.#streaming = false;
    this.#lost();
    this.#speaker.forget();
    this.#microphone.close();
  }

  #opened() {
    this.#become({ link: "open" });
    this.#stream();
  }

  /** What has arrived is played to its end; the microphone rests. */
  #lost() {
    this.#held = null;
    this.#ending = this.#microphone.stop();
    this.#speaker.endAll();
    this.#become({ link: "closed" });
  }

  #hear(message) {
    if (message.type === "item") this.#speaker.item(message);
    else if (message.type === "client") this.#speaker.client();
    else if (message.type === "end") this.#speaker.end(message.item_id);
    else if (message.type === "stop") this.#link.tell({ type: "stopped", ...this.#cut(false) });
    else if (message.type === "mode") this.setStreaming(message.vad);
  }

  #cut(forGood) {
    const played = this.#speaker.stop(forGood);
    if (played) this.lastHeard = played;
    return played;
  }

  /** Let the microphone stream if that is what is wanted. */
  async #stream() {
    if (!this.#streaming || this.#held || !this.#link?.open) return;
    if (!this.#sound.context && !navigator.userActivation?.hasBeenActive) return this.#hint();
    if (!(await this.#listen())) return;
    await this.#ending;
    if (this.#streaming && !this.#held && this.#link?.open) this.#microphone.start();
  }

  /** Have loudspeaker and microphone; false, and why has been told, when they cannot be had. */
  async #listen() {
    if (await this.#wake()) return this.#microphone.open(this.#sound.context);
    this.#problem(this.#sound.failure);
    return false;
  }

  /** Why nothing is heard, once: most browsers keep a page silent until somebody touches it. */
  #hint() {
    if (!this.#hinted) this.#problem(this.#sound.failure || UNTOUCHED);
    this.#hinted = true;
  }

  /** Have the sound context running, as far as the browser allows it by now. */
  async #wake() {
    if (!this.#element) return false;
    const { captureWorklet, playbackWorklet } = this.#element.dataset;
    return this.#sound.wake([captureWorklet, playbackWorklet]);
  }

  #rest() {
    return this.#sound.running ? "on" : "off";
  }

  #become(changes) {
    const before = JSON.stringify(this.#state);
    Object.assign(this.#state, changes);
    if (JSON.stringify(this.#state) !== before) tell("voice:state", this.state);
  }

  #level(changes) {
    Object.assign(this.#levels, changes);
    this.peakOut = Math.max(this.peakOut, this.#levels.out);
    this.#levelTimer ||= setTimeout(() => {
      this.#levelTimer = 0;
      tell("voice:level", { ...this.#levels });
    }, LEVEL_EVERY);
  }

  #problem(text) {
    tell("voice:problem", { text });
  }
}

function tell(type, detail) {
  document.dispatchEvent(new CustomEvent(type, { detail }));
}

export const voice = new Voice();

/**
 * `<voice-link data-url data-capture-worklet data-playback-worklet>`: which session the page's voice serves. With
 * `data-listen-url` it is somebody else's session: the microphone stays off, and `<listen-in>` sets `data-url`.
 */
class VoiceLink extends HTMLElement {
  static observedAttributes = ["data-url"];

  /** The page's voice, for tests and the browser's console. */
  get voice() {
    return voice;
  }

  connectedCallback() {
    voice.connect(this);
  }

  disconnectedCallback() {
    voice.disconnect(this);
  }

  attributeChangedCallback() {
    if (this.isConnected) voice.connect(this);
  }
}

customElements.define("voice-link", VoiceLink);
