// Four turns of an agent against the API at the address in argv[2]; its speech is the file in argv[3].
// Prints one line of JSON for each turn; test_openai_agents_js.py reads them.

import { readFile } from "node:fs/promises";

import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from "@openai/agents/realtime";

const [url, speech] = process.argv.slice(2);
const CHUNK_BYTES = 4800; // 100 ms of PCM16, 24 kHz
const PATIENCE_MS = 30_000;

const asked = [];
const weather = tool({
  name: "get_weather",
  description: "The weather at a place.",
  strict: false,
  parameters: {
    type: "object",
    properties: { lat: { type: "number" }, lng: { type: "number" }, location: { type: "string" } },
    required: ["lat", "lng", "location"],
    additionalProperties: true,
  },
  execute: async ({ location }) => {
    asked.push(location);
    return '{"temperature": 21.5, "conditions": "partly cloudy"}';
  },
});

/** A connected session; `seen` are the API's events. */
async function open(outputModalities) {
  const agent = new RealtimeAgent({ name: "Forecaster", instructions: "Be brief.", tools: [weather] });
  const session = new RealtimeSession(agent, {
    transport: new OpenAIRealtimeWebSocket(),
    model: "gpt-realtime",
    config: { outputModalities, audio: { input: { turnDetection: { type: "server_vad", interruptResponse: true } } } },
  });
  asked.length = 0;
  const seen = [];
  const waiting = new Set();
  const problems = [];
  session.on("error", (error) => problems.push(error));
  session.transport.on("*", (event) => {
    seen.push(event);
    for (const look of [...waiting]) look();
  });
  /** The count-th event of a type. */
  const until = (type, count = 1) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${type} did not come: ${seen.map((e) => e.type)}`)), PATIENCE_MS);
      const look = () => {
        const found = seen.filter((event) => event.type === type);
        if (found.length < count) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve(found[count - 1]);
      };
      waiting.add(look);
      look();
    });
  await session.connect({ apiKey: "sk-test", url });
  return { session, seen, until, problems };
}

/** Send speech in a microphone's pieces. */
async function speak(session) {
  const sound = await readFile(speech);
  for (let start = 0; start < sound.length; start += CHUNK_BYTES) {
    const chunk = sound.subarray(start, start + CHUNK_BYTES);
    session.sendAudio(chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + chunk.byteLength));
  }
}

function report(turn, { session, problems }, facts) {
  console.log(JSON.stringify({ turn, problems: problems.map((problem) => JSON.stringify(problem)), ...facts }));
  session.close();
}

{
  const talk = await open(["text"]);
  talk.session.sendMessage("Hello.");
  const done = await talk.until("response.done");
  report("text", talk, { status: done.response.status, said: done.response.output[0].content[0].text });
}
{
  const talk = await open(["audio"]);
  let bytes = 0;
  talk.session.on("audio", (event) => (bytes += event.data.byteLength));
  await speak(talk.session);
  const done = await talk.until("response.done", 2); // the first calls the tool
  report("audio", talk, { status: done.response.status, bytes });
}
{
  const talk = await open(["text"]);
  talk.session.sendMessage("What is the weather in Lisbon?");
  const done = await talk.until("response.done", 2);
  report("tool", talk, { asked, said: done.response.output[0].content[0].text });
}
{
  const talk = await open(["audio"]);
  let interrupted = 0;
  talk.session.on("audio_interrupted", () => (interrupted += 1));
  talk.session.sendMessage("Tell me a long story.");
  await talk.until("response.output_audio.delta");
  await speak(talk.session);
  const cut = await talk.until("response.done");
  await talk.until("conversation.item.truncated");
  const answered = await talk.until("response.done", 3);
  const details = cut.response.status_details;
  report("interruption", talk, { interrupted, details, status: answered.response.status });
}
