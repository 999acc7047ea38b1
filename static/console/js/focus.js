/** Focus stays where it is when the server replaces the element that has it: it goes to the new one of the same id. */

let focused = "";

document.addEventListener("htmx:oobBeforeSwap", () => {
  focused = document.activeElement?.id ?? "";
});
document.addEventListener("htmx:oobAfterSwap", () => {
  if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus({ preventScroll: true });
});
