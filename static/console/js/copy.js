/** Buttons that copy: data-copy-of names the element whose text is taken. */

const SHOWN = 1200; // milliseconds the button says so

/** @param {HTMLElement} button whose last child holds its words */
export function copied(button) {
  const words = button.lastChild;
  const before = words.textContent;
  if (before === "Copied") return;
  words.textContent = "Copied";
  setTimeout(() => (words.textContent = before), SHOWN);
}

document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("[data-copy-of]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copyOf);
  getSelection().selectAllChildren(source); // what is copied is seen; and can be copied by hand where pages may not
  if (!navigator.clipboard) return; // an address without https that is not this machine
  await navigator.clipboard.writeText(source.textContent);
  copied(button);
});
