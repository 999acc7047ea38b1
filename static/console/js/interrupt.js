/** Forms that interrupt: what is being said falls silent, and the form tells how far it was heard. */

import { voice } from "./voice.js";

document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (!detail.elt.matches("form[data-interrupts]")) return;
  Object.assign(detail.parameters, voice.stop());
});
