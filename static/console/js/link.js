/** The audio socket: opens itself again after a loss, and says when it may not or when sound no longer gets through. */

const BACK_OFF = [0.5, 1, 2, 4, 10]; // seconds before each new attempt; the last one for all that follow
const NOT_RUNNING = 4004; // close code of a session that is over: the page itself says how it ended
const CONGESTED = 1024 * 1024; // bytes not yet on the wire: 22 seconds of speech, more would only come too late

/**
 * @typedef {object} Ears what a link tells
 * @property {() => void} opened the socket is open
 * @property {(forGood: boolean) => void} lost it no longer is; not for good means that it will be tried again
 * @property {(message: object) => void} message a text message came
 * @property {(pcm: ArrayBuffer) => void} sound a binary one
 * @property {(text: string) => void} problem something people must know
 */

export class Link {
  #url;
  #ears;
  #socket = null;
  #attempts = 0; // in vain, since it was open last
  #timer = 0;
  #congested = false;

  /**
   * @param {string} url path or address of the socket
   * @param {Ears} ears
   */
  constructor(url, ears) {
    this.#url = new URL(url, location.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#ears = ears;
    this.#connect();
  }

  get open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** @param {object} message sent as JSON; nothing happens while the socket is not open */
  tell(message) {
    if (this.open) this.#socket.send(JSON.stringify(message));
  }

  /** @param {ArrayBuffer} pcm microphone sound; dropped while the socket is not open or its buffer is full */
  sound(pcm) {
    if (!this.open) return;
    const congested = this.#socket.bufferedAmount > CONGESTED;
    if (congested && !this.#congested) {
      this.#ears.problem("Your sound is not reaching the server fast enough: some of what you say is lost.");
    }
    this.#congested = congested;
    if (!congested) this.#socket.send(pcm);
  }

  /** Hang up for good. */
  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  #connect() {
    const socket = (this.#socket = new WebSocket(this.#url));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      this.#attempts = 0;
      this.#ears.opened();
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      if (typeof data === "string") this.#ears.message(JSON.parse(data));
      else this.#ears.sound(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      const forGood = code === 1000 || (code >= 4000 && code <= 4999);
      this.#ears.lost(forGood);
      if (!forGood) this.#retry();
      else if (reason && code !== NOT_RUNNING) this.#ears.problem(reason);
    };
  }

  #retry() {
    const seconds = BACK_OFF[Math.min(this.#attempts++, BACK_OFF.length - 1)];
    this.#timer = setTimeout(() => this.#connect(), seconds * 1000);
  }
}
