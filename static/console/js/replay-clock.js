// The clocks of a replay: the sound itself, and a timer for when there is none to be had. Both speak milliseconds.

/**
 * @typedef {object} Clock
 * @property {number} position Milliseconds since the session began.
 * @property {number} rate How fast it goes.
 * @property {boolean} running
 * @property {boolean} ended
 * @property {() => Promise<void>} play
 * @property {() => void} pause
 */

const AT_THE_END = 1; // milliseconds before the end that count as the end: seeking rounds to samples

/** The media element as the clock: what is heard and what is shown cannot drift apart. @implements {Clock} */
export class SoundClock {
  /** @param {HTMLAudioElement} audio @param {number} duration in milliseconds */
  constructor(audio, duration) {
    this.audio = audio;
    this.duration = duration;
  }

  get position() {
    return this.audio.currentTime * 1000;
  }

  set position(ms) {
    this.audio.currentTime = ms / 1000;
  }

  get rate() {
    return this.audio.playbackRate;
  }

  /** Throws NotSupportedError where a browser cannot go as fast. */
  set rate(rate) {
    this.audio.preservesPitch = true;
    this.audio.playbackRate = rate;
    this.audio.defaultPlaybackRate = rate;
  }

  get running() {
    return !this.audio.paused;
  }

  get ended() {
    return this.position >= this.duration - AT_THE_END;
  }

  play() {
    return this.audio.play();
  }

  pause() {
    this.audio.pause();
  }
}

/** A clock without sound. @implements {Clock} */
export class TimerClock {
  #position = 0;
  #rate = 1;
  #since = 0;
  #running = false;

  /** @param {number} duration in milliseconds */
  constructor(duration) {
    this.duration = duration;
  }

  get position() {
    const gone = this.#running ? (performance.now() - this.#since) * this.#rate : 0;
    return Math.min(this.duration, this.#position + gone);
  }

  set position(ms) {
    this.#position = ms;
    this.#since = performance.now();
  }

  get rate() {
    return this.#rate;
  }

  set rate(rate) {
    this.position = this.position; // what has gone by went at the old rate
    this.#rate = rate;
  }

  get running() {
    return this.#running && !this.ended;
  }

  get ended() {
    return this.position >= this.duration - AT_THE_END;
  }

  async play() {
    this.position = this.position; // counts from now
    this.#running = true;
  }

  pause() {
    this.position = this.position;
    this.#running = false;
  }
}
