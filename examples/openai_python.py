"""OpenAI's Python SDK against the simulator: one question, one function call, the answer as it comes.

    python -m realtime.simulator --port 8765
    python examples/openai_python.py http://127.0.0.1:8765/v1

With the API itself leave the address out and set OPENAI_API_KEY.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from openai import AsyncOpenAI

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather at a place.",
    "parameters": {
        "type": "object",
        "properties": {"lat": {"type": "number"}, "lng": {"type": "number"}, "location": {"type": "string"}},
        "required": ["lat", "lng", "location"],
    },
}

SESSION: Any = {"type": "realtime", "output_modalities": ["text"], "tools": [WEATHER]}
QUESTION: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is the weather in Lisbon?"}]}


async def main(base_url: str | None) -> None:
    """Ask for the weather, in writing."""
    async with (
        # The simulator lets every key in; the SDK makes ws:// of http:// and wss:// of https://.
        AsyncOpenAI(base_url=base_url, api_key="sk-simulator" if base_url else None) as client,
        client.realtime.connect(model="gpt-realtime-2.1") as connection,
    ):
        await connection.session.update(session=SESSION)
        await connection.conversation.item.create(item=QUESTION)
        await connection.response.create()
        async for event in connection:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
            elif event.type == "response.output_text.done":
                print()
            elif event.type == "error":
                sys.exit(event.error.message)
            elif event.type == "response.done" and event.response.status == "failed":
                error = event.response.status_details and event.response.status_details.error
                sys.exit(f"The response failed: {error.code if error else 'nobody knows why'}")
            elif event.type == "response.done":
                calls = [item for item in event.response.output or [] if item.type == "function_call"]
                for call in calls:
                    print(f"→ {call.name}({call.arguments})")
                    output = json.dumps({"temperature": {"value": 21.5, "unit": "°C"}, "conditions": "sunny"})
                    await connection.conversation.item.create(
                        item={"type": "function_call_output", "call_id": str(call.call_id), "output": output}
                    )
                if not calls:
                    return
                await connection.response.create()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
    except OSError as error:
        sys.exit(f"There is no answer: {error.strerror}.")
