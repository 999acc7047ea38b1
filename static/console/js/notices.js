/** Sentences a person should not miss: each stays until it is dismissed. */

const MOST = 6; // at once; the oldest makes room

/** @param {string} text what happened and what to do */
export function notify(text) {
  const list = document.getElementById("notices");
  if (!list || [...list.querySelectorAll("p")].some((shown) => shown.textContent === text)) return;
  const item = document.createElement("li");
  const sentence = document.createElement("p");
  const button = document.createElement("button");
  sentence.textContent = text;
  Object.assign(button, { type: "button", textContent: "×" });
  button.setAttribute("aria-label", "Dismiss");
  button.dataset.dismiss = "";
  button.dataset.kind = "plain";
  item.append(sentence, button);
  list.append(item);
  trim(list);
}

function trim(list) {
  const sentences = list.querySelectorAll("li:not([data-work])");
  for (const item of [...sentences].slice(0, Math.max(0, sentences.length - MOST))) item.remove();
}

document.addEventListener("click", ({ target }) => target.closest?.("[data-dismiss]")?.closest("li")?.remove());
document.addEventListener("htmx:oobAfterSwap", ({ target }) => target.id === "notices" && trim(target));
