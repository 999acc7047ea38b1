/** Moments as the time column writes them: always to the millisecond. */

/**
 * @param {string} mode start, previous, selected or clock
 * @param {number} t microseconds since the session began
 * @param {{before: number, selected: number, started: number}} points the previous row, the selected one (both in
 *   microseconds), and when the session began (milliseconds since 1970)
 */
export function timeText(mode, t, { before, selected, started }) {
  if (mode === "previous") return signed(t - before);
  if (mode === "selected") return signed(t - selected);
  if (mode === "clock") return clock(started + t / 1000);
  return elapsed(t);
}

function elapsed(us) {
  const ms = Math.floor(us / 1000);
  const minutes = Math.floor(ms / 60_000);
  const seconds = ((ms % 60_000) / 1000).toFixed(3).padStart(6, "0");
  return minutes ? `${minutes}:${seconds}` : seconds;
}

function signed(us) {
  const ms = Math.round(us / 1000);
  if (Math.abs(ms) < 10_000) return `${ms < 0 ? "−" : "+"}${Math.abs(ms)} ms`;
  return `${ms < 0 ? "−" : "+"}${elapsed(Math.abs(us))}`;
}

function clock(ms) {
  const date = new Date(ms);
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0"));
  return `${parts.join(":")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
