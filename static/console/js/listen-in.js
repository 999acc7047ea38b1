/** <listen-in>: a button that plays both sides of somebody else's session as they speak. */

import { voice } from "./voice.js";

const LISTEN = "Listen in";
const STOP = "Stop listening";

/** Wraps a `<button>` and writes its words, into its `[data-label]`. */
class ListenIn extends HTMLElement {
  #listeners;

  connectedCallback() {
    this.#listeners = new AbortController();
    const { signal } = this.#listeners;
    this.querySelector("button").addEventListener("click", () => this.#toggle(), { signal });
    document.addEventListener("voice:state", () => this.#follow(), { signal });
    this.#follow();
  }

  disconnectedCallback() {
    this.#listeners.abort();
  }

  #toggle() {
    const link = document.querySelector("voice-link[data-listen-url]");
    if (!link) return;
    const listen = !link.dataset.url;
    if (listen) link.dataset.url = link.dataset.listenUrl;
    else delete link.dataset.url;
    this.#show(listen);
  }

  /** Another tab may have taken the sound over, or the session be over. */
  #follow() {
    const link = document.querySelector("voice-link[data-listen-url]");
    if (link?.dataset.url && !voice.serves(link.dataset.url)) delete link.dataset.url;
    this.#show(Boolean(link?.dataset.url));
  }

  #show(listening) {
    this.querySelector("button").setAttribute("aria-pressed", String(listening));
    this.querySelector("[data-label]").textContent = listening ? STOP : LISTEN;
  }
}

customElements.define("listen-in", ListenIn);
