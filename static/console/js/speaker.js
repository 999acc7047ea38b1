/** The loudspeaker as the page sees it: items go in, and at any moment it can say what of them has been heard. */

import { API_RATE } from "./resample.js";

const QUEUE_LIMIT = API_RATE * 600; // samples: ten minutes of sound waiting, 29 MB
const REMEMBERED_CUTS = 100; // responses and items that were cut; what is still under way of them is dropped
const LATENCY_LIMIT = 1; // second; no device is slower, but some browsers report nonsense

const CLIENT = -1; // in place of a track's number

/** @typedef {{item_id: string, content_index: number, played_ms: number}} Played what was heard of an item */

export class Speaker {
  #context;
  #node;
  #tell;
  #tracks = new Map(); // number → {item_id, content_index, response_id, received, consumed, ended, full}
  #current = null; // the number of the track the next sound belongs to, or CLIENT
  #count = 0;
  #reports = []; // the worklet's last positions, the newest last
  #cut = new Set();
  #outbox = []; // for the worklet, while it is loading
  #cutting = true; // until the first sound after a cut nothing plays

  /**
   * @param {object} tell
   * @param {(level: number) => void} tell.level loudness between 0 and 1, each 20 ms
   * @param {(item_id: string) => void} tell.drained all of an item has been heard
   * @param {(is: boolean) => void} tell.playing
   * @param {() => void} tell.full an item goes unheard because too much waits already
   */
  constructor(tell) {
    this.#tell = tell;
  }

  /**
   * Play through this context from now on.
   * @param {AudioContext} context whose audio worklet has the playback module
   */
  attach(context) {
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => this.#hear(data);
    this.#node.connect(context.destination);
    for (const [message, transfer] of this.#outbox.splice(0)) this.#node.port.postMessage(message, transfer);
  }

  /** The sound that follows belongs to this item, unless it, or the response that makes it, has been cut. */
  item({ item_id, content_index, response_id }) {
    if (this.#cut.has(item_id) || this.#cut.has(response_id)) {
      this.#current = null;
      return;
    }
    const same = (track) => track.item_id === item_id && track.content_index === content_index;
    const known = [...this.#tracks].find(([, track]) => same(track));
    this.#current = known ? known[0] : ++this.#count;
    const facts = { received: 0, consumed: 0, ended: false, full: false };
    if (!known) this.#tracks.set(this.#current, { item_id, content_index, response_id, ...facts });
  }

  /** The sound that follows belongs to the client of a session that is listened in on. */
  client() {
    this.#current = CLIENT;
  }

  /** @param {ArrayBuffer} pcm PCM16 of 24 kHz of whoever was announced last; given away */
  sound(pcm) {
    if (this.#current === CLIENT) {
      this.#post({ other: new Int16Array(pcm, 0, pcm.byteLength >> 1) }, [pcm]);
      return;
    }
    const track = this.#tracks.get(this.#current);
    if (!track || track.full) return;
    const samples = new Int16Array(pcm, 0, pcm.byteLength >> 1);
    let waiting = samples.length;
    for (const { received, consumed } of this.#tracks.values()) waiting += received - consumed;
    if (waiting > QUEUE_LIMIT) {
      track.full = true; // whatever followed a gap would be counted at the wrong place
      this.#tell.full();
      return;
    }
    track.received += samples.length;
    this.#post({ track: this.#current, samples }, [pcm]);
  }

  /** @param {string} item_id no more sound comes for it */
  end(item_id) {
    for (const [number, track] of this.#tracks) {
      if (track.item_id !== item_id) continue;
      track.ended = true;
      this.#post({ track: number, end: true });
    }
  }

  /** No more sound comes at all: what is there is played to its end. */
  endAll() {
    for (const { item_id } of this.#tracks.values()) this.end(item_id);
  }

  /**
   * What is being heard now: the first item not yet heard to its end. Exact to 30 ms, without waiting.
   * @returns {Played | null}
   */
  played() {
    const { number, consumed } = this.#atTheEar();
    for (const [other, track] of this.#tracks) {
      if (other < number) continue;
      const heard = other === number ? Math.min(consumed, track.received) : 0;
      if (track.ended && heard >= track.received) continue;
      const { item_id, content_index } = track;
      return { item_id, content_index, played_ms: Math.floor((heard * 1000) / API_RATE) };
    }
    return null;
  }

  /**
   * Fall silent and forget what waits.
   * @param {boolean} forGood whether sound still under way of the same responses must not play either; the server, when
   *   it is the one who cuts, sees to that itself
   * @returns {Played | null} what was heard, as `played()` says it
   */
  stop(forGood) {
    const played = this.played();
    for (const { item_id, response_id } of this.#tracks.values()) {
      if (forGood) for (const id of [item_id, response_id]) if (id) this.#cut.add(id);
    }
    for (const id of [...this.#cut].slice(0, -REMEMBERED_CUTS)) this.#cut.delete(id);
    this.#tracks.clear();
    this.#reports = [];
    if (this.#current !== CLIENT) this.#current = null;
    this.#post({ cut: true });
    this.#tell.playing(false);
    return played;
  }

  /** Start afresh for another session. */
  forget() {
    this.stop(false);
    this.#post({ cut: true, other: true });
    this.#cut.clear();
  }

  #post(message, transfer = []) {
    if (this.#node) this.#node.port.postMessage(message, transfer);
    else this.#outbox.push([message, transfer]);
  }

  #hear(data) {
    if ("level" in data) this.#tell.level(data.level);
    else if ("drained" in data) this.#drained(data.drained);
    else this.#position(data);
  }

  #position(report) {
    const track = this.#tracks.get(report.track);
    if (!track) return; // cut in the meantime
    track.consumed = report.consumed;
    this.#reports.push(report);
    const ear = this.#context.currentTime - this.#latency();
    while (this.#reports.length > 1 && this.#reports[1].time <= ear) this.#reports.shift();
    this.#tell.playing(report.sounding);
  }

  /** The worklet is through with a track; the ear is only when the device's latency has passed. */
  #drained(number) {
    const track = this.#tracks.get(number);
    if (!track) return;
    setTimeout(() => {
      if (this.#tracks.get(number) !== track) return; // cut in its last moment
      this.#tracks.delete(number);
      this.#tell.drained(track.item_id);
    }, this.#latency() * 1000);
  }

  /** The track and its sample that leave the loudspeaker now. */
  #atTheEar() {
    if (this.#reports.length === 0) return { number: 0, consumed: 0 };
    const ear = this.#context.currentTime - this.#latency();
    const after = this.#reports.findIndex((report) => report.time > ear);
    const last = this.#reports.at(after === -1 ? -1 : Math.max(0, after - 1));
    if (last.time > ear) {
      return { number: last.track, consumed: Math.max(0, last.consumed - (last.time - ear) * API_RATE) };
    }
    const since = last.sounding ? (ear - last.time) * API_RATE : 0;
    const next = this.#reports[after];
    const limit = next?.track === last.track ? next.consumed : Infinity;
    return { number: last.track, consumed: Math.min(last.consumed + since, limit) };
  }

  #latency() {
    if (!this.#context) return 0;
    return Math.min(LATENCY_LIMIT, this.#context.outputLatency || this.#context.baseLatency || 0);
  }
}
