/** <audio-level>: a bar meter of what the microphone hears or the loudspeaker plays. */

const BARS = 10;
const FLOOR = -50; // decibels below full scale at which the first bar lights
const FALL = 0.9; // of the whole meter per second: peaks stay long enough to be seen
const WIDTH = 64; // CSS pixels, unless a style sheet says otherwise
const HEIGHT = 14;
const GAP = 1.5; // CSS pixels between two bars
const UNLIT = 0.22; // opacity of a bar without sound
const COLOURS = { mic: "--sent", out: "--received" };
const NAMES = { mic: "Microphone level", out: "Loudspeaker level" };

/** `<audio-level data-of="mic|out">` */
class AudioLevel extends HTMLElement {
  #canvas = document.createElement("canvas");
  #shown = 0; // of the meter, 0 to 1
  #target = 0;
  #frame = 0; // the pending animation frame; none while nothing moves
  #drawnAt = 0; // milliseconds
  #calm = matchMedia("(prefers-reduced-motion: reduce)");
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #onLevel = ({ detail }) => this.#follow(detail[this.#of]);
  #redraw = () => this.#draw();
  #theme = new MutationObserver(this.#redraw);
  #size = new ResizeObserver(this.#redraw);

  get #of() {
    return this.dataset.of === "out" ? "out" : "mic";
  }

  connectedCallback() {
    this.setAttribute("role", "meter");
    this.setAttribute("aria-valuemin", "0");
    this.setAttribute("aria-valuemax", "100");
    if (!this.hasAttribute("aria-label")) this.setAttribute("aria-label", NAMES[this.#of]);
    this.#takeRoom();
    this.#canvas.style.color = `var(${COLOURS[this.#of]}, currentColor)`; // read back as a colour a canvas understands
    this.replaceChildren(this.#canvas);
    document.addEventListener("voice:level", this.#onLevel);
    this.#dark.addEventListener("change", this.#redraw);
    this.#theme.observe(document.documentElement, { attributes: true }); // a theme chosen by hand
    this.#size.observe(this);
    this.#follow(0);
    this.#draw();
  }

  disconnectedCallback() {
    document.removeEventListener("voice:level", this.#onLevel);
    this.#dark.removeEventListener("change", this.#redraw);
    this.#theme.disconnect();
    this.#size.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  /** Be as large as the style sheets say; where they say nothing, of the size of a word. */
  #takeRoom() {
    this.replaceChildren();
    const style = getComputedStyle(this);
    if (style.display === "inline") this.style.display = "inline-block";
    if (style.position === "static") this.style.position = "relative";
    const { width, height } = this.getBoundingClientRect();
    if (width === 0) this.style.inlineSize = `${WIDTH}px`;
    if (height === 0) this.style.blockSize = `${HEIGHT}px`;
    const filling = { position: "absolute", inset: "0", inlineSize: "100%", blockSize: "100%" }; // takes no room itself
    Object.assign(this.#canvas.style, filling);
  }

  #follow(level) {
    const decibels = 20 * Math.log10(Math.max(level, 1e-6));
    this.#target = Math.max(0, Math.min(1, 1 - decibels / FLOOR));
    const percent = String(Math.round(this.#target * BARS) * (100 / BARS));
    if (this.getAttribute("aria-valuenow") !== percent) this.setAttribute("aria-valuenow", percent);
    if (this.#target === this.#shown || this.#frame) return;
    this.#drawnAt = performance.now();
    this.#frame = requestAnimationFrame((now) => this.#step(now));
  }

  /** Rise at once, fall slowly; whoever wants less motion gets whole bars without the fall. */
  #step(now) {
    const fallen = this.#calm.matches ? 0 : this.#shown - (FALL * Math.max(0, now - this.#drawnAt)) / 1000;
    this.#drawnAt = now;
    this.#shown = Math.max(this.#target, fallen);
    this.#frame = this.#shown === this.#target ? 0 : requestAnimationFrame((next) => this.#step(next));
    this.#draw();
  }

  #draw() {
    const { width, height } = this.getBoundingClientRect();
    const bar = (width - GAP * (BARS - 1)) / BARS;
    if (bar <= 0) return; // hidden, or too narrow to be read: the number in aria-valuenow goes on
    const scale = devicePixelRatio;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const pen = this.#canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.fillStyle = getComputedStyle(this.#canvas).color;
    for (let i = 0; i < BARS; i++) {
      const lit = Math.max(0, Math.min(1, this.#shown * BARS - i));
      pen.globalAlpha = UNLIT + (1 - UNLIT) * (this.#calm.matches ? Math.round(lit) : lit);
      pen.beginPath();
      pen.roundRect(i * (bar + GAP), 0, bar, height, Math.min(2, bar / 2));
      pen.fill();
    }
  }
}

customElements.define("audio-level", AudioLevel);
