/** Tabs, panes that can be resized, sheets, dialogs, the theme: what is chosen here is remembered by this browser. */

const STEP = 16; // pixels a pane grows for an arrow key

/** @param {string} name of a tab: event, conversation, settings, tools */
export function showTab(name) {
  const chosen = document.getElementById(`tab-${name}`);
  if (!chosen) return;
  for (const tab of chosen.parentElement.querySelectorAll("[role=tab]")) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
  }
  localStorage.setItem("tab", name);
}

/** @param {string} id of a dialog */
export function openDialog(id) {
  const dialog = document.getElementById(id);
  if (dialog && !dialog.open) dialog.showModal();
}

class PaneDivider extends HTMLElement {
  connectedCallback() {
    this.tabIndex = 0;
    this.setAttribute("role", "separator");
    this.setAttribute("aria-orientation", "vertical");
    this.setAttribute("aria-label", `Width of the ${this.dataset.pane} pane`);
    const kept = Number(localStorage.getItem(`pane-${this.dataset.pane}`));
    if (kept) this.#set(kept);
    this.setAttribute("aria-valuemin", this.dataset.min);
    this.setAttribute("aria-valuemax", this.dataset.max);
    this.#tell();
    this.addEventListener("pointerdown", this.#drag);
    this.addEventListener("keydown", this.#step);
    this.addEventListener("dblclick", () => this.#set(0));
  }

  get #sign() {
    return this.dataset.pane === "side" ? -1 : 1;
  }

  #drag = (event) => {
    event.preventDefault();
    this.setPointerCapture(event.pointerId);
    const [from, width] = [event.clientX, this.parentElement.offsetWidth];
    const move = ({ clientX }) => this.#set(width + this.#sign * (clientX - from));
    this.addEventListener("pointermove", move);
    this.addEventListener("lostpointercapture", () => this.removeEventListener("pointermove", move), { once: true });
  };

  #step = (event) => {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!direction) return;
    event.preventDefault();
    this.#set(this.parentElement.offsetWidth + direction * this.#sign * STEP);
  };

  #tell() {
    this.setAttribute("aria-valuenow", String(this.parentElement.offsetWidth));
  }

  #set(width) {
    const { pane, min, max } = this.dataset;
    const bounded = width ? Math.min(Number(max), Math.max(Number(min), width)) : 0;
    if (bounded) document.documentElement.style.setProperty(`--${pane}-size`, `${bounded}px`);
    else document.documentElement.style.removeProperty(`--${pane}-size`);
    localStorage.setItem(`pane-${pane}`, String(bounded));
    this.#tell();
  }
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
}

function toggleSheet(name) {
  const page = document.getElementById("console");
  page.dataset[name] = page.dataset[name] === "open" ? "" : "open";
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("button, summary");
  if (button?.matches("#side [role=tab]")) showTab(button.id.replace("tab-", ""));
  if (button?.dataset.toggle) toggleSheet(button.dataset.toggle);
  if (button?.dataset.open) openDialog(button.dataset.open);
  if (button && "close" in button.dataset) button.closest("dialog").close();
  if (button && "themeSwitch" in button.dataset) switchTheme();
  const page = document.getElementById("console");
  if (page?.dataset.rail === "open" && !target.closest("#rail, [data-toggle=rail]")) page.dataset.rail = "";
  for (const menu of document.querySelectorAll("details[data-menu][open]")) if (!menu.contains(target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const page = document.getElementById("console");
    if (page) page.dataset.side = page.dataset.rail = "";
  }
  const tab = event.target.closest?.("#side [role=tab]");
  if (!tab || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const tabs = [...tab.parentElement.querySelectorAll("[role=tab]")];
  const next = tabs.at((tabs.indexOf(tab) + (event.key === "ArrowRight" ? 1 : -1)) % tabs.length);
  showTab(next.id.replace("tab-", ""));
  next.focus();
});

/** A page with a session opens the tab that was open last. */
function restoreTab() {
  const kept = localStorage.getItem("tab");
  if (kept && document.getElementById("console")?.dataset.session) showTab(kept);
}

document.addEventListener("htmx:afterSettle", ({ target }) => target.id === "console" && restoreTab());
restoreTab();

customElements.define("pane-divider", PaneDivider);
