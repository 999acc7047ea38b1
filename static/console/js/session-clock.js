/** <session-clock>: how long since a moment (`data-since`, ISO) or until one (`data-until`, unix seconds). */

const TICK = 1000; // milliseconds

class SessionClock extends HTMLElement {
  #timer = 0;

  connectedCallback() {
    this.#show();
    this.#timer = setInterval(() => this.#show(), TICK);
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
  }

  #show() {
    const { since, until } = this.dataset;
    const ms = since ? Date.now() - Date.parse(since) : Number(until) * 1000 - Date.now();
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const parts = [Math.floor(seconds / 60), seconds % 60];
    this.querySelector("b").textContent = parts.map((part) => String(part).padStart(2, "0")).join(":");
  }
}

customElements.define("session-clock", SessionClock);
