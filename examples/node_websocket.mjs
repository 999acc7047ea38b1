// Node without an SDK: one question, the answer as it comes.
//
//     python -m realtime.simulator --port 8765
//     node examples/node_websocket.mjs ws://127.0.0.1:8765/v1/realtime
//
// The API itself is wss://api.openai.com/v1/realtime, with OPENAI_API_KEY set: TLS follows from the address. A simulator
// elsewhere is reached by wss:// through any proxy that speaks TLS, such as Caddy:
//     caddy reverse-proxy --from realtime.example.com --to 127.0.0.1:8765
//
// Node 22 has a WebSocket of its own; older ones use the package ws (npm install ws). Neither needs headers here: the key
// travels as a subprotocol, as from a browser.

const url = process.argv[2] ?? "ws://127.0.0.1:8765/v1/realtime";
const key = process.env.OPENAI_API_KEY ?? "sk-simulator";
const fromPackage = () =>
  import("ws").catch(() => {
    console.error("This Node has no WebSocket of its own: npm install ws");
    process.exit(1);
  });
const WebSocket = globalThis.WebSocket ?? (await fromPackage()).WebSocket;

const socket = new WebSocket(`${url}?model=gpt-realtime-2.1`, ["realtime", `openai-insecure-api-key.${key}`]);
const send = (event) => socket.send(JSON.stringify(event));

socket.addEventListener("open", () => {
  send({ type: "session.update", session: { type: "realtime", output_modalities: ["text"] } });
  const content = [{ type: "input_text", text: "Count to five." }];
  send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  send({ type: "response.create" });
});

socket.addEventListener("message", ({ data }) => {
  const event = JSON.parse(data);
  switch (event.type) {
    case "response.output_text.delta":
      process.stdout.write(event.delta);
      break;
    case "response.done":
      process.stdout.write(`\n${event.response.usage.total_tokens} tokens\n`);
      socket.close(1000);
      break;
    case "error":
      console.error(event.error.message);
      process.exitCode = 1;
      socket.close(1000);
      break;
  }
});

socket.addEventListener("error", () => {
  console.error(`There is no answer at ${url}.`);
  process.exitCode = 1;
});
