/** <mute-microphone>: a button that silences the microphone without giving it back. */

import { voice } from "./voice.js";

/** Wraps a `<button>`, which becomes a toggle. */
class MuteMicrophone extends HTMLElement {
  #show = () => this.querySelector("button").setAttribute("aria-pressed", String(voice.state.muted));
  #toggle = () => voice.mute(!voice.state.muted);

  connectedCallback() {
    this.querySelector("button").addEventListener("click", this.#toggle);
    document.addEventListener("voice:state", this.#show);
    this.#show();
  }

  disconnectedCallback() {
    document.removeEventListener("voice:state", this.#show);
    this.querySelector("button").removeEventListener("click", this.#toggle);
  }
}

customElements.define("mute-microphone", MuteMicrophone);
