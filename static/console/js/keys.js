/** The keyboard: one table, the same that the ? dialog lists. */

import { openDialog, showTab } from "./panes.js";
import { voice } from "./voice.js";

const TYPING = "input, textarea, select, [contenteditable]";
const TABS = { 1: "event", 2: "conversation", 3: "settings", 4: "tools" };

const KEYS = {
  "?": () => openDialog("keys"),
  "/": () => document.querySelector("#filter input")?.focus(),
  m: () => voice.mute(!voice.state.muted),
  e: () => document.querySelector("[data-open=compose]:enabled") && openDialog("compose"),
  l: () => document.querySelector("listen-in button")?.click(),
  n: () => document.querySelector("#rail a[href='/']")?.click(),
  ...Object.fromEntries(Object.entries(TABS).map(([key, name]) => [key, () => showTab(name)])),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.(TYPING) || document.querySelector("dialog[open]")) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
