/** Rows that gather a stream: one at a time is open and shows its members under it, which keeps the page small. */

import { notify } from "./notices.js";
import { rowsOf } from "./rows.js";

export class Folds {
  #body;
  #url;
  #opened;

  /**
   * @param {() => HTMLTableSectionElement} body the table's body
   * @param {string} url of the session's events
   * @param {(rows: Iterable<HTMLTableRowElement>) => void} opened told of the members that were put there
   */
  constructor(body, url, opened) {
    this.#body = body;
    this.#url = url;
    this.#opened = opened;
  }

  /** @param {HTMLTableRowElement} row */
  toggle(row) {
    const open = row.dataset.open === "true";
    for (const other of this.#body().querySelectorAll("tr[data-open=true]")) this.#close(other);
    if (!open) this.#open(row, "");
  }

  /** @param {HTMLTableRowElement} member one of an open row's @param {string} page query of another page of them */
  turn(member, page) {
    let row = member;
    while (row?.dataset.member) row = row.previousElementSibling;
    if (row) this.#open(row, page);
  }

  #close(row) {
    delete row.dataset.open;
    row.querySelector(".fold")?.setAttribute("aria-expanded", "false");
    this.#removeMembers();
  }

  async #open(row, page) {
    const response = await fetch(`${this.#url}${row.dataset.seq}/members${page}`);
    if (!response.ok) return notify(`The members of this row could not be fetched (HTTP ${response.status}).`);
    const members = rowsOf(await response.text());
    this.#removeMembers();
    row.dataset.open = "true";
    row.querySelector(".fold")?.setAttribute("aria-expanded", "true");
    row.after(...members);
    this.#opened(members);
  }

  #removeMembers() {
    for (const member of this.#body().querySelectorAll("tr[data-member]")) member.remove();
  }
}
