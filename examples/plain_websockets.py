"""The ``websockets`` library alone: every event of a spoken answer, and its sound as a WAV file.

    python -m realtime.simulator --port 8765
    python examples/plain_websockets.py ws://127.0.0.1:8765/v1/realtime answer.wav

With the API itself the address is wss://api.openai.com/v1/realtime, and OPENAI_API_KEY is read.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import wave

from websockets.asyncio.client import connect

MODEL = "gpt-realtime-2.1"
RATE = 24_000
"""Samples a second of the API's PCM16."""


async def main(url: str, path: str) -> None:
    """Say hello and write down what is said back."""
    sound = bytearray()
    key = os.environ.get("OPENAI_API_KEY", "sk-simulator")
    # max_size=None: an event of the API may be larger than the 1 MiB that websockets allows.
    async with connect(f"{url}?model={MODEL}", additional_headers={"Authorization": f"Bearer {key}"}, max_size=None) as socket:

        async def send(**event: object) -> None:
            print(f"→ {event['type']}")
            await socket.send(json.dumps(event))

        content = [{"type": "input_text", "text": "Hello!"}]
        await send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await send(type="response.create")
        async for message in socket:
            event = json.loads(message)
            print(f"← {event['type']} {event.get('transcript', '')}".rstrip())
            if event["type"] == "response.output_audio.delta":
                sound += base64.b64decode(event["delta"])
            elif event["type"] == "error":
                sys.exit(event["error"]["message"])
            elif event["type"] == "response.done":
                break
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound)
    print(f"{len(sound) / 2 / RATE:.1f} s of sound in {path}")


if __name__ == "__main__":
    try:
        asyncio.run(main(*(sys.argv[1:] or ["ws://127.0.0.1:8765/v1/realtime", "answer.wav"])))
    except OSError as error:
        sys.exit(f"There is no answer: {error.strerror}.")
