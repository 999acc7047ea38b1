/** <local-time data-at>: a moment as this browser's own clock shows it; the server knows only UTC. */

const DAY = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const WHOLE = { ...DAY, year: "numeric", second: "2-digit" };

class LocalTime extends HTMLElement {
  connectedCallback() {
    const moment = new Date(this.dataset.at);
    this.textContent = moment.toLocaleString("en-GB", DAY);
    this.title = moment.toLocaleString("en-GB", WHOLE);
  }
}

customElements.define("local-time", LocalTime);
