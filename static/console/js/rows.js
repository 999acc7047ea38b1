/** The rows of a session as the server gives them: a page at a time, filtered, counted. */

import { notify } from "./notices.js";

export const PAGE = 120; // rows fetched at once: more would be felt while scrolling

/** @typedef {{rows: HTMLTableRowElement[], more: boolean}} Page rows in order, and whether there are more that way */

export class Rows {
  loading = false;
  matching = 0; // rows that match the filter
  total = 0; // rows there are; while a filter is on, as of the last page fetched

  #url;
  #countedTo;
  #explain;

  /**
   * @param {string} url of the session's rows
   * @param {number} total rows there are
   * @param {number} countedTo the last row counted in them
   * @param {(text: string, wrong: boolean) => void} explain told what is wrong with a filter, or "" when nothing is
   */
  constructor(url, total, countedTo, explain) {
    this.#url = url;
    this.matching = this.total = total;
    this.#countedTo = countedTo;
    this.#explain = explain;
  }

  /**
   * One page of rows; null when there is none to be had, which the reader has been told.
   * @param {{before?: number, after?: number, around_us?: number}} where nothing: the newest
   * @param {string} query
   * @returns {Promise<Page | null>}
   */
  async fetch(where, query) {
    this.loading = true;
    try {
      const address = new URL(this.#url, location.href);
      for (const [name, value] of Object.entries({ ...where, q: query, limit: PAGE })) address.searchParams.set(name, value);
      const response = await fetch(address);
      const html = await response.text();
      if (!response.ok) {
        const said = new DOMParser().parseFromString(html, "text/html").querySelector("p")?.textContent;
        this.#explain(said ?? `The console answered with HTTP ${response.status}.`, true);
        return null;
      }
      this.matching = Number(response.headers.get("X-Matching"));
      this.total = Number(response.headers.get("X-Total"));
      this.#explain(query && !this.matching ? "Nothing matches this filter." : "", false);
      return { rows: rowsOf(html), more: response.headers.get("X-Has-More") === "true" };
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // which is what fetch throws without a connection
      notify("The console does not answer: these rows could not be fetched.");
      return null;
    } finally {
      this.loading = false;
    }
  }

  /** Count a row that came by itself; one that came again after a new connection has been counted. */
  count(row) {
    const seq = Number(row.dataset.seq);
    if (seq <= this.#countedTo) return;
    this.#countedTo = seq;
    this.matching += 1;
    this.total += 1;
  }
}

/** @param {string} html table rows, which need a table around them to be parsed */
export function rowsOf(html) {
  const table = document.createElement("template");
  table.innerHTML = `<table><tbody>${html}</tbody></table>`;
  return [...table.content.querySelectorAll("tr")];
}
