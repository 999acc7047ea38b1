/** <push-to-talk>: hold its button, or the space bar anywhere, to talk. */

import { voice } from "./voice.js";

const TALK = "Hold to talk";
const RELEASE = "Release to send";
const HOLD_KEYS = [" ", "Enter"];
const NEEDS_SPACE =
  "input, textarea, select, button, summary, a[href], [contenteditable], [role=tab], [role=slider], dialog";

/** Wraps a `<button>` and writes its words, into its `[data-label]` if it has one. Shown while `#mode` says manual. */
class PushToTalk extends HTMLElement {
  #button;
  #label;
  #holding = ""; // "", "pointer" or the key that began the hold: only the same ends it
  #mode = new MutationObserver(() => this.#followMode());
  #listeners;

  connectedCallback() {
    this.#button = this.querySelector("button");
    this.#label = this.#button.querySelector("[data-label]") ?? this.#button;
    this.#button.style.touchAction = "none"; // a thumb that slides must not scroll the page away
    this.#button.style.userSelect = "none";
    this.#listeners = new AbortController();
    const { signal } = this.#listeners;
    const on = (target, type, handle) => target.addEventListener(type, handle, { signal });
    on(this.#button, "pointerdown", (event) => this.#pointerDown(event));
    for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) {
      on(this.#button, type, () => this.#release("pointer"));
    }
    on(this.#button, "contextmenu", (event) => event.preventDefault()); // what a long press means elsewhere
    on(document, "keydown", (event) => this.#keyDown(event));
    on(document, "keyup", (event) => this.#release(event.key));
    on(window, "blur", () => this.#release());
    on(document, "visibilitychange", () => document.hidden && this.#release());
    on(document, "voice:state", () => this.#followLink());
    const bar = document.getElementById("mode")?.parentElement;
    if (bar) this.#mode.observe(bar, { subtree: true, childList: true, attributeFilter: ["data-mode"] });
    this.#followLink();
    this.#followMode();
    this.#show(false);
  }

  disconnectedCallback() {
    this.#release();
    this.#listeners.abort();
    this.#mode.disconnect();
  }

  #pointerDown(event) {
    if (event.button !== 0) return;
    this.#button.setPointerCapture(event.pointerId);
    this.#press("pointer");
  }

  #keyDown(event) {
    const onButton = event.target === this.#button;
    if (!HOLD_KEYS.includes(event.key) || event.defaultPrevented) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (!onButton && (event.key !== " " || event.target.closest?.(NEEDS_SPACE))) return;
    if (this.hidden || this.#button.disabled) return;
    event.preventDefault(); // neither scroll nor click
    if (!event.repeat) this.#press(event.key);
  }

  #press(by) {
    if (this.#holding || this.#button.disabled) return;
    this.#holding = by;
    this.#show(true);
    voice.talkStart();
  }

  /** @param {string} [by] what let go; without it the hold ends whatever began it */
  #release(by) {
    if (!this.#holding || (by && by !== this.#holding)) return;
    this.#holding = "";
    this.#show(false);
    voice.talkEnd();
  }

  #show(holding) {
    this.#button.setAttribute("aria-pressed", String(holding));
    this.#label.textContent = holding ? RELEASE : TALK;
  }

  #followLink() {
    const closed = voice.state.link === "closed";
    if (closed) this.#release();
    this.#button.disabled = closed;
  }

  /** Manual shows the button; with voice detection the microphone streams instead. */
  #followMode() {
    const mode = document.getElementById("mode")?.dataset.mode;
    if (!mode) return;
    this.hidden = mode === "vad";
    if (this.hidden) this.#release();
    voice.setStreaming(mode === "vad");
  }
}

customElements.define("push-to-talk", PushToTalk);
