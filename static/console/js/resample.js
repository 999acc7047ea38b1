/** Sound arithmetic for the worklets, pure: streaming sample rate conversion, PCM16, loudness. */

export const API_RATE = 24_000; // samples per second: what the Realtime API speaks as "audio/pcm"

const ZERO_CROSSINGS = 32; // per side of the kernel: flat to 10 kHz, 80 dB down from 12 kHz on, 1.3 ms of delay
const KAISER_BETA = 7.86; // shape of the window: 80 dB of stop band
const ROLL_OFF = 0.92; // of the lower Nyquist frequency: leaves the filter room to fall before anything can fold back
const FULL_SCALE = 0x8000; // PCM16 steps from silence to full amplitude

/** Converts a stream from one sample rate to another, piece by piece, as if it came in one piece. */
export class Resampler {
  #step; // input samples per output sample, as a whole number and a rest counted in 1/#phases
  #rest;
  #phases;
  #kernels;
  #reach; // input samples a kernel sees on either side
  #history; // the input still needed: it begins where the next kernel begins
  #phase = 0;

  /**
   * @param {number} from samples per second coming in
   * @param {number} to samples per second going out
   */
  constructor(from, to) {
    const divisor = greatestCommonDivisor(from, to);
    this.#phases = to / divisor;
    this.#step = Math.floor(from / to);
    this.#rest = (from / divisor) % this.#phases;
    const cutOff = ROLL_OFF * Math.min(1, to / from); // relative to the input's Nyquist frequency
    this.#reach = Math.ceil(ZERO_CROSSINGS / Math.min(1, to / from));
    const phases = Array.from({ length: this.#phases }, (_, phase) => phase / this.#phases);
    this.#kernels = phases.map((offset) => kernel(offset, cutOff, this.#reach));
    this.reset();
  }

  /** Forget what came before: the next sample starts a new stream. */
  reset() {
    this.#history = new Float32Array(this.#reach - 1); // silence before the first sample, so that it comes out first
    this.#phase = 0;
  }

  /**
   * @param {Float32Array} samples the next piece of the stream
   * @returns {Float32Array} what can be said about the output so far; the last 1.3 ms wait for the next piece
   */
  push(samples) {
    const input = new Float32Array(this.#history.length + samples.length);
    input.set(this.#history);
    input.set(samples, this.#history.length);
    const width = this.#reach * 2;
    const stride = this.#step + this.#rest / this.#phases;
    const output = new Float32Array(Math.ceil((input.length + 1) / stride));
    let at = 0;
    let count = 0;
    while (at + width <= input.length) {
      const weights = this.#kernels[this.#phase];
      let sum = 0;
      for (let i = 0; i < width; i++) sum += weights[i] * input[at + i];
      output[count++] = sum;
      this.#phase += this.#rest;
      at += this.#step;
      if (this.#phase >= this.#phases) {
        this.#phase -= this.#phases;
        at += 1;
      }
    }
    this.#history = input.slice(at);
    return output.subarray(0, count);
  }

  /** @returns {Float32Array} the end of the stream, which `push` held back; the next sample starts a new one */
  flush() {
    const tail = this.push(new Float32Array(this.#reach));
    this.reset();
    return tail;
  }
}

/**
 * @param {Float32Array} samples between -1 and 1; louder is clipped
 * @returns {Int16Array} the same as PCM16 (little-endian in memory, as on every machine a browser runs on)
 */
export function toPcm16(samples) {
  const clipped = (value) => Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, value));
  return Int16Array.from(samples, (sample) => clipped(Math.round(sample * FULL_SCALE)));
}

/**
 * @param {Int16Array} samples PCM16
 * @returns {Float32Array} the same between -1 and 1
 */
export function fromPcm16(samples) {
  return Float32Array.from(samples, (sample) => sample / FULL_SCALE);
}

/** Mean power over a stretch of sound, told each 20 ms as a loudness between 0 and 1 (RMS). */
export class Loudness {
  #window;
  #power = 0;
  #count = 0;
  #told = 0;
  #tell;

  /**
   * @param {number} rate samples per second
   * @param {(level: number) => void} tell called for each stretch, but only once for a long silence
   */
  constructor(rate, tell) {
    this.#window = Math.round(rate / 50);
    this.#tell = tell;
  }

  /** @param {Float32Array} samples the next piece of the stream */
  push(samples) {
    for (const sample of samples) this.#power += sample * sample;
    this.#count += samples.length;
    if (this.#count < this.#window) return;
    const level = Math.min(1, Math.sqrt(this.#power / this.#count));
    if (level > 0 || this.#told > 0) this.#tell(level);
    this.#told = level;
    this.#power = this.#count = 0;
  }
}

/** A windowed sinc seen `offset` (0 to 1) of a sample right of its middle, its weights adding up to one. */
function kernel(offset, cutOff, reach) {
  const weights = new Float32Array(reach * 2);
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    const distance = i - (reach - 1) - offset;
    const turn = Math.PI * cutOff * distance;
    const sinc = distance === 0 ? 1 : Math.sin(turn) / turn;
    weights[i] = sinc * kaiser(distance / reach);
    sum += weights[i];
  }
  return weights.map((weight) => weight / sum);
}

/** Kaiser's window at `x`, which runs from -1 to 1. */
function kaiser(x) {
  return Math.abs(x) >= 1 ? 0 : bessel(KAISER_BETA * Math.sqrt(1 - x * x)) / bessel(KAISER_BETA);
}

/** The modified Bessel function of the first kind and order zero, by its power series. */
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > sum * 1e-10; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
