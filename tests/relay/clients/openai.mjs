// Three turns of OpenAI's Node SDK against the API below the address in argv[2]; its speech is the file in argv[3].
// Prints one line of JSON for each turn, with every frame both ways; test_openai_node.py reads them.

import { readFile } from "node:fs/promises";

import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [baseURL, speech] = process.argv.slice(2);
const CHUNK_BYTES = 4800; // 100 ms of PCM16, 24 kHz
const PATIENCE_MS = 30_000;

const weather = {
  type: "function",
  name: "get_weather",
  description: "The weather at a place.",
  parameters: {
    type: "object",
    properties: { lat: { type: "number" }, lng: { type: "number" }, location: { type: "string" } },
    required: ["lat", "lng", "location"],
  },
};

/** A connection, what it has seen, and every frame. */
async function open() {
  const client = new OpenAI({ apiKey: "sk-test-of-the-node-sdk", baseURL });
  const rt = new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);
  const seen = [];
  const waiting = new Set();
  const problems = [];
  const frames = { sent: [], received: [] };
  const send = rt.socket.send.bind(rt.socket);
  rt.socket.send = (data, ...more) => {
    frames.sent.push(data);
    return send(data, ...more);
  };
  rt.socket.on("message", (data) => frames.received.push(data.toString()));
  rt.on("error", (error) => problems.push(String(error)));
  rt.on("event", (event) => {
    seen.push(event);
    for (const look of [...waiting]) look();
  });
  /** The count-th event of a type. */
  const until = (type, count = 1) =>
    new Promise((resolve, reject) => {
      const late = () => reject(new Error(`${type} did not come: ${problems} ${seen.map((event) => event.type)}`));
      const timer = setTimeout(late, PATIENCE_MS);
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
  await until("session.created");
  return { rt, until, problems, frames };
}

function ask({ rt }, text) {
  const item = { type: "message", role: "user", content: [{ type: "input_text", text }] };
  rt.send({ type: "conversation.item.create", item });
  rt.send({ type: "response.create" });
}

async function report(turn, { rt, problems, frames }, facts) {
  const closed = new Promise((resolve) => rt.socket.on("close", (code) => resolve(code)));
  rt.close({ code: 1000, reason: "done" });
  console.log(JSON.stringify({ turn, problems, frames, code: await closed, ...facts }));
}

{
  const talk = await open();
  talk.rt.send({ type: "session.update", session: { type: "realtime", output_modalities: ["text"] } });
  ask(talk, "Hello.");
  const done = await talk.until("response.done");
  await report("text", talk, { said: done.response.output[0].content[0].text });
}
{
  const talk = await open();
  const sound = await readFile(speech);
  for (let start = 0; start < sound.length; start += CHUNK_BYTES) {
    const audio = sound.subarray(start, start + CHUNK_BYTES).toString("base64");
    talk.rt.send({ type: "input_audio_buffer.append", audio });
  }
  const done = await talk.until("response.done");
  await report("audio", talk, { tokens: done.response.usage.output_token_details.audio_tokens });
}
{
  const talk = await open();
  talk.rt.send({ type: "session.update", session: { type: "realtime", output_modalities: ["text"], tools: [weather] } });
  ask(talk, "What is the weather in Lisbon?");
  const call = (await talk.until("response.done")).response.output[0];
  const output = '{"temperature": 21.5, "conditions": "partly cloudy"}';
  talk.rt.send({ type: "conversation.item.create", item: { type: "function_call_output", call_id: call.call_id, output } });
  talk.rt.send({ type: "response.create" });
  const done = await talk.until("response.done", 2);
  await report("tool", talk, { asked: JSON.parse(call.arguments).location, said: done.response.output[0].content[0].text });
}
