/** <event-json>: the JSON in its <pre> as a tree that folds; built of text nodes only, whatever the payload holds. */

import { copied } from "./copy.js";

const OPEN_LINES = 40; // what is no longer than that stands open as a whole
const OPEN_DEPTH = 3; // levels that stand open of the rest
const OPEN_CHILDREN = 40; // a longer object or list starts folded below the first level

class EventJson extends HTMLElement {
  connectedCallback() {
    const pre = this.querySelector("pre");
    if (!pre || this.querySelector(".tree")) return;
    let value;
    try {
      value = JSON.parse(pre.textContent);
    } catch {
      return; // not JSON: the text stays as it is
    }
    this.text = pre.textContent;
    const tree = document.createElement("div");
    tree.className = "tree";
    tree.append(draw(value, "", 0, true, linesOf(value) <= OPEN_LINES ? Infinity : OPEN_DEPTH));
    pre.hidden = true;
    this.append(tree);
  }
}

/**
 * @param {unknown} value
 * @param {string} key its name in the object around it, if any
 * @param {number} depth
 * @param {boolean} last whether no comma follows
 * @param {number} open levels that stand open
 */
function draw(value, key, depth, last, open) {
  const label = key ? [part("k", JSON.stringify(key)), ": "] : [];
  const comma = last ? "" : ",";
  if (value === null || typeof value !== "object") return line(...label, leaf(value), comma);
  const list = Array.isArray(value);
  const [opens, closes] = list ? "[]" : "{}";
  const entries = list ? value.map((inner) => ["", inner]) : Object.entries(value);
  if (entries.length === 0) return line(...label, opens + closes + comma);
  const details = document.createElement("details");
  details.open = depth < open && (depth === 0 || entries.length <= OPEN_CHILDREN);
  const summary = document.createElement("summary");
  summary.append(...label, opens, part("folded", ` ${entries.length} ${closes}${comma}`));
  details.append(summary);
  entries.forEach(([name, inner], index) => details.append(draw(inner, name, depth + 1, index === entries.length - 1, open)));
  details.append(closes + comma);
  return details;
}

/** How many lines a value takes, unfolded. */
function linesOf(value) {
  if (value === null || typeof value !== "object") return 1;
  return Object.values(value).reduce((lines, inner) => lines + linesOf(inner), 2);
}

function leaf(value) {
  const kind = typeof value === "string" ? "s" : typeof value === "number" ? "n" : "w";
  return part(kind, JSON.stringify(value));
}

function part(kind, text) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = text;
  return span;
}

function line(...parts) {
  const div = document.createElement("div");
  div.className = "leaf";
  div.append(...parts);
  return div;
}

document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("[data-copy]");
  if (!button) return;
  const text =
    button.dataset.copy === "raw"
      ? await (await fetch(button.dataset.url)).text()
      : (button.closest("[role=tabpanel]").querySelector("event-json").text ?? "");
  await navigator.clipboard.writeText(text);
  copied(button);
});

customElements.define("event-json", EventJson);
