/** The page's one AudioContext: made at the first touch, loaded with both worklets, woken whenever it sleeps. */

const INSECURE = "Browsers have sound only for secure pages: open the console at https:// or at http://localhost.";

export class SoundContext {
  /** Why there is no sound on this page; empty while there is hope. */
  failure = "";
  #context = null;
  #loading = null; // the promise of the worklets
  #ears;

  /** @param {{ready(context: AudioContext): void, changed(): void}} ears told once; when it runs or sleeps */
  constructor(ears) {
    this.#ears = ears;
  }

  /** @returns {AudioContext | null} null until it is ready */
  get context() {
    return this.#context;
  }

  get running() {
    return this.#context?.state === "running";
  }

  /**
   * Have it running, as far as the browser allows it by now.
   * @param {string[]} worklets addresses of the modules to load
   * @returns {Promise<boolean>} false when there will be no sound; `failure` says why
   */
  async wake(worklets) {
    this.#loading ??= this.#load(worklets);
    await this.#loading;
    if (this.#context && !this.running) this.#context.resume(); // waits by itself until somebody touches the page
    return this.#context !== null;
  }

  async #load(worklets) {
    if (!("AudioWorkletNode" in window)) {
      this.failure = INSECURE;
      return;
    }
    const context = new AudioContext({ latencyHint: "interactive" }); // at the device's own rate
    try {
      await Promise.all(worklets.map((url) => context.audioWorklet.addModule(url)));
    } catch (error) {
      this.failure = `The sound modules could not be loaded; reload the page. (${error.message})`;
      return;
    }
    context.onstatechange = () => this.#ears.changed();
    this.#context = context;
    this.#ears.ready(context);
  }
}
