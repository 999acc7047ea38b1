/** The loudspeaker's worklet: plays queued PCM16 of 24 kHz in order and knows which sample of which track sounds. */

import { API_RATE, fromPcm16, Loudness, Resampler } from "./resample.js";

const BLOCK = API_RATE / 500; // samples taken from the queue at a time: 2 ms, so that a position is never coarser
const LEAD = API_RATE / 25; // samples that must wait before playing starts: 40 ms carry over a late message
const PATIENCE = 0.1; // seconds after which playing starts with less than that
const FADE = 0.005; // seconds from full to silent: too short to be heard, long enough not to click
const REPORT_EVERY = 0.02; // seconds between two positions

const OTHER_GAIN = 0.7; // of the client's voice, when listening in: the model's is what one came for
const LAG = API_RATE; // samples the client's voice may wait: of what is older, silence is left out until it has caught up
const SILENT = 330; // of 32768; quieter than -40 dB is no speech

/** One voice: its queue, and what of it has been played. */
class Lane {
  #resampler = new Resampler(API_RATE, sampleRate);
  #tell;
  #live; // whether it must not fall behind
  #queue = []; // {track, samples}, in the order they came
  #queued = 0; // samples in the queue
  #tracks = new Map(); // track → {received, consumed, ended}
  #block = { track: 0, count: 0, sound: new Float32Array(0), at: 0 }; // what is being played: count samples of track
  #playing = false; // false before the first sound and when it has run out
  #tail = false; // the resampler still holds a little
  #waitingSince = null; // seconds on the context's clock, while sound waits for its lead
  #gain = 0;
  #fading = new Float32Array(0); // the last 5 ms of what was cut
  #reported = 0; // seconds on the context's clock

  /** @param {(message: object) => void} tell @param {boolean} live */
  constructor(tell, live = false) {
    this.#tell = tell;
    this.#live = live;
  }

  /** Write what sounds now. */
  play(out) {
    this.#render(out);
    this.#overlayFade(out);
    if (this.#playing && currentTime - this.#reported >= REPORT_EVERY) this.#report();
  }

  enqueue(track, samples) {
    const facts = this.#facts(track);
    facts.received += samples.length;
    this.#queue.push({ track, samples });
    this.#queued += samples.length;
  }

  /** No more of this track comes. */
  end(track) {
    this.#facts(track).ended = true;
    this.#tellIfDrained(track);
  }

  /** Forget everything, but for the next 5 ms, which fade. */
  cut() {
    const rest = new Float32Array(Math.round(FADE * sampleRate));
    if (this.#playing) this.#render(rest);
    this.#fading = rest.map((sample, i) => sample * (1 - i / rest.length));
    this.#queue = [];
    this.#queued = 0;
    this.#tracks.clear();
    this.#block = { track: 0, count: 0, sound: new Float32Array(0), at: 0 };
    this.#resampler.reset();
    this.#playing = this.#tail = false;
    this.#waitingSince = null;
    this.#gain = 0;
  }

  #render(out) {
    if (!this.#playing && this.#mayStart()) this.#playing = true;
    for (let i = 0; i < out.length; i++) {
      if (!this.#playing || (this.#block.at >= this.#block.sound.length && !this.#nextBlock())) {
        out[i] = 0;
        continue;
      }
      const towards = this.#runsOut() ? 0 : 1;
      const step = 1 / (FADE * sampleRate);
      this.#gain += Math.max(-step, Math.min(step, towards - this.#gain));
      out[i] = this.#gain * this.#block.sound[this.#block.at++];
    }
  }

  #mayStart() {
    if (this.#queued === 0) return false;
    this.#waitingSince ??= currentTime;
    const complete = this.#tracks.get(this.#queue.at(-1).track).ended;
    return complete || this.#queued >= LEAD || currentTime - this.#waitingSince >= PATIENCE;
  }

  /** Whether silence comes within the fade although the track is not over: better to get quiet than to break off. */
  #runsOut() {
    return this.#queued < FADE * API_RATE && !this.#tracks.get(this.#block.track)?.ended;
  }

  /** Have something to play; false if there is nothing. */
  #nextBlock() {
    this.#credit();
    while (this.#queue.length > 0) {
      const piece = this.#queue[0];
      const samples = piece.samples.subarray(0, BLOCK);
      piece.samples = piece.samples.subarray(samples.length);
      if (piece.samples.length === 0) this.#queue.shift();
      this.#queued -= samples.length;
      if (this.#live && this.#queued > LAG && samples.every((sample) => Math.abs(sample) < SILENT)) continue;
      this.#tail = true;
      const sound = this.#resampler.push(fromPcm16(samples));
      this.#block = { track: piece.track, count: samples.length, sound, at: 0 };
      if (this.#block.sound.length > 0) return true;
      this.#credit(); // the resampler's first samples come out with the next block
    }
    if (this.#tail) {
      this.#tail = false;
      this.#block = { track: this.#block.track, count: 0, sound: this.#resampler.flush(), at: 0 };
      if (this.#block.sound.length > 0) return true;
    }
    this.#playing = false;
    this.#waitingSince = null;
    this.#gain = 0;
    this.#report();
    return false;
  }

  /** Count a block that has been played as consumed. */
  #credit() {
    const { track, count } = this.#block;
    this.#block.count = 0;
    if (!this.#tracks.has(track)) return;
    this.#tracks.get(track).consumed += count;
    this.#tellIfDrained(track);
  }

  #tellIfDrained(track) {
    const { received, consumed, ended } = this.#tracks.get(track);
    if (!ended || consumed < received) return;
    this.#report();
    this.#tracks.delete(track);
    this.#tell({ drained: track });
  }

  #report() {
    this.#reported = currentTime;
    const { track, count, sound, at } = this.#block;
    const facts = this.#tracks.get(track);
    if (!facts) return;
    const within = sound.length ? (count * at) / sound.length : 0;
    this.#tell({ time: currentTime, track, consumed: facts.consumed + within, sounding: this.#playing });
  }

  #facts(track) {
    if (!this.#tracks.has(track)) this.#tracks.set(track, { received: 0, consumed: 0, ended: false });
    return this.#tracks.get(track);
  }

  #overlayFade(out) {
    const now = this.#fading.subarray(0, out.length);
    for (let i = 0; i < now.length; i++) out[i] += now[i];
    this.#fading = this.#fading.subarray(now.length);
  }
}

/**
 * Told by port: `{track, samples: Int16Array}` to queue sound, `{track, end: true}` no more of it comes, `{cut: true}`
 * drop everything at once; `{other: Int16Array}` queues the client's sound, which is heard beside it and is not cut, but
 * for `{cut: true, other: true}`. Tells by port: `{time, track, consumed, sounding}` that by `time` on the context's
 * clock, give or take a quantum of 3 ms, `consumed` samples of `track` had left for the device; `{drained: track}`;
 * `{level}`.
 */
class Playback extends AudioWorkletProcessor {
  #loudness = new Loudness(sampleRate, (level) => this.port.postMessage({ level }));
  #model = new Lane((message) => this.port.postMessage(message));
  #client = null; // made when there is something to hear of it
  #mixed = new Float32Array(128);

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.cut) {
        this.#model.cut();
        if (data.other) this.#client?.cut();
      } else if (data.other) (this.#client ??= new Lane(() => {}, true)).enqueue(0, data.other);
      else if (data.end) this.#model.end(data.track);
      else this.#model.enqueue(data.track, data.samples);
    };
  }

  process(_inputs, [[out]]) {
    this.#model.play(out);
    if (this.#client) this.#mix(out);
    this.#loudness.push(out);
    return true;
  }

  #mix(out) {
    if (this.#mixed.length !== out.length) this.#mixed = new Float32Array(out.length);
    this.#client.play(this.#mixed);
    for (let i = 0; i < out.length; i++) out[i] = Math.max(-1, Math.min(1, out[i] + OTHER_GAIN * this.#mixed[i]));
  }
}

registerProcessor("playback", Playback);
