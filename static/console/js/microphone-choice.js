/** <microphone-choice>: which microphone to use, where there is more than one. */

import { voice } from "./voice.js";

/** Wraps a `<select>` and fills it. Browsers name the devices only once the microphone has been allowed. */
class MicrophoneChoice extends HTMLElement {
  #offered = "";
  #fill = () => this.#offer();
  #choose = ({ target }) => voice.useMicrophone(target.value);

  connectedCallback() {
    this.querySelector("select").addEventListener("change", this.#choose);
    document.addEventListener("voice:state", this.#fill);
    navigator.mediaDevices?.addEventListener("devicechange", this.#fill);
    this.#offer();
  }

  disconnectedCallback() {
    this.querySelector("select").removeEventListener("change", this.#choose);
    document.removeEventListener("voice:state", this.#fill);
    navigator.mediaDevices?.removeEventListener("devicechange", this.#fill);
  }

  async #offer() {
    const devices = (await voice.devices()).filter(({ id, label }) => id && label);
    const offered = JSON.stringify(devices);
    if (offered === this.#offered) return; // a list that is open must not be filled under the hand
    this.#offered = offered;
    const options = devices.map(({ id, label, chosen }) => new Option(label, id, chosen, chosen));
    this.querySelector("select").replaceChildren(new Option("Browser's choice", ""), ...options);
    this.hidden = devices.length < 2;
  }
}

customElements.define("microphone-choice", MicrophoneChoice);
