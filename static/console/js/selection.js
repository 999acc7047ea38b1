/** The selected row: moved by click and keyboard, shown in full in the Event tab. */

import { showTab } from "./panes.js";

const OPEN_DELAY = 70; // milliseconds a row must stay selected before it is fetched: keys held down pass by
const ROW_HEIGHT = 28; // pixels; only to know how many rows a page up or down is

export class Selection {
  /** @type {HTMLTableRowElement | null} */
  row = null;

  #url;
  #changed;
  #timer = 0;

  /**
   * @param {string} url of the session's events
   * @param {() => void} changed told when another row is selected
   */
  constructor(url, changed) {
    this.#url = url;
    this.#changed = changed;
  }

  /** @param {HTMLTableRowElement} row @param {boolean} asked whether a person asked for it, not passed by it */
  choose(row, asked) {
    this.row?.removeAttribute("aria-selected");
    this.take(row);
    row.scrollIntoView({ block: "nearest" });
    this.#changed();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(row, asked), asked ? 0 : OPEN_DELAY);
  }

  /** The same row in another element: the table was drawn anew. */
  take(row) {
    this.row = row;
    row?.setAttribute("aria-selected", "true");
  }

  /**
   * @param {string} key as a keyboard event names it
   * @param {HTMLTableRowElement[]} rows those that can be selected
   * @param {number} height of what is seen of them
   * @returns {boolean} whether the key means a move here
   */
  move(key, rows, height) {
    const at = rows.indexOf(this.row);
    const last = rows.length - 1;
    const page = Math.max(1, Math.floor(height / ROW_HEIGHT) - 2);
    const moves = { ArrowUp: at - 1, ArrowDown: at + 1, PageUp: at - page, PageDown: at + page, Home: 0, End: last };
    if (!(key in moves)) return false;
    const next = at < 0 && key !== "Home" ? last : Math.max(0, Math.min(last, moves[key]));
    if (rows[next]) this.choose(rows[next], false);
    return true;
  }

  #open(row, asked) {
    htmx.ajax("GET", `${this.#url}${row.dataset.seq}/`, { target: "#event-pane", swap: "innerHTML" });
    if (!asked) return;
    showTab("event");
    document.getElementById("console").dataset.side = "open";
  }
}
