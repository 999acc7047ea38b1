/** The microphone as the page sees it: asked for when needed, muted, changed, and delivering PCM16 while started. */

const REMEMBERED = "console.microphone"; // key in localStorage: the id of the chosen device
const LAST_WORD = 200; // milliseconds the worklet gets for its last samples; a suspended context never answers

/** Name of the browser's error → state and what people can do about it. */
const REFUSALS = {
  NotAllowedError: [
    "denied",
    "The browser does not let this page use the microphone. Allow it beside the address bar.",
  ],
  NotFoundError: ["missing", "No microphone found. Plug one in, then try again."],
  NotReadableError: ["missing", "The microphone cannot be opened; another program may be using it."],
};
const INSECURE =
  "Browsers give the microphone only to secure pages: open the console at https:// or at http://localhost.";
const UNPLUGGED = "The microphone has gone: it was unplugged, or its permission withdrawn.";

/** @typedef {"off" | "asking" | "on" | "denied" | "missing" | "muted"} MicrophoneState */

/**
 * @typedef {object} Ears what a microphone tells
 * @property {(state: MicrophoneState) => void} state
 * @property {(level: number) => void} level loudness between 0 and 1, each 20 ms
 * @property {(pcm: ArrayBuffer) => void} chunk 20 ms of PCM16 at 24 kHz, while started and not muted
 * @property {(text: string) => void} problem
 */

export class Microphone {
  #ears;
  #context = null;
  #stream = null;
  #source = null;
  #node = null;
  #opening = null; // the promise of an answer, while the browser asks
  #asked = 0; // counts requests, so that an answer that comes too late is known as such
  #started = false;
  #stopping = null; // the promise of its last chunk
  #stopped = null; // called when the worklet has said its last
  #muted = false;

  /** @param {Ears} ears */
  constructor(ears) {
    this.#ears = ears;
  }

  get muted() {
    return this.#muted;
  }

  /**
   * Have the microphone, asking for it if need be.
   * @param {AudioContext} context whose audio worklet has the capture module
   * @returns {Promise<boolean>} false when it could not be had; why has been told
   */
  open(context) {
    this.#context = context;
    if (this.#stream) return Promise.resolve(true);
    this.#opening ??= this.#ask().finally(() => (this.#opening = null));
    return this.#opening;
  }

  /** Give it back; the browser's recording sign goes out. */
  close() {
    this.#asked++;
    this.#started = false;
    this.#release();
    this.#ears.state("off");
  }

  /** Deliver chunks from now on. The microphone must be open. */
  start() {
    this.#started = true;
    this.#node?.port.postMessage("start");
  }

  /** @returns {Promise<void>} fulfilled behind the last chunk, as long as what was left; start again only then */
  stop() {
    if (!this.#started || !this.#node) return Promise.resolve();
    this.#stopping ??= new Promise((resolve) => {
      const timer = setTimeout(() => this.#stopped?.(), LAST_WORD);
      this.#stopped = () => {
        clearTimeout(timer);
        this.#stopped = this.#stopping = null;
        this.#started = false;
        resolve();
      };
      this.#node.port.postMessage("stop");
    });
    return this.#stopping;
  }

  /** @param {boolean} muted true keeps the microphone but delivers nothing */
  mute(muted) {
    this.#muted = muted;
    if (!this.#stream) return;
    this.#hush();
    this.#ears.state(muted ? "muted" : "on");
  }

  /** @returns {Promise<{id: string, label: string, chosen: boolean}[]>} unnamed until a microphone was allowed */
  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const chosen = localStorage.getItem(REMEMBERED);
    return all
      .filter(({ kind }) => kind === "audioinput")
      .map(({ deviceId, label }) => ({ id: deviceId, label, chosen: deviceId === chosen }));
  }

  /**
   * Use another device, now and on every later visit.
   * @param {string} id as `devices()` gives it; "" leaves the choice to the browser
   */
  async use(id) {
    if (id) localStorage.setItem(REMEMBERED, id);
    else localStorage.removeItem(REMEMBERED);
    if (!this.#stream) return;
    const started = this.#started;
    this.#release();
    if ((await this.open(this.#context)) && started) this.start();
  }

  async #ask() {
    const request = ++this.#asked;
    if (!navigator.mediaDevices) return this.#refused("missing", INSECURE);
    this.#ears.state("asking");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: constraints() });
      if (request === this.#asked) return this.#connect(stream);
      stop(stream); // nobody wants it any more
      return false;
    } catch (error) {
      if (stream) stop(stream);
      if (request !== this.#asked) return false;
      return this.#refused(...(REFUSALS[error.name] ?? ["missing", `The microphone cannot be used: ${error.message}`]));
    }
  }

  #refused(state, sentence) {
    this.#ears.state(state);
    this.#ears.problem(sentence);
    return false;
  }

  #connect(stream) {
    this.#source = this.#context.createMediaStreamSource(stream);
    this.#node = new AudioWorkletNode(this.#context, "capture", { numberOfInputs: 1, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => this.#hear(data);
    this.#source.connect(this.#node).connect(this.#context.destination); // its output is silence, but it makes it run
    this.#stream = stream;
    this.#hush();
    stream.getAudioTracks()[0].onended = () => {
      this.close();
      this.#refused("missing", UNPLUGGED);
    };
    this.#ears.state(this.#muted ? "muted" : "on");
    return true;
  }

  #hear(data) {
    if ("level" in data) this.#ears.level(data.level);
    else if ("stopped" in data) this.#stopped?.();
    else if (!this.#muted) this.#ears.chunk(data.chunk);
  }

  #hush() {
    for (const track of this.#stream.getAudioTracks()) track.enabled = !this.#muted;
  }

  #release() {
    if (!this.#stream) return;
    stop(this.#stream);
    this.#source.disconnect();
    this.#node.disconnect();
    this.#node.port.onmessage = null;
    this.#stream = this.#source = this.#node = null;
    this.#stopped?.();
    this.#ears.level(0);
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) {
    track.onended = null;
    track.stop();
  }
}

/** One voice, freed from the loudspeaker's echo, from noise, and of even loudness. */
function constraints() {
  const cleaned = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: { ideal: 1 } };
  const id = localStorage.getItem(REMEMBERED);
  return id ? { ...cleaned, deviceId: { ideal: id } } : cleaned;
}
