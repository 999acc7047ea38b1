/** Importing logs: a chosen or dropped file is uploaded; a notice shows how far it is, and stops it. */

import { notify } from "./notices.js";

const LOOK_EVERY = 300; // milliseconds between two questions how far an import is
const STORED = "imports"; // in sessionStorage: addresses of imports under way, for a page that is loaded anew

const running = new Set();

/** One file on its way. */
class LogImport {
  /** @param {string} file its name */
  constructor(file) {
    this.file = file;
    this.item = document.createElement("li");
    this.item.dataset.work = "";
    this.item.setAttribute("aria-live", "off"); // it changes three times a second; its end is said
    this.text = document.createElement("p");
    this.bar = document.createElement("progress");
    this.bar.setAttribute("aria-label", `Import of ${file}`);
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: "Stop" });
    button.setAttribute("aria-label", `Stop the import of ${file}`);
    button.addEventListener("click", () => this.stop());
    this.item.append(this.text, this.bar, button);
    running.add(this);
    attach();
  }

  /** Send the file; the answer says where to ask how far it is. */
  upload(form, file) {
    const data = new FormData();
    data.append("file", file);
    this.request = new XMLHttpRequest();
    this.request.open("POST", form.action);
    this.request.setRequestHeader("Accept", "application/json");
    this.request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
    this.request.responseType = "json";
    this.request.upload.addEventListener("progress", ({ loaded, total }) => this.#show(`Uploading “${this.file}”`, loaded, total));
    this.request.addEventListener("load", () => {
      const { status, response } = this.request;
      if (status === 202) return this.follow(response.import);
      this.#end(response?.error ?? `“${this.file}” could not be uploaded (HTTP ${status}).`);
    });
    this.request.addEventListener("error", () => this.#end(`“${this.file}” could not be uploaded: the console does not answer.`));
    this.#show(`Uploading “${this.file}”`, 0, file.size);
    this.request.send(data);
  }

  /** Show how far it is until it is over. @param {string} address what answers that */
  async follow(address) {
    this.request = null;
    this.address = address;
    remember();
    while (this.address) {
      const facts = await this.#ask("GET");
      if (facts && !this.#told(facts)) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
    }
  }

  /** Stop; nothing of it is kept. */
  async stop() {
    if (this.request) {
      this.request.abort();
      return this.#end();
    }
    this.stopped = true;
    await this.#ask("DELETE");
  }

  /** What the console says; nothing while it does not answer. */
  async #ask(method) {
    const token = document.querySelector(".import [name=csrfmiddlewaretoken]")?.value ?? "";
    try {
      const answer = await fetch(this.address, { method, headers: { "X-CSRFToken": token } });
      if (answer.ok) return await answer.json();
      if (answer.status !== 404) return null;
      return { state: "gone", error: `The import of “${this.file}” has ended with the console; nothing of it was stored.` };
    } catch {
      return null;
    }
  }

  /** Show it. Returns whether it goes on. */
  #told({ state, file, bytes, size, lines, skipped, page, sessions, error }) {
    if (state === "waiting") this.#show(`“${file}” waits for another import`, 0, size);
    else if (state === "running") this.#show(`Importing “${file}”: ${lines.toLocaleString("en")} lines${skipped ? `, ${skipped} passed over` : ""}`, bytes, size);
    else if (state === "done") this.#arrive(page, sessions.length, skipped);
    else this.#end(this.stopped ? "" : error);
    return state === "waiting" || state === "running";
  }

  #show(what, done, all) {
    this.text.textContent = `${what}, ${megabytes(done)} of ${megabytes(all)} MB`;
    this.bar.max = all || 1;
    this.bar.value = done;
  }

  /** Go to what was imported; not away from a session that runs. */
  #arrive(page, count, skipped) {
    const console_ = document.getElementById("console");
    const link = document.createElement("a");
    this.#end();
    link.href = page;
    link.textContent = count === 1 ? "Open it" : "All sessions";
    if (console_ && count === 1) {
      for (const [name, value] of Object.entries({ get: page, target: "#console", swap: "outerHTML", "push-url": "true" })) {
        link.setAttribute(`hx-${name}`, value);
      }
    }
    const note = document.createElement("p");
    note.append(`“${this.file}” is imported${skipped ? `; ${skipped} of its lines were passed over` : ""}. `, link);
    const item = document.createElement("li");
    item.dataset.work = "";
    item.append(note);
    document.getElementById("notices")?.append(item);
    htmx.process(item);
    if (console_?.dataset.live !== "true") link.click();
  }

  #end(sentence = "") {
    running.delete(this);
    this.address = null;
    this.item.remove();
    remember();
    if (sentence) notify(sentence);
  }
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
}

/** Notices of imports stand wherever the page has its notices now: another session may have been opened. */
function attach() {
  const list = document.getElementById("notices");
  for (const { item } of running) if (list && item.parentElement !== list) list.append(item);
}

function remember() {
  const known = [...running].filter(({ address }) => address).map(({ address, file }) => ({ address, file }));
  sessionStorage.setItem(STORED, JSON.stringify(known));
}

function importAll(files) {
  const form = document.querySelector("form.import");
  for (const file of form ? files : []) new LogImport(file.name).upload(form, file);
}

document.addEventListener("change", ({ target }) => {
  if (!target.matches?.(".import input[type=file]")) return;
  importAll(target.files);
  target.value = ""; // so that the same file can be chosen again
});

const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files") && document.querySelector("form.import");

document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.dataset.drop = "true";
});
document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) delete document.body.dataset.drop;
});
document.addEventListener("drop", (event) => {
  delete document.body.dataset.drop;
  if (!hasFiles(event)) return;
  event.preventDefault();
  importAll(event.dataTransfer.files);
});

document.addEventListener("htmx:afterSettle", attach);
for (const { address, file } of JSON.parse(sessionStorage.getItem(STORED) ?? "[]")) new LogImport(file).follow(address);
