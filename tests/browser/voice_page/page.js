/** Loads the sound elements and keeps what they tell, for the tests to read. */

import { voice } from "/static/js/voice.js";
import "/static/js/talk.js";
import "/static/js/mute.js";
import "/static/js/microphone-choice.js";
import "/static/js/interrupt.js";
import "/static/js/level.js";
import "/static/js/weather-map.js";

window.voice = voice;
window.problems = [];
window.levels = [];
document.addEventListener("voice:problem", ({ detail }) => window.problems.push(detail.text));
document.addEventListener("voice:level", ({ detail }) => window.levels.push({ ...detail, at: performance.now() }));
