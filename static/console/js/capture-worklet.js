/** The microphone's worklet: any rate and any number of channels in, PCM16 mono at 24 kHz out, 20 ms at a time. */

import { API_RATE, Loudness, Resampler, toPcm16 } from "./resample.js";

const CHUNK = API_RATE / 50; // samples: 20 ms, small enough for voice detection to react at once

/**
 * Told by port: `"start"`, `"stop"`. Tells by port: `{level}` each 20 ms, `{chunk}` an ArrayBuffer of PCM16 while
 * started, `{stopped: true}` behind the last chunk, which is as long as what was left.
 */
class Capture extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, API_RATE);
  #loudness = new Loudness(sampleRate, (level) => this.port.postMessage({ level }));
  #chunk = new Float32Array(CHUNK);
  #filled = 0;
  #started = false;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => (data === "start" ? this.#start() : this.#stop());
  }

  process([channels]) {
    if (channels.length === 0) return true; // no microphone connected at the moment
    const mono = mix(channels);
    this.#loudness.push(mono);
    if (this.#started) this.#collect(this.#resampler.push(mono));
    return true;
  }

  #start() {
    this.#resampler.reset();
    this.#filled = 0;
    this.#started = true;
  }

  #stop() {
    if (this.#started) {
      this.#collect(this.#resampler.flush());
      this.#send();
    }
    this.#started = false;
    this.port.postMessage({ stopped: true });
  }

  #collect(samples) {
    for (const sample of samples) {
      this.#chunk[this.#filled++] = sample;
      if (this.#filled === CHUNK) this.#send();
    }
  }

  #send() {
    if (this.#filled === 0) return;
    const chunk = toPcm16(this.#chunk.subarray(0, this.#filled)).buffer;
    this.#filled = 0;
    this.port.postMessage({ chunk }, [chunk]);
  }
}

/** The mean of all channels; a microphone that calls itself stereo often fills only one of them. */
function mix(channels) {
  if (channels.length === 1) return channels[0];
  const mono = new Float32Array(channels[0].length);
  for (const channel of channels) for (let i = 0; i < mono.length; i++) mono[i] += channel[i] / channels.length;
  return mono;
}

registerProcessor("capture", Capture);
