/** <event-timeline>: the table of events: follows, filters, folds, moves along, and never holds more than some hundred rows. */

import { Folds } from "./folds.js";
import { PAGE, Rows } from "./rows.js";
import { Selection } from "./selection.js";
import { timeText } from "./times.js";

const seqOf = (row) => Number(row.dataset.seq);
const MOST_ROWS = 600; // in the page at once; further ones are fetched as they are scrolled to
const NEAR = 600; // pixels from an end of the table at which the next page is fetched
const TAIL = 24; // pixels from the bottom within which a reader counts as being at the tail
const FILTER_DELAY = 150; // milliseconds after the last key

class EventTimeline extends HTMLElement {
  lastSeq = 0; // the last place the page knows of; a new connection begins there
  query = "";

  #source;
  #folds;
  #selection;
  #socket = null;
  #following = true; // the reader is at the tail, and wants to stay there
  #paused = false;
  #whole = { top: false, tail: true }; // whether the page's first and last rows are the session's
  #waiting = 0; // rows that came and are not shown
  #mode = "start";
  #timer = 0;
  #replay = null; // microseconds on the session's clock; null when not replaying
  #turn = 0; // the newest replay call wins
  #listeners;
  // A pane that opens, a notice, a phone's keyboard: who is at the tail stays there.
  #size = new ResizeObserver(() => this.#following && this.#replay === null && this.#toTail());

  connectedCallback() {
    this.lastSeq = Number(this.dataset.lastSeq);
    const last = Number(this.#rows.at(-1)?.dataset.seq ?? 0);
    this.#source = new Rows(this.dataset.rowsUrl, Number(this.dataset.total), last, (text, wrong) => this.#say(text, wrong));
    this.#selection = new Selection(this.dataset.eventUrl, () => this.#mode === "selected" && this.#paint());
    this.#folds = new Folds(() => this.#body, this.dataset.eventUrl, (rows) => this.#paint(rows));
    this.#whole.top = this.dataset.more !== "true";
    this.#mode = localStorage.getItem("time-mode") ?? "start";
    this.#listeners = new AbortController();
    const { signal } = this.#listeners;
    const on = (target, type, handle) => target.addEventListener(type, handle, { signal });
    on(this, "scroll", () => this.#scrolled());
    on(this, "click", (event) => this.#clicked(event));
    on(this, "keydown", (event) => this.#pressed(event));
    on(this, "htmx:oobBeforeSwap", (event) => this.#swapped(event));
    on(document, "click", (event) => this.#clickedElsewhere(event));
    on(document, "input", ({ target }) => target.matches("#filter input") && this.#filterSoon(target.value));
    on(document, "submit", (event) => event.target.id === "filter" && (event.preventDefault(), this.#filterSoon(event.target.q.value)));
    on(document, "change", ({ target }) => target.matches("[data-time-mode]") && this.#setMode(target.value));
    const select = document.querySelector("[data-time-mode]");
    if (select) select.value = this.#mode;
    const asked = new URLSearchParams(location.search).get("q");
    if (asked) {
      document.querySelector("#filter input").value = asked;
      this.#filter(asked);
    }
    this.#paint();
    this.#toTail();
    this.#size.observe(this);
  }

  disconnectedCallback() {
    this.#size.disconnect();
    this.#listeners.abort();
  }

  /** @param {{reconnect(): void}} socket hx-ws's own, to connect again with another filter */
  connected(socket) {
    this.#socket = socket;
  }

  // ── Rows that come by themselves ────────────────────────────────────────────────────────────────────────────────

  /** Pushed rows: each replaces the one of its name or is appended, so that none can stand twice. */
  #swapped(event) {
    if (event.target.id !== "timeline") return;
    event.detail.shouldSwap = false;
    const fresh = event.detail.fragment.querySelector?.("#timeline");
    const rows = [...event.detail.fragment.querySelectorAll("tr")];
    for (const row of rows) this.lastSeq = Math.max(this.lastSeq, seqOf(row));
    if (this.#replay !== null) return;
    if (fresh && !this.#paused && this.#following) this.#replaceAll(rows, { top: false, tail: true });
    else this.#take(rows);
  }

  #take(rows) {
    const added = [];
    const here = this.#rows;
    for (const row of rows) {
      const known = document.getElementById(row.id);
      const next = here.find((other) => seqOf(other) > seqOf(row));
      if (known) this.#replaceRow(known, row);
      else if (next) {
        // It grew: scrolled out at the top it is fetched as it is then; or it has just come to match the filter.
        if (next !== here[0] || this.#whole.top) next.before(row);
      } else if (this.#paused || !this.#whole.tail || (!this.#following && this.#rows.length >= MOST_ROWS)) {
        this.#whole.tail = false;
        this.#waiting += 1;
        this.#source.count(row);
      } else {
        this.#body.append(row);
        added.push(row);
        this.#source.count(row);
      }
    }
    this.#showCount();
    this.#paint(added);
    if (this.#following && !this.#paused) {
      this.#trimTop();
      this.#toTail();
    } else {
      this.#waiting += added.length;
      this.#pill();
    }
  }

  #replaceRow(known, row) {
    if (known === this.#selection.row) this.#selection.take(row);
    row.toggleAttribute("data-future", known.hasAttribute("data-future"));
    if (known.dataset.open) row.dataset.open = known.dataset.open;
    known.replaceWith(row);
    this.#paint([row]);
  }

  #replaceAll(rows, whole) {
    const selected = this.#selection.row?.id;
    this.#body.replaceChildren(...rows);
    this.#whole = whole;
    this.#waiting = 0;
    this.#selection.take(selected ? document.getElementById(selected) : null);
    this.#paint();
    if (whole.tail) this.#toTail();
    this.#pill();
  }

  // ── Scrolling ───────────────────────────────────────────────────────────────────────────────────────────────────

  #scrolled() {
    const below = this.scrollHeight - this.clientHeight - this.scrollTop;
    this.#following = this.#whole.tail && below <= TAIL;
    if (this.#following) {
      this.#waiting = 0;
      this.#pill();
    }
    if (this.#replay !== null || this.#source.loading) return;
    if (this.scrollTop < NEAR && !this.#whole.top) this.#loadBefore();
    else if (below < NEAR && !this.#whole.tail && !this.#paused) this.#loadAfter();
  }

  async #loadBefore() {
    const first = this.#rows[0];
    if (!first) return;
    const page = await this.#load({ before: first.dataset.seq });
    if (!page || !first.isConnected) return;
    const height = this.scrollHeight;
    first.before(...page.rows);
    this.#paint(page.rows.concat(first));
    this.scrollTop += this.scrollHeight - height;
    this.#whole.top = !page.more;
    for (const row of this.#rows.slice(MOST_ROWS)) {
      row.remove();
      this.#whole.tail = false;
    }
  }

  async #loadAfter() {
    const last = this.#rows.at(-1);
    if (!last) return;
    const page = await this.#load({ after: last.dataset.seq });
    if (!page || !last.isConnected) return;
    this.#body.append(...page.rows);
    this.#paint(page.rows);
    this.#whole.tail = !page.more;
    this.#trimTop();
  }

  #trimTop() {
    const spare = this.#body.children.length - MOST_ROWS;
    if (spare <= 0) return;
    const height = this.scrollHeight;
    for (const row of [...this.#body.children].slice(0, spare)) row.remove();
    this.#whole.top = false;
    this.scrollTop -= height - this.scrollHeight;
  }

  #toTail() {
    this.#following = true;
    this.#waiting = 0;
    this.scrollTop = this.scrollHeight;
    this.#pill();
  }

  /** Show the newest rows, wherever the reader was. */
  async #jumpToTail() {
    if (this.#whole.tail) return this.#toTail();
    const page = await this.#load({});
    if (page) this.#replaceAll(page.rows, { top: !page.more, tail: true });
  }

  async #load(where) {
    const page = await this.#source.fetch(where, this.query);
    if (page) this.#showCount();
    return page;
  }

  #pill() {
    const pill = document.getElementById("new-pill");
    if (!pill) return;
    pill.hidden = this.#waiting === 0;
    pill.textContent = `${this.#waiting} new ↓`;
  }

  // ── Filter ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #filterSoon(text) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#filter(text.trim()), FILTER_DELAY);
  }

  async #filter(text) {
    const before = this.query;
    this.query = text;
    const page = await this.#load({});
    if (this.query !== text) return; // somebody has typed on
    if (!page) {
      this.query = before;
      return;
    }
    this.#replaceAll(page.rows, { top: !page.more, tail: true });
    const address = new URL(location.href);
    if (text) address.searchParams.set("q", text);
    else address.searchParams.delete("q");
    history.replaceState(history.state, "", address);
    if (text !== before) this.#socket?.reconnect();
  }

  /** Say what is wrong with the filter, or that nothing matches. */
  #say(text, wrong = false) {
    const place = document.getElementById("filter-says");
    place.textContent = text;
    place.hidden = !text;
    document.querySelector("#filter input").setAttribute("aria-invalid", String(wrong));
  }

  #showCount() {
    const place = document.querySelector("[data-count-of=rows]");
    const [found, all] = [this.#source.matching, this.#source.total].map((count) => count.toLocaleString("en"));
    if (place) place.textContent = this.query ? `${found} of ${all}` : all;
  }

  // ── Time ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #setMode(mode) {
    this.#mode = mode;
    localStorage.setItem("time-mode", mode);
    this.#paint();
  }

  #paint(rows = this.#body.children) {
    const started = Date.parse(document.getElementById("console").dataset.started);
    const selected = Number(this.#selection.row?.dataset.t ?? 0);
    for (const row of rows) {
      if (row.dataset.t === undefined) continue;
      const before = Number(row.previousElementSibling?.dataset.t ?? row.dataset.t);
      row.firstElementChild.textContent = timeText(this.#mode, Number(row.dataset.t), { before, selected, started });
      if (row.dataset.pair) join(row);
    }
  }

  // ── Selecting and folding ───────────────────────────────────────────────────────────────────────────────────────

  #clicked({ target }) {
    const row = target.closest("#timeline tr");
    if (!row) return;
    const page = target.closest("[data-page]");
    if (target.closest(".fold")) this.#folds.toggle(row);
    else if (page) this.#folds.turn(row, page.dataset.page);
    else if (row.dataset.seq) this.#selection.choose(row, true);
  }

  #clickedElsewhere(event) {
    const { target } = event;
    if (target.closest?.("#new-pill")) this.#jumpToTail();
    const pause = target.closest?.("[data-pause]");
    if (pause) this.#pause(pause);
    const go = target.closest?.("[data-go]");
    const filter = target.closest?.("[data-filter]");
    if (go || filter) event.preventDefault();
    if (go) this.goTo(Number(go.dataset.go));
    if (filter) {
      document.querySelector("#filter input").value = filter.dataset.filter;
      this.#filter(filter.dataset.filter);
    }
  }

  #pause(button) {
    this.#paused = !this.#paused;
    button.setAttribute("aria-pressed", String(this.#paused));
    if (!this.#paused) this.#jumpToTail();
  }

  #pressed(event) {
    const { row } = this.#selection;
    const rows = [...this.#body.children].filter((one) => one.dataset.seq && !one.hasAttribute("data-future"));
    if (event.key === "Enter" && row) this.#selection.choose(row, true);
    else if (["ArrowRight", "ArrowLeft"].includes(event.key) && row?.dataset.members === "true") {
      if ((event.key === "ArrowRight") !== (row.dataset.open === "true")) this.#folds.toggle(row);
    } else if (!this.#selection.move(event.key, rows, this.clientHeight)) return;
    event.preventDefault();
  }

  /** @param {number} seq a row to show and select, wherever it is */
  async goTo(seq) {
    let row = document.getElementById(`row-${seq}`);
    if (!row) {
      const page = await this.#load({ after: Math.max(0, seq - 40) });
      if (!page) return;
      this.#replaceAll(page.rows, { top: false, tail: !page.more });
      row = document.getElementById(`row-${seq}`) ?? this.#rows.findLast((one) => Number(one.dataset.seq) <= seq) ?? this.#rows[0];
    }
    if (!row) return;
    this.#selection.choose(row, true);
    row.scrollIntoView({ block: "center" });
  }

  // ── Replay ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Show the timeline as it stood at a moment of the session; the newest call wins.
   * @param {number | null} tUs microseconds since the session began; null shows all of it again
   */
  async replayTo(tUs) {
    const turn = ++this.#turn;
    this.#replay = tUs;
    if (tUs === null) {
      for (const row of this.#body.children) for (const name of ["data-future", "data-playhead"]) row.removeAttribute(name);
      return this.#jumpToTail();
    }
    await this.#loadAround(tUs);
    if (turn !== this.#turn) return;
    let head = null;
    for (const row of this.#rows) {
      const future = Number(row.dataset.t) > tUs;
      row.toggleAttribute("data-future", future);
      row.removeAttribute("data-playhead");
      if (!future) head = row;
    }
    head?.setAttribute("data-playhead", "");
    head?.scrollIntoView({ block: "nearest" });
  }

  /**
   * @param {number} tUs where the replay stands
   * @param {1 | -1} direction
   * @returns {Promise<number | null>} the moment of the next row in that direction; null when there is none
   */
  async stepFrom(tUs, direction) {
    await this.#loadAround(tUs);
    const moments = this.#rows.map((row) => Number(row.dataset.t));
    const found = direction > 0 ? moments.find((t) => t > tUs) : moments.findLast((t) => t < tUs);
    return found ?? null;
  }

  /** See that the page holds the rows on both sides of a moment. */
  async #loadAround(tUs) {
    const [first, last] = [this.#rows[0], this.#rows.at(-1)];
    const inside = first && (this.#whole.top || Number(first.dataset.t) < tUs) && (this.#whole.tail || Number(last.dataset.t) > tUs);
    if (inside || this.#source.loading) return;
    const page = await this.#load({ around_us: Math.round(tUs) });
    if (!page) return;
    this.#body.replaceChildren(...page.rows);
    this.#whole = { top: page.rows.length < PAGE / 2, tail: !page.more };
    this.#paint();
  }

  get #body() {
    return this.querySelector("#timeline");
  }

  /** The rows themselves, without what an open one has under it. */
  get #rows() {
    return [...this.#body.children].filter((row) => row.id);
  }
}

/** Rows of one frame that was changed on its way stand together: `data-joint` says which end of them this one is. */
function join(row) {
  for (const one of [row.previousElementSibling, row, row.nextElementSibling]) {
    if (one?.dataset.pair !== row.dataset.pair) continue;
    const above = one.previousElementSibling?.dataset.pair === row.dataset.pair;
    const below = one.nextElementSibling?.dataset.pair === row.dataset.pair;
    one.dataset.joint = above ? (below ? "middle" : "end") : below ? "start" : "none";
  }
}

customElements.define("event-timeline", EventTimeline);
