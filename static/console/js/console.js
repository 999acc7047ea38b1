/** The page: brings its elements together and follows what the server says of the session. */

import "./voice.js";
import "./talk.js";
import "./mute.js";
import "./microphone-choice.js";
import "./listen-in.js";
import "./interrupt.js";
import "./level.js";
import "./weather-map.js";
import "./session-player.js";
import "./session-clock.js";
import "./local-time.js";
import "./copy.js";
import "./event-json.js";
import "./timeline.js";
import "./panes.js";
import "./keys.js";
import "./log-import.js";
import "./focus.js";
import { notify } from "./notices.js";

const RECONNECTS = [1006, 1011, 1012, 1013]; // close codes after which htmx's hx-ws connects again by itself
const FINAL = [1000, 1005, 4004]; // closed on purpose, or there is no such session
const RETRY_DELAY = 1000; // milliseconds, after the other codes: a server that restarts says 1001

let rail = null; // hx-ws's own socket of the list of sessions

// Connecting says what the page has: what came meanwhile is sent, nothing is missed and nothing comes twice.
htmx.createWebSocket = (url) => {
  const timeline = document.querySelector("event-timeline");
  const address = new URL(url, location.href);
  if (timeline && address.pathname.endsWith("/timeline")) {
    address.searchParams.set("after", timeline.lastSeq);
    if (timeline.query) address.searchParams.set("q", timeline.query);
  }
  return new WebSocket(address);
};

document.addEventListener("htmx:wsOpen", ({ detail, target }) => {
  showLink(true);
  if (target.id === "live") document.querySelector("event-timeline")?.connected(detail.socketWrapper);
  if (target.id === "rail-link") rail = detail.socketWrapper;
});

// The list that came as an answer is not the one the server knows of: a new connection begins with it.
document.addEventListener("htmx:afterSwap", ({ detail }) => detail.target.id === "session-list" && rail?.reconnect());

document.addEventListener("htmx:wsClose", ({ detail, target }) => {
  const { code, reason } = detail.event;
  if (!target.isConnected || code === 1005 || code === 1000) return;
  if (code === 4004) return notify(reason || "There is no such session any more.");
  showLink(false);
  if (!RECONNECTS.includes(code) && !FINAL.includes(code)) setTimeout(() => detail.socketWrapper.reconnect(), RETRY_DELAY);
});

document.addEventListener("htmx:oobAfterSwap", ({ target }) => {
  if (target.id === "state") followState();
  if (target.id === "in-force") refreshSettings();
});
document.addEventListener("htmx:afterSettle", () => followState());

// A refusal must be seen: htmx itself only logs these.
document.addEventListener("htmx:responseError", ({ detail }) => {
  notify(`The console answered with an error (HTTP ${detail.xhr.status}). Its terminal says why.`);
});
document.addEventListener("htmx:sendError", () => notify("The console does not answer. Is it still running?"));
document.addEventListener("voice:problem", ({ detail }) => notify(detail.text));

document.addEventListener("htmx:afterRequest", ({ target, detail }) => {
  if (!detail.successful) return;
  if (target.id === "say") target.reset();
  target.closest("dialog#compose")?.close(); // sent: the timeline shows it
});

function showLink(open) {
  const banner = document.getElementById("link-lost");
  if (banner) banner.hidden = open;
}

/** The console's own attributes follow the state bar, which the server keeps up to date. */
function followState() {
  const state = document.getElementById("state")?.dataset.state;
  const page = document.getElementById("console");
  if (!page || !state || page.dataset.state === state) return;
  page.dataset.state = state;
  if (state !== "closed") return;
  page.dataset.live = "false";
  page.querySelector("voice-link")?.remove();
  for (const part of page.querySelectorAll("listen-in, #bottom .reason")) part.remove();
  for (const control of page.querySelectorAll("#say :is(input, button), [data-open=compose], #mode input")) control.disabled = true;
}

/** The form shows what is in force, unless somebody is changing it right now. */
function refreshSettings() {
  const form = document.getElementById("settings-form");
  if (!form || form.dataset.dirty === "true" || form.contains(document.activeElement)) return;
  htmx.trigger("#settings-pane", "refresh");
}

document.addEventListener("input", ({ target }) => {
  const form = target.closest?.("#settings-form");
  if (form) form.dataset.dirty = "true";
});

followState();
