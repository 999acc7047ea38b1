// <session-player>: replays a finished session. Its clock is the session's sound; the timeline and the panes follow it.
//
// Keys: k or p plays and pauses, "," and "." step to the row before and after.
// It asks <event-timeline> for two things: replayTo(tUs | null) shows the rows up to a moment and marks the last of them
// (data-playhead), null shows all again; stepFrom(tUs, +1 | -1) tells the time of the next or previous row, or null.

import { SoundClock, TimerClock } from "./replay-clock.js";

const SHOW_EVERY = 50; // milliseconds between two looks of the timeline at the clock: more often is not seen
const PANES_EVERY = 250; // milliseconds between two refreshes of the panes beside it
const GROWTH = 500_000; // microseconds of the session after which a row that is still growing is read again
const TYPING = "input:not([type=range]), textarea, select, [contenteditable]"; // keys belong to these while focused

class SessionPlayer extends HTMLElement {
  connectedCallback() {
    this.audio = this.querySelector("audio");
    this.slider = this.querySelector("input");
    this.duration = Number(this.dataset.durationMs);
    this.clock = new SoundClock(this.audio, this.duration);
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    this.addEventListener("click", (event) => this.#press(event.target.closest("[data-do]")?.dataset.do), { signal });
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)), { signal });
    const speed = this.querySelector("select");
    speed.addEventListener("change", () => this.#setRate(Number(speed.value)), { signal });
    this.audio.addEventListener("loadedmetadata", () => this.#measure(), { signal });
    this.audio.addEventListener("error", () => this.#loseSound(), { signal });
    // A media key, or another tab that wants to be heard, may hold and resume the sound as well.
    this.audio.addEventListener("play", () => this.#follow(true), { signal });
    this.audio.addEventListener("pause", () => this.#follow(false), { signal });
    document.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.#showClock();
  }

  disconnectedCallback() {
    this.#listening.abort();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#panesTimer);
    this.audio.pause();
  }

  /** Play from where the clock stands; from the beginning when it stands at the end. */
  async play() {
    if (this.clock.ended) this.clock.position = 0;
    this.#enter();
    this.#wantsPlay = true;
    this.#draw();
    try {
      await this.clock.play();
    } catch (error) {
      if (error.name === "AbortError") return; // paused again before it began
      this.#loseSound();
    }
  }

  /** Hold: nothing more happens on the page until play. */
  pause() {
    this.#wantsPlay = false;
    this.clock.pause();
    this.#draw();
  }

  /** Jump to a moment, in milliseconds since the session began. Playing goes on from there. */
  seek(ms) {
    this.#enter();
    this.clock.position = Math.max(0, Math.min(ms, this.duration));
    this.#draw();
  }

  /** Hold, and go to the row after (+1) or before (-1). */
  async step(direction) {
    this.pause();
    const to = await this.#timeline?.stepFrom?.(this.#moment, direction);
    if (to === null || to === undefined || !this.isConnected) return;
    this.#enter();
    this.clock.position = to / 1000;
    this.#stepped = to;
    this.#draw();
  }

  /** Leave the replay: the whole session is shown again. */
  leave() {
    this.#console?.removeAttribute("data-replay");
    this.pause();
    this.clock.position = 0;
    this.#stepped = null;
    this.#shown = null;
    this.querySelector("[data-do=leave]").disabled = true;
    this.#timeline?.replayTo?.(null);
    this.#showClock();
    this.#playhead = "";
    this.#refreshPanes("");
  }

  #listening;
  #frame = 0;
  #shown = null; // the moment the timeline was last told, in microseconds
  #shownAt = 0; // performance.now() then
  #showing = false; // the timeline is still loading what it was told to show
  #wantsPlay = false;
  #stepped = null; // the exact time of the row stepped to; the clock knows it only as a fraction
  #playhead = "";
  #panesTimer = 0;
  #panesAt = 0;
  #panes = new Map(); // what was last put into each, by id: what did not change is left alone
  #panesWanted = 0; // counts refreshes, so that a slow answer cannot undo a later one

  get #console() {
    return this.closest("#console") ?? document.querySelector("#console");
  }

  get #timeline() {
    return document.querySelector("event-timeline");
  }

  get #replaying() {
    return this.#console?.dataset.replay === "true";
  }

  /** Where the replay stands, in microseconds; past every row at the end, since sound counts in samples. */
  get #moment() {
    if (this.#stepped !== null) return this.#stepped;
    const { ended, position } = this.clock;
    return ended ? Math.ceil(this.duration + 1) * 1000 : Math.round(position * 1000);
  }

  #press(what) {
    if (what === "play") this.#toggle();
    else if (what === "back") this.step(-1);
    else if (what === "forward") this.step(1);
    else if (what === "leave") this.leave();
  }

  #key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest(TYPING)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "k" || event.key === "p") this.#toggle();
    else if (event.key === ",") this.step(-1);
    else if (event.key === ".") this.step(1);
    else return;
    event.preventDefault();
  }

  #toggle() {
    if (this.#wantsPlay) this.pause();
    else this.play();
  }

  #enter() {
    this.#stepped = null;
    if (this.#replaying) return;
    this.#console?.setAttribute("data-replay", "true");
    this.querySelector("[data-do=leave]").disabled = false;
  }

  #measure() {
    if (!Number.isFinite(this.audio.duration) || this.clock instanceof TimerClock) return;
    this.duration = this.clock.duration = this.audio.duration * 1000; // the sound may outlast the last event
    this.#showClock();
  }

  #follow(runs) {
    if (this.clock instanceof TimerClock || runs === this.#wantsPlay) return;
    this.#wantsPlay = runs;
    if (runs) this.#enter();
    this.#draw();
  }

  #setRate(rate) {
    try {
      this.clock.rate = rate;
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
      this.#useTimer(`This browser cannot play sound at ${rate}×: rows replay without it.`);
      this.clock.rate = rate;
    }
  }

  #loseSound() {
    this.#useTimer("The sound cannot be played: rows replay on a timer, without it.");
  }

  #useTimer(why) {
    if (this.clock instanceof TimerClock) return;
    const { position, rate } = this.clock;
    this.clock.pause();
    this.clock = new TimerClock(this.duration);
    this.clock.position = position;
    this.clock.rate = rate;
    this.#say(why);
    if (this.#wantsPlay) this.play();
  }

  #say(text) {
    this.querySelector("[role=status]").textContent = text;
  }

  /** Draw now, and again with each frame while it plays. */
  #draw() {
    cancelAnimationFrame(this.#frame);
    if (this.#wantsPlay && this.clock.ended) {
      this.#wantsPlay = false;
      this.clock.pause();
    }
    this.#showClock();
    if (!this.#replaying) return;
    this.#showRows();
    if (this.#wantsPlay || this.#shown !== this.#moment) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #showClock() {
    const position = Math.min(this.clock.position, this.duration);
    this.toggleAttribute("data-playing", this.#wantsPlay);
    this.querySelector("[data-do=play]").setAttribute("aria-label", this.#wantsPlay ? "Pause" : "Play");
    this.slider.max = String(this.duration);
    this.slider.value = String(position);
    const at = clockText(position);
    this.slider.setAttribute("aria-valuetext", `${at} of ${clockText(this.duration)}`);
    this.querySelector("output").textContent = at;
    this.querySelector(".whole").textContent = `/ ${clockText(this.duration)}`;
  }

  async #showRows() {
    const moment = this.#moment;
    const now = performance.now();
    if (this.#showing || moment === this.#shown || (this.#wantsPlay && now - this.#shownAt < SHOW_EVERY)) return;
    this.#shown = moment;
    this.#shownAt = now;
    this.#showing = true;
    try {
      await this.#timeline?.replayTo?.(moment);
    } finally {
      this.#showing = false;
    }
    if (!this.isConnected) return;
    if (!this.#replaying) {
      this.#timeline?.replayTo?.(null); // left while the rows were still loading
      return;
    }
    // A row of deltas grows while it is the last one: its first place on the timeline does not tell how far it is.
    const playhead = document.querySelector("#timeline > [data-playhead]")?.dataset.seq ?? "0";
    const reached = `${playhead} ${Math.floor(moment / GROWTH)}`;
    if (reached === this.#playhead) return;
    this.#playhead = reached;
    this.#refreshPanes(`?at_us=${Math.round(moment)}`);
  }

  /** Conversation and tools as they stood; at most once in PANES_EVERY, the last wish wins. */
  #refreshPanes(query) {
    clearTimeout(this.#panesTimer);
    this.#panesTimer = setTimeout(() => {
      this.#panesAt = performance.now();
      const wish = ++this.#panesWanted;
      for (const url of [this.dataset.conversationUrl, this.dataset.toolsUrl]) this.#refreshPane(url + query, wish);
    }, Math.max(0, this.#panesAt + PANES_EVERY - performance.now()));
  }

  /** Put each element of the answer in the place of the one with its id, as an out-of-band swap would. */
  async #refreshPane(url, wish) {
    const html = await read(url);
    if (html === null || wish !== this.#panesWanted || !this.isConnected) return;
    const template = document.createElement("template");
    template.innerHTML = html;
    for (const fresh of [...template.content.querySelectorAll("[id]")]) {
      if (fresh.parentElement?.closest("[id]")) continue; // goes with the element around it
      const stale = document.getElementById(fresh.id);
      if (!stale || this.#panes.get(fresh.id) === fresh.outerHTML) continue;
      this.#panes.set(fresh.id, fresh.outerHTML);
      fresh.removeAttribute("hx-swap-oob");
      stale.replaceWith(fresh);
      window.htmx?.process(fresh);
    }
  }
}

/** A fragment's HTML; null when it could not be had: the pane then stays as it was until the next row. */
async function read(url) {
  try {
    const answer = await fetch(url, { headers: { "HX-Request": "true" } });
    return answer.ok ? await answer.text() : null;
  } catch (error) {
    if (error instanceof TypeError) return null; // no connection to the console; the page says so elsewhere
    throw error;
  }
}

/** Milliseconds as ``m:ss.mmm``, with hours where there are any. */
function clockText(ms) {
  const whole = Math.max(0, Math.round(ms));
  const hours = Math.floor(whole / 3_600_000);
  const minutes = Math.floor(whole / 60_000) % 60;
  const seconds = ((whole % 60_000) / 1000).toFixed(3).padStart(6, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

customElements.define("session-player", SessionPlayer);
