/** <local-time data-at>: a moment as this browser's own clock shows it; the server knows only UTC. */

const TODAY = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const EARLIER = { ...TODAY, day: "numeric", month: "short" };
const WHOLE = { ...EARLIER, year: "numeric", second: "2-digit" };

class LocalTime extends HTMLElement {
  connectedCallback() {
    const moment = new Date(this.dataset.at);
    const today = moment.toDateString() === new Date().toDateString();
    this.textContent = moment.toLocaleString("en-GB", today ? TODAY : EARLIER);
    this.title = moment.toLocaleString("en-GB", WHOLE);
  }
}

customElements.define("local-time", LocalTime);
